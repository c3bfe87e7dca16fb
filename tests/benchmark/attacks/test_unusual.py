"""Honest candidates score, whatever they do that is unusual, and are not accused."""

import pytest
from sections import sections
from world import Attack

UNUSUAL = sections("unusual.txt")
NOT_SAVED = {"weight normalisation"}  # torch refuses to save it


@pytest.mark.parametrize("name", sorted(set(UNUSUAL) - NOT_SAVED))
def test_an_unusual_candidate_scores_at_full_strength(attack: Attack, name: str) -> None:
    result, output = attack(UNUSUAL[name].source, strength="full")
    assert result.status == "ok", (result.error, output[-2000:])
    assert result.steps > 0 and 0.9 < result.val_bpb < 6 and 0.9 < result.holdout_bpb < 6


@pytest.mark.parametrize("name", NOT_SAVED)
def test_a_model_that_cannot_be_saved_scores_where_it_was_trained(attack: Attack, name: str) -> None:
    result, _ = attack(UNUSUAL[name].source)
    assert result.status == "ok", result.error
    result, _ = attack(UNUSUAL[name].source, strength="full")
    assert (result.status, "a proof loads it in fresh processes" in result.error) == ("invalid", True), result.error


@pytest.mark.parametrize("name", ["causal attention", "a gated recurrent unit", "dropout", "capped logits"])
@pytest.mark.parametrize("amp", ["fp16", "bf16"])
def test_an_honest_candidate_scores_in_low_precision(attack: Attack, name: str, amp: str) -> None:
    result, output = attack(UNUSUAL[name].source, strength="full", amp=amp)
    assert result.status == "ok", (result.error, output[-2000:])
