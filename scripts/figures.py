#!/usr/bin/env python3
"""Writes the measured figures of README.md, ARCHITECTURE.md and docs/ from the JSON files in docs/figures.

usage: figures.py [--check]

A document says what it wants between two comments; what is between them is made from it:

    <!-- figures: lpm
    rows: stream
    IPv4, any address = v4/uniform
    columns:
    bursts of 64 = */b64 millrace
    `rte_fib` = */b64 rte_fib2|rte_fib6
    ratio = */b64 millrace / rte_fib2|rte_fib6
    text:
    The whole table takes {v4/memory millrace}.
    -->
    ...
    <!-- end -->

`lpm` is docs/figures/lpm.json, as perf/lpm.sh wrote it. There is a table, or text, or both. A figure is `CASE SUBJECT`;
`SUBJECT|SUBJECT` is the first that took part, `SUBJECT.KEY` another number of the same row, and `CASE SUBJECT / SUBJECT` or
`CASE SUBJECT / CASE SUBJECT` a ratio. In a column `*` is what its row stands for. A subject that did not take part in a case
leaves its cell empty; all else that is not there is an error. The last line says what was measured, and by which command.
A speed that stands elsewhere in a document is an error, too.

With --check, says which documents are stale.
"""

import json
import math
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = "docs/figures"
ELSEWHERE = {"budget": "perf/budget.json"}  # what is compared with, too
BLOCK = re.compile(r"(<!-- figures: (\S+)\n(.*?)-->\n).*?(<!-- end -->)", re.S)
# A speed: limits and settings of a router have other units.
SPEED = re.compile(r"\d[\d.,]* ?(?:Mpps|Mlps|[µn]s|cycles|k/s|million \w+)\b")
MARK = re.compile(r"<!-- (?:figures\b|end\b)")
FIELD = re.compile(r"\{([^{}]+)\}")
UNITS = {"Mlps": "million lookups/s", "Mpps": "million packets/s", "us": "µs", "k/s": "thousand/s", "instructions": ""}
KEY_UNITS = {"cycles": "cycles", "cycles_above_floor": "cycles", "lag_max_ms": "ms", "lag_p99_ms": "ms", "gbit_per_second": "Gbit/s"}


class Failure(Exception):
    pass


class Absent(Failure):
    """The case is there, the subject is not."""


def number(value):
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


class Figures:
    """What one JSON file says."""

    def __init__(self, name, root=ROOT):
        self.file = ELSEWHERE.get(name, f"{FOLDER}/{name}.json")
        if not (root / self.file).exists():
            raise Failure(f"there is no {self.file}")
        found = json.loads((root / self.file).read_text())
        if "command" not in found:
            raise Failure(f"{self.file} does not say which command made it")
        self.command, self.machine = found["command"], found["machine"]
        self.rows = {(row["case"], row["subject"]): row for row in found["rows"]}
        self.cases = {case for case, _ in self.rows}

    def find(self, case, subjects):
        """(value, unit) of the first of `subjects` that took part."""
        if case not in self.cases:
            raise Failure(f"{self.file} has no case {case}")
        for subject in subjects.split("|"):
            name, _, key = subject.partition(".")
            row = self.rows.get((case, name))
            if row and key and key not in row:
                raise Failure(f"{self.file}: {case} of {name} has no {key}")
            if row:
                return (row[key], KEY_UNITS.get(key, "")) if key else (row["value"], UNITS.get(row["unit"], row["unit"]))
        raise Absent(f"{self.file}: {case} has no {subjects}")

    def figure(self, words, unit=False):
        """One figure, as text."""
        over, slash, under = words.partition(" / ")
        case, subjects = pair(over)
        value, its_unit = self.find(case, subjects)
        if slash:
            value /= self.find(*pair(under, case))[0]
            return f"{value:.2f}"
        return f"{number(value)} {its_unit}".rstrip() if unit else number(value)

    def source(self, document):
        """One line on what was measured, and how."""
        facts = self.machine
        parts = [facts.get("cpu"), f"{facts['cores']} cores" if "cores" in facts else None,
                 f"the {facts['isa']} form" if "isa" in facts else None,
                 f"GCC {facts['compiler'].removeprefix('GCC ')}" if "compiler" in facts else None,
                 f"DPDK {facts['dpdk'].removeprefix('DPDK ')}", f"Millrace {facts['millrace']}" if "millrace" in facts else None]
        link = os.path.relpath(self.file, os.path.dirname(document) or ".")
        return f"*[{pathlib.Path(self.file).name}]({link}): {', '.join(filter(None, parts))}; by* `{self.command}`"


def pair(words, case=None):
    """`CASE SUBJECT`; a case that is known may be left out."""
    parts = words.split()
    if len(parts) == 1 and case:
        return case, parts[0]
    if len(parts) != 2:
        raise Failure(f'"{words}" is not CASE SUBJECT')
    return parts


def labelled(lines):
    """(label, what) of each `label = what`."""
    for line in lines:
        label, equals, what = line.rpartition(" = ")
        if not equals:
            raise Failure(f'"{line}" is not LABEL = FIGURE')
        yield label.strip(), what.strip()


def sections(wanted):
    """{"rows": its lines, ...}, and what stands above the rows' names."""
    found, head, lines = {}, "", None
    for line in filter(None, map(str.strip, wanted.splitlines())):
        start = re.fullmatch(r"(rows|columns|text):(.*)", line)
        if start:
            lines = found.setdefault(start[1], [])
            head = start[2].strip() if start[1] == "rows" else head
        elif lines is None:
            raise Failure(f'"{line}" is neither of rows nor of columns nor of text')
        else:
            lines.append(line)
    return found, head


def table(figures, head, rows, columns):
    columns = list(labelled(columns))
    lines = ["| " + " | ".join([head, *(label for label, _ in columns)]) + " |", "|---" + "|--:" * len(columns) + "|"]
    for label, case in labelled(rows):
        cells = [label]
        for _, what in columns:
            try:
                cells.append(figures.figure(what.replace("*", case)))
            except Absent:
                cells.append("–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def block(figures, wanted, document):
    found, head = sections(wanted)
    parts = []
    if "rows" in found or "columns" in found:
        if not (found.get("rows") and found.get("columns")):
            raise Failure("a table wants rows and columns")
        parts.append(table(figures, head, found["rows"], found["columns"]))
    if "text" in found:
        parts.append(FIELD.sub(lambda field: figures.figure(field[1], unit=True), "\n".join(found["text"])))
    if not parts:
        raise Failure("neither a table nor text is wanted")
    return "\n\n".join([*parts, figures.source(document)]) + "\n"


def check_rest(text, document):
    """No speed stands where nobody made it."""
    rest = BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text)
    found = SPEED.search(rest)
    if found:
        line = rest.count("\n", 0, found.start()) + 1
        raise Failure(f'{document}:{line}: "{found[0]}" is a measured figure outside of <!-- figures')


def render(text, document, root=ROOT):
    """The document as it should be."""
    blocks = list(BLOCK.finditer(text))
    if len(MARK.findall(text)) != 2 * len(blocks):
        raise Failure(f"{document}: not each <!-- figures: has its <!-- end -->")

    check_rest(text, document)

    def made(match):
        begin, name, wanted, end = match.groups()
        try:
            return f"{begin}\n{block(Figures(name, root), wanted, document)}\n{end}"
        except Failure as failure:
            line = text.count("\n", 0, match.start()) + 1
            raise Failure(f"{document}:{line}: {failure}") from failure

    return BLOCK.sub(made, text)


def documents(root=ROOT):
    return [root / "README.md", root / "ARCHITECTURE.md", *sorted((root / "docs").glob("*.md"))]


def stale(root=ROOT):
    """{document: its new text} of those that are not as they should be."""
    texts = {path: (path.read_text(), str(path.relative_to(root))) for path in documents(root)}
    made = {path: render(text, name, root) for path, (text, name) in texts.items()}
    return {path: new for path, new in made.items() if new != texts[path][0]}


def main():
    found = stale()
    if sys.argv[1:] == ["--check"]:
        if found:
            sys.exit(", ".join(str(path.relative_to(ROOT)) for path in found) + ": stale; run scripts/figures.py")
        return
    for path, text in found.items():
        path.write_text(text)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(str(failure))
