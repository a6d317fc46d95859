# Sourced by the benchmarks: 2 MB pages for the time of a run, on top of what others use. At the end their number goes
# down by what was added, and so never below what it was.
# shellcheck shell=bash
hugepages=/sys/kernel/mm/hugepages/hugepages-2048kB
hugepages_before=$(<$hugepages/nr_hugepages)
hugepages_added=0

give_back_hugepages() {
  local rest
  [[ $hugepages_added -gt 0 ]] || return 0
  rest=$(($(<$hugepages/nr_hugepages) - hugepages_added))
  echo $((rest > hugepages_before ? rest : hugepages_before)) >$hugepages/nr_hugepages
}
trap give_back_hugepages EXIT

borrow_hugepages() {  # borrow_hugepages N: N of them are free afterwards
  local missing=$(($1 - $(<$hugepages/free_hugepages)))
  [[ $missing -gt 0 ]] || return 0
  hugepages_added=$missing
  scripts/setup.sh --hugepages $((hugepages_before + missing)) >/dev/null || die "wants $1 free hugepages of 2 MB"
}
