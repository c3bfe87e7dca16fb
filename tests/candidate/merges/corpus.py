"""Pairs of edits of experiments/train.py with what must come of them."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

HERE = Path(__file__).parent
SHIPPED = (HERE.parents[2] / "experiments" / "train.py").read_text()
BLOCK = re.compile(r"^<<<\n(.*?)\n===\n(.*?)\n?>>>$", re.MULTILINE | re.DOTALL)
OUTCOMES = ("merges", "conflict", "either")  # either: a merge may be had, but who asks for none is right too
Blocks = list[tuple[str, str]]  # what stands in a text once, and what takes its place

# Where both ideas changed one place: what becomes there of the second, by hand
LIST = ("model.smear_gate, model.residual", "model.residual")
ADAPTED: dict[tuple[str, str], Blocks] = {
    ("copying", "past tokens"): [LIST],
    ("a memory", "past tokens"): [LIST],
    ("a memory beside copying", "past tokens beside copying"): [LIST],
    ("a memory beside copying", "gated copies"): [
        ("self.repeats(tokens))", "self.repeats(tokens, x))"),
        ("def repeats(self, tokens: Tensor)", "def repeats(self, tokens: Tensor, x: Tensor)"),
        (
            "        same = F.pad(",
            "        reader = F.linear(x, self.copy_gates[0]).float() + self.copying  # (B, T, orders)\n"
            "        copied = F.linear(x, self.copy_gates[1]).float()\n"
            "        same = F.pad(",
        ),
    ],
    ("rows of logits", "compiled on a CPU"): [
        ("dummy tokens; only on CUDA, where it pays within the budget.", "dummy tokens before the clock starts."),
        ('if task.device.type != "cuda" or task.clock', "if task.clock"),
    ],
}


@dataclass(frozen=True)
class Pair:
    """Two edits of one text; `together` are the texts that may come of them."""

    name: str
    base: str
    ours: str
    theirs: str
    together: tuple[str, ...]
    outcome: str  # of OUTCOMES


def pairs() -> list[Pair]:
    """All of them."""
    return written() + proposed()


def written() -> list[Pair]:
    """Those of pairs.txt."""
    found = []
    for name, part in _parts(HERE / "pairs.txt"):
        ours, theirs, *rest = re.split(r"^(?:theirs|merges|conflict|either|together)$\n?", part, flags=re.MULTILINE)
        word = re.findall(r"^(?:merges|conflict|either|together)$", part, flags=re.MULTILINE)[-1]
        mine, other = BLOCK.findall(ours), BLOCK.findall(theirs)
        if word == "together":
            made = [changed(SHIPPED, BLOCK.findall(rest[0]))]
        else:
            made = in_turn(SHIPPED, mine, other) if word != "conflict" else []
        outcome = "merges" if word in ("merges", "together") else word
        assert made or outcome != "merges", f"{name}: the blocks cannot be applied one after the other"
        found.append(_pair(name, SHIPPED, mine, other, made, outcome))
    return found


def proposed() -> list[Pair]:
    """Every two ideas of ideas.txt that were, or could have been, proposed for one frontier."""
    ideas = {
        name: (re.search(r"^on: (.*)$", part, re.MULTILINE), BLOCK.findall(part))
        for name, part in _parts(HERE / "ideas.txt")
    }
    found = []
    for frontier in ("", "copying"):
        base = changed(SHIPPED, ideas[frontier][1]) if frontier else SHIPPED
        assert base is not None
        fit = [
            name for name, (on, blocks) in ideas.items() if (on is None or on[1] == frontier) and changed(base, blocks)
        ]
        for one, other in combinations(fit, 2):
            mine, other_blocks = ideas[one][1], ideas[other][1]
            made = in_turn(base, mine, other_blocks)
            if (one, other) in ADAPTED:
                made = [_by_hand(base, mine, other_blocks, ADAPTED[one, other])]
            name = f"{one}, {other}"
            found.append(_pair(name, base, mine, other_blocks, made, "merges" if any(made) else "conflict"))
    return found


def in_turn(base: str, ours: Blocks, theirs: Blocks) -> list[str | None]:
    """The texts after both edits, in either order; None where the second cannot be applied after the first."""
    one, other = changed(base, ours), changed(base, theirs)
    assert one is not None and other is not None
    return [changed(one, theirs), changed(other, ours)]


def changed(text: str, blocks: Blocks) -> str | None:
    """The text with an edit; None if a block does not stand in it once."""
    for old, new in blocks:
        if text.count(old) != 1:
            return None
        text = text.replace(old, new)
    return text


def git_merge(pair: Pair) -> str | None:
    """What git makes of the three texts; None where it finds a conflict."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for path, text in zip(paths, (pair.ours, pair.base, pair.theirs), strict=True):
            path.write_text(text)
        done = subprocess.run(["git", "merge-file", "-p", *paths], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def _pair(name: str, base: str, mine: Blocks, other: Blocks, made: Sequence[str | None], outcome: str) -> Pair:
    ours, theirs = changed(base, mine), changed(base, other)
    assert ours is not None and theirs is not None, f"{name}: a block does not stand in the text once"
    assert outcome in OUTCOMES
    return Pair(name, base, ours, theirs, tuple(text for text in made if text is not None), outcome)


def _by_hand(base: str, mine: Blocks, other: Blocks, adapted: Blocks) -> str:
    text = base
    for old, new in (*mine, *other, *adapted):
        text = text.replace(old, new) if text.count(old) == 1 else text
    assert all(new in text for _, new in adapted)
    return text


def _parts(path: Path) -> list[tuple[str, str]]:
    _, *parts = re.split(r"^## ", path.read_text(), flags=re.MULTILINE)
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]
