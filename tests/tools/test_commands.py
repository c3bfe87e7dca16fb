"""--on-win and --on-end: each win once and in order, what fails is said once, nothing is left behind."""

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_run import git, wait_gone
from told_run import ToldRun, a_win

from autoresearch_ray.cluster.job import without_option
from autoresearch_ray.driver.tools import commands
from autoresearch_ray.driver.tools.commands import WinCommand, announce_end, run_shell
from autoresearch_ray.driver.tools.news import EndNews, diff, tell_end
from autoresearch_ray.launch import parse
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.store.told import read_announced

Say = Callable[[str], None]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "LOOK_SECONDS", 0.05)


@pytest.fixture
def end(run: ToldRun) -> EndNews:
    return tell_end(run.board.history(), run.settings, run.folder, "finished", "", ("a line",))


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_each_win_is_told_once_and_in_order_over_all_launches(run: ToldRun, tmp_path: Path, no_words: Say) -> None:
    out = tmp_path / "out"
    run.win(1.95)  # before anybody had asked to hear of wins
    with WinCommand(f"cat >>{out}", run.board, run.settings, run.folder, no_words):
        run.win(1.9)
        run.fail()
        run.win(1.8)
    assert [(news["number"], news["val_bpb"]) for news in read_lines(out)] == [(2, 1.9), (3, 1.8)]
    run.win(1.7)  # of a launch without the option, or one that was killed
    with WinCommand(f"cat >>{out}", run.board, run.settings, run.folder, no_words):
        run.win(1.6)
    assert [news["number"] for news in read_lines(out)] == [2, 3, 4, 5]


def test_a_win_is_told_with_its_facts(run: ToldRun, tmp_path: Path, no_words: Say) -> None:
    with WinCommand(f"cat >{tmp_path / 'out'}", run.board, run.settings, run.folder, no_words):
        run.win(1.9)
    (news,) = read_lines(tmp_path / "out")
    assert news == {
        "event": "win",
        "tag": "x",
        "run_dir": str(run.folder),
        "experiment": "small",
        "number": 1,
        "hypothesis": "idea 2",
        "proposer": "tpe",
        "metric": "val_bpb",
        "direction": "lower",
        "score": 1.9,
        "val_bpb": 1.9,
        "baseline": 2.0,
        "gain": 0.1,
        "gain_low": 0.05,
        "gain_high": 0.15,
        "probability": 0.995,
        "doubt": "",
        "removes": False,
        "commit": f"{2:040x}",
        "trial_id": "t00002",
        "diff": "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-x = 0\n+x = 1\n",
    }


def test_a_diff_of_several_files_is_one_that_git_applies(tmp_path: Path) -> None:
    before = Candidate((("model/a.py", "a = 1\n"), ("train.py", "x = 1\ny = 2\n")))
    after = Candidate((("model/a.py", "a = 2\n"), ("train.py", "x = 1\ny = 3\n")))
    (tmp_path / "model").mkdir()
    for path, text in before.files:
        (tmp_path / path).write_text(text)
    (tmp_path / "change").write_text(diff(before, after))
    git(tmp_path, "apply", "change")
    assert [(tmp_path / path).read_text() for path, _ in after.files] == ["a = 2\n", "x = 1\ny = 3\n"]


def test_a_command_that_fails_is_said_once_and_the_next_win_is_told(run: ToldRun, tmp_path: Path) -> None:
    said: list[str] = []
    command = f"cat >>{tmp_path / 'out'}; echo sending >&2; echo the channel is closed >&2; exit 3"
    with WinCommand(command, run.board, run.settings, run.folder, said.append):
        run.win(1.9)
        run.win(1.8)
    assert [news["number"] for news in read_lines(tmp_path / "out")] == [1, 2]
    (line,) = said
    assert line.startswith(
        "--on-win failed (exit status 3, it printed last: the channel is closed); the search goes on"
    )


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    end: EndNews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "COMMAND_SECONDS", 1.0)
    pids = tmp_path / "pids"
    command = f"echo $$ >>{pids}; sh -c 'echo $$ >>{pids}; echo waiting; sleep 600; :'; :"
    assert run_shell(command, end) == "no end after 1 s, it printed last: waiting"
    started = {int(pid) for pid in pids.read_text().split()}
    assert len(started) == 2
    assert not wait_gone([process for process in psutil.process_iter() if process.pid in started])


def test_a_command_sees_no_key_of_a_model(end: EndNews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "sk-secret")
    monkeypatch.setenv("SLACK_URL", "http://127.0.0.1/team")
    assert run_shell(f"env >{tmp_path / 'env'}", end) == ""
    assert "sk-secret" not in (tmp_path / "env").read_text() and "SLACK_URL=" in (tmp_path / "env").read_text()


def test_a_command_need_not_read_its_input(end: EndNews) -> None:
    long = EndNews(**{name: getattr(end, name) for name in end.__slots__} | {"summary": ("x" * 10_000,) * 100})
    assert run_shell("true", long) == ""
    assert run_shell("echo no; false", end) == "exit status 1, it printed last: no"
    assert run_shell("no-such-program", end).startswith("exit status 127, it printed last: ")


def test_the_end_is_told_with_what_the_run_came_to(run: ToldRun, tmp_path: Path, no_words: Say) -> None:
    run.win(1.9)
    news = tell_end(run.board.history(), run.settings, run.folder, "interrupted", "", ("baseline  2.0",))
    announce_end(f"cat >{tmp_path / 'out'}", news, no_words)
    (told,) = read_lines(tmp_path / "out")
    assert told["how"] == "interrupted" and told["wins"] == 1 and told["trials"] == 2 and told["best"] == 1.9
    assert told["summary"] == ["baseline  2.0"] and told["report"] == str(run.folder / "report.html")
    said: list[str] = []
    announce_end("echo gone; exit 1", news, said.append)
    assert said == ["--on-end failed (exit status 1, it printed last: gone)"]


def test_the_search_does_not_wait_for_a_command(run: ToldRun, tmp_path: Path, no_words: Say) -> None:
    go = tmp_path / "go"
    command = f"while ! test -e {go}; do sleep 0.05; done"
    with WinCommand(command, run.board, run.settings, run.folder, no_words):
        run.win(1.9)
        run.win(1.8)
        assert read_announced(run.store) == 1, "the first command still runs"
        go.touch()
    assert read_announced(run.store) == 3


def test_wins_that_time_does_not_suffice_for_are_left_to_the_next_launch(
    run: ToldRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_words: Say
) -> None:
    monkeypatch.setattr(commands, "LAST_SECONDS", -1.0)
    monkeypatch.setattr(commands, "LOOK_SECONDS", 60.0)
    said: list[str] = []
    with WinCommand(f"cat >>{tmp_path / 'out'}", run.board, run.settings, run.folder, said.append):
        run.win(1.9)
        run.win(1.8)
    assert said == ["--on-win: 2 wins are not told for want of time; the next launch with it tells them"]
    monkeypatch.setattr(commands, "LAST_SECONDS", 60.0)
    with WinCommand(f"cat >>{tmp_path / 'out'}", run.board, run.settings, run.folder, no_words):
        pass
    assert [news["number"] for news in read_lines(tmp_path / "out")] == [1, 2]


def test_a_win_waits_for_its_commit_but_not_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    young, old = a_win(at=time.time()), a_win(at=time.time() - 60)
    assert not commands._is_ready(young) and commands._is_ready(old)
    assert commands._is_ready(a_win(at=time.time(), commit="abc"))


def test_the_options_travel_with_a_job_of_a_cluster() -> None:
    told = ["--on-win", "cat >>wins; echo --submit", "--on-end", "mail me", "--log", "wandb"]
    sent = without_option([*told, "--submit", "http://127.0.0.1:8265"])
    assert shlex.split(shlex.join(sent)) == told
    request = parse(sent)
    assert request.on_win == told[1] and request.on_end == "mail me" and request.log == ("wandb",)
