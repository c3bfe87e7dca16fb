"""A slot as a Tune trainable: owns processes, not learning. One step is one progress report of the candidate.

The actor is kept from trial to trial (`reuse_actors`), and with it the process server that has torch imported. The
candidate's text comes from the run's store by its hash and the result goes there before Tune hears of it, so that
no death between the two loses it; a trial that Tune starts again finds its result already there. Data and a trial's
files come and go through the run's depot when the run's folder is on another node.
"""

import contextlib
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from ray import tune

from autoresearch_ray.benchmark.score.plausible import Reference
from autoresearch_ray.benchmark.script.job import ScriptJob, script_slot
from autoresearch_ray.benchmark.script.snapshot import Snapshot
from autoresearch_ray.benchmark.trial.job import AnyJob, job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.cluster.node_files import Depot
from autoresearch_ray.cluster.seat import Seat
from autoresearch_ray.cluster.session import bundle
from autoresearch_ray.common.paths import CURVE_FILE, OUTPUT_FILE, TRIALS_FOLDER
from autoresearch_ray.common.text import encodable, one_line, visible
from autoresearch_ray.decide.early_stop import Outlook, StopRule, outlook
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.trials import MAY_BE_BEST, PROOFS, Candidate, CurvePoint, Result, Strength, Trial
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.script_experiment import ScriptExperiment
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import connect

RECENT_TRIALS, TYPICAL_FROM = 32, 3  # of a slot: whose median speed is typical, and how many that takes
LOST_ATTEMPTS = 3  # a candidate that somebody else killed is tried again, twice at most
LOGGED_CHARACTERS = 4000  # of what a candidate printed, its end
READY_SECONDS = 60.0  # for the process server to start, while this actor still counts as starting


class TrialActor(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """One slot.

    `config` holds `run` (RunSettings JSON), `address` (of its store), `folder`, `home` (Ray's id of the node that
    the folder is on), `trial` (JSON; empty for a rest of `rest_seconds`), `stop_rule` (JSON of what may end
    the trial while it runs; empty for nothing).
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """The share of a machine that one trial uses."""
        settings = RunSettings.model_validate_json(config["run"])
        return tune.PlacementGroupFactory([bundle(settings)])

    def __repr__(self) -> str:
        """What Ray's dashboard calls this actor."""
        seat, settings = getattr(self, "_seat", None), getattr(self, "_settings", None)
        if seat is None or settings is None:  # set-up has failed: an error here would take the place of its own
            return "a slot that has not started"
        return f"slot {seat.number} of {settings.tag}"

    def setup(self, config: dict[str, Any]) -> None:
        """Take a seat on the machine, open the data and start the process server, all before the first trial.

        On a share of a GPU the slots beside this one are waited for too: those of one GPU start together.
        """
        self._settings = RunSettings.model_validate_json(config["run"])
        self._board = Board(connect(config["address"]))
        self._seat = Seat(self._settings)
        self._slot = self._make_slot(hidden=(Path(config["folder"]),))
        self._slot.start()
        self._depot = Depot(self._settings, config["home"])
        self._material = self._depot.material()
        self._memory_mb = self._depot.memory_mb()
        self._progress: Iterator[CurvePoint] | None = None
        self._lost: Outlook | None = None  # why the trial under way is ended before its time
        self._rates: deque[float] = deque(maxlen=RECENT_TRIALS)
        if self._slot.await_ready(READY_SECONDS) and self._settings.gpu_share > 0:
            self._seat.await_neighbours(self._depot.neighbours())

    def _make_slot(self, hidden: tuple[Path, ...]) -> Slot:
        experiment, isolation, cores = self._settings.experiment, self._settings.isolation, self._seat.cores
        if isinstance(experiment, ScriptExperiment):
            return script_slot(experiment, cores=cores, isolation=isolation, hidden=hidden)
        gpu = self._settings.device == "cuda"
        return Slot(max(1, int(experiment.cpus_per_trial)), cores, isolation, hidden, gpu)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial on the same slot."""
        self._stop_candidate()
        return True

    def step(self) -> dict[str, Any]:
        """Run on until the candidate reports or ends; without a trial, rest for a moment."""
        if not self.config["trial"]:
            time.sleep(self.config["rest_seconds"])
            return {"resting": True}
        trial = from_json(Trial, self.config["trial"])
        if self._progress is None:
            known = self._board.result(trial.trial_id)
            if known is not None:
                return _last(known.val_bpb)
            self._progress = self._run(trial)
        point = next(self._progress, None)
        if point is not None:
            return {"seconds": point.seconds, "curve_bpb": point.train_bpb}
        self._progress = None
        result = replace(self._slot.result, trial_id=trial.trial_id)
        result = self._depot.correct_times(self._seat.sign(result))
        if result.status == "stopped" and self._lost is not None:
            result = replace(result, expected_bpb=self._lost.expected_bpb)
        if result.status == "ok":
            self._rates.append(result.tokens_per_second)
        self._board.finish(result)
        return _last(result.val_bpb)

    def cleanup(self) -> None:
        """The actor ends, and with it all its processes."""
        self._stop_candidate()
        self._slot.__exit__(None, None, None)
        self._seat.release()

    def _run(self, trial: Trial) -> Iterator[CurvePoint]:
        candidate = self._board.candidates.get(trial.proposal.source_sha)
        job = self._job(trial, candidate)
        with self._files(trial.trial_id) as folder:
            for path, text in candidate.files:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
            _log(f"{trial.trial_id} {trial.purpose}: {one_line(trial.proposal.hypothesis)}")
            rule = from_json(StopRule, self.config["stop_rule"]) if self.config["stop_rule"] else None
            with self._seat.busy():
                for _ in range(LOST_ATTEMPTS):
                    self._lost, points = None, list[CurvePoint]()
                    for point in self._slot.run(job, folder):
                        self._seat.look()
                        points.append(point)
                        self._judge(rule, points)
                        yield point
                    if self._slot.result.status != "lost":
                        break
            _write_curve(folder / CURVE_FILE, self._slot.result)
            _log_end(trial.trial_id, self._slot.result, folder / OUTPUT_FILE)

    def _job(self, trial: Trial, candidate: Candidate) -> AnyJob:
        device, memory_mb = self._settings.device, self._memory_mb
        strength: Strength = "full" if trial.purpose in MAY_BE_BEST else "normal"
        experiment, material = self._settings.experiment, self._material
        if isinstance(experiment, ScriptExperiment):
            assert isinstance(material, Snapshot), material
            return ScriptJob(experiment, candidate, material, trial.seed, device, memory_mb, strength)
        return job_for(
            experiment,
            candidate.text,
            str(material.folder),
            trial.seed,
            device=device,
            memory_mb=memory_mb,
            strength=strength,
            held_out=strength == "full",
            reference=self._read_reference(),
            keep=self._keeps(trial),
        )

    def _judge(self, rule: StopRule | None, points: list[CurvePoint]) -> None:
        """End the trial under way if its curve says that it has lost."""
        seen = outlook(rule, points) if rule is not None and self._lost is None else None
        if seen is not None and seen.is_lost:
            self._lost = seen
            self._slot.stop(seen.words())

    def _keeps(self, trial: Trial) -> bool:
        """Whether its model may become that of the best: a proof's other side is the best before it."""
        if self._settings.keep_weights == "none" or trial.purpose not in (*PROOFS, "idle"):
            return False
        best = self._board.best()
        return trial.purpose == "idle" or best is None or trial.proposal.source_sha != best.source_sha

    def _read_reference(self) -> Reference:
        standings = (self._board.best(), self._board.frontier()) if self._settings.experiment.scoring.is_ours else ()
        scores = [standing.val_bpb for standing in standings if standing]
        typical = median(self._rates) if len(self._rates) >= TYPICAL_FROM else 0.0
        return Reference(min(scores, default=0.0), typical)

    @contextlib.contextmanager
    def _files(self, trial_id: str) -> Iterator[Path]:
        """Where a trial's files go: the run's folder, or one here whose files are sent there at the end."""
        if self._depot.at_home:
            folder = Path(self.config["folder"]) / TRIALS_FOLDER / trial_id
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="autoresearch-trial-") as scratch:
            yield Path(scratch)
            self._depot.keep(trial_id, Path(scratch))

    def _stop_candidate(self) -> None:
        if self._progress is not None:
            self._progress.close()  # type: ignore[attr-defined]  # a generator: closing it kills the candidate
            self._progress = None


def _log(line: str) -> None:
    """A line of this actor's log, which the dashboard shows."""
    sys.stdout.write(encodable(line) + "\n")
    sys.stdout.flush()


def _log_end(trial_id: str, result: Result, output: Path) -> None:
    """What the candidate printed at its end, and how it ended."""
    if output.exists():
        printed = output.read_text(errors="replace")[-LOGGED_CHARACTERS:]
        _log(visible(printed).rstrip() or "(it printed nothing)")
    _log(f"{trial_id} {result.status}, val_bpb {result.val_bpb:.4f} {one_line(result.error)}".rstrip())


def _last(val_bpb: float) -> dict[str, Any]:
    """That the trial has ended: the driver reads its result from the store."""
    return {"done": True, "val_bpb": val_bpb}


def _write_curve(path: Path, result: Result) -> None:
    lines = ["seconds,step,tokens,train_bpb"]
    lines += [f"{p.seconds:.3f},{p.step},{p.tokens},{p.train_bpb:.6f}" for p in result.curve]
    path.write_text("\n".join(lines) + "\n")
