"""One line a decision, the summary at the end, and foreign text made safe."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from histories import CHARGES, START, empty, leading, long, realistic, with_text
from rich.cells import cell_len

from autoresearch_ray.common.text import last_line, one_line, visible
from autoresearch_ray.observe.lines import COLUMNS, decision_line, duration, fit, summary_lines
from autoresearch_ray.records.history import History
from autoresearch_ray.records.trials import HELD

ROOT = Path(__file__).parents[2]


def test_a_decision_is_one_line_with_its_fields_in_place() -> None:
    rows = realistic().rows
    assert decision_line(rows[3]) == "t00004 knobs     ok      val_bpb  1.8510 discard    MATRIX_LR 0.04 -> 0.19"
    assert decision_line(rows[5]).startswith(
        "t00006 code      crash   val_bpb     nan discard    TypeError: unsupported"
    )
    assert decision_line(rows[18], "abcdef0123456").endswith("  [abcdef0]")
    assert decision_line(rows[-1]).split()[:3] == ["t00030", "knobs", "running"]
    starts = {line.index("val_bpb") for line in map(decision_line, rows)}
    assert starts == {25}


def test_a_decision_line_holds_any_text_in_120_columns(hostile: str) -> None:
    for row in with_text(realistic(), hostile).rows:
        for commit in ("", "0123456789"):
            line = decision_line(row, commit)
            assert line.isprintable() and cell_len(line) <= COLUMNS
            assert line.split()[:2] == [row.trial.trial_id, row.trial.proposal.kind]


def test_the_summary_says_what_came_of_it_and_where_to_look() -> None:
    text = "\n".join(summary_lines(realistic(), "runs/cpu-night", "python -m autoresearch_ray.launch --resume"))
    expected = (
        "1.7603 val_bpb, mean of 3 runs",
        "95 % interval 0.0395",
        "wins         2",
        "MATRIX_LR 0.04 -> 0.0611",
        "23 ok",
        "1 crash",
        "training 62% of",
        "runs/cpu-night/report.html",
        "python -m autoresearch_ray.watch runs/cpu-night",
        "autoresearch/cpu-night",
        'load_trials("runs/cpu-night")',
        "resume       python -m autoresearch_ray.launch",
    )
    for words in expected:
        assert words in text, words
    commits = realistic().commits
    assert commits[3][:7] in text


def test_a_frontier_that_no_proof_has_settled_is_told() -> None:
    def told(history: History) -> list[str]:
        return [line for line in summary_lines(history) if line.startswith("frontier")]

    history = leading()
    assert told(history) == ["frontier     MATRIX_LR 0.04 -> 0.0611 (no win yet: measure: see section 5)"]
    waiting = tuple(row for row in history.rows if row.trial.purpose != "prove")
    assert "(no win yet: advance 2)" in told(replace(history, rows=waiting))[0]
    *others, its_last, _ = history.rows  # the last one is the other side's
    assert its_last.decision is not None
    failed = replace(its_last, decision=replace(its_last.decision, verdict="drop"))
    assert told(replace(history, rows=(*others, failed))) == told(realistic()) == told(empty()) == []


def test_trials_of_overtime_are_counted_apart() -> None:
    history = leading()
    asked = len(history.rows) - 3
    (line,) = [one for one in summary_lines(replace(history, settings={"trials": asked})) if one.startswith("trials")]
    assert line == f"trials       {len(history.rows)}, 3 of them overtime for a proof ({line.partition('(')[2]}"
    unproven = replace(history, rows=(*history.rows, *realistic().rows[3:9]), settings={"trials": len(history.rows)})
    assert "overtime" not in "\n".join(summary_lines(unproven)), "what is no proof is none"


def test_the_readme_prints_what_a_run_prints_at_its_end() -> None:
    printed = re.findall(r"^    (baseline .*?\n)\n", (ROOT / "README.md").read_text(), re.S | re.M)[0]
    names = [line.split()[0] for line in summary_lines(realistic(), "runs/x") if not line.startswith(" ")]
    assert re.findall(r"^ {0,4}(\w+)", printed, re.M) == names


def test_the_summary_asks_a_human_to_look_at_what_is_too_good_to_be_true() -> None:
    history = realistic()
    assert not any(line.startswith("held") for line in summary_lines(history))
    found = next(row for row in history.rows if row.result and row.result.status == "invalid")
    assert found.result is not None
    held = replace(found, result=replace(found.result, error=f"0.1 bits per byte; {HELD}"))
    lines = summary_lines(replace(history, rows=(*history.rows, held)))
    assert f"held         {held.trial.trial_id}: too good to be true, please look" in lines


def test_the_summary_says_what_each_model_cost_in_all_launches_the_dearest_first() -> None:
    lines = summary_lines(replace(realistic(), charges=CHARGES))
    place = lines.index("models       $0.0379 in all launches")
    assert lines[place + 1 : place + 3] == [
        "  anthropic:big  2 calls, 1,550 tokens, $0.0379",
        "  openai:own  1 calls, 60 tokens, price not known",
    ]
    assert not any(line.startswith("models") for line in summary_lines(realistic()))


def test_the_summary_of_an_empty_run_invents_nothing() -> None:
    text = "\n".join(summary_lines(empty(), "runs/x"))
    assert "not measured yet" in text and "nan" not in text and "resume" not in text


def test_the_summary_of_many_wins_shows_the_last() -> None:
    lines = summary_lines(long(400, wins=30))
    assert any("30, the last 20:" in line for line in lines) and len(lines) < 40


def test_a_win_that_git_has_not_seen_is_pending_and_no_command_is_named_that_would_fail() -> None:
    text = "\n".join(summary_lines(replace(realistic(), commits={})))
    assert "pending" in text and "steps are not committed" in text and "git " not in text
    assert "nothing to commit yet" in "\n".join(summary_lines(empty(), "runs/x"))


def test_no_text_breaks_the_summary(hostile: str) -> None:
    lines = summary_lines(with_text(realistic(), hostile), "runs/x")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(summary_lines(realistic(), "runs/x"))


def test_text_is_cut_by_cells_not_characters() -> None:
    assert fit("漢字漢字", 5) == "漢字…" and cell_len(fit("漢字" * 100, 7)) <= 7
    assert fit("short", 5) == "short" and fit("longer", 5) == "long…" and fit("x", 0) == ""


def test_one_line_is_one_printable_line() -> None:
    assert one_line("a\tb\r\n c\x00\x1b[31m\u202e d") == "a b c d"
    assert one_line("abcdef", 4) == "abc…" and one_line("abcd", 4) == "abcd"


def test_the_last_line_of_a_traceback_is_its_summary() -> None:
    assert last_line("Traceback\n  File x\nValueError: no\n\n") == "ValueError: no"
    assert last_line(" \n") == ""


def test_visible_keeps_lines_and_spells_what_hides() -> None:
    assert visible("a\n\tb") == "a\n\tb" and visible("x\u202ey\x00\r") == "x<U+202E>y<U+0000><U+000D>"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 00 s"), (245, "4 min 05 s"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h"),
     (float("nan"), "-"), (-3, "0 s")],
)  # fmt: skip
def test_a_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_times_in_histories_are_plausible() -> None:
    results = [row.result for row in realistic().rows if row.result]
    assert all(START <= result.started_at < result.finished_at for result in results)
