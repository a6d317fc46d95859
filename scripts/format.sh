#!/usr/bin/env bash
# Formats the C++ sources in place, as scripts/lint.sh wants them.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cc' | xargs -0 -r clang-format -i
