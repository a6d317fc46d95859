#!/usr/bin/python3
"""Checks of the C++ sources: which folder may include which, headers that stand alone, clang-tidy.

usage: lint_cpp.py includes|headers|tidy [--build DIR] [--deep] [FILE...]

`headers` and `tidy` take the compiler's flags from DIR/compile_commands.json (default build-test). `headers` leaves out
what a source includes first: the build that made DIR has compiled those; and has the benchmarks that it did not compile
do so, too, but for the driver that needs DPDK's source. `tidy` leaves clang's static analyzer out, which takes as long
as all else, unless with --deep. Prints what is wrong as file:line: message; the exit status is 1 where something is.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What each folder may include of ours, and the libraries that it must not see. A folder that is not named is free.
FOLDERS = {
    "net": {"may": {"net"}, "not": r"rte_|boost/|yaml-cpp/|spdlog/|nlohmann/|CLI/"},
    "lpm": {"may": {"lpm", "net"}, "not": r"boost/|yaml-cpp/|spdlog/|nlohmann/|CLI/|rte_(ethdev|mbuf|mempool)"},
    "esp": {"may": {"esp", "net"}, "not": r"rte_|boost/|yaml-cpp/|spdlog/|nlohmann/|CLI/"},
    "config": {"may": {"config", "esp", "net"}, "not": r"rte_|boost/|spdlog/|CLI/"},
    "dataplane": {"may": {"dataplane", "esp", "lpm", "net"}, "not": r"boost/|yaml-cpp/|nlohmann/|CLI/"},
    "controlplane": {"may": {"controlplane", "dataplane", "esp", "lpm", "config", "net"}, "not": r"^$"},
    "cli": {"may": {"cli", "net"}, "not": r"rte_|yaml-cpp/|spdlog/"},
}

# The driver that perf/forward.sh has built: it needs headers that DPDK does not install (perf/dpdk-source.sh).
NEEDS_DPDK_SOURCE = {"perf/net_stamp/net_stamp.cc"}


def sources(*patterns):
    """Tracked files, and new ones that are not ignored."""
    output = subprocess.check_output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
                                      *patterns], cwd=ROOT, text=True)
    return sorted({name for name in output.split("\0") if name and (ROOT / name).exists()})


def compile_flags(build):
    """Source file -> the compiler's arguments, without the file, its output and its dependency file."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        name = os.path.relpath(os.path.join(entry["directory"], entry["file"]), ROOT)
        arguments, words = [], iter(shlex.split(entry["command"]))
        for word in words:
            if word in ("-o", "-c", "-MF", "-MQ"):
                next(words)
            elif word != "-MD":
                arguments.append(word)
        flags.setdefault(name, arguments)
    return flags


def in_parallel(check, names):
    """Each check returns what it has to say about one file; prints it as it comes, and counts the files."""
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for text in pool.map(check, names):
            if text:
                bad += 1
                print(text.rstrip(), flush=True)
    return bad


def check_includes(names):
    def check(name):
        rule = FOLDERS.get(name.split("/")[0])
        said = []
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not found or not rule:
                continue
            quote, path = found.groups()
            folder = path.split("/")[0] if "/" in path else ""
            if quote == '"' and folder not in rule["may"]:
                said.append(f'{name}:{number}: {name.split("/")[0]}/ may include only {", ".join(sorted(rule["may"]))}: "{path}"')
            if quote == "<" and (re.match(rule["not"], path) or folder in FOLDERS and folder != "net"):
                said.append(f'{name}:{number}: {name.split("/")[0]}/ must not know of <{path}>')
        return "\n".join(said)

    return in_parallel(check, names)


def shown_alone(flags):
    """The headers that a source includes first, or such a header: when the source compiles, they do alone."""
    first = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<)', re.MULTILINE)
    shown, new = set(), set(flags)
    while new:
        found = (first.search((ROOT / name).read_text()) for name in new)
        new = {match[1] for match in found if match and match[1] and (ROOT / match[1]).exists()} - shown
        shown |= new
    return shown


def check_headers(names, build):
    flags = compile_flags(build)
    shown = shown_alone(flags)
    richest = max(flags, key=lambda name: len(flags[name]))

    def nearest(name):
        """The flags of the source with the same stem, else of one that includes it, else of the one that needs most:
        the headers of benchmarks, for one, have no source in this build."""
        twin = name.removesuffix(".h") + ".cc"
        users = [other for other in flags if f'"{name}"' in (ROOT / other).read_text()]
        near = max(users, key=lambda other: len(os.path.commonprefix([other, name])), default=richest)
        return flags.get(twin) or flags[near]

    def check(name):
        text = f'#include "{name}"\n' * (2 if name.endswith(".h") else 1)
        command = [*nearest(name), "-w", "-fsyntax-only", "-x", "c++", "-"]
        result = subprocess.run(command, input=text, cwd=build, capture_output=True, text=True)
        return f"{name}: does not compile alone\n{result.stderr}" if result.returncode else ""

    return in_parallel(check, [name for name in names if name not in shown | flags.keys() | NEEDS_DPDK_SOURCE])


def check_tidy(names, build, deep):
    known = compile_flags(build)

    def check(name):
        # The build's warnings are GCC's, and errors in CI: here only clang-tidy's own count.
        command = ["clang-tidy", "--quiet", "-p", str(build), "--extra-arg=-Wno-error", "--extra-arg=-Wno-everything",
                   "--extra-arg=-Wno-unknown-warning-option", *([] if deep else ["--checks=-clang-analyzer-*"]), name]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return result.stdout + result.stderr if result.returncode else ""

    # The product's code; what is wrong in a test shows when it runs.
    return in_parallel(check, [name for name in names if name in known and not name.startswith("tests/")])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["includes", "headers", "tidy"])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-test")
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    build = options.build.resolve()
    if options.what == "includes":
        bad = check_includes(options.files or sources("*.h", "*.cc"))
    elif options.what == "headers":
        bad = check_headers(options.files or sources("*.h", "perf/*.cc"), build)
    else:
        bad = check_tidy(options.files or sources("*.cc"), build, options.deep)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
