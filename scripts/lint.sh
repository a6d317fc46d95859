#!/usr/bin/env bash
# Format, folder rules, headers that stand alone, clang-tidy, and the scripts' own syntax.
#   scripts/lint.sh [--fast|--deep]     --fast leaves clang-tidy out (it takes minutes), --deep adds clang's static
#                                       analyzer to it (twice as many)
# Names every check; the last line is `N checks passed, N failed`.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fast=false deep=()
case ${1:-} in
  '') ;;
  --fast) fast=true ;;
  --deep) deep=(--deep) ;;
  *) say "usage: scripts/lint.sh [--fast|--deep]" >&2; exit 2 ;;
esac

tracked() { git ls-files -z --cached --others --exclude-standard -- "$@"; }
check_format() { tracked '*.h' '*.cc' | xargs -0 -r clang-format --dry-run -Werror; }
check_bash() {
  local script bad=0
  while IFS= read -r -d '' script; do bash -n "$script" || bad=1; done < <(tracked '*.sh' .ci/run)
  return $bad
}
check_python() {
  tracked '*.py' | xargs -0 -r /usr/bin/python3 -c '
import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)'
}
check_modes() {
  local bad
  bad=$(git ls-files -s -- 'scripts/*.sh' .ci/run | awk '$1 != "100755" && $4 !~ /common\.sh$/ {print $4 ": is not executable"}')
  [[ -z $bad ]] || { say "$bad"; return 1; }
}

passed=0 failed=0
check() {  # check NAME COMMAND...
  local name=$1 started=$SECONDS; shift
  if "$@"; then
    passed=$((passed + 1)); printf '  ok   %-64s %4d s\n' "$name" $((SECONDS - started))
  else
    failed=$((failed + 1)); printf '  FAIL %-64s %4d s\n' "$name" $((SECONDS - started))
  fi
}

scripts/setup.sh
heading "lint"
check "scripts parse (bash -n)" check_bash
check "scripts are executable" check_modes
check "Python files parse" check_python
check "C++ is formatted (scripts/format.sh mends it)" check_format
check "docs/drop-reasons.md is up to date" /usr/bin/python3 scripts/drop_reasons.py --check
check "docs/conformance.md is up to date, each rule has its tests" /usr/bin/python3 scripts/conformance.py --check
check "measured figures in documents are those of docs/figures" /usr/bin/python3 scripts/figures.py --check
check "folders include only what they may" scripts/lint_cpp.py includes
# Generated headers and the flags come from the test build.
scripts/build.sh test >/dev/null || die "the test build failed: scripts/build.sh test"
check "workers call only what they may" scripts/worker-symbols.sh
check "headers compile alone, benchmarks do" scripts/lint_cpp.py headers
$fast || check "clang-tidy" scripts/lint_cpp.py tidy "${deep[@]}"

say ""
say "$passed checks passed, $failed failed"
[[ $failed == 0 ]]
