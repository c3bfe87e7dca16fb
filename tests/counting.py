"""A search that counts and slots that sleep, for who gets which slot: all else is Ray Tune as a run uses it."""

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.tune.schedulers import FIFOScheduler

from autoresearch_ray.cluster.scheduling import PatientScheduler
from autoresearch_ray.cluster.tune_searcher import MOST_SLOTS, RunSearcher, RunStopper, SlotWatch
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.trials import Proposal, Result, Trial
from autoresearch_ray.search.search import Finished
from autoresearch_ray.settings.run_settings import RunSettings

START_SECONDS, TRIAL_SECONDS = 3.0, 0.15  # of all slots but the first, and of a trial
SILENT_SECONDS = 6.0
LAST = math.inf

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers do not find the tests


class Counting:
    """A search that hands out so many trials, each when its time has come.

    That is seconds after the first was asked for, or LAST: when all that were handed out have ended.
    """

    def __init__(self, slots: int, due: list[float], trial_seconds: float = TRIAL_SECONDS) -> None:
        self.slots, self._due, self._takes = slots, due, str(trial_seconds)
        self.results: list[Result] = []
        self.folder = Path()  # where slots store results
        self.in_flight: dict[str, Trial] = {}
        self._claimed, self._again, self._began = 0, list[Trial](), 0.0

    def over(self) -> Finished | None:
        return Finished() if self._claimed == len(self._due) and not self._again else None

    def next(self) -> Trial | Finished | None:
        self._began = self._began or time.monotonic()
        if self._again:
            trial = self._again.pop()
        elif self._claimed == len(self._due):
            return Finished()
        elif not self._is_due(self._due[self._claimed]):
            return None
        else:
            self._claimed += 1
            trial = Trial(
                f"t{self._claimed:05d}", Proposal("p", "knobs", "x", "s", "s", 1, self._takes), "screen", 1, 0.0
            )
        self.in_flight[trial.trial_id] = trial
        return trial

    def _is_due(self, due: float) -> bool:
        return not self.in_flight if due == LAST else time.monotonic() >= self._began + due

    def finish(self, result: Result) -> None:
        del self.in_flight[result.trial_id]
        self.results.append(result)

    def finish_stored(self, trial_id: str) -> None:
        self.finish(from_json(Result, (self.folder / f"{trial_id}.json").read_bytes()))

    def again(self, trial_id: str) -> None:
        self._again.append(self.in_flight.pop(trial_id))

    def stop_rule(self, trial: Trial) -> None:
        """No trial ends early."""

    def widen(self, slots: int) -> None:
        self.slots = slots


class CountedSlot(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """A slot of which only the first to start is quick; a trial's result says which process it ran in.

    The others may wait for the file of a result, which `waits` names.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([{"CPU": 1}])

    def setup(self, config: dict[str, Any]) -> None:
        folder = Path(config["folder"])
        if (folder / "breaks").exists():
            raise PermissionError(13, "not allowed", (folder / "breaks").read_text())
        first = not list(folder.glob("slot-*"))
        (folder / f"slot-{os.getpid()}").touch()
        time.sleep(0 if first else START_SECONDS)
        while (folder / "waits").exists() and not first and not (folder / (folder / "waits").read_text()).exists():
            time.sleep(0.1)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        if not self.config["trial"]:
            time.sleep(self.config["rest_seconds"])
            return {"resting": True}
        trial = from_json(Trial, self.config["trial"])
        time.sleep(float(trial.proposal.hypothesis))
        hangs = Path(self.config["folder"]) / "hangs"
        if hangs.exists() and hangs.read_text() == trial.trial_id:
            hangs.unlink()
            time.sleep(3600)
        result = Result(trial.trial_id, "ok", node=str(os.getpid()))
        (Path(self.config["folder"]) / f"{trial.trial_id}.json").write_text(to_json(result))
        return {"done": True, "val_bpb": result.val_bpb}


def run(
    search: Counting,
    folder: Path,
    settings: RunSettings,
    capacity: int = 2,
    follows: bool = False,
    scheduler: FIFOScheduler | None = None,
) -> set[str]:
    """Run the search to its end on so many CPUs; the processes that were slots. `scheduler`: not the run's."""
    search.folder = folder
    searcher = RunSearcher(search, settings, folder, "nowhere", (lambda: capacity) if follows else None)  # type: ignore[arg-type]
    tune.Tuner(
        CountedSlot,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler or PatientScheduler(lambda: capacity),
            num_samples=-1,
            max_concurrent_trials=MOST_SLOTS,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"),
            stop=RunStopper(searcher),
            callbacks=[SlotWatch(search, searcher, TRIAL_SECONDS, SILENT_SECONDS)],  # type: ignore[arg-type]
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    return {path.name.removeprefix("slot-") for path in folder.glob("slot-*")}
