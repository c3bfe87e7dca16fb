"""Each rule about candidates has a text that breaks it, and texts that do not."""

import pytest
from candidates import TRAIN

from autoresearch_ray.errors import CandidateError
from autoresearch_ray.propose.rules import check_candidate

BROKEN = {
    "x = (\n": "line 1",
    "x = 1\n": "no definition of train",
    "async def train(task): pass\n": "expected `def train",
    "def train(): pass\n": "expected `def train",
    "def train(task, model): pass\n": "expected `def train",
    "def train(task, *, n): pass\n": "expected `def train",
    "train = 3\n": "no definition of train",
    "def train(task): pass\n\ndef train(task): pass\n": "line 3",
    TRAIN + "print('hello')\n": "Expr runs at import",
    TRAIN + "torch.backends.x = True\n": "Assign runs at import",
    TRAIN + "if True:\n    X = 1\n": "If runs at import",
    TRAIN + "X = open('data')\n": "Call in a constant runs at import",
    TRAIN + "X = (1, [open('data')])\n": "Call in a constant",
    TRAIN + "X = f'{open(1)}'\n": "Call in a constant",
    TRAIN + "X = [i for i in (1, 2)]\n": "ListComp in a constant",
    TRAIN + "class A:\n    print(1)\n": "Expr runs at import",
    TRAIN + "class A:\n    class B:\n        X = open('x')\n": "Call in a constant",
    TRAIN + "def f(x=open('data')): pass\n": "Call in the default",
    TRAIN + "X = 1\nX += 1\n": "AugAssign runs at import",
    TRAIN + "try:\n    import x\nexcept ImportError:\n    pass\n": "Try runs at import",
    TRAIN + "KNOB = 3  # search int(4, 8)\n": "outside its range",
    TRAIN + "# more\n" * 600: "length",
}

SOUND = {
    "a type alias": "Pairs = list[tuple[int, int]] | None\n",
    "arithmetic of constants": "HEADS = 4\nWIDTH = 64 * HEADS if HEADS > 2 else -HEADS\n",
    "a lambda": "SCHEDULE = lambda p: max(0.0, 1.0 - p)\n",
    "a dataclass": "from dataclasses import dataclass, field\n@dataclass\nclass C:\n    a: int = 3\n"
    "    b: list = field(default_factory=list)\n    dtype: object = torch.float32\n",
    "names in pairs": "LOW, HIGH = 0.1, 0.9\n",
    "helpers with defaults": "def f(x, eps=1e-7, *, dtype=torch.float32): return x\n",
}


@pytest.mark.parametrize("source", BROKEN, ids=range(len(BROKEN)))
def test_a_candidate_that_breaks_a_rule_is_refused_with_the_reason(source: str) -> None:
    with pytest.raises(CandidateError, match=BROKEN[source]):
        check_candidate(source)


@pytest.mark.parametrize("what", SOUND)
def test_a_candidate_may_hold(what: str) -> None:
    check_candidate(TRAIN + SOUND[what])


def test_the_program_counts_towards_the_length() -> None:
    check_candidate(TRAIN, program_lines=630 - len(TRAIN.splitlines()))
    with pytest.raises(CandidateError, match="at most 630"):
        check_candidate(TRAIN, program_lines=631 - len(TRAIN.splitlines()))


def test_train_may_have_more_parameters_that_have_defaults() -> None:
    check_candidate("def train(task, verbose=False, *, n=3):\n    return None\n")
