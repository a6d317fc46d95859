#!/usr/bin/env bash
# RFC 2544 measurements of Millrace, or of any device, and a report (docs/benchmarking.md; --help lists the options).
# Installs what is missing, builds, and reserves hugepages for the time of the run.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export PYTHONPATH=perf

asks_for_help "$@" && exec /usr/bin/python3 -m rfc2544 --help
take_arguments "--json --table4 --table6 --trex-client" "$@"
# A TRex server and a device that are there already: nothing is built, and nothing of ours sends.
[[ ! " ${arguments[*]} " =~ ' --engine'[\ =]'trex ' ]] || exec /usr/bin/python3 -m rfc2544 "${arguments[@]}"
need_root "to reserve hugepages and to make interfaces"
scripts/setup.sh
targets=(perf/generator/generator perf/generator/wire controlplane/millraced cli/millrace)
[[ ! " ${arguments[*]} " =~ ' --table'[46]' ' ]] || targets+=(perf/net_stamp/make_destinations)
build_perf "${targets[@]}"
pages=400  # 256 MB each for generator and device, and the tables
[[ " ${arguments[*]} " != *' --no-huge '* ]] || pages=0
with_hugepages $pages /usr/bin/python3 -m rfc2544 "${arguments[@]}"
