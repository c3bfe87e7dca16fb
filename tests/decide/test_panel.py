"""Which seed each trial runs on, and what a free slot does next."""

import json
from dataclasses import replace

import pytest
from outcomes import RULES, best_of, frontier_of, pairs, run, told

from autoresearch_ray.codec import from_json, to_json
from autoresearch_ray.decide import panel
from autoresearch_ray.decide.panel import PROOFS
from autoresearch_ray.decide.plan import Replicate, Screen, plan
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.records import Proposal, Purpose, Trial


def flight(purpose: Purpose, source: str, other: str = "", seed: int | None = -1) -> Trial:
    proposal = Proposal("r9", "replicate", "search", source, other, 1, "")
    return Trial("t9", proposal, purpose, 1, 0.0, seed_number=-1 if seed is None else seed)


def planned(
    state: SearchState, *running: Trial, left: float = 100, ready: bool = True, idle: bool = False
) -> Replicate | Screen | None:
    return plan(state, RULES, running, baseline_sha="base", trials_left=left, slots=2, ready=ready, idle=idle)


def test_the_plan_measures_the_baseline_first_and_does_not_wait_for_it() -> None:
    running = [flight("baseline", "base", "", seed) for seed in range(3)]
    assert [planned(SearchState(), *running[:n]) for n in range(3)] == [
        Replicate("baseline", "base", "", seed) for seed in range(3)
    ]
    assert planned(SearchState(), *running) == Screen()


def test_the_plan_confirms_before_it_screens(started: SearchState) -> None:
    state = told(started, run("screen", "a", "base", 0.96)).state
    confirm = planned(state)
    assert isinstance(confirm, Replicate) and (confirm.purpose, confirm.source_sha) == ("confirm", "a")
    assert planned(state, flight("confirm", "a", "a")) != confirm


def test_a_lead_of_three_sd_starts_a_proof_on_both_sides_of_the_same_seeds(on_panel: SearchState) -> None:
    state = told(on_panel, screen("a", "base", 0.96, 1), confirm("a", 0.95, 2)).state
    running: list[Trial] = []
    for _ in range(2):
        what = planned(state, *running)
        assert isinstance(what, Replicate)
        running.append(flight(what.purpose, what.source_sha, what.other_sha, what.seed_number))
    assert [(t.purpose, t.proposal.source_sha) for t in running] == [("prove", "a"), ("prove", "base")]
    assert running[0].seed_number == running[1].seed_number >= PROOFS
    assert planned(state, *running) == Screen()
    first = run("prove", "a", "base", 0.95, seed_number=running[0].seed_number)
    more = planned(told(state, first).state, running[1])
    assert isinstance(more, Replicate) and more.seed_number == running[0].seed_number + 1


def test_a_small_lead_is_proven_at_the_end_of_the_run(on_panel: SearchState) -> None:
    state = told(on_panel, screen("a", "base", 0.99, 1), confirm("a", 0.985, 2)).state
    assert planned(state) == Screen()
    last = planned(state, left=8)
    assert isinstance(last, Replicate) and (last.purpose, last.source_sha, last.other_sha) == ("prove", "a", "base")
    assert planned(state, left=3) == Screen()


def test_an_idle_slot_proves_or_replicates(on_panel: SearchState, advanced: SearchState) -> None:
    assert planned(on_panel, ready=False) is None
    assert planned(on_panel, ready=False, idle=True) == Replicate("idle", "base", "base")
    proving = planned(advanced, ready=False, idle=True)
    assert isinstance(proving, Replicate) and proving.purpose == "prove"


def screen(source: str, parent: str, val: float, seed: int) -> Outcome:
    return run("screen", source, parent, val, seed_number=seed)


def confirm(source: str, val: float, seed: int) -> Outcome:
    return run("confirm", source, source, val, seed_number=seed)


def test_a_child_is_screened_and_confirmed_on_two_seeds_that_its_parent_was_run_on(on_panel: SearchState) -> None:
    assert panel.screen_seed(on_panel, "base") == 1
    state = told(on_panel, screen("a", "base", 0.99, 1)).state
    assert planned(state) == Replicate("confirm", "a", "a", 2)
    state = told(state, confirm("a", 1.0, 2)).state
    assert frontier_of(state).source_sha == "a"
    assert panel.screen_seed(state, "a") == 1 and panel.confirm_seed(state, "a", 1) == 2
    assert panel.screen_seed(state, "unknown") is None


@pytest.mark.parametrize(
    ("seed", "val", "verdict"), [(0, 0.984, "promising"), (0, 0.986, "discard"), (2, 1.0, "promising")]
)
def test_a_child_is_compared_with_its_parent_on_the_same_seed(
    on_panel: SearchState, seed: int, val: float, verdict: str
) -> None:
    decision = told(on_panel, screen("a", "base", val, seed)).decisions[0]
    assert decision.verdict == verdict and "on the same seed" in decision.reason


def test_of_two_paired_gains_the_first_counts_half(on_panel: SearchState) -> None:
    state = told(on_panel, screen("a", "base", 0.96, 1), confirm("a", 0.99, 2)).state
    assert frontier_of(state).objective == pytest.approx(1.0 - (0.02 + 0.04 / 2) / 2)


def test_the_frontier_is_run_on_two_new_seeds_now_and_then(on_panel: SearchState) -> None:
    state = told(on_panel, *[screen(f"c{n}", "base", 1.2, 1) for n in range(RULES.panel_screens)]).state
    first, second = planned(state), planned(state, flight("idle", "base", "base", 3))
    assert (first, second) == (Replicate("idle", "base", "base", 3), Replicate("idle", "base", "base", 4))
    running = [flight("idle", "base", "base", seed) for seed in (3, 4)]
    assert planned(state, *running) == Screen() and panel.screen_seed(state, "base") == 1
    estimate = frontier_of(state).objective
    state = told(state, run("idle", "base", "base", 1.1, seed_number=3)).state
    assert planned(state) == Replicate("idle", "base", "base", 4)
    state = told(state, run("idle", "base", "base", 1.1, seed_number=4)).state
    assert planned(state) == Screen() and panel.screen_seed(state, "base") == 3
    assert frontier_of(state).objective == estimate, "a gain was paired, its seeds' luck is in neither side"


def test_a_new_best_is_a_parent_on_the_seeds_of_its_proof(on_panel: SearchState) -> None:
    state = told(on_panel, screen("a", "base", 0.95, 1), confirm("a", 0.95, 2)).state
    runs = [replace(o, seed_number=PROOFS + n // 2) for n, o in enumerate(pairs([0.95, 0.955], [1.0, 1.005]))]
    settled = told(state, *runs)
    assert settled.decisions[0].verdict == "keep"
    assert (
        panel.screen_seed(settled.state, "a") == PROOFS and panel.confirm_seed(settled.state, "a", PROOFS) == PROOFS + 1
    )
    worse = [replace(o, seed_number=PROOFS + n // 2) for n, o in enumerate(pairs([1.02, 1.03], [1.0, 0.995]))]
    dropped = told(state, *worse)
    assert dropped.dropped and panel.screen_seed(dropped.state, "base") == PROOFS


def test_pairs_are_matched_by_their_seeds_whatever_came_first(advanced: SearchState) -> None:
    luck = {0: 0.0, 1: 0.06, 2: 0.12, 3: 0.02}
    target = [run("prove", "a", "base", 0.98 + luck[k], seed_number=PROOFS + k, checks=("bits",)) for k in luck]
    best = [run("prove", "base", "a", 1.0 + luck[k] + 0.001 * k, seed_number=PROOFS + k) for k in (2, 0, 3, 1)]
    settled = told(advanced, *target, *best)
    assert settled.state.proof is None and settled.decisions[0].verdict == "keep"
    assert settled.steps[0].gain == pytest.approx(0.0215) and settled.steps[0].gain_low > 0.018


def test_a_run_from_before_the_panel_gets_one_when_it_goes_on(advanced: SearchState) -> None:
    stored = json.loads(to_json(replace(advanced, proof=None)))
    for name in ("runs", "next_seed", "screens"):
        del stored[name]
    state = from_json(SearchState, json.dumps(stored))
    state = replace(state, best=replace(best_of(state), objective=0.96))  # no proof is due
    for number in (0, 1):
        assert planned(state) == Replicate("idle", "a", "a", number)
        state = told(state, run("idle", "a", "a", 0.95, seed_number=number)).state
    assert planned(state) == Screen() and panel.screen_seed(state, "a") == 0


def test_a_merge_advances_by_one_run_below_its_parent_and_then_gets_its_second_seed(on_panel: SearchState) -> None:
    state = told(on_panel, screen("a", "base", 0.96, 1), confirm("a", 0.95, 2)).state
    merged = replace(screen("a+b", "a", 0.959, 1), proposer="merge")
    assert told(state, replace(merged, val_bpb=0.961)).decisions[0].verdict == "discard"
    settled = told(state, merged)
    assert settled.decisions[0].verdict == "advance" and frontier_of(settled.state).source_sha == "a+b"
    assert frontier_of(settled.state).objective == pytest.approx(frontier_of(state).objective - 0.75 * 0.001)
    state = replace(settled.state, best=replace(best_of(settled.state), objective=0.96))  # no proof is due
    assert planned(state) == Replicate("idle", "a+b", "a+b", 2)
    assert planned(state, flight("idle", "a+b", "a+b", 2)) == Screen()
    state = told(state, run("idle", "a+b", "a+b", 0.94, seed_number=2)).state
    assert planned(state) == Screen() and panel.confirm_seed(state, "a+b", 1) == 2
