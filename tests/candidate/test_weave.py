"""Merging as who reads the program would: what fits beside each other is no conflict, what would be lost is one."""

import itertools
import re
import sys
from pathlib import Path

import pytest

from autoresearch_ray.candidate.merge import three_way
from autoresearch_ray.candidate.normal_form import normal_sha

sys.path.append(str(Path(__file__).parent / "rules"))
from honest import HERE, SHIPPED, Edit, edited, edits  # its folder is not a test's own

EVERY = edits(HERE / "model_edits.txt") | edits(HERE / "training_edits.txt")
PAIRS = list(itertools.combinations(sorted(EVERY), 2))[::52]  # of some 2,500

BASE = """\
import torch

WIDTH = 64
DEPTH = 2


class Model(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.table = torch.nn.Embedding(size, WIDTH)
        self.gate = torch.nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x):
        x = self.table(x)
        x = x * self.gate
        return x


def groups(model):
    return [model.table.weight, model.gate]


def train(task):
    model = Model(task.vocab_size)
    options = dict(lr=0.1, momentum=0.9)
    optimizer = torch.optim.SGD(groups(model), **options)
    for x, y in task.batches(4):
        loss = model(x).mean()
        loss.backward()
        optimizer.step()
    return model
"""
WORD = re.compile(r"\w+")
Sides = tuple[tuple[str, str], ...]


def changed(sides: Sides) -> str:
    text = BASE
    for old, new in sides:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


GATE = "        self.gate = torch.nn.Parameter(torch.zeros(WIDTH))\n"
STEP = "        optimizer.step()\n"
MERGES: dict[str, tuple[Sides, Sides, Sides]] = {
    "statements after the same line": (
        ((GATE, GATE + "        self.bias = torch.nn.Parameter(torch.zeros(WIDTH))\n"),),
        ((GATE, GATE + "        self.scale = torch.nn.Parameter(torch.ones(WIDTH))\n"),),
        (
            (
                GATE,
                GATE
                + "        self.bias = torch.nn.Parameter(torch.zeros(WIDTH))\n"
                + "        self.scale = torch.nn.Parameter(torch.ones(WIDTH))\n",
            ),
        ),
    ),
    "neighbouring lines": (
        (("x = self.table(x)", "x = self.table(x) + 1"),),
        (("x = x * self.gate", "x = x / self.gate"),),
        (("x = self.table(x)", "x = self.table(x) + 1"), ("x = x * self.gate", "x = x / self.gate")),
    ),
    "a new constant beside a new constant": (
        (("DEPTH = 2\n", "DEPTH = 2\nHEADS = 4\n"),),
        (("DEPTH = 2\n", "DEPTH = 2\nDROP = 0.1\n"),),
        (("DEPTH = 2\n", "DEPTH = 2\nHEADS = 4\nDROP = 0.1\n"),),
    ),
    "a list in one line extended twice": (
        (("model.gate]", "model.gate, model.bias]"),),
        (("model.gate]", "model.gate, model.scale]"),),
        (("model.gate]", "model.gate, model.bias, model.scale]"),),
    ),
    "two arguments of one call": (
        (("lr=0.1", "lr=0.2"),),
        (("momentum=0.9", "momentum=0.95"),),
        (("lr=0.1", "lr=0.2"), ("momentum=0.9", "momentum=0.95")),
    ),
    "two methods at one place": (
        (("        return x\n", "        return x\n\n    def one(self):\n        return 1\n"),),
        (("        return x\n", "        return x\n\n    def two(self):\n        return 2\n"),),
        (
            (
                "        return x\n",
                "        return x\n\n    def one(self):\n        return 1\n\n    def two(self):\n        return 2\n",
            ),
        ),
    ),
    "a statement before and one behind a changed line": (
        (("        loss.backward()\n", "        loss = loss + 1\n        loss.backward()\n"),),
        ((STEP, STEP + "        optimizer.zero_grad()\n"),),
        (
            ("        loss.backward()\n", "        loss = loss + 1\n        loss.backward()\n"),
            (STEP, STEP + "        optimizer.zero_grad()\n"),
        ),
    ),
    "a value built on twice": (
        (("        return x\n", "        x = x + self.gate\n        return x\n"),),
        (("        return x\n", "        x = x.tanh()\n        return x\n"),),
        (("        return x\n", "        x = x + self.gate\n        x = x.tanh()\n        return x\n"),),
    ),
    "the same change twice": (
        (("lr=0.1", "lr=0.2"), ("x * self.gate", "x - self.gate")),
        (("x * self.gate", "x - self.gate"),),
        (("lr=0.1", "lr=0.2"), ("x * self.gate", "x - self.gate")),
    ),
    "a function moved and another changed": (
        (
            ("def groups(model):\n    return [model.table.weight, model.gate]\n\n\n", ""),
            ("import torch\n", "import torch\n\n\ndef groups(model):\n    return [model.table.weight, model.gate]\n"),
        ),
        (("lr=0.1", "lr=0.3"),),
        (
            ("def groups(model):\n    return [model.table.weight, model.gate]\n\n\n", ""),
            ("import torch\n", "import torch\n\n\ndef groups(model):\n    return [model.table.weight, model.gate]\n"),
            ("lr=0.1", "lr=0.3"),
        ),
    ),
}
CONFLICTS: dict[str, tuple[Sides, Sides, str]] = {
    "one expression rewritten twice": (
        (("x = x * self.gate", "x = x / self.gate"),),
        (("x = x * self.gate", "x = x * self.gate.exp()"),),
        "forward: line `x = x / self.gate` changed on both sides",
    ),
    "one argument changed twice": ((("lr=0.1", "lr=0.2"),), (("lr=0.1", "lr=0.3"),), "train: line"),
    "one constant added twice": (
        (("DEPTH = 2\n", "DEPTH = 2\nHEADS = 4\n"),),
        (("DEPTH = 2\n", "DEPTH = 2\nHEADS = 8\n"),),
        "HEADS: added on both sides",
    ),
    "one method added twice": (
        (("        return x\n", "        return x\n\n    def one(self):\n        return 1\n"),),
        (("        return x\n", "        return x\n\n    def one(self):\n        return 2\n"),),
        "one: added on both sides",
    ),
    "two ends of a function": (
        (("        return x\n", "        return x + 1\n"),),
        (("        return x\n", "        y = x.exp()\n        return y\n"),),
        "forward: line `return x + 1` changed on both sides",
    ),
    "a value that the other side overwrites unread": (
        ((STEP, STEP + "        seen = loss.item()\n"),),
        ((STEP, STEP + "        seen = 0.0\n"),),
        "train: line",
    ),
    "an attribute used here and removed there": (
        (("        return x\n", "        return x + self.gate\n"),),
        ((GATE, ""), ("        x = x * self.gate\n", ""), (", model.gate]", "]")),
        "gate: used on one side and removed on the other",
    ),
    "a function removed here and changed there": (
        (("def groups(model):\n    return [model.table.weight, model.gate]\n\n\n", ""), ("groups(model)", "[]")),
        (("return [model.table.weight, model.gate]", "return [model.gate]"),),
        "groups: removed or changed on both sides",
    ),
    "ways out at one place": (
        ((STEP, STEP + "        break\n"),),
        ((STEP, STEP + "        print(loss)\n"),),
        "train: line",
    ),
}


@pytest.mark.parametrize("name", MERGES)
def test_what_fits_beside_each_other_merges_as_a_person_would_do_it(name: str) -> None:
    ours, theirs, together = map(changed, MERGES[name])
    merged = three_way(BASE, ours, theirs)
    assert merged.conflicts == () and merged.clean
    assert merged.source == together
    mirrored = three_way(BASE, theirs, ours)
    assert mirrored.clean and sorted(WORD.findall(mirrored.source)) == sorted(WORD.findall(together))


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_would_be_lost_in_silence_is_a_conflict_and_ours_is_kept(name: str) -> None:
    *sides, words = CONFLICTS[name]
    ours, theirs = (changed(side) for side in sides)
    merged = three_way(BASE, ours, theirs)
    assert not merged.clean and merged.source == ours
    assert any(words in conflict for conflict in merged.conflicts), merged.conflicts
    assert not three_way(BASE, theirs, ours).clean


def in_turn(first: Edit, second: Edit) -> str | None:
    """The shipped text with both edits, if each block of the second still stands there once."""
    text = edited(first)
    for old, new in second:
        if text.count(old) != 1:
            return None
        text = text.replace(old, new)
    return text


def test_two_honest_edits_of_the_shipped_script_merge_into_what_they_make_in_turn() -> None:
    """Where the blocks of both can be applied one after the other; no merge may come to anything else."""
    merges = pairs = 0
    for one, other in PAIRS:
        merged = three_way(SHIPPED, edited(EVERY[one]), edited(EVERY[other]))
        turns = [in_turn(EVERY[one], EVERY[other]), in_turn(EVERY[other], EVERY[one])]
        shas = {normal_sha(text) for text in turns if text is not None}
        assert not (merged.clean and shas) or normal_sha(merged.source) in shas, (one, other)
        merges, pairs = merges + merged.clean, pairs + 1
    assert pairs > 40 and merges >= 0.93 * pairs, (merges, pairs)
