"""report.html: parsed again, so that a text which breaks out of its place is seen."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from histories import CHARGES, SOURCE, Writer, empty, leading, realistic, with_text

from autoresearch_ray.candidate.difference import compare_constants, diff_lines
from autoresearch_ray.observe.pictures.progress import progress_png
from autoresearch_ray.observe.report.html import report_html
from autoresearch_ray.records.history import History
from autoresearch_ray.records.trials import Candidate

VOID = {"meta", "img", "br", "input", "line", "polyline", "rect"}


class Tree(HTMLParser):
    """Tags, attributes and text of a page; complains of tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        optional = [tag for tag in self.open if tag not in VOID]
        assert not optional, f"never closed: {optional}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


def written(history: History, folder: Path) -> str:
    progress_png(history, folder / "progress.png")
    report_html(history, folder / "report.html", folder / "progress.png")
    return (folder / "report.html").read_text()


def test_the_report_tells_the_run(tmp_path: Path) -> None:
    tree = Tree(written(realistic(), tmp_path))
    for words in (
        "cpu-night",
        "experiment cpu · isolation process",
        "baseline",
        "95 %",
        "5 of them failed, 1 ended early",
        "ended at 41 % of its time: P(worthwhile) 0.012",
        "2. DEPTH 4 -> 3 with a learned residual scale",
        "0.996",
    ):
        assert words in tree.text
    assert tree.text.count("every run of its proof passed at full strength: clock, causal, bits") == 2
    assert "+MATRIX_LR = 0.0611  # Muon learning rate" in tree.text, "the first win's diff"
    assert "-DEPTH = 4  # transformer blocks" in tree.text, "the second win's diff"
    assert "+MATRIX_LR = 0.0611" not in tree.text.split("2. DEPTH")[1], "the second win's diff starts at the first"
    assert "TypeError: unsupported operand" in tree.text and "moved by 0.31" in tree.text
    assert tree.text.count("t000") >= 30


def test_what_each_model_cost_is_told(tmp_path: Path) -> None:
    text = Tree(written(replace(realistic(), charges=CHARGES), tmp_path)).text
    assert "Models" in text and "anthropic:big21,550$0.0379" in text and "openai:own160price not known" in text


def test_learning_curves_of_baseline_and_best_are_drawn(tmp_path: Path) -> None:
    lines = [attributes for tag, attributes in Tree(written(realistic(), tmp_path)).tags if tag == "polyline"]
    assert {line["class"] for line in lines} == {"baseline", "best"}


def test_nothing_is_requested_from_anywhere(tmp_path: Path) -> None:
    text = written(realistic(), tmp_path)
    tree = Tree(text)
    sources = [value for _, attributes in tree.tags for name, value in attributes.items() if name in ("src", "href")]
    assert len(sources) == 1 and str(sources[0]).startswith("data:image/png;base64,")
    assert not re.search(r"https?://|@import|url\(", re.sub(r"base64,[^\"]*", "", text).replace("url(#plot)", ""))


def test_no_text_breaks_out_of_its_place(hostile: str, tmp_path: Path) -> None:
    plain, tree = Tree(written(realistic(), tmp_path)), Tree(written(with_text(realistic(), hostile), tmp_path))
    assert not {name for tag, attributes in tree.tags for name in attributes if name.startswith("on")}
    for tag in ("script", "img", "section", "table"):
        assert len([t for t, _ in tree.tags if t == tag]) <= len([t for t, _ in plain.tags if t == tag]), tag
    invisible = {character for character in tree.text if not character.isprintable()} - {"\n", "\t"}
    assert not invisible


def test_an_invisible_character_in_a_source_is_spelled_out(tmp_path: Path) -> None:
    history = realistic()
    best = max(history.candidates, key=lambda key: "self.scale" in history.candidates[key].text)
    spoilt = Candidate.of(history.candidates[best].text + "ACCESS = 'user\u202e'\n")
    candidates = {**history.candidates, best: spoilt}
    assert "+ACCESS = 'user<U+202E>'" in Tree(written(replace(history, candidates=candidates), tmp_path)).text


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    tree = Tree(written(empty(), tmp_path))
    assert "No trial has begun." in tree.text and "Nothing has been proven better" in tree.text


def test_a_frontier_that_no_proof_has_settled_is_told(tmp_path: Path) -> None:
    words = "no win yet: MATRIX_LR 0.04 -> 0.0611 (measure: see section 5)"
    assert words in Tree(written(leading(), tmp_path)).text
    assert "no win yet" not in written(realistic(), tmp_path)


def test_a_win_whose_source_is_missing_is_told_without_its_diff(tmp_path: Path) -> None:
    tree = Tree(written(replace(realistic(), candidates={}), tmp_path))
    assert tree.text.count("The texts of this win are not in the store.") == 2


def test_the_report_is_identical_when_rebuilt(tmp_path: Path) -> None:
    assert written(realistic(), tmp_path) == written(realistic(), tmp_path)


def test_a_long_run_shows_its_latest_trials_and_says_so(hundred_thousand: History, tmp_path: Path) -> None:
    text = written(hundred_thousand, tmp_path)
    assert "The latest 2,000 of 100,000" in text
    assert text.count("<td class=id>t1") + text.count("<td class=id>t9") == 2_000
    assert len(text) < 5_000_000


@pytest.mark.parametrize("text", ["def f(:", "\x00", "(" * 5000, "X = '\\d'\n"])
def test_constants_of_a_text_that_is_no_program_are_none(text: str) -> None:
    assert compare_constants(text, text) == []


def test_changed_added_and_removed_constants_are_found() -> None:
    changes = compare_constants(
        "A = 1\nB: int = 2\nGONE = 3\nlower = 1\n", "A = 1\nB: int = -4\nNEW = ('x', 1)\nC = f()\n"
    )
    assert [(c.name, c.before, c.after) for c in changes] == [
        ("B", "2", "-4"),
        ("NEW", "", "('x', 1)"),
        ("GONE", "3", ""),
    ]


def test_a_diff_has_no_file_names() -> None:
    assert diff_lines("a\nb\n", "a\nc\n") == ["@@ -1,2 +1,2 @@", " a", "-b", "+c"]
    assert diff_lines("a\n", "a\n") == []


def test_long_settings_are_cut(tmp_path: Path) -> None:
    run = Writer({"tag": "x", "program": "p" * 50_000})
    run.trial(SOURCE, "baseline", "baseline", "start", score=1.7)
    text = written(run.history(), tmp_path)
    assert "(50,000 characters)" in text and "p" * 1000 not in text
