"""Slots of one device see each other: they begin together, and a trial's row says how many ran beside it."""

import os
import tempfile
import threading
from pathlib import Path

import pytest
from small_run import settings_of, write_experiment

from autoresearch_ray.cluster.seat import Seat
from autoresearch_ray.cluster.trial_actor import TrialActor
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSettings:
    """Of a run on halves of logical GPUs, with seats of its own."""
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    request = Request(experiment=write_experiment(tmp_path), runs_dir=tmp_path / "runs", slots=1, gpus_per_trial=0.5)
    return settings_of(request)


def signed(seat: Seat) -> Result:
    return seat.sign(Result("t00001", "ok"))


def test_seats_are_numbered_and_taken_again(settings: RunSettings) -> None:
    first, second = Seat(settings), Seat(settings)
    assert (first.number, second.number) == (0, 1)
    first.release()
    assert Seat(settings).number == 0


def test_a_folder_of_somebody_else_is_passed_by(settings: RunSettings, tmp_path: Path) -> None:
    name = f"autoresearch-places-{os.getuid()}"
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / f"{name}-1").touch()
    if os.getuid() == 0:
        (tmp_path / f"{name}-1").unlink()
        (tmp_path / f"{name}-1").mkdir()
        os.chown(tmp_path / f"{name}-1", 5555, 5555)
    first, second = Seat(settings), Seat(settings)
    assert (first.number, second.number) == (0, 1)
    assert (tmp_path / f"{name}-2").is_dir() and not (tmp_path / "elsewhere").exists()


def test_a_slot_that_could_not_start_has_a_name_in_ray_s_own_messages() -> None:
    assert repr(TrialActor.__new__(TrialActor)) == "a slot that has not started"


def test_slots_of_a_gpu_wait_for_each_other(settings: RunSettings) -> None:
    early, late = Seat(settings), Seat(settings)
    assert early.await_neighbours(2, seconds=0.1) == 1, "nobody else is ready"
    waiting = threading.Thread(target=early.await_neighbours, args=(2, 60.0))
    waiting.start()
    assert late.await_neighbours(2, seconds=60.0) == 2
    waiting.join(timeout=30)
    assert not waiting.is_alive()


def test_a_slot_that_ends_is_waited_for_no_more(settings: RunSettings) -> None:
    gone, seat = Seat(settings), Seat(settings)
    gone.await_neighbours(1)
    assert seat.await_neighbours(2, seconds=0.1) == 2
    gone.release()
    assert seat.await_neighbours(2, seconds=0.1) == 1


def test_a_row_says_how_many_ran_beside_it(settings: RunSettings) -> None:
    one, two, three = Seat(settings), Seat(settings), Seat(settings)
    with one.busy():
        assert signed(one).cotenants == 0
        with two.busy(), three.busy():
            for _ in range(3):
                one.look()
                two.look()
        one.look()
    assert signed(one).cotenants == round((3 * 2 + 1 * 0) / 4), "the first look was before they came"
    assert signed(two).cotenants == 2
    assert signed(three).cotenants == 2 and signed(three).gpus == 0.5
    with one.busy():
        one.look()
    assert signed(one).cotenants == 0, "of the last trial alone"
