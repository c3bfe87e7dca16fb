"""A whole run of which commands and a tracker hear: interrupted, resumed to its end, nothing told twice."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from small_run import CANDIDATE, read_until, start_launch, write_experiment

from autoresearch_ray.observe import facts, headline
from autoresearch_ray.records.history import History
from autoresearch_ray.store.history import read_history

pytestmark = pytest.mark.alone

SLOW = CANDIDATE.replace("LR = 0.1", "LR = 0.002")  # almost every other rate is better: there is a win soon


@pytest.mark.timeout(240)
def test_a_run_is_told_to_commands_and_to_a_tracker_over_two_launches(tmp_path: Path, ray_address: str) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write_experiment(tmp_path, SLOW)
    tools = ["--on-win", "cat >>wins; echo no channel; exit 1", "--on-end", "cat >>ends", "--log", "tensorboard"]
    launch = ["--tag", "x", "--address", ray_address, *tools]
    driver = start_launch(tmp_path, "e.yaml", "--trials", "200", *launch)
    lines = read_until(driver, " keep ")
    driver.send_signal(signal.SIGTERM)
    output = "".join(lines) + driver.communicate(timeout=60)[0]
    assert driver.returncode == 130, output
    begun = len(read_history(tmp_path / "runs" / "x" / "state.db").rows)
    driver = start_launch(tmp_path, "--resume", "--trials", str(begun + 2), *launch)
    output += driver.communicate(timeout=120)[0]
    assert driver.returncode == 0 and "Traceback" not in output, output

    history = read_history(tmp_path / "runs" / "x" / "state.db")
    first, second = read_lines(tmp_path / "ends")
    assert first["how"] == "interrupted" and any("--resume --tag x" in line for line in first["summary"])
    assert second["how"] == "finished" and second["trials"] == begun + 2 and Path(second["report"]).exists()
    assert second["wins"] == len(facts.wins(history)) and second["best"] == headline.summarise(history).best
    check_wins(tmp_path, history, output)

    seen = accumulator.EventAccumulator(str(tmp_path / "runs" / "x" / "tensorboard")).Reload()
    assert [event.step for event in seen.Scalars("trial")] == list(range(1, begun + 3))
    told = sorted(event.value for event in seen.Scalars("val_bpb"))
    assert told == pytest.approx(sorted(facts.score(row) for row in history.rows if facts.status(row) == "ok"))
    assert seen.Scalars("best")[-1].value == pytest.approx(facts.best_levels(history)[-1].val_bpb)
    assert 0 < seen.Scalars("utilisation")[-1].value <= 1


def check_wins(folder: Path, history: History, output: str) -> None:
    """Every win was told once, and how the command fails was said at most once a launch."""
    told, wins = read_lines(folder / "wins"), facts.wins(history)
    assert [news["number"] for news in told] == [win.number for win in wins] and wins, output
    assert [news["commit"] for news in told] == [win.commit for win in wins]
    assert [news["trial_id"] for news in told] == [win.step.trial_id for win in wins]
    assert output.count("--on-win failed (exit status 1, it printed last: no channel)") in (1, 2)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
