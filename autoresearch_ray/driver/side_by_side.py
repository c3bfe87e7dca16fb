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
from typing import Literal, Self

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.sandbox.cgroup import usable_cpus
from autoresearch_ray.benchmark.trial.device import choose_device
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.cluster.capacity import local_slots, memory_for
from autoresearch_ray.observe.lines import duration
from autoresearch_ray.records.trials import Isolation, Result
from autoresearch_ray.settings.experiment import Experiment


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
    folder = prepare(experiment, say).folder
    trials = len(seeds) * len(texts)
    seconds = trials / at_once * experiment.budget_seconds
    say(f"{trials} trials of {experiment.budget_seconds:g} s, {at_once} at once: {duration(seconds)} and more")
    with _Slots(experiment, isolation, folder, device, at_once) as slots:
        for number, seed in enumerate(seeds):
            order = [(index + number) % len(texts) for index in range(len(texts))]
            found = slots.run([_Work(candidate, texts[candidate], seed) for candidate in order])
            yield seed, [found[candidate] for candidate in range(len(texts))]


class _Slots:
    """So many slots, each started, used and ended by a thread of its own."""

    def __init__(
        self, experiment: Experiment, isolation: Isolation, data: Path, device: Literal["cpu", "cuda"], count: int
    ) -> None:
        self._experiment, self._isolation, self._data, self._device = experiment, isolation, data, device
        self._work: queue.Queue[_Work | None] = queue.Queue()
        self._done: queue.Queue[tuple[int, Result] | Exception] = queue.Queue()
        self._slots: list[Slot] = []
        self._threads = [threading.Thread(target=self._serve, name=f"slot-{number}") for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        while not self._work.empty():
            self._work.get()
        for slot in self._slots:
            slot.interrupt()
        for _thread in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def run(self, work: Sequence[_Work]) -> dict[int, Result]:
        """The result of each, by candidate; raises what a slot failed with."""
        for one in work:
            self._work.put(one)
        found: dict[int, Result] = {}
        while len(found) < len(work):
            ended = self._done.get()
            if isinstance(ended, Exception):
                raise ended
            found[ended[0]] = ended[1]
        return found

    def _serve(self) -> None:
        try:
            threads = max(1, int(self._experiment.cpus_per_trial))
            with Slot(threads, isolation=self._isolation, gpu=self._device == "cuda") as slot:
                self._slots.append(slot)
                while (one := self._work.get()) is not None:
                    self._done.put((one.candidate, self._measure(slot, one)))
        except Exception as error:  # noqa: BLE001  # the caller raises it
            self._done.put(error)

    def _measure(self, slot: Slot, one: _Work) -> Result:
        memory = memory_for(len(self._threads))
        job = job_for(self._experiment, one.source, str(self._data), one.seed, device=self._device, memory_mb=memory)
        with tempfile.TemporaryDirectory() as output:
            for _ in slot.run(job, Path(output)):
                pass
        return slot.result
