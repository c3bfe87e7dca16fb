"""Which seed a trial runs on: pure.

A panel is a few seeds that candidates are compared on. With the same seed two candidates see the same batches and draw
the same initial numbers, so most of the noise is common to both and their difference tells more (common random
numbers). Every frontier has runs on at least two seeds of the panel: a child is screened on one of them and confirmed
on another. The two sides of a proof take turns on seeds that neither was selected on. Now and then the frontier is run
on two new seeds, so that nothing fits itself to the old ones.

Seeds are numbered; `search.py` makes a run's seed of a number. A trial without a number has a seed of its own.
"""

from collections.abc import Collection, Sequence
from itertools import count

from autoresearch_ray.decide.state import PanelRun, SearchState
from autoresearch_ray.records import Trial
from autoresearch_ray.settings import Rules

PROOFS = 1 << 20  # the first number of a proof's seeds; those of the panel are below
MOST_PAIRS = 64  # of one proof


def screen_seed(state: SearchState, parent_sha: str) -> int | None:
    """The number of the seed that a child of this candidate is screened on; None if the parent has no run there."""
    known = state.runs_of(parent_sha)
    return known[-2:][0].seed_number if known else None


def confirm_seed(state: SearchState, parent_sha: str, screened_on: int) -> int | None:
    """The number of another seed than that of the screen, on which the parent has run; None if there is none."""
    known = [run.seed_number for run in state.runs_of(parent_sha) if run.seed_number != screened_on]
    return known[-1] if known else None


def baseline_seed(state: SearchState, in_flight: Sequence[Trial]) -> int:
    """The first number that no run of the starting candidate has yet."""
    running = [trial.seed_number for trial in in_flight if trial.purpose == "baseline"]
    return _first_free(0, [*running, *(run.seed_number for run in state.runs)])


def renewal_seed(state: SearchState, rules: Rules, in_flight: Sequence[Trial]) -> int | None:
    """The number of a new seed that the frontier is to be run on now; None if the old ones still serve."""
    assert state.frontier is not None
    sha = state.frontier.source_sha
    own = [run.seed_number for run in state.runs_of(sha)]
    others = [run.seed_number for run in state.runs if run.seed_number not in own]
    if len(own) == 1 and others:  # a merge: one more run, on a seed that it shares with the frontiers before it
        is_running = any(t.proposal.source_sha == sha and t.seed_number == others[-1] for t in in_flight)
        return None if is_running else others[-1]
    if state.screens < rules.panel_screens and len(state.runs_of(sha)) >= 2:
        return None
    running = [trial.seed_number for trial in in_flight if trial.proposal.source_sha == sha]
    number = _first_free(state.next_seed, [*running, *(run.seed_number for run in state.runs_of(sha))])
    return number if number < state.next_seed + 2 else None


def is_renewed(state: SearchState) -> bool:
    """Whether the frontier has been run on both of the new seeds."""
    assert state.frontier is not None
    known = {run.seed_number for run in state.runs_of(state.frontier.source_sha)}
    return {state.next_seed, state.next_seed + 1} <= known


def proof_seed(target_version: int, used: Collection[int]) -> int:
    """The next number for one side of a proof of this frontier, which has been or is being run on `used`."""
    return _first_free(PROOFS + MOST_PAIRS * target_version, used)


def with_runs(state: SearchState, new: Sequence[PanelRun]) -> tuple[PanelRun, ...]:
    """The state's runs and these; a seed's later run of a candidate replaces the earlier."""
    known = {(run.source_sha, run.seed_number): run for run in state.runs}
    for run in new:
        known.pop((run.source_sha, run.seed_number), None)
        if run.seed_number >= 0:
            known[run.source_sha, run.seed_number] = run
    return tuple(known.values())


def _first_free(start: int, used: Collection[int]) -> int:
    return next(number for number in count(start) if number not in used)
