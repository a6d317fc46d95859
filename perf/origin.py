"""How figures were made, for their JSON; the scripts of perf/ say it (common.sh), as the caller wrote it."""

import os
import shlex
import sys


def command(script):
    return os.environ.get("MILLRACE_COMMAND") or shlex.join([script, *sys.argv[1:]])


def revision():
    """Of Millrace; documents that changed do not count."""
    return os.environ.get("MILLRACE_REVISION") or "unknown"
