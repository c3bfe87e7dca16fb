"""The search on a real store without Ray: what a crash between two results leaves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import settings_of, write_experiment

from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.decide.panel import PROOFS
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.search.queue_filler import SLOTS_A_PROPOSAL, ProposerLoop
from autoresearch_ray.search.search import Finished, Search
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import KeyValue, Put, Txn, TxnResult
from autoresearch_ray.store.sqlite.store import SqliteStore

WEIGHTS = "best again, for its weights"


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    request = Request(experiment=write_experiment(tmp_path), trials=20, slots=2, program=tmp_path / "program.md")
    return settings_of(request)


def queue(board: Board, parent: str, change: tuple[str, str]) -> None:
    text = parent.replace(*change)
    assert text != parent
    words = change[1].strip()
    proposal = Proposal(f"p-{words}", "knobs", "tpe", Candidate.of(text).sha, Candidate.of(parent).sha, 1, words)
    board.enqueue(proposal, Candidate.of(text), normal_sha(text))


def result(trial: Trial, val_bpb: float) -> Result:
    return Result(trial.trial_id, "ok", val_bpb=val_bpb, holdout_bpb=val_bpb)


def test_a_result_that_waits_for_the_noise_is_decided_once_over_a_crash(settings: RunSettings, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings_once(settings.model_dump_json().encode())
        search = Search(board, settings, tmp_path / "lineage")
        baselines = [search.next() for _ in range(3)]
        queue(board, settings.baseline, ("WIDTH = 16", "WIDTH = 17"))
        early = search.next()
        assert isinstance(early, Trial) and early.purpose == "screen"
        search.finish(result(early, 1.0))
        assert [waiting.trial_id for waiting in board.open_results()] == [early.trial_id]
        search = Search(board, settings, tmp_path / "lineage")  # as after a kill
        for trial in baselines:
            again = search.next()
            assert isinstance(again, Trial) and again == trial
            search.finish(result(again, 2.0 + 0.01 * int(again.trial_id[1:])))
        assert board.open_results() == []
        assert [made.trial_id for made in board.decisions()] == [f"t{i:05d}" for i in range(1, 5)]
        assert board.frontier() is not None


class Counted(SqliteStore):
    """A store on a file that remembers what was asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.txns: list[Txn] = []
        self.read_bytes = 0

    def commit(self, txns: Sequence[Txn]) -> list[TxnResult | StoreError]:
        self.txns += txns
        return super().commit(txns)

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        kv = super().get(key, revision)
        self.read_bytes += len(kv.value) if kv is not None and key == "search" else 0
        return kv


def test_a_result_goes_to_the_store_once_and_the_state_comes_back_never(settings: RunSettings, tmp_path: Path) -> None:
    with Counted(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings_once(settings.model_dump_json().encode())
        search = Search(board, settings, tmp_path / "lineage")
        store.txns.clear()
        for number in range(16):
            queue(board, settings.baseline, ("ROWS = 4", f"ROWS = {5 + number}"))
            trial = search.next()
            assert isinstance(trial, Trial)
            slot = Board(store)
            assert slot.finish(result(trial, 2.0 + 0.01 * int(trial.trial_id[1:])))
            search.finish_stored(trial.trial_id)
        ops = [op for txn in store.txns for op in txn.success]
        puts = [op.key for op in ops if isinstance(op, Put) and op.key.startswith("result/")]
        assert len(puts) == len(set(puts)) == 16
        assert board.open_results() == [] and len(board.decisions()) == 16
        assert store.read_bytes == 0


def test_a_result_that_came_second_is_not_decided_on(settings: RunSettings, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings_once(settings.model_dump_json().encode())
        search = Search(board, settings, tmp_path / "lineage")
        for score in (2.01, 2.02, 2.03):
            trial = search.next()
            assert isinstance(trial, Trial)
            board.finish(result(trial, score))
            search.finish(result(trial, 1.0))
        frontier = board.frontier()
        assert frontier is not None and frontier.val_bpb == pytest.approx(2.02)


def test_a_best_without_its_weights_runs_once_more_first_or_last_and_once_a_launch(
    settings: RunSettings, tmp_path: Path
) -> None:
    lacks = [False]
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings_once(settings.model_dump_json().encode())
        search = Search(board, settings, tmp_path / "lineage", lacks_weights=lambda: lacks[0])
        queue(board, settings.baseline, ("ROWS = 4", "ROWS = 8"))
        while "keep" not in [step.kind for step in board.steps()]:
            trial = search.next()
            assert isinstance(trial, Trial) and trial.proposal.hypothesis != WEIGHTS
            gain = 0.5 if trial.proposal.source_sha != Candidate.of(settings.baseline).sha else 0.0
            measured = result(trial, 2.0 - gain + 0.01 * int(trial.trial_id[1:]))
            search.finish(replace(measured, strength="full", checks=("bits",)))

        settings = settings.replace(trials=search.claimed + 1)
        resumed = Search(board, settings, tmp_path / "lineage", lacks_weights=lambda: True)
        first = resumed.next()
        assert isinstance(first, Trial) and first.proposal.hypothesis == WEIGHTS and first.purpose == "idle"
        best = board.best()
        assert best is not None and first.proposal.source_sha == best.source_sha
        resumed.finish(result(first, 1.5))
        assert resumed.over() is not None, "it is not tried again in this launch"

        ended = Search(board, settings, tmp_path / "lineage", lacks_weights=lambda: lacks[0])
        assert ended.next() == Finished()
        lacks[0] = True
        assert ended.over() is None, "one trial more than were asked for"
        extra = ended.next()
        assert isinstance(extra, Trial) and extra.proposal.hypothesis == WEIGHTS
        assert isinstance(ended.next(), Finished)
        assert [made.trial_id for made in board.open_trials()] == [extra.trial_id]


def test_a_last_proof_goes_on_after_the_runs_trials_and_over_a_crash(settings: RunSettings, tmp_path: Path) -> None:
    start = Candidate.of(settings.baseline).sha

    def run(overtime: int, folder: Path) -> tuple[list[str], list[Trial]]:
        """The kinds of steps, and the trials beyond the run's number; a new driver takes over after each of these."""
        folder.mkdir()
        experiment = settings.experiment.replace(overtime_trials=overtime)
        asked = settings.replace(trials=4, experiment=experiment.model_dump())
        with SqliteStore(folder / "state.db") as store:
            board = Board(store)
            board.put_settings_once(asked.model_dump_json().encode())
            search, beyond = Search(board, asked, folder / "lineage"), list[Trial]()
            queue(board, asked.baseline, ("ROWS = 4", "ROWS = 8"))
            while isinstance(trial := search.next(), Trial):
                gain = 0.05 if trial.proposal.source_sha != start else 0.0
                measured = result(trial, 2.0 - gain + 0.01 * (search.claimed % 3))
                search.finish(replace(measured, strength="full", checks=("bits",)))
                if search.claimed > asked.trials:
                    beyond.append(trial)
                    search = Search(board, asked, folder / "lineage")
            assert trial == Finished() == search.over()
            return [step.kind for step in board.steps()], beyond

    assert run(0, tmp_path / "without") == (["start", "advance"], [])
    steps, beyond = run(16, tmp_path / "with")
    assert steps == ["start", "advance", "keep"]
    assert 0 < len(beyond) <= 16 and {trial.purpose for trial in beyond} == {"prove"}


def test_a_proposer_follows_a_run_that_takes_more_slots(settings: RunSettings, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings(settings.model_dump_json().encode())
        search, loop = Search(board, settings, tmp_path / "lineage"), ProposerLoop(board, settings)
        assert loop.fill() == 1
        seen = store.revision()
        search.widen(40)
        loop.absorb(board.follow(seen))
        assert search.slots == 40 and loop.fill() == 40 // SLOTS_A_PROPOSAL
        assert RunSettings.model_validate_json(board.settings() or b"") == settings.replace(slots=40)


def test_a_slot_waits_less_where_its_neighbours_share_a_gpu(settings: RunSettings, tmp_path: Path) -> None:
    now = [1.7e9]
    for share, patience in ((0.0, 150.0), (1.0, 150.0), (0.25, 2.0)):
        changed = {"budget_seconds": 300.0, "gpus_per_trial": share}
        shared = settings.replace(experiment=settings.experiment.replace(**changed))
        with SqliteStore(tmp_path / f"{share}.db") as store:
            search = Search(Board(store), shared, tmp_path / f"lineage-{share}", now=lambda: now[0])
            for trial in [search.next(), search.next(), search.next()]:
                assert isinstance(trial, Trial)
                search.finish(result(trial, 2.0 + 0.01 * int(trial.trial_id[1:])))
            assert search.next() is None
            now[0] += patience
            assert search.next() is None
            now[0] += 0.1
            idle = search.next()
            assert isinstance(idle, Trial) and idle.purpose == "idle"


@pytest.mark.parametrize(("bound", "tried"), [(0, False), (1, True), (None, True)])
def test_a_stale_proposal_is_tried_within_the_bound_that_was_asked_for_and_says_so(
    settings: RunSettings, tmp_path: Path, bound: int | None, tried: bool
) -> None:
    settings = settings.replace(max_staleness=bound)
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings(settings.model_dump_json().encode())
        search, loop = Search(board, settings, tmp_path / "lineage"), ProposerLoop(board, settings)
        queue(board, settings.baseline, ("ROWS = 4", "ROWS = 8"))
        of_seed = {0: 1.99, 1: 2.0, PROOFS: 2.01}
        while "advance" not in [step.kind for step in board.steps()]:
            for trial in [search.next(), search.next()]:
                if isinstance(trial, Trial):
                    gain = {"screen": 0.018, "confirm": 0.009}.get(trial.purpose, 0.0)  # within one sd, as is expected
                    search.finish(result(trial, of_seed.get(trial.seed_number, 2.0) - gain))
        queue(board, settings.baseline, ("LR = 0.1 ", "LR = 0.2 "))  # on the version before, as a slow proposer's is
        loop.fill()
        names = [proposal.proposal_id for proposal in board.queue()]
        assert ("p-LR = 0.2" in names) == tried
        screens = [trial for _ in range(4) if isinstance(trial := search.next(), Trial) and trial.purpose == "screen"]
        stale = [(trial.staleness, trial.max_staleness) for trial in screens if trial.proposal.parent_version == 1]
        stale_ids = {trial.trial_id for trial in screens if trial.proposal.parent_version == 1}
        assert stale == ([(1, bound)] if tried else [])
        rows = trial_table(board.history()).set_index("trial_id")
        assert list(rows.staleness) == [int(trial_id in stale_ids) for trial_id in rows.index]
        assert rows.max_staleness.isna().all() if bound is None else (rows.max_staleness == bound).all()


def test_a_merge_that_waits_while_the_frontier_moves_is_made_anew(settings: RunSettings, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings(settings.model_dump_json().encode())
        search, loop = Search(board, settings, tmp_path / "lineage"), ProposerLoop(board, settings)
        queue(board, settings.baseline, ("ROWS = 4", "ROWS = 8"))
        while "advance" not in [step.kind for step in board.steps()]:
            for trial in [search.next(), search.next()]:
                if isinstance(trial, Trial):
                    value = 2.0 if trial.purpose == "baseline" else 1.5
                    search.finish(result(trial, value - 0.01 * int(trial.trial_id[1:])))
        other = settings.baseline.replace("LR = 0.1 ", "LR = 0.2 ")
        shas = (Candidate.of(other).sha, Candidate.of(settings.baseline).sha)
        stale = Proposal("m00001-x", "merge", "merge", *shas, 1, "merged: a larger LR")
        assert board.enqueue(stale, Candidate.of(other), normal_sha(other))
        loop.fill()
        (merge,) = [proposal for proposal in board.queue() if proposal.kind == "merge"]
        text = board.candidates.get(merge.source_sha).text
        assert "ROWS = 8" in text and "LR = 0.2" in text and merge.parent_version == 2
        assert merge.hypothesis == stale.hypothesis


def test_equal_numbers_are_equal_seeds_and_a_run_without_one_has_its_own(settings: RunSettings, tmp_path: Path) -> None:
    seeds = []
    for name in ("one", "two"):
        with SqliteStore(tmp_path / f"{name}.db") as store:
            board = Board(store)
            search = Search(board, settings, tmp_path / name)
            baselines = [search.next() for _ in range(3)]
            for trial in baselines:
                assert isinstance(trial, Trial)
                search.finish(result(trial, 2.0 + 0.01 * int(trial.trial_id[1:])))
            queue(board, settings.baseline, ("ROWS = 4", "ROWS = 8"))
            screen = search.next()
            assert isinstance(screen, Trial) and screen.purpose == "screen"
            search.finish(result(screen, 1.975))
            confirm = search.next()
            assert isinstance(confirm, Trial) and confirm.purpose == "confirm"
            numbered = {t.seed_number: t.seed for t in baselines if isinstance(t, Trial)}
            assert sorted(numbered) == [0, 1, PROOFS] and len(set(numbered.values())) == 3
            assert screen.seed == numbered[screen.seed_number] and confirm.seed == numbered[confirm.seed_number]
            assert screen.seed != confirm.seed
            seeds.append(numbered)
    assert seeds[0] == seeds[1], "another run with the same --seed has the same panel"


def test_what_git_refuses_is_said_once_and_committed_when_it_works_again(
    settings: RunSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings_once(settings.model_dump_json().encode())
        search = Search(board, settings, tmp_path / "lineage")
        objects = tmp_path / "lineage" / ".git" / "objects"
        objects.rename(objects.with_name("away"))
        queue(board, settings.baseline, ("WIDTH = 16", "WIDTH = 17"))
        while len(board.steps()) < 2:
            trial = search.next()
            assert isinstance(trial, Trial)
            search.finish(result(trial, 2.0 + 0.01 * int(trial.trial_id[1:]) - (trial.purpose != "baseline")))
        assert len(caplog.messages) == 1 and "what is not committed is stored, and tried again" in caplog.text
        assert board.commits() == {}
        objects.with_name("away").rename(objects)
        Search(board, settings, tmp_path / "lineage")
        assert sorted(board.commits()) == [step.index for step in board.steps()]
