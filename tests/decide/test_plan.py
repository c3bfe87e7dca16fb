"""What a free slot does next, and on which seed."""

from dataclasses import replace

from outcomes import RULES, best_of, confirm, frontier_of, run, screen, told

from autoresearch_ray.decide import panel
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.panel import PROOFS
from autoresearch_ray.decide.plan import Replicate, Screen, plan, plan_overtime
from autoresearch_ray.decide.staleness import is_fresh
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.records.trials import Proposal, Purpose, Trial
from autoresearch_ray.settings.decision_rules import Rules


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


def in_overtime(state: SearchState, *running: Trial, left: int = 16, rules: Rules = RULES) -> Replicate | None:
    return plan_overtime(state, Estimate(state.ledger), rules, running, trials_left=left)


def test_in_overtime_the_frontier_is_proven_when_nothing_runs_that_could_move_it(advanced: SearchState) -> None:
    first = in_overtime(advanced)
    assert first == Replicate("prove", "a", "base", PROOFS)
    assert in_overtime(advanced, flight("screen", "b", "a")) is None
    second = in_overtime(advanced, running(first))
    assert second is not None and second.purpose == "prove" and second != first
    assert in_overtime(replace(advanced, failed=("a",))) is None


def test_in_overtime_an_open_proof_goes_on_whatever_else_runs(advanced: SearchState) -> None:
    state = told(advanced, run("prove", "a", "base", 0.95, seed_number=PROOFS)).state
    assert state.proof is not None
    missing = in_overtime(state, flight("screen", "b", "a"))
    assert missing is not None and (missing.purpose, missing.source_sha) == ("prove", "a")


def test_overtime_is_for_a_proof_that_can_be_settled_in_it(started: SearchState, advanced: SearchState) -> None:
    assert in_overtime(started) is None, "nothing is unproven"
    assert in_overtime(SearchState(ledger=started.ledger)) is None, "nothing is measured"
    assert in_overtime(advanced, left=2 * RULES.min_pairs) is not None
    assert in_overtime(advanced, left=2 * RULES.min_pairs - 1) is None
    weak = told(started, screen("a", "base", 0.978), confirm("a", 0.989)).state
    assert frontier_of(weak).source_sha == "a" and in_overtime(weak, left=4) is None and in_overtime(weak) is not None
    assert in_overtime(weak, rules=replace(RULES, overtime_chance=0.999)) is None


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
