"""What is too good to be true is held for a human to see, with the reason, and is no score."""

import pytest
from sections import sections
from world import Attack, World

from autoresearch_ray.benchmark.score.plausible import Reference
from autoresearch_ray.records.trials import HELD

TABLE = sections("cheats.txt")["prints a score"].source
MEMORY = """
import torch
ROWS = {rows!r}
class Memory(torch.nn.Module):
    def __init__(self, task):
        super().__init__()
        self.table = torch.nn.Embedding(task.vocab_size, task.vocab_size)
        self.next = {{}}
        for row in ROWS:
            for t in range(len(row) - 1):
                self.next.setdefault(tuple(row[: t + 1]), set()).add(row[t + 1])
    def forward(self, x):
        out = self.table(x).clone()
        for row, tokens in enumerate(x.tolist()):
            for t in range(len(tokens)):
                for known in self.next.get(tuple(tokens[: t + 1]), ()):
                    out[row, t, known] += {strength}
        return out
def train(task):
    for _ in task.batches(4):
        pass
    return Memory(task)
"""


@pytest.mark.parametrize(("strength", "status"), [(30.0, "invalid"), (3.0, "ok")])
def test_text_that_a_candidate_brought_along_is_held_where_it_is_most_of_it(
    world: World, attack: Attack, strength: float, status: str
) -> None:
    """No probe sees it, for it uses tokens before its position alone; a part of the text is believed."""
    rows = [row.tolist() for split in ("val", "holdout") for row in world.dataset.rows(split)]
    result, _ = attack(MEMORY.format(rows=rows, strength=strength), strength="full")
    assert (result.status, HELD in result.error) == (status, status != "ok"), result.error


def test_a_score_far_below_the_best_is_held(world: World, attack: Attack) -> None:
    rows = [row.tolist() for split in ("val", "holdout") for row in world.dataset.rows(split)]
    result, _ = attack(MEMORY.format(rows=rows, strength=8.0), reference=Reference(bpb=99.0))
    assert result.status == "invalid" and "too good to be true" in result.error, (result.error, result.val_bpb)


def test_a_winner_at_an_impossible_speed_is_held_and_a_loser_is_not(attack: Attack) -> None:
    result, _ = attack(TABLE, reference=Reference(bpb=9.0, tokens_per_second=1.0))
    assert result.status == "invalid" and "times what is typical" in result.error and HELD in result.error
    assert attack(TABLE, reference=Reference(bpb=0.5, tokens_per_second=1.0))[0].status == "ok"
