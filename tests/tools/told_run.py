"""A run's store by hand: a baseline, trials, and wins, each settled at once as the search does it."""

from dataclasses import replace
from pathlib import Path

from small_run import settings_of, write_experiment

from autoresearch_ray.observe.facts import Win
from autoresearch_ray.records.decisions import Decision, Standing, Step, StepKind
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

BASELINE = 2.0


class ToldRun:
    """A board and who plays the search on it."""

    def __init__(self, folder: Path) -> None:
        experiment = write_experiment(folder)
        request = ask(experiment=experiment, tag="x", slots=2, program=folder / "program.md")
        self.settings: RunSettings = settings_of(request)
        self.folder = folder / "x"
        self.folder.mkdir(exist_ok=True)
        self.store = SqliteStore(self.folder / "state.db")
        self.board = Board(self.store)
        self.board.put_settings(self.settings.model_dump_json().encode())
        self._parent = self.board.candidates.put(Candidate.of("x = 0\n"))
        self._trials = len(self.board.trials())
        self._steps = len(self.board.steps())

    def begin(self) -> None:
        """The baseline is measured."""
        self._settle("x = 0\n", BASELINE, "start")

    def fail(self) -> None:
        """A trial that crashes."""
        self._settle(f"x = -{self._trials}\n", float("nan"), None)

    def discard(self, val_bpb: float) -> None:
        """A trial that is no better."""
        self._settle(f"x = {self._trials}\n", val_bpb, None)

    def win(self, val_bpb: float, words: str = "") -> None:
        """A proven win, with its commit; `words` go on in its hypothesis."""
        text = f"x = {self._trials}\n"
        self._settle(text, val_bpb, "keep", words)
        self.board.put_commit(self._steps, f"{self._steps:040x}")
        self._parent = Candidate.of(text).sha

    def _settle(self, text: str, val_bpb: float, kind: StepKind | None, words: str = "") -> None:
        self._trials += 1
        name, sha = f"t{self._trials:05d}", self.board.candidates.put(Candidate.of(text))
        proposal = Proposal(f"p{self._trials}", "knobs", "tpe", sha, self._parent, 1, f"idea {self._trials}")
        self.board.start(Trial(name, proposal, "screen", seed=1, claimed_at=10.0))
        status = "ok" if val_bpb == val_bpb else "crash"
        self.board.finish(Result(name, status, val_bpb=val_bpb, training_seconds=1.0))  # type: ignore[arg-type]
        steps = []
        if kind is not None:
            self._steps += 1
            made = Step(
                self._steps,
                kind,
                sha,
                name,
                proposal.proposal_id,
                f"idea {self._trials}{words}",
                "tpe",
                val_bpb,
                "",
                20.0,
            )
            better = replace(made, probability=0.995, gain=0.1, gain_low=0.05, gain_high=0.15)
            steps = [better if kind == "keep" else made]
        decision = Decision(name, "keep" if kind == "keep" else "discard", "", frontier_version=1, decided_at=20.0)
        _, revision = self.board.search_state()
        best = Standing(sha, val_bpb, val_bpb, 1, 1, 20.0)
        assert self.board.settle(revision, b"{}", [decision], best=best if kind else None, steps=steps)


def a_win(at: float, commit: str = "") -> Win:
    """A win of this moment."""
    step = Step(1, "keep", "sha", "t00001", "p1", "an idea", "tpe", 1.5, "", at)
    return Win(1, step, "an idea", "parent", commit, 1)
