"""Each rule about candidates has a text that breaks it, and texts that do not."""

import random
from pathlib import Path

import pytest
from candidates import TRAIN
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_ray.candidate.knobs import read_knobs, set_constants
from autoresearch_ray.candidate.rules import Checked, check_candidate
from autoresearch_ray.common.errors import CandidateError

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
    "constants that are made": "LOW = float('-inf')\nHALF = math.sqrt(0.25)\nSIZES = tuple(range(3))\n",
    "decorators of Python and torch": "class C:\n    @property\n    def a(self): return 1\n    @a.setter\n"
    "    def a(self, value): self._a = value\n    @torch.no_grad()\n    def b(self): pass\n"
    "    @staticmethod\n    def c(x: int, y: 'int | None' = None) -> int: return x\n",
    "attributes of its own": "class C:\n    def set(self, i, name='x'):\n        self._count = 1\n"
    "        setattr(self, f'h{i}', getattr(self, f'h{i - 1}', None))\n        object.__setattr__(self, 'y', 2)\n"
    "        print(self.__class__.__name__, self.__dict__, self._count)\n",
    "names of builtins as its own": "class C:\n    def forward(self, input, vars=None):\n        dir = input\n"
    "        return dir, vars\ndef compile(model): return model\ndef g(model): return compile(model)\n",
    "functions in a table": "ACTS = {'relu': torch.relu, 'tanh': torch.tanh}\ndef act(name, x): return ACTS[name](x)\n",
    "parameters that are changed": "def step(params, lr):\n    for p in params:\n        p.data.mul_(1 - lr)\n"
    "        p.grad = None\n        p.label = 'a'\n    params[0].data[0] = 1\n    del params[0].label\n",
    "torch under other names": "from torch.nn import functional as fun, Module\nact = fun.relu\n"
    "class M(Module): pass\n",
    "settings of torch": "def f():\n    torch.backends.cudnn.benchmark = True\n"
    "    torch._dynamo.config.cache_size_limit = 64\n"
    "    torch.compile(f, options={'max_autotune': True})\n    torch.set_float32_matmul_precision('high')\n",
    "hooks on its own modules": "def f(model):\n    model.register_forward_hook(lambda m, a, out: out)\n"
    "    model.forward = torch.compile(model.forward)\n    return hasattr(torch, 'compile'), model._orig_mod\n",
    "seeds of the task's": "def f(task, seed=None):\n    seed = task.seed if seed is None else seed\n"
    "    torch.manual_seed(seed + 1)\n    random.Random(task.seed)\n"
    "    torch.Generator().manual_seed(int(seed) % 2**31)\n",
    "seeds that are passed on": "def setup(seed=0, *, more=0): torch.manual_seed(seed + more)\n"
    "def f(task):\n    setup(task.seed, more=1)\nclass A:\n    def reset(self, seed=0): torch.manual_seed(seed)\n",
    "the task's contract": "def f(task):\n    clock = task.clock\n    rows = task.batches\n    task.report(0.5)\n"
    "    return clock.progress, clock.seconds_left, task.device.type, next(rows(4)), task.amp_dtype\n",
    "helpers with defaults": "def f(x, eps=1e-7, *, dtype=torch.float32): return x\n",
}


@pytest.mark.parametrize("source", BROKEN, ids=range(len(BROKEN)))
def test_a_candidate_that_breaks_a_rule_is_refused_with_the_reason(source: str) -> None:
    with pytest.raises(CandidateError, match=BROKEN[source]):
        check_candidate(source)


@pytest.mark.parametrize("what", SOUND)
def test_a_candidate_may_hold(what: str) -> None:
    check_candidate(f"{TRAIN}import math\nimport random\n{SOUND[what]}")


SHIPPED = (Path(__file__).parents[2] / "experiments" / "train.py").read_text()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_tuner_makes_of_the_shipped_candidate_keeps_the_rules(seed: int) -> None:
    rng = random.Random(seed)
    values = {knob.name: knob.range.from_unit(rng.random()) for knob in read_knobs(SHIPPED)}
    check_candidate(set_constants(SHIPPED, values))


LINES = [*SHIPPED.splitlines(keepends=True), *TRAIN.splitlines(keepends=True), *(f"    {text}\n" for text in SOUND)]


@given(st.integers(0, len(SHIPPED)), st.integers(0, 40), st.lists(st.sampled_from(LINES), max_size=3))
def test_a_text_that_is_cut_and_patched_is_sound_or_a_candidate_error(at: int, cut: int, put: list[str]) -> None:
    try:
        check_candidate(SHIPPED[:at] + "".join(put) + SHIPPED[at + cut :])
    except CandidateError as error:
        assert str(error) and "\n" not in str(error)


def test_the_program_counts_towards_the_length() -> None:
    check_candidate(TRAIN, program_lines=630 - len(TRAIN.splitlines()))
    with pytest.raises(CandidateError, match="at most 630"):
        check_candidate(TRAIN, program_lines=631 - len(TRAIN.splitlines()))


def test_train_may_have_more_parameters_that_have_defaults() -> None:
    check_candidate("def train(task, verbose=False, *, n=3):\n    return None\n")


def test_a_text_with_other_numbers_is_valid_and_one_out_of_range_or_with_other_words_is_looked_at() -> None:
    rules = Checked()
    rules.check(TRAIN, 0)
    rules.check(set_constants(TRAIN, {"MATRIX_LR": 0.061, "DEPTH": 5}), 0)
    with pytest.raises(CandidateError, match=r"knobs: line .*DEPTH = 99"):
        rules.check(TRAIN.replace("DEPTH = 4", "DEPTH = 99"), 0)
    with pytest.raises(CandidateError, match=r"strings: .*__class__"):
        rules.check(TRAIN + 'WORDS = "__class__"\n', 0)
    rules.check(TRAIN + 'WORDS = "class"\n', 0)
    with pytest.raises(CandidateError, match=r"strings: .*__class__"):
        rules.check(TRAIN + 'WORDS = "__class__"\n', 0)
    with pytest.raises(CandidateError, match="length"):
        rules.check(TRAIN, 630)
