"""Is the state store still quick when it is full? 100,000 results, 10,000 proposals that wait, 100 watchers.

    python experiments/benchmarks/store_scale.py [--folder .] [--results 100000] [--queued 10000] [--watchers 100]

Fills a state.db under --folder with real records (each result with a curve of 20 points), opens it, and works on it
through the store actor: claims, watches, reads of all results and of the whole history. Prints what each took, beside
its goal where it has one.
"""

import argparse
import itertools
import os
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import ray

from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.trials import Candidate, CurvePoint, Proposal, Result, Trial
from autoresearch_ray.store.actor.client import ActorStore, start_store_actor
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import Op, Put, Txn
from autoresearch_ray.store.sqlite.store import SqliteStore

TEXT = "x = 1\n"
KEYS_AT_ONCE = 5_000
REPEATS = 200
PAUSE_SECONDS = 0.05  # between two events, so that all watchers are back


def proposal(name: str) -> Proposal:
    """Of about the size that a tuner makes."""
    sha = Candidate.of(TEXT).sha
    return Proposal(name, "knobs", "model+tpe", sha, sha, 12, "MATRIX_LR 0.04 -> 0.0412, WARMUP 0.1 -> 0.08", 2, 2)


def result(name: str) -> Result:
    """Of about the size that a trial makes."""
    points = [CurvePoint(seconds=i * 1.01, step=i * 20, tokens=i * 20_480, train_bpb=3 - i / 20) for i in range(20)]
    return Result(
        *(name, "ok", 1.7613, 1.7702, 20.01, 4.2, 1.3, 26.1, 401, 410_624, 1_213_440, 812.5),
        node="node-1",
        device_name="Intel(R) Xeon(R) CPU @ 2.20GHz",
        isolation="bubblewrap",
        started_at=1.7e9,
        finished_at=1.7e9 + 26,
        curve=tuple(points),
    )


def records(results: int, queued: int) -> Iterator[Op]:
    """What a run of so many trials has put."""
    yield Put("settings", b"{}")
    yield Put(f"source/{Candidate.of(TEXT).sha}", TEXT.encode())
    for number in range(1, results + 1):
        name = f"t{number:05d}"
        trial = Trial(name, proposal(f"p{number:06d}"), "screen", number, 1.7e9)
        yield Put(f"seen/{number:064d}", trial.proposal.proposal_id.encode())
        yield Put(f"trial/{name}", to_json(trial).encode())
        yield Put(f"result/{name}", to_json(result(name)).encode())
        yield Put(f"decision/{name}", to_json(Decision(name, "discard", "no gain: +0.0031", 12, 1.7e9)).encode())
    for number in range(queued):
        name = f"q{number:06d}"
        yield Put(f"seen/q{number:063d}", name.encode())
        yield Put(f"normal/{name}", f"q{number:063d}".encode())
        yield Put(f"queue/{name}", to_json(proposal(name)).encode())


def fill(path: Path, results: int, queued: int) -> None:
    """A store with all of it, a few thousand keys a transaction."""
    ops = records(results, queued)
    with SqliteStore(path) as store:
        while chunk := tuple(itertools.islice(ops, KEYS_AT_ONCE)):
            store.commit([Txn(success=chunk)])


def say(what: str, value: float, unit: str, goal: float | None = None) -> None:
    """One line of the table."""
    wanted = "" if goal is None else f"   (goal: {goal:g} {unit}{'' if value <= goal else ', MISSED'})"
    print(f"{what:44} {value:9.2f} {unit}{wanted}")


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def claims(board: Board, queued: int) -> list[float]:
    """How long each of some claims takes, spread over the queue."""
    taken = []
    for number in range(min(REPEATS, queued)):
        name = f"q{number * queued // min(REPEATS, queued):06d}"
        trial = Trial(f"u{number:05d}", proposal(name), "screen", 1, 1.7e9)
        taken.append(seconds(lambda trial=trial: claimed(board, trial)))  # type: ignore[misc]
    return sorted(taken)


def claimed(board: Board, trial: Trial) -> None:
    """One claim, which nobody contests."""
    assert board.claim(trial), trial.trial_id


def events(store: ActorStore, watchers: int) -> list[float]:
    """For each of some events, how long after the start of its write the last of all watchers had seen it."""
    first, taken = store.revision() + 1, []
    seen: queue.Queue[float] = queue.Queue()

    def watch() -> None:
        start, left = first, REPEATS // 4
        while left:
            batch = store.watch("watched", start, timeout_seconds=30)
            for _ in batch.events:
                seen.put(time.perf_counter())
            start, left = batch.revision + 1, left - len(batch.events)

    threads = [threading.Thread(target=watch) for _ in range(watchers)]
    for thread in threads:
        thread.start()
    for _ in range(REPEATS // 4):
        time.sleep(PAUSE_SECONDS)
        begin = time.perf_counter()
        store.txn([], [Put("watched", b"")])
        taken.append(max(seen.get() for _ in range(watchers)) - begin)
    for thread in threads:
        thread.join()
    return sorted(taken)


def use(path: Path, options: argparse.Namespace) -> None:
    """All that goes through the actor."""
    store = start_store_actor(path, "store-scale", "benchmark")
    board, memory = Board(store), psutil.Process(store.process_id())
    say("memory of the actor, opened", memory.memory_info().rss / 1e6, "MB", 300)
    taken = claims(board, options.queued)
    say("claim, median", 1e3 * statistics.median(taken), "ms", 5)
    say("claim, 99th percentile", 1e3 * taken[len(taken) * 99 // 100], "ms")
    taken = events(store, options.watchers)
    say(f"event at the last of {options.watchers} watchers, median", 1e3 * statistics.median(taken), "ms", 50)
    say(f"event at the last of {options.watchers} watchers, worst", 1e3 * taken[-1], "ms")
    say("queue read", seconds(board.queue), "s")
    say("all results read", seconds(board.results), "s")
    say("whole history read", seconds(board.history), "s")
    say("memory of the actor, at the end", memory.memory_info().rss / 1e6, "MB", 300)
    store.stop()


def main() -> None:
    """Fill a store and use it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--watchers", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="store-benchmark-") as name:
        path = Path(name) / "state.db"
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        say("filled", seconds(lambda: fill(path, options.results, options.queued)), "s")
        say("file", path.stat().st_size / 1e6, "MB")
        say(
            "opened, median of 5",
            statistics.median(seconds(lambda: SqliteStore(path).close()) for _ in range(5)),
            "s",
            2,
        )
        ray.init(
            address="local", include_dashboard=False, log_to_driver=False, logging_level="warning", namespace="bench"
        )
        use(path, options)
        ray.shutdown()


if __name__ == "__main__":
    main()
