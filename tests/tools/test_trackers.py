"""The same run told to each tool, and read back by the tool's own reader."""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from told_run import ToldRun

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.tools import tracking
from autoresearch_ray.driver.tools.tracking import Tracking, check_tracker
from autoresearch_ray.settings.request import TrackerName

Say = Callable[[str], None]
LOG_BLOCK = 32_768
BEST = {1: 2.0, 2: 2.0, 3: 1.9, 4: 1.9, 5: 1.8}  # by step


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "LOOK_SECONDS", 0.05)


def tell_in_two_launches(run: ToldRun, name: TrackerName, say: Say) -> None:
    """A baseline, a trial that is no better, a win and a failure; then a second launch with another win."""
    with Tracking(name, run.board, run.settings, run.folder, lambda: 2, say):
        run.discard(2.1)
        run.win(1.9, " \udc80 \x1b[2J <b>\n")
        run.fail()
    ended = time.time()
    wait_until(lambda: int(time.time()) > int(ended))  # W&B names a folder by the second
    with Tracking(name, run.board, run.settings, run.folder, lambda: 2, say):
        run.win(1.8)


def test_tensorboard_reads_one_run_of_all_launches(run: ToldRun, no_words: Say) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tell_in_two_launches(run, "tensorboard", no_words)
    assert "tensorflow" not in sys.modules
    assert len(list((run.folder / "tensorboard").iterdir())) == 2
    seen = accumulator.EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert {event.step: event.value for event in seen.Scalars("best")} == pytest.approx(BEST)
    assert [event.step for event in seen.Scalars("val_bpb")] == [1, 2, 3, 5], "a failure has no score"
    (first, second) = (event.tensor_proto.string_val[0].decode() for event in seen.Tensors("win/text_summary"))
    assert first.startswith("win 1, commit ") and "    -x = 0\n    +x = 2\n" in first and "win 2" in second
    assert "_hparams_/session_start_info" in seen.summary_metadata


def test_a_disk_that_is_full_is_no_end_of_tensorboard(run: ToldRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "RETRY_SECONDS", (0.05, 0.05))
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (run.folder / "tensorboard").touch()  # nothing can be written there
    said: list[str] = []
    with Tracking("tensorboard", run.board, run.settings, run.folder, lambda: 2, said.append):
        wait_until(lambda: bool(said))
        (run.folder / "tensorboard").unlink()
        run.win(1.9)
    assert "--log tensorboard failed (FileExistsError: " in said[0] and "the search goes on" in said[0]
    seen = accumulator.EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert [event.step for event in seen.Scalars("best")] == [1, 2]


def test_mlflow_reads_one_run_of_all_launches(
    run: ToldRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_words: Say
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "a team's experiment")
    monkeypatch.chdir(tmp_path)  # where artefacts go
    tell_in_two_launches(run, "mlflow", no_words)
    client = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("a team's experiment")
    (made,) = client.search_runs([experiment.experiment_id])
    assert made.info.run_name == "x" and made.info.status == "FINISHED"
    assert made.data.params["experiment.seq_len"] == "32" and made.data.params["proposers"] == "tpe"
    best = client.get_metric_history(made.info.run_id, "best")
    assert {metric.step: metric.value for metric in best} == BEST and len(best) == len(BEST)
    assert [metric.step for metric in client.get_metric_history(made.info.run_id, "val_bpb")] == [1, 2, 3, 5]
    files = Path(client.download_artifacts(made.info.run_id, "wins"))
    assert (files / "001" / "train.py").read_text() == "x = 2\n"
    assert "+x = 4" in (files / "002" / "change.diff").read_text()


def test_a_server_of_mlflow_that_is_not_there_is_said_once(run: ToldRun, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said: list[str] = []
    with Tracking("mlflow", run.board, run.settings, run.folder, lambda: 2, said.append):
        wait_until(lambda: bool(said))
        run.win(1.9)
    assert len(said) == 2 and "failed (MlflowException: API request to http://127.0.0.1:1" in said[0]
    assert said[1].startswith("--log mlflow: not everything is there")


def test_wandb_writes_a_run_of_each_launch_under_one_id(
    run: ToldRun, monkeypatch: pytest.MonkeyPatch, no_words: Say
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tell_in_two_launches(run, "wandb", no_words)
    first, second = sorted((run.folder / "wandb").glob("offline-run-*/*.wandb"))
    assert first.name == second.name == f"run-x-{1000 * run.settings.created_at:.0f}.wandb"
    records = read_wandb(first)
    steps = {int(row["_step"]): row["best"] for row in records["history"]}
    assert steps == {step: best for step, best in BEST.items() if step < 5}
    wait_until(lambda: bool(read_wandb(second)["history"]))  # its own process writes, when it gets to it
    assert {int(row["_step"]): row["best"] for row in read_wandb(second)["history"]} == {5: 1.8}
    assert records["artifact"] == [("best-x", ["latest", "win-1"], ["change.diff", "train.py"])]
    assert json.loads(records["config"][0]["proposers"]) == "tpe"


IN_A_PROCESS = """
import psutil, time
from pathlib import Path
from told_run import ToldRun
from autoresearch_ray.driver.tools import tracking
from autoresearch_ray.store.told import read_mark

def wait(number):
    while read_mark(run.store, "wandb").number < number:
        time.sleep(0.05)

def service():
    return next(process for process in psutil.Process().children() if process.name() == "wandb-core")

tracking.LOOK_SECONDS, tracking.RETRY_SECONDS, tracking.LAST_SECONDS = 0.05, (0.05, 0.05), 1.0
run = ToldRun(Path("."))
run.begin()
with tracking.Tracking("wandb", run.board, run.settings, run.folder, lambda: 2, print):
    wait(1)
    WHAT
print("the search is over")
"""


def run_with_wandb(folder: Path, what: str) -> str:
    """What a process says that tells W&B of a run, in the middle of which `what` happens."""
    environment = os.environ | {"WANDB_MODE": "offline", "AUTORESEARCH_HOME": str(folder)}
    environment.pop("WANDB_SERVICE", None)  # of this process, if an earlier test has started one
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", IN_A_PROCESS.replace("WHAT", what)]
    with (folder / "output").open("w") as output:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, timeout=60)
    said = (folder / "output").read_text()
    assert done.returncode == 0 and "the search is over" in said and "Traceback" not in said, said
    return said


def test_a_wandb_that_hangs_holds_up_neither_the_search_nor_the_end_of_the_process(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    said = run_with_wandb(tmp_path, "service().suspend(); run.win(1.9)")
    assert "not everything is there (no end after 1 s)" in said


def test_a_wandb_whose_process_has_died_gets_another(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    said = run_with_wandb(tmp_path, "service().kill(); run.win(1.9); wait(2)")
    assert said.count("--log wandb failed") == 1 and "not everything" not in said
    steps = {int(row["_step"]) for path in tmp_path.glob("x/wandb/*/*.wandb") for row in read_wandb(path)["history"]}
    assert 2 in steps


def test_a_package_that_is_missing_is_said_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(SettingsError, match=rf'--log {name}: .*; pip install "autoresearch_ray\[{name}\]"$'):
            check_tracker(name)
    check_tracker("tensorboard")


def test_wandb_without_a_key_is_said_and_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(SettingsError, match="--log wandb: there is no key; say `wandb login`, set WANDB_API_KEY"):
        check_tracker("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_tracker("wandb")


def read_wandb(path: Path) -> dict[str, list[Any]]:
    """What an offline run's file holds, by W&B's own records."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = dict[str, list[Any]](history=[], artifact=[], config=[])
    for data in log_records(path.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = record.history.item
            found["history"].append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
        elif kind == "artifact":
            sent = record.artifact
            files = sorted(file.path for file in sent.manifest.contents)
            found["artifact"].append((sent.name, sorted(sent.aliases), files))
        elif kind == "run":
            found["config"].append({item.key: item.value_json for item in record.run.config.update})
    return found


def log_records(content: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format, behind W&B's seven bytes: wandb has no reader in Python any more."""
    assert content.startswith(b":W&B")
    place, record = 7, b""
    while place + 7 <= len(content):
        if (left := LOG_BLOCK - place % LOG_BLOCK) < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
