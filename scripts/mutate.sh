#!/usr/bin/env bash
# Breaks the code in one place at a time, and demands that a named test fails: the tests are as good as they say.
#   scripts/mutate.sh [--list | --check] [NAME...]      without NAME: all mutations of tests/mutations/
# The last line is `N caught, N missed`.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

exec nice -n 5 /usr/bin/python3 scripts/mutate.py "$@"
