"""Slots and the trials that wait for them: Ray Tune for real, with a search that only counts."""

from pathlib import Path

import pytest
from counting import LAST, Counting, run
from small_run import settings_of, write_experiment

from autoresearch_ray.cluster.scheduling import PATIENCE_SECONDS, Stranded
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings

pytestmark = [pytest.mark.alone, pytest.mark.timeout(120)]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: str) -> RunSettings:
    """Of a small run, with Ray there."""
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    path = write_experiment(tmp_path)
    request = Request(experiment=path, tag="x", runs_dir=tmp_path / "runs", slots=2, program=tmp_path / "program.md")
    return settings_of(request)


def test_a_slot_that_starts_slowly_is_not_killed_by_one_that_is_free(settings: RunSettings, tmp_path: Path) -> None:
    search = Counting(2, [0.0] * 60)
    slots = run(search, tmp_path, settings)
    assert len(slots) == 2, "Tune ended an actor that was starting"
    assert {result.node for result in search.results} == slots and len(search.results) == 60


def test_slots_without_a_trial_rest_and_go_on(settings: RunSettings, tmp_path: Path) -> None:
    """At last trials come in pairs, seconds apart: without a rest Tune keeps one idle actor and ends the others."""
    search = Counting(2, [0.0] * 60 + [14.0, 14.0, 16.0, 16.0])
    slots = run(search, tmp_path, settings)
    assert len(slots) == 2
    assert {result.node for result in search.results[-4:-2]} == {result.node for result in search.results[-2:]} == slots


def test_a_slot_that_has_rested_takes_the_trial_of_one_that_starts(settings: RunSettings, tmp_path: Path) -> None:
    (tmp_path / "waits").write_text("t00002.json")  # one slot starts until the other has run its trial
    search = Counting(2, [0.0, 0.0, LAST])
    run(search, tmp_path, settings)
    first, second, _ = search.results
    assert {first.trial_id, second.trial_id} == {"t00001", "t00002"} and first.node == second.node


def test_a_slot_that_hangs_is_ended_and_its_trial_runs_again(settings: RunSettings, tmp_path: Path) -> None:
    (tmp_path / "hangs").write_text("t00003")
    search = Counting(2, [0.0] * 8)
    run(search, tmp_path, settings)
    assert sorted(result.trial_id for result in search.results) == [f"t{number:05d}" for number in range(1, 9)]
    assert all(result.status == "ok" for result in search.results) and not (tmp_path / "hangs").exists()


def test_a_trial_whose_slots_all_fail_to_start_says_why(settings: RunSettings, tmp_path: Path) -> None:
    (tmp_path / "breaks").write_text("the-reason")
    search = Counting(1, [0.0])
    run(search, tmp_path, settings)
    (result,) = search.results
    assert result.status == "lost" and result.error.startswith("its slot died 3 times (PermissionError"), result.error
    assert "the-reason" in result.error


def test_a_trial_whose_slot_never_comes_gets_another(settings: RunSettings, tmp_path: Path) -> None:
    """Two CPUs are there, the run was promised four."""
    search = Counting(4, [0.0] * 12)
    slots = run(search, tmp_path, settings)
    assert len(slots) == 2
    order = [result.trial_id for result in search.results]
    assert sorted(order) == [f"t{number:05d}" for number in range(1, 13)]
    assert order.index("t00004") < 6, "one that waited was passed by"


def test_slots_follow_a_cluster_that_grows(settings: RunSettings, tmp_path: Path) -> None:
    search = Counting(1, [0.0] * 40)
    slots = run(search, tmp_path, settings, follows=True)
    assert search.slots == 2 and {result.node for result in search.results} == slots and len(slots) == 2


def test_a_trial_waits_for_its_own_slot_where_there_is_room() -> None:
    stranded = Stranded(lambda: 6, now=lambda: 0.0)
    assert stranded.among(["b"], running=5) == []
    assert stranded.among(["b"], running=5) == []
    assert stranded.among(["b", "c"], running=4) == [], "c was suggested for the slot that has just become free"


def test_a_trial_without_room_is_handed_on_oldest_first() -> None:
    capacity = [6]
    stranded = Stranded(lambda: capacity[0], now=lambda: 0.0)
    stranded.among(["b"], running=4)
    stranded.among(["b", "c"], running=4)
    capacity[0] = 4
    assert stranded.among(["b", "c"], running=4) == ["b", "c"]
    assert stranded.among(["b", "c", "d"], running=3) == ["b", "c"], "d came with the free slot, which b may take"
    assert stranded.among(["c", "d"], running=4) == ["c", "d"]


def test_a_slot_that_takes_for_ever_is_given_up() -> None:
    now = [0.0]
    stranded = Stranded(lambda: 2, now=lambda: now[0])
    stranded.among(["b"], running=1)
    assert stranded.among(["b"], running=1) == []
    now[0] = PATIENCE_SECONDS + 1
    assert stranded.among(["b"], running=1) == ["b"]
