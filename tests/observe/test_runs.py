"""`python -m autoresearch_ray.report RUN RUN ...`: several runs side by side."""

from dataclasses import replace
from pathlib import Path

import pytest
from histories import CHARGES, empty, realistic, stored, with_text
from rich.cells import cell_len
from test_rebuild import FILES

from autoresearch_ray.observe import headline
from autoresearch_ray.observe.runs import HEADER, compare_runs
from autoresearch_ray.records.history import History
from autoresearch_ray.report import main


def cells(history: History) -> dict[str, str]:
    """A run's line, by column; two blanks or more stand between columns."""
    _, line = compare_runs([history])
    parts = [part.strip() for part in line.split("  ") if part.strip()]
    return dict(zip(HEADER, parts, strict=True))


def test_several_runs_are_rebuilt_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, tag in zip(folders, ("monday", "tuesday night"), strict=True):
        folder.mkdir()
        stored(replace(realistic(), settings={**realistic().settings, "tag": tag}), folder)
    assert main([str(folder) for folder in folders]) == 0
    assert all((folder / name).exists() for folder in folders for name in FILES)
    *reports, nothing, header, first, second = capsys.readouterr().out.splitlines()
    assert reports == [f"{folder / 'report.html'}" for folder in folders] and nothing == ""
    assert header.split()[:3] == ["tag", "experiment", "trials"] and len({len(header), len(first), len(second)}) == 1
    assert first.startswith("monday         cpu") and second.startswith("tuesday night  cpu")


def test_one_run_is_told_by_its_report_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(realistic(), tmp_path)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"


def test_a_line_says_what_the_summary_says() -> None:
    summary, line = headline.summarise(realistic()), cells(replace(realistic(), charges=CHARGES[:2]))
    assert (line["trials"], line["wins"], line["slots"]) == (str(summary.trials), "2", "2")
    assert line["gain"] == f"{summary.gain:.4f}"
    assert line["95 % interval"] == f"{summary.gain_low:.4f} to {summary.gain_high:.4f}"
    assert line["hours"] == f"{summary.wall_seconds / 3600:.2f}" and line["dollars"] == "$0.0379"
    assert cells(replace(realistic(), charges=CHARGES))["dollars"] == ">=$0.0379", "one price is not known"


def test_what_is_not_known_is_a_dash() -> None:
    line = cells(empty())
    assert {line[name] for name in ("baseline", "best", "gain", "95 % interval", "noise sd", "dollars")} == {"-"}
    assert (line["trials"], line["wins"]) == ("0", "0")


def test_any_tag_is_one_line_in_its_columns(hostile: str) -> None:
    lines = compare_runs([realistic(), with_text(realistic(), hostile)])
    assert len({cell_len(line) for line in lines}) == 1 and all(line.isprintable() for line in lines)


def test_a_run_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(realistic(), tmp_path)
    assert main([str(tmp_path), str(tmp_path / "gone")]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "gone" in said.err and said.out == f"{tmp_path / 'report.html'}\n"
