#!/usr/bin/env python3
"""Which test checks which rule of tests/conformance/rules.yaml.

usage: conformance.py [--check]

A test names its rules in its own source: `rule 7`, or `rules 9, 10`, in a case's name, a message or a comment in the
test or straight above it. Tests are GoogleTest cases, pytest functions and fuzz targets. Writes docs/conformance.md;
with --check, says whether the page is up to date. Fails where a built rule has no test, or a test names a rule that is
not in the list.
"""

import ast
import dataclasses
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIST = ROOT / "tests/conformance/rules.yaml"
PAGE = ROOT / "docs/conformance.md"
PTF = PAGE.with_name("ptf.md")

TAG = re.compile(r"\b[Rr]ules? (\d+(?:(?:, | and )\d+)*)\b")
# A named row of a behaviour table: a string that begins with the rule.
ROW = re.compile(r'"rules? (\d+(?:(?:, | and )\d+)*)\b')
GTEST = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\((\w+), (\w+)\) \{$")

HEAD = """# Conformance

Made from `tests/conformance/rules.yaml` and the tests by `scripts/conformance.py`.

What a router has to do, rule by rule, and the tests that show it: `tests/unit` and `tests/behaviour` in process,
`tests/system` between hosts in network namespaces, `tests/fuzz` with whatever comes. [testing.md](testing.md) says how
to run them, and how `scripts/mutate.sh` shows that they fail when the code is wrong. What tests of others say of the
same rules stands [below](#tests-of-others).
"""

OTHERS = """\

## Tests of others

SONiC's PTF tests, as they are, against `millraced`: [ptf.md](ptf.md) says how they are run, by `scripts/ptf.sh`.
"""


@dataclasses.dataclass
class Rule:
    section: str
    what: str
    spec: str
    built: bool
    lacks: str = ""

    def status(self):
        if not self.built:
            return "not built"
        return f"in part: {self.lacks}" if self.lacks else "built"


@dataclasses.dataclass
class Test:
    file: str  # below the root
    name: str
    source: str  # with the comment above it

    def rules(self):
        return numbers(TAG, self.source)

    def rows(self):
        return len(ROW.findall(self.source))


def numbers(pattern, text):
    return {int(n) for found in pattern.findall(text) for n in re.findall(r"\d+", found)}


def load_rules():
    rules = {}
    for section, entries in yaml.safe_load(LIST.read_text()).items():
        for number, entry in entries.items():
            if number in rules:
                sys.exit(f"{LIST.name}: rule {number} is there twice")
            rules[number] = Rule(section, **entry)
    return rules


def comment_above(lines, first, mark):
    """Where the comment straight above line `first` begins."""
    while first > 0 and lines[first - 1].startswith(mark):
        first -= 1
    return first


def gtest_cases(file, text):
    lines = text.splitlines()
    for at, line in enumerate(lines):
        found = GTEST.match(line)
        if found:
            end = lines.index("}", at)
            yield Test(file, ".".join(found.groups()), "\n".join(lines[comment_above(lines, at, "//"):end]))


def pytest_functions(file, text):
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min([node, *node.decorator_list], key=lambda part: part.lineno).lineno - 1
            yield Test(file, node.name, "\n".join(lines[comment_above(lines, first, "#"):node.end_lineno]))


def fuzz_target(file, text):
    yield Test(file, pathlib.Path(file).stem, text)


def collect():
    """All tests of the project, in the order of their files."""
    kinds = (("**/*_test.cc", gtest_cases), ("**/test_*.py", pytest_functions), ("**/*_fuzz.cc", fuzz_target))
    tests = []
    for pattern, parse in kinds:
        for path in sorted((ROOT / "tests").glob(pattern)):
            tests += parse(str(path.relative_to(ROOT)), path.read_text())
    return tests


def tests_by_rule(rules, tests):
    by_rule = {number: [] for number in rules}
    for test in tests:
        for number in test.rules():
            if number not in rules:
                sys.exit(f"{test.file}: {test.name} names rule {number}, which is not in {LIST.name}")
            by_rule[number].append(test)
    return by_rule


def list_of(tests):
    """The names, grouped by file."""
    files = {}
    for test in tests:
        files.setdefault(test.file.removeprefix("tests/"), []).append(test.name)
    return "\n".join(f"- {file}: " + ", ".join(f"`{name}`" for name in names) for file, names in files.items())


def tests_of_others():
    """With what docs/ptf.md says under its last heading."""
    return OTHERS + PTF.read_text().split("\n## Cases and results\n", 1)[1]


def page(rules, by_rule):
    lines = [HEAD, "| n | rule | tests | status |\n|---|---|---|---|"]
    for number, rule in rules.items():
        spec = f" ({rule.spec})" if rule.spec else ""
        count = len(by_rule[number])
        tests = f"[{count}](#rule-{number})" if count else ""
        lines.append(f"| {number} | {rule.what}{spec} | {tests} | {rule.status()} |")
    lines += [tests_of_others(), "## Tests of each rule"]
    for number, rule in rules.items():
        if by_rule[number]:
            lines.append(f"\n### Rule {number}\n\n{list_of(by_rule[number])}")
    return "\n".join(lines) + "\n"


def main():
    rules, tests = load_rules(), collect()
    by_rule = tests_by_rule(rules, tests)
    untested = [number for number, rule in rules.items() if rule.built and not by_rule[number]]
    if untested:
        sys.exit("built, but without a test: " + ", ".join(f"rule {number}" for number in untested))
    text = page(rules, by_rule)
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit("docs/conformance.md is stale: run scripts/conformance.py")
        return
    PAGE.write_text(text)
    built = sum(rule.built for rule in rules.values())
    tagged = [test for test in tests if test.rules()]
    print(f"{len(rules)} rules, {built} built; {len(tagged)} tests name them, in {sum(t.rows() for t in tagged)} named rows")


if __name__ == "__main__":
    main()
