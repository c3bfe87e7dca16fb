"""Honest candidates: the shipped one, edits of it, and texts in other styles."""

import re
from pathlib import Path

from styles import STYLES

HERE = Path(__file__).parent
SHIPPED = (HERE.parents[2] / "experiments" / "train.py").read_text()
BLOCK = re.compile(r"^<<<\n(.*?)\n===\n(.*?)\n?>>>$", re.MULTILINE | re.DOTALL)

Edit = list[tuple[str, str]]  # what stands in the shipped text once, and what takes its place


def edits(path: Path) -> dict[str, Edit]:
    """The edits of a file, by their names."""
    _, *parts = re.split(r"^## ", path.read_text(), flags=re.MULTILINE)
    return {part.partition("\n")[0]: BLOCK.findall(part) for part in parts}


def edited(edit: Edit) -> str:
    """The shipped candidate with an edit."""
    text = SHIPPED
    for old, new in edit:
        assert text.count(old) == 1, f"stands {text.count(old)} times in experiments/train.py: {old}"
        text = text.replace(old, new)
    return text


def honest() -> dict[str, str]:
    """By name, the whole text."""
    every = edits(HERE / "model_edits.txt") | edits(HERE / "training_edits.txt")
    return {"as shipped": SHIPPED} | {name: edited(edit) for name, edit in every.items()} | STYLES
