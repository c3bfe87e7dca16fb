"""Several candidates on equal seeds, outside a search: every one on every seed, as many at once as the machine holds.

    for seed, results in run_side_by_side(experiment, "best", [start, best], range(4), say): ...

All candidates of a seed run before the next seed begins. Their order changes from seed to seed, so that other load on
the machine affects all alike. On a GPU they run one after another.
"""

import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.sandbox.cgroup import usable_cpus
from autoresearch_ray.benchmark.trial.device import choose_device
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.cluster.capacity import local_slots, memory_for
from autoresearch_ray.experiment import Experiment
from autoresearch_ray.observe.lines import duration
from autoresearch_ray.records import Isolation, Result


@dataclass(frozen=True, slots=True)
class _Work:
    """One run of one candidate."""

    candidate: int
    source: str
    seed: int


def run_side_by_side(
    experiment: Experiment, isolation: Isolation, texts: Sequence[str], seeds: range, say: Callable[[str], None]
) -> Iterator[tuple[int, list[Result]]]:
    """Seed after seed, the results in the order of the texts. SettingsError where this machine holds no trial."""
    device: Literal["cpu", "cuda"] = "cuda" if choose_device(experiment.device).type == "cuda" else "cpu"
    at_once = min(len(texts), local_slots(experiment, None, usable_cpus(), 1, device)) if device == "cpu" else 1
    folder = str(prepare(experiment, say).folder)
    trials, threads = len(seeds) * len(texts), max(1, int(experiment.cpus_per_trial))
    seconds = trials / at_once * experiment.budget_seconds
    say(f"{trials} trials of {experiment.budget_seconds:g} s, {at_once} at once: {duration(seconds)} and more")
    work: queue.Queue[_Work | None] = queue.Queue()
    done: queue.Queue[tuple[int, Result] | Exception] = queue.Queue()
    slots: list[Slot] = []

    def serve() -> None:  # a slot is started, used and ended by one thread
        try:
            with Slot(threads, isolation=isolation, gpu=device == "cuda") as slot:
                slots.append(slot)
                while (one := work.get()) is not None:
                    done.put((one.candidate, run(slot, one)))
        except Exception as error:  # noqa: BLE001  # the caller raises it
            done.put(error)

    def run(slot: Slot, one: _Work) -> Result:
        memory = memory_for(at_once)
        job = job_for(experiment, one.source, folder, one.seed, device=device, memory_mb=memory)
        with tempfile.TemporaryDirectory() as output:
            for _ in slot.run(job, Path(output)):
                pass
        return slot.result

    pool = [threading.Thread(target=serve, name=f"slot-{number}") for number in range(at_once)]
    for thread in pool:
        thread.start()
    try:
        for number, seed in enumerate(seeds):
            order = [(index + number) % len(texts) for index in range(len(texts))]
            for candidate in order:
                work.put(_Work(candidate, texts[candidate], seed))
            found: dict[int, Result] = {}
            while len(found) < len(texts):
                ended = done.get()
                if isinstance(ended, Exception):
                    raise ended
                found[ended[0]] = ended[1]
            yield seed, [found[candidate] for candidate in range(len(texts))]
    finally:
        while not work.empty():
            work.get()
        for slot in slots:
            slot.interrupt()
        for _ in pool:
            work.put(None)
        for thread in pool:
            thread.join()
