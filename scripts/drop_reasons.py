#!/usr/bin/env python3
"""Writes docs/drop-reasons.md from dataplane/drop_reason.def; with --check, says whether the page is up to date."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIST = ROOT / "dataplane/drop_reason.def"
PAGE = ROOT / "docs/drop-reasons.md"
ERROR = r"(?:silent|icmp\((\d+), (\d+)\))"
ENTRY = re.compile(rf'^DROP_REASON\((\w+), "([^"]*)", "([^"]*)", {ERROR}, {ERROR}\)$')

HEAD = """# Drop reasons

Made from `dataplane/drop_reason.def` by `scripts/drop_reasons.py`.

Each drop is counted for an interface and a reason: `millrace show drops`, `GET /v1/drops`, and the metric
`millrace_dropped_packets_total{interface="…",reason="…"}`. The interface is the one that the packet came in by; for
the transmit side (`tx_…`, `handoff_full`) it is the one that it was to leave by. Where an ICMP error is named, it goes
to the sender unless RFC 1812 4.3.2.7 or RFC 4443 2.4 forbids it or `control.icmp_error_rate` is used up.
"""


def page():
    lines = [HEAD]
    section = ""
    for line in LIST.read_text().splitlines():
        if line.startswith("// "):
            section = line[3:]  # the last comment before an entry names its section
        if not line.startswith("DROP_REASON"):
            continue
        entry = ENTRY.match(line)
        if not entry:
            sys.exit(f"{LIST.name}: cannot read: {line}")
        if section:
            lines.append(f"\n## {section}\n\n| reason | what | reference | ICMP | ICMPv6 |\n|---|---|---|---|---|")
            section = ""
        name, text, reference, *numbers = entry.groups()
        errors = [f"{kind}/{code}" if kind else "" for kind, code in (numbers[:2], numbers[2:])]
        lines.append(f"| `{name}` | {text} | {reference} | {errors[0]} | {errors[1]} |")
    return "\n".join(lines) + "\n"


def main():
    text = page()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit("docs/drop-reasons.md is stale: run scripts/drop_reasons.py")
        return
    PAGE.write_text(text)


main()
