"""No cheat wins: it is refused with the right reason, or its trick changes nothing."""

from collections.abc import Callable

import psutil
import pytest
from sections import sections
from world import FULL, Attack, World

from autoresearch_ray.benchmark.trial.execution import OUTPUT_LIMIT
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.decision_rules import Rules

PEEKS, CAREFUL_PEEKS, CHEATS = sections("peeks.txt"), sections("careful_peeks.txt"), sections("cheats.txt")
BRIEF = {"takes batches before the clock starts", "hangs while it is scored"}  # waited for as long as in a dry run
LEAST = 0.9  # bits per byte: the text is words drawn at random, which no honest model predicts better
ACCUSED = "the model's predictions depend on"


@pytest.mark.parametrize("name", PEEKS)
def test_a_peek_is_believed_unprobed_and_refused_in_any_trial(attack: Attack, name: str) -> None:
    believed, _ = attack(PEEKS[name].source, strength="off", budget_seconds=0.5)
    assert believed.status == "ok", believed.error
    result, _ = attack(PEEKS[name].source, budget_seconds=0.5)
    assert (result.status, ACCUSED in result.error) == ("invalid", True), result.error


@pytest.mark.parametrize("name", CAREFUL_PEEKS)
def test_a_careful_peek_wins_unprobed_and_never_a_proof(attack: Attack, name: str) -> None:
    believed, _ = attack(CAREFUL_PEEKS[name].source, strength="off", budget_seconds=0.5)
    assert believed.status == "ok", believed.error
    for seed in range(Rules().min_pairs):  # a proof has at least so many runs, and every one must pass
        result, _ = attack(CAREFUL_PEEKS[name].source, strength="full", budget_seconds=0.5, seed=seed)
        if result.status != "ok":
            break
    assert (result.status, ACCUSED in result.error) == ("invalid", True), result.error


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_does_not_win_harms_nothing_and_leaves_nothing(
    world: World, attack: Attack, slot_behind: Callable[[str], Slot], name: str
) -> None:
    statuses, _, reason = CHEATS[name].labels.partition(", ")
    before = world.fingerprint()
    result, output = attack(CHEATS[name].source, memory_mb=700, dry_seconds=6.0 if name in BRIEF else 0.0)
    outcome = (result.status, result.error, output[-2000:])
    assert result.status in statuses.split(" or ") and reason in result.error, outcome
    assert result.status != "ok" or result.val_bpb > LEAST
    assert result.error.isprintable() and from_json(Result, to_json(result)).steps == result.steps < 1e9
    assert "IT GOT THROUGH" not in output and len(output) < OUTPUT_LIMIT + 200
    assert world.fingerprint() == before and world.process.poll() is None
    left = psutil.Process(slot_behind(FULL).server_pid).children(recursive=True)
    assert len(left) == 1 and "autoresearch_ray.benchmark.trial.server" in left[0].cmdline(), left
