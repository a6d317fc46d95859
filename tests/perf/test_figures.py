"""scripts/figures.py writes into the documents what the JSON files say, and tells a document that says something else."""

import json
import pathlib
import re
import subprocess

import pytest

import figures

ROOT = pathlib.Path(__file__).resolve().parents[2]
MACHINE = {"cpu": "A processor", "cores": 2, "dpdk": "22.11.6-1", "millrace": "abc1234"}
SOURCE = "*[bench.json](figures/bench.json): A processor, 2 cores, DPDK 22.11.6-1, Millrace abc1234; by* `perf/bench.sh --runs 3`"
ROWS = [
    ("v4/one/b64", "millrace", 532.4, "Mlps", {}),
    ("v4/one/b64", "rte_fib2", 153.0, "Mlps", {}),
    ("v4/two/b64", "millrace", 1234.5, "Mlps", {"cycles": 66.25}),
    ("v6/one/b64", "millrace", 99.94, "Mlps", {}),
    ("v6/one/b64", "rte_fib6", 120.0, "Mlps", {}),
    ("v4/load", "millrace", 0.1284, "s", {}),
]
TABLE = """<!-- figures: bench
rows: stream
one, IPv4 = v4/one
two = v4/two
one, IPv6 = v6/one
columns:
Millrace = */b64 millrace
`rte_fib` = */b64 rte_fib2|rte_fib6
ratio = */b64 millrace / rte_fib2|rte_fib6
-->
what was here
<!-- end -->
"""


@pytest.fixture(name="root")
def project(tmp_path):
    """A project with one file of figures and no more."""
    (tmp_path / "docs/figures").mkdir(parents=True)
    for name in ("README.md", "ARCHITECTURE.md"):
        (tmp_path / name).write_text("no figures\n")
    write(tmp_path, {"command": "perf/bench.sh --runs 3"})
    return tmp_path


def write(root, more):
    rows = [{"case": case, "subject": subject, "value": value, "unit": unit, "runs": [value], **keys}
            for case, subject, value, unit, keys in ROWS]
    (root / "docs/figures/bench.json").write_text(json.dumps({"machine": MACHINE, "rows": rows, **more}))


def rendered(root, wanted):
    """The lines that are made of what is between the comments."""
    text = figures.render(f"before\n<!-- figures: bench\n{wanted}\n-->\n<!-- end -->\nafter\n", "docs/a.md", root)
    return text.split("-->\n", 1)[1].removesuffix("\n<!-- end -->\nafter\n").strip().splitlines()


def test_a_table_has_a_line_for_each_row_and_ends_with_where_it_is_from(root):
    text = figures.render("above\n" + TABLE + "below\n", "docs/a.md", root)
    begin, made = text.split("-->\n", 1)
    assert "above\n" + TABLE.split("-->\n", maxsplit=1)[0] == begin  # what is wanted stays
    assert made == f"""
| stream | Millrace | `rte_fib` | ratio |
|---|--:|--:|--:|
| one, IPv4 | 532 | 153 | 3.48 |
| two | 1,234 | – | – |
| one, IPv6 | 99.9 | 120 | 0.83 |

{SOURCE}

<!-- end -->
below
"""


def test_text_has_units_and_may_name_other_numbers_of_a_row_and_other_cases(root):
    lines = rendered(root, "text:\n{v4/load millrace}, {v4/two/b64 millrace.cycles},\n"
                           "{v4/one/b64 millrace}, {v4/one/b64 millrace / v6/one/b64 rte_fib6} times.")
    assert lines == ["0.128 s, 66.2 cycles,", "532 million lookups/s, 4.44 times.", "", SOURCE]


@pytest.mark.parametrize("document, link", [("README.md", "docs/figures/bench.json"), ("docs/a.md", "figures/bench.json")])
def test_the_source_is_linked_from_where_the_document_is(root, document, link):
    assert f"[bench.json]({link})" in figures.Figures("bench", root).source(document)


@pytest.mark.parametrize("value, text", [(0, "0"), (1234567, "1,234,567"), (100.4, "100"), (99.96, "100.0"), (10.04, "10.0"),
                                         (2.345, "2.35"), (0.06789, "0.0679"), (0.00012345, "0.000123")])
def test_a_number_has_three_digits_that_count(value, text):
    assert figures.number(value) == text


@pytest.mark.parametrize("wanted, said", [
    ("text:\n{v4/none millrace}", "no case v4/none"),
    ("text:\n{v4/load rte_lpm}", "v4/load has no rte_lpm"),  # in a sentence nothing may be missing
    ("text:\n{v4/load millrace.cycles}", "has no cycles"),
    ("text:\n{v4/load}", "is not CASE SUBJECT"),
    ("rows: a\nb = v4/none\ncolumns:\nc = * millrace", "no case v4/none"),
    ("rows: a\nb v4/one\ncolumns:\nc = * millrace", "is not LABEL = FIGURE"),
    ("rows: a\nb = v4/one/b64", "wants rows and columns"),
    ("b = v4/one/b64", "neither of rows"),
    ("", "neither a table nor text"),
])
def test_what_cannot_be_made_is_an_error_with_its_line(root, wanted, said):
    with pytest.raises(figures.Failure, match=re.escape(said)) as error:
        rendered(root, wanted)
    assert str(error.value).startswith("docs/a.md:2: ")


@pytest.mark.parametrize("text", [TABLE.replace("<!-- end -->\n", ""), TABLE.replace("<!-- end -->\n", "") + TABLE,
                                  TABLE + "<!-- end -->\n"])
def test_each_begin_has_its_end(root, text):
    with pytest.raises(figures.Failure, match="not each"):
        figures.render(text, "docs/a.md", root)


@pytest.mark.parametrize("text, found", [
    ("It takes 18 cycles a frame.", "18 cycles"), ("a change in 0.7 µs", "0.7 µs"), ("12.5 Mpps", "12.5 Mpps"),
    ("532 million lookups a second", "532 million lookups"),
    ("blocks of 64 entries, polled every 5 ms, 1000/s at most, 3.5 GB of pages", None),
])
def test_a_speed_that_no_file_gives_is_an_error(root, text, found):
    page = f"{TABLE}\n{text}\n{TABLE}"
    if not found:
        assert text in figures.render(page, "docs/a.md", root)
        return
    with pytest.raises(figures.Failure, match=f'docs/a.md:{TABLE.count(chr(10)) + 2}: "{found}"'):
        figures.render(page, "docs/a.md", root)


def test_figures_without_their_command_or_without_a_file_are_refused(root):
    write(root, {})
    with pytest.raises(figures.Failure, match="does not say which command"):
        figures.render(TABLE, "docs/a.md", root)
    with pytest.raises(figures.Failure, match="there is no docs/figures/other.json"):
        figures.render(TABLE.replace("bench", "other"), "docs/a.md", root)


def test_a_document_is_stale_where_a_number_or_the_measurement_changed(root):
    page = root / "docs/a.md"
    page.write_text(TABLE)
    page.write_text(figures.stale(root)[page])
    assert figures.stale(root) == {}
    good = page.read_text()
    page.write_text(good.replace("| 532 |", "| 533 |"))
    assert figures.stale(root) == {page: good}
    page.write_text(good)
    write(root, {"command": "perf/bench.sh --runs 4"})
    assert list(figures.stale(root)) == [page]


def test_the_readme_and_the_pages_of_docs_are_looked_at(root):
    for page in (root / "README.md", root / "ARCHITECTURE.md", root / "docs/b.md"):
        page.write_text(TABLE)
    assert len(figures.stale(root)) == 3


def committed():
    return [*sorted((ROOT / figures.FOLDER).glob("*.json")), *(ROOT / file for file in figures.ELSEWHERE.values())]


@pytest.mark.parametrize("path", committed(), ids=lambda path: path.name)
def test_committed_figures_say_a_command_that_anybody_can_give(path):
    found = json.loads(path.read_text())
    script, *words = found["command"].split()
    assert (ROOT / script).is_file() and script.startswith("perf/")
    assert not [word for word in words if word.startswith(("/", "'/", ".."))]
    assert "dirty" not in found["machine"].get("millrace", "")


@pytest.mark.parametrize("arguments, said", [
    ([], "perf/any.sh"),
    (["--json", "docs/figures/any.json", "--cases", "full-(prefix|zipf)/64B"],
     "perf/any.sh --json docs/figures/any.json --cases 'full-(prefix|zipf)/64B'"),
])
def test_scripts_say_the_command_as_it_was_given(arguments, said):
    """Not as their programs get it: take_arguments makes paths of this machine of it."""
    words = 'source perf/common.sh; take_arguments --json "$@"; echo "$MILLRACE_COMMAND"; echo "$MILLRACE_REVISION"'
    done = subprocess.run(["bash", "-c", words, "perf/any.sh", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    command, revision = done.stdout.splitlines()
    assert command == said
    assert re.fullmatch(r"\S*", revision)
