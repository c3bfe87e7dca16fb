"""What a free slot does next, and on which seed."""

from dataclasses import replace

from outcomes import RULES, best_of, confirm, frontier_of, run, screen, told

from autoresearch_ray.decide import panel
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.panel import PROOFS
from autoresearch_ray.decide.plan import Replicate, Screen, plan
from autoresearch_ray.decide.staleness import is_fresh
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.records.trials import Proposal, Purpose, Trial


def flight(purpose: Purpose, source: str, other: str = "", seed: int = -1) -> Trial:
    proposal = Proposal("r9", "replicate", "search", source, other, 1, "")
    return Trial("t9", proposal, purpose, 1, 0.0, seed_number=seed)


def running(what: Replicate | Screen | None) -> Trial:
    assert isinstance(what, Replicate) and what.seed_number is not None
    return flight(what.purpose, what.source_sha, what.other_sha, what.seed_number)


def planned(
    state: SearchState, *running: Trial, left: float = 100, ready: bool = True, idle: bool = False
) -> Replicate | Screen | None:
    estimate = Estimate(state.ledger) if state.best else None
    return plan(state, estimate, RULES, running, baseline_sha="base", trials_left=left, slots=2, ready=ready, idle=idle)


def test_the_baseline_is_measured_first_and_not_waited_for() -> None:
    seeds = [0, 1, PROOFS]
    flights = [flight("baseline", "base", "", seed) for seed in seeds]
    assert [planned(SearchState(), *flights[:n]) for n in range(3)] == [
        Replicate("baseline", "base", "", seed) for seed in seeds
    ]
    assert planned(SearchState(), *flights) == Screen()
    assert panel.screen_seed(SearchState().ledger, "base") == 0, "which the baseline is being run on"


def test_a_contender_is_run_again_on_another_seed_of_its_parent(started: SearchState) -> None:
    assert panel.screen_seed(started.ledger, "base") == 0
    state = told(started, screen("a", "base", 0.968)).state
    assert planned(state) == Replicate("confirm", "a", "a", 1)
    assert planned(state, flight("confirm", "a", "a", 1)) == Screen()


def test_a_contender_whose_further_runs_fail_is_let_be(started: SearchState) -> None:
    state = told(started, screen("a", "base", 0.968)).state
    state = told(state, confirm("a", 0.0, status="crash")).state
    assert planned(state) == Replicate("confirm", "a", "a", 1)
    assert planned(told(state, confirm("a", 0.0, status="crash")).state) == Screen()


def test_the_likeliest_contender_comes_first(started: SearchState) -> None:
    state = told(started, screen("a", "base", 0.97), screen("b", "base", 0.968)).state
    assert planned(state) == Replicate("confirm", "b", "b", 1)


def test_a_frontier_with_one_run_gets_its_second_before_anything_else(started: SearchState) -> None:
    state = told(started, screen("b", "base", 0.975), screen("a", "base", 0.94)).state
    assert frontier_of(state).source_sha == "a"
    assert planned(state) == Replicate("confirm", "a", "a", 1)
    assert panel.screen_seed(state.ledger, "a") == 0 and panel.screen_seed(state.ledger, "unknown") is None


def test_a_large_lead_starts_a_proof_with_as_many_pairs_as_will_probably_do(advanced: SearchState) -> None:
    state = told(advanced, screen("b", "a", 0.90), confirm("b", 0.91)).state
    first = planned(state)
    second = planned(state, running(first))
    assert isinstance(first, Replicate) and (first.purpose, first.source_sha, first.other_sha) == ("prove", "b", "base")
    assert first.seed_number == PROOFS, "the baseline has been run there already, and nothing was selected on it"
    assert isinstance(second, Replicate) and second.seed_number is not None and second.seed_number > PROOFS
    assert planned(state, running(first), running(second)) == Screen()


def test_a_small_lead_is_proven_at_the_end_of_the_run(started: SearchState) -> None:
    state = told(started, screen("a", "base", 0.975), confirm("a", 0.982)).state
    assert frontier_of(state).source_sha == "a"
    assert planned(state) in (Screen(), Replicate("confirm", "a", "a", 2))
    last = planned(state, left=8)
    assert isinstance(last, Replicate) and (last.purpose, last.source_sha, last.other_sha) == ("prove", "a", "base")


def test_what_failed_its_proof_is_not_proven_again(advanced: SearchState) -> None:
    state = replace(advanced, failed=("a",))
    assert planned(state, left=8) == Screen()


def test_an_idle_slot_proves_or_replicates(started: SearchState, advanced: SearchState) -> None:
    assert planned(started, ready=False) is None
    assert planned(started, ready=False, idle=True) == Replicate("idle", "base", "base")
    proving = planned(advanced, ready=False, idle=True)
    assert isinstance(proving, Replicate) and proving.purpose == "prove"


def test_a_best_is_compared_on_the_seeds_of_its_own_proof_until_a_successor_was_tried_there(
    advanced: SearchState,
) -> None:
    ledger = advanced.ledger
    a, base = ledger.get("a"), ledger.get("base")
    assert a is not None and base is not None
    first = next(panel.proof_seeds(ledger, a, base))
    assert first == PROOFS
    state = told(advanced, run("prove", "a", "base", 0.95, seed_number=PROOFS), screen("b", "a", 0.9)).state
    b = state.ledger.get("b")
    assert b is not None
    assert next(panel.proof_seeds(state.ledger, b, base)) == panel.first_proof_seed(b), "b has what a was seen by"


def test_a_queued_proposal_is_run_while_its_parent_is_nearly_as_good(started: SearchState) -> None:
    on_base = Proposal("p1", "knobs", "tpe", "c", "base", 1, "")
    near = told(started, screen("a", "base", 0.979), confirm("a", 0.989)).state
    far = told(started, screen("a", "base", 0.9), confirm("a", 0.9)).state
    assert [frontier_of(state).source_sha for state in (near, far)] == ["a", "a"]
    fresh = [is_fresh(on_base, state, Estimate(state.ledger), 0) for state in (started, near, far)]
    assert fresh == [True, True, False]
    assert not is_fresh(on_base, near, Estimate(near.ledger), 2), "the run's own bound holds as well"
    assert not is_fresh(replace(on_base, kind="merge"), near, Estimate(near.ledger), 0)
    assert best_of(near).source_sha == "base"
