"""On a plateau the search takes its wins apart: planted lines that do nothing go, those that help stay."""

import hashlib
import random
from pathlib import Path

import pytest
from small_run import CANDIDATE, settings_of, write_experiment

from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.records.guidance import Findings, Outlook
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.search.ablator import Ablator
from autoresearch_ray.search.search import Finished, Search
from autoresearch_ray.settings.proposer_spec import ABLATION
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

REPORT = "        task.report(loss)\n"
SEED = "    torch.manual_seed(task.seed)\n"
USEFUL = ("torch.set_flush_denormal(True)", "model.double()")
USELESS = ("loss.item()", "x.sum()", "y.max()")
NOISE = 0.01


def with_lines(text: str, first: tuple[str, ...], second: tuple[str, ...]) -> str:
    """The candidate with these statements at two places."""
    text = text.replace(SEED, SEED + "".join(f"    {line}\n" for line in first))
    return text.replace(REPORT, "".join(f"        {line}\n" for line in second) + REPORT)


def score(text: str, trial: Trial) -> float:
    """1.5 bpb less 0.04 for each useful line, with noise that its seed has for all, and a little of its own."""
    digest = hashlib.sha256(f"{text} {trial.seed}".encode()).digest()
    level = random.Random(trial.seed).gauss(0, NOISE) + random.Random(digest).gauss(0, NOISE / 10)
    return 1.5 + level - 0.04 * sum(line in text for line in USEFUL)


def outlook(*, plateau: bool) -> Findings:
    now = Outlook(40, 0, 20, 0.001, 0.002, 0.004, plateau)
    return Findings(40, 0.0, NOISE, NOISE / 5, (), (), (), (), (), now, "ablate", "")


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    experiment = write_experiment(tmp_path)
    experiment.write_text(experiment.read_text() + "removal_margin: 0.02\n")
    return settings_of(ask(experiment=experiment, trials=160, slots=2, program=tmp_path / "program.md"))


def propose(board: Board, parent: str, text: str, name: str) -> None:
    version = frontier.version if (frontier := board.frontier()) else 1
    proposal = Proposal(
        name, "code", "person", Candidate.of(text).sha, Candidate.of(parent).sha, version, f"idea {name}"
    )
    assert board.enqueue(proposal, Candidate.of(text), normal_sha(text))


def run(search: Search, board: Board, trials: int) -> int:
    """So many trials at most; how many there were."""
    for done in range(trials):
        trial = search.next()
        if not isinstance(trial, Trial):
            assert trial is None or isinstance(trial, Finished)
            return done
        text = board.candidates.get(trial.proposal.source_sha).text
        value = score(text, trial)
        checks = ("causal",) if trial.purpose in ("prove", "remove", "baseline") else ()
        search.finish(
            Result(trial.trial_id, "ok", val_bpb=value, holdout_bpb=value, strength="full" if checks else "normal",
                   checks=checks, total_seconds=1.0)
        )  # fmt: skip
    return trials


def test_what_does_nothing_goes_and_what_helps_stays(settings: RunSettings, tmp_path: Path) -> None:
    clock = [1.7e9]

    def now() -> float:
        clock[0] += 10.0  # nothing to run is idle at the next look
        return clock[0]

    with SqliteStore(tmp_path / "state.db", synced=False) as store:
        board = Board(store)
        board.put_settings_once(settings.model_dump_json().encode())
        search = Search(board, settings, tmp_path / "lineage", now=now)
        run(search, board, 3)
        mixed = with_lines(CANDIDATE, USEFUL[:1] + USELESS[:1], USELESS[1:])
        propose(board, CANDIDATE, mixed, "one")
        while board.best() is None or board.best().source_sha != Candidate.of(mixed).sha:  # type: ignore[union-attr]
            run(search, board, 1)
        ablator = Ablator(board, check_candidate)
        assert ablator.fill(outlook(plateau=False)) == 0, "one win and no plateau"
        queued = ablator.fill(outlook(plateau=True))
        assert queued >= 2 and {proposal.proposer for proposal in board.queue()} == {ABLATION}
        assert Ablator(board, check_candidate).fill(outlook(plateau=True)) == 0, (
            "what is queued is not queued again after a restart"
        )
        while search.over() is None:
            run(search, board, 1)
        best = board.best()
        assert best is not None
        text = board.candidates.get(best.source_sha).text
        removals = [step for step in board.steps() if step.kind == "keep" and step.removes]
    assert removals and USEFUL[0] in text
    assert not any(line in text for line in USELESS[1:]), "a hunk that does nothing is gone"
