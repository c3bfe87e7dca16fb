"""A run that ended without a win under the rules of before, told again: 28 results, a true gain among them.

Two changes look good and their merge looks better, by luck; its proof takes many trials and fails. Meanwhile a change
of MLP_RATIO scores 3.5 sd below the best. The rules of before threw it away, for it was hardly better than what they
believed of the merge.
"""

from outcomes import RULES, confirm, frontier_of, run, screen, told

from autoresearch_ray.decide import panel
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.plan import Replicate, plan
from autoresearch_ray.decide.state import Outcome, SearchState

MLP = "MLP_RATIO 4.0 -> 2.07"


def losers(parent: str, first: int, values: list[float]) -> list[Outcome]:
    return [screen(f"loser{first + n}", parent, value) for n, value in enumerate(values)]


def before_mlp(started: SearchState) -> SearchState:
    state = told(
        started, screen("c1", "base", 0.972), *losers("base", 0, [1.02, 1.1, 1.003]), confirm("c1", 0.982)
    ).state
    assert frontier_of(state).source_sha == "c1"
    state = told(state, screen("c2", "base", 0.968), confirm("c2", 0.985), *losers("c1", 3, [1.05, 0.99])).state
    merge = screen("c1+c2", "c1", 0.952, kind="merge", merged=("c2",))
    state = told(state, merge, confirm("c1+c2", 0.99), *losers("c1+c2", 5, [0.99, 1.2])).state
    assert frontier_of(state).source_sha == "c1+c2"
    entry, best = state.ledger.get("c1+c2"), state.ledger.get("base")
    assert entry is not None and best is not None
    seeds = panel.proof_seeds(state.ledger, entry, best)
    for value in (1.01, 1.015, 1.005, 1.01, 1.012):
        number = next(seeds)
        state = told(
            state,
            run("prove", "c1+c2", "base", value, seed_number=number, checks=("bits",)),
            run("prove", "base", "c1+c2", 1.0, seed_number=number),
        ).state
    return state


def test_a_true_gain_gets_the_next_slot_though_what_it_stands_on_was_believed_too_much(started: SearchState) -> None:
    state = before_mlp(started)
    assert "c1+c2" in state.failed, "the merge was luck, and its proof says so"
    settled = told(state, screen(MLP, "c1+c2", 0.955, seed=1))
    state = settled.state
    assert state.best is not None and state.best.source_sha == "base"
    what = plan(
        state, Estimate(state.ledger), RULES, [], baseline_sha="base", trials_left=12, slots=2, ready=True, idle=False
    )
    assert what == Replicate("confirm", MLP, MLP, 0), (settled.decisions, what)
    state = told(state, confirm(MLP, 0.952 - 0.035, seed=0)).state
    assert frontier_of(state).source_sha == MLP
