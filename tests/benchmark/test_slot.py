"""Whatever a candidate does, its slot says what it was, leaves nothing behind, and goes on."""

import resource
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.benchmark.trial.execution import OUTPUT_LIMIT
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.records.trials import Result

pytestmark = pytest.mark.alone

HONEST = """
import torch

def train(task):
    torch.manual_seed(task.seed)
    model = torch.nn.Sequential(torch.nn.Embedding(task.vocab_size, 16), torch.nn.Linear(16, task.vocab_size))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in task.batches(4):
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.report(loss)
    return model
"""
BODY = "import os, signal, sys, time, torch\nfrom torch import nn\ndef train(task):\n"
TRAINED = "    model = nn.Embedding(task.vocab_size, task.vocab_size)\n    for _ in task.batches(4): pass\n"
STEP = "    next(task.batches(4))\n"

KEEPS_POINTS = """
    class Said:
        say = task._on_progress
        def __call__(self, point):
            self.seen = point
            type(self).say(point)
    task._on_progress = Said()
"""

FAILURES = {
    "crashes at import": ("crash", "1 / 0"),
    "is no python": ("crash", "def train(:"),
    "has no train": ("crash", "x = 1"),
    "crashes in training": ("crash", BODY + STEP + "    raise ValueError('no')"),
    "exits in training": ("crash", BODY + STEP + "    sys.exit(0)"),
    "exits hard with 0": ("crash", BODY + STEP + "    os._exit(0)"),
    "crashes in native code": ("crash", BODY + STEP + "    import ctypes\n    ctypes.string_at(0)"),
    "crashes in scoring": (
        "crash",
        BODY
        + TRAINED
        + "    def bad(*_): raise ValueError('no')\n    model.register_forward_hook(bad)\n    return model",
    ),
    "returns nothing": ("invalid", BODY + TRAINED),
    "never asks for a batch": ("invalid", BODY + "    return nn.Embedding(task.vocab_size, task.vocab_size)"),
    "has the wrong shape": ("invalid", BODY + TRAINED + "    return nn.Embedding(task.vocab_size, 3)"),
    "scores nan": ("invalid", BODY + TRAINED + "    model.weight.data.fill_(float('nan'))\n    return model"),
    "hangs in training": ("timeout", BODY + STEP + "    while True: pass"),
    "hangs in native code": ("timeout", BODY + STEP + "    import ctypes\n    ctypes.CDLL(None).pause()"),
    "is deaf to signals": (
        "timeout",
        BODY + "    for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n" + STEP + "    time.sleep(1000)",
    ),
    "trains on after the budget": (
        "timeout",
        BODY + TRAINED + "    end = time.monotonic() + 1\n    while time.monotonic() < end: pass\n    return model",
    ),
    "takes memory until it ends": ("oom", BODY + STEP + "    x = []\n    while True: x.append(torch.ones(1 << 22))"),
    "takes memory in its children": (
        "oom",
        BODY + STEP + "    for _ in range(3):\n        if os.fork() == 0:\n            x = torch.ones(400 << 18)\n"
        "            time.sleep(1000)\n    time.sleep(1000)",
    ),
    "writes on the result pipe": (
        "invalid",
        BODY + STEP + "    for fd in range(3, 64):\n        try: os.write(fd, b'{}\\n')\n        except OSError: pass\n"
        "    time.sleep(1000)",
    ),
}  # fmt: skip
IN_SCORING = ("crashes in scoring", "has the wrong shape", "scores nan")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield prepare(small_experiment(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module")
def slot() -> Iterator[Slot]:
    with Slot(threads=1) as slot:
        yield slot


def run(slot: Slot, dataset: Dataset, source: str, folder: Path, job: type[Job] = Job, **more: Any) -> Result:
    settings = dict[str, Any](seed=1, budget_seconds=0.6, device="cpu", amp="none", threads=1, memory_mb=1200)
    asked = job(source=source, dataset_folder=str(dataset.folder), gpu_fraction=0.0, **(settings | more))
    list(slot.run(asked, folder))
    return slot.result


def below(slot: Slot) -> list[str]:
    """Processes of the slot besides its server."""
    children = psutil.Process(slot.server_pid).children(recursive=True)
    return [child.name() for child in children if "server" not in " ".join(child.cmdline())]


@pytest.mark.parametrize("what", FAILURES)
def test_a_failure_is_told_apart_and_the_slot_goes_on(slot: Slot, dataset: Dataset, what: str, tmp_path: Path) -> None:
    status, source = FAILURES[what]
    result = run(slot, dataset, source, tmp_path)
    assert (result.status, result.error != "") == (status, True), result.error
    assert result.error.startswith("in scoring: ") == (what in IN_SCORING), result.error
    assert result.val_bpb != result.val_bpb, "a failure has no score"
    assert below(slot) == []
    assert run(slot, dataset, HONEST, tmp_path).status == "ok"


def test_the_held_out_split_is_scored_where_it_is_asked_for(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    both = run(slot, dataset, HONEST, tmp_path)
    one = run(slot, dataset, HONEST, tmp_path, held_out=False)
    assert both.status == one.status == "ok", (both.error, one.error)
    assert both.holdout_bpb > 0 and one.val_bpb > 0 and one.holdout_bpb != one.holdout_bpb
    assert one.checks == both.checks


def scored_with(work: str) -> str:
    """A candidate whose model does this when it is scored."""
    hook = f"    kept = []\n    def bad(*_):\n        while True: {work}\n    model.register_forward_hook(bad)\n"
    return BODY + TRAINED + hook + "    return model"


@pytest.mark.parametrize("work", ["kept.append(object())", "kept.append(torch.ones(8))"])
def test_memory_that_ends_in_small_steps_of_scoring_is_told_as_that(
    slot: Slot, dataset: Dataset, work: str, tmp_path: Path
) -> None:
    """Down to where no exception can be told without memory that was kept for it."""
    result = run(slot, dataset, scored_with(work), tmp_path, memory_mb=450)
    assert result.status == "oom" and result.error.startswith("in scoring: "), result.error


class Brief(Job):
    """A job with little time for scoring."""

    @property
    def scoring_limit(self) -> float:
        return 3.0


def test_scoring_that_ends_late_because_its_memory_grows_is_told_as_that(
    slot: Slot, dataset: Dataset, tmp_path: Path
) -> None:
    work = "kept.append(torch.ones(1 << 20)); time.sleep(0.02)"
    result = run(slot, dataset, scored_with(work), tmp_path, job=Brief)
    assert result.status == "oom" and "scoring took longer than 3 s, and its memory still grew" in result.error


def test_a_loss_without_bounds_is_no_number_of_300_digits(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    result = run(slot, dataset, HONEST.replace("task.report(loss)", "task.report(1e308)"), tmp_path)
    assert result.status == "ok" and all(point.train_bpb != point.train_bpb for point in result.curve)


def test_a_curve_has_the_time_of_the_harness(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    lie = "task._on_progress(dataclasses.replace(task._on_progress.seen, seconds=0.001)) if task.steps == 60 else 0"
    source = "import dataclasses\n" + HONEST.replace("    torch.manual_seed", KEEPS_POINTS + "    torch.manual_seed")
    result = run(slot, dataset, source.replace("task.report(loss)", f"task.report(loss); {lie}"), tmp_path)
    seconds = [point.seconds for point in result.curve]
    assert result.status == "ok" and len(seconds) > 10 and seconds == sorted(seconds), result


def test_an_honest_candidate_is_measured(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    result = run(slot, dataset, HONEST, tmp_path)
    assert result.status == "ok" and 0 < result.val_bpb < 20 and 0 < result.holdout_bpb < 20
    assert result.training_seconds > 0.5
    assert result.steps > 10 and result.tokens > 0 and 15 <= len(result.curve) <= 21
    assert not slot.cold and result.startup_seconds > 0


def test_the_same_seed_trains_on_the_same_batches(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    source = HONEST.replace("for x, y in task.batches(4):", "for x, y in task.batches(4):\n        print(int(x.sum()))")
    logs = []
    for seed in (1, 1, 2):
        run(slot, dataset, source, tmp_path, seed=seed)
        logs.append((tmp_path / "output.log").read_text().split()[:20])
    assert logs[0] == logs[1] != logs[2]


def test_children_that_detach_do_not_outlive_the_trial(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    fork = "    if os.fork() == 0:\n        os.setsid()\n        os.fork()\n        time.sleep(1000)\n"
    run(slot, dataset, BODY + fork + TRAINED + "    return model", tmp_path)
    assert slot.result.status == "ok" and below(slot) == []


def test_output_is_capped_while_it_is_written(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    loud = BODY + "    for _ in range(1000): sys.stdout.write('x' * 1_000_000)\n" + TRAINED + "    return model"
    assert run(slot, dataset, loud, tmp_path).status == "ok"
    assert OUTPUT_LIMIT <= (tmp_path / "output.log").stat().st_size < OUTPUT_LIMIT + 200


def test_no_secret_of_the_environment_reaches_a_candidate(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-key")
    with Slot(threads=1) as slot:
        run(slot, dataset, "import os\nprint(os.environ)\n" + HONEST, tmp_path)
    assert "secret-key" not in (tmp_path / "output.log").read_text()


def test_a_killed_server_loses_the_trial_and_the_slot_goes_on(dataset: Dataset, tmp_path: Path) -> None:
    with Slot(threads=1) as slot:
        job = Job(HONEST, str(dataset.folder), 1, 2.0, "cpu", "none", 1, 1200, 0.0)
        progress = slot.run(job, tmp_path)
        next(progress)
        psutil.Process(slot.server_pid).kill()
        list(progress)
        assert slot.result.status == "lost"
        assert run(slot, dataset, HONEST, tmp_path).status == "ok"


def test_a_candidate_killed_from_elsewhere_is_lost_not_crashed(dataset: Dataset, tmp_path: Path) -> None:
    with Slot(threads=1) as slot:
        progress = slot.run(Job(HONEST, str(dataset.folder), 1, 2.0, "cpu", "none", 1, 1200, 0.0), tmp_path)
        next(progress)
        psutil.Process(slot.server_pid).children(recursive=True)[-1].kill()
        list(progress)
        assert slot.result.status == "lost"


def test_closing_early_kills_the_candidate(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    progress = slot.run(Job(HONEST, str(dataset.folder), 1, 30.0, "cpu", "none", 1, 1200, 0.0), tmp_path)
    next(progress)
    progress.close()
    assert slot.result.status == "stopped" and below(slot) == []


def test_a_candidate_that_is_stopped_keeps_its_curve_and_the_reason(
    slot: Slot, dataset: Dataset, tmp_path: Path
) -> None:
    progress = slot.run(Job(HONEST, str(dataset.folder), 1, 10.0, "cpu", "none", 1, 1200, 0.0), tmp_path)
    seen = next(progress)
    slot.stop("it has lost")
    list(progress)
    result = slot.result
    assert (result.status, result.error, result.curve[0]) == ("stopped", "it has lost", seen) and below(slot) == []
    assert result.training_seconds > 0 and result.steps > 0
    slot.stop("nothing is under way")
    assert run(slot, dataset, HONEST, tmp_path).status == "ok"


def test_a_slot_starts_with_packages_that_pythonpath_alone_finds(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a checkout beside a folder that packages were unpacked into."""
    (tmp_path / "brought").mkdir()
    (tmp_path / "brought" / "brought_along.py").write_text("WORD = 'brought along'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "brought"))
    source = "import brought_along\nprint(brought_along.WORD)\n" + HONEST
    with Slot(threads=1, isolation="none") as own:
        list(own.run(Job(source, str(dataset.folder), 1, 0.3, "cpu", "none", 1, 2000, 0.0), tmp_path))
    printed = (tmp_path / "output.log").read_text().splitlines()
    assert (own.result.status, set(printed)) == ("ok", {"brought along"}), own.result.error


def test_a_slot_works_with_few_open_files(dataset: Dataset, tmp_path: Path) -> None:
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    try:
        with Slot(threads=1) as slot:
            assert run(slot, dataset, HONEST, tmp_path).status == "ok", (tmp_path / "output.log").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))


def test_an_end_without_a_result_says_what_was_printed_last(slot: Slot, dataset: Dataset, tmp_path: Path) -> None:
    result = run(slot, dataset, BODY + STEP + "    print('the last words', flush=True)\n    os._exit(3)", tmp_path)
    assert result.error == "ended with exit status 3 in training, without a result; it printed: the last words"


@pytest.mark.parametrize("ready", [True, False], ids=["its word that it is ready unread", "before it is ready"])
def test_a_slot_that_is_closed_at_once_leaves_no_traceback(ready: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with Slot(threads=1) as slot:
        server = psutil.Process(slot.server_pid)
        family = [server, *server.children(recursive=True)]
        if ready:
            assert select.select([slot.control], [], [], 60)[0]
            family = [server, *server.children(recursive=True)]
        slot.control.shutdown(socket.SHUT_RDWR) if not ready else slot.control.close()
        psutil.wait_procs(family, timeout=60)
    assert "Traceback" not in capfd.readouterr().err
