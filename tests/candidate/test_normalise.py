"""When two texts are one program, and their length."""

import ast
import re

import pytest
from candidates import TRAIN
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_ray.candidate.normal_form import code_lines, line_diff, normal_sha

SAME = {
    "comments": TRAIN.replace("# of Adam", "# of AdamW"),
    "ranges": TRAIN.replace("log(0.005, 0.2)", "log(0.001, 0.5)"),
    "docstrings": TRAIN.replace('    """One block."""\n\n', "").replace("A candidate.", "Another."),
    "formatting": TRAIN.replace("total = total + part * x", "total = (total +\n            part*x)"),
    "spelling of numbers": TRAIN.replace("1e-8", "0.00000001"),
    "names of locals": re.sub(r"\bloss\b", "value", TRAIN),
    "names in loops": TRAIN.replace("part", "piece"),
    "names in comprehensions": TRAIN.replace("[total for total in (total,)]", "[t for t in (total,)]"),
    "order of constants": TRAIN.replace("EPS = 1e-8            # of Adam\n", "").replace(
        "DEPTH = 4 ", "EPS = 1e-8\nDEPTH = 4 "
    ),
    "pass and bare strings": TRAIN.replace("    return model\n", "    pass\n    'done'\n    return model\n"),
    "all of it at once": ast.unparse(ast.parse(TRAIN)),
}

DIFFERENT = {
    "a value": TRAIN.replace("0.04 ", "0.05 "),
    "a type": TRAIN.replace("DEPTH = 4 ", "DEPTH = 4.0 "),
    "a parameter's name": TRAIN.replace("(self, x)", "(self, z)"),
    "a constant's name": TRAIN.replace("EPS", "EPSILON"),
    "an operator": TRAIN.replace("total + part", "total - part"),
    "an attribute": TRAIN.replace(".mean()", ".sum()"),
    "another local": TRAIN.replace("return model", "return batch"),
    "order of statements": TRAIN.replace("        loss.backward()\n", "").replace(
        "        loss = model", "        loss.backward()\n        loss = model"
    ),
    "a method's name": TRAIN.replace("def forward", "def backward"),
    "a class attribute": TRAIN.replace("scale", "scales"),
}


@pytest.mark.parametrize("what", SAME)
def test_the_sha_looks_through(what: str) -> None:
    assert SAME[what] != TRAIN
    assert normal_sha(SAME[what]) == normal_sha(TRAIN)


@pytest.mark.parametrize("what", DIFFERENT)
def test_the_sha_sees(what: str) -> None:
    assert DIFFERENT[what] != TRAIN
    assert normal_sha(DIFFERENT[what]) != normal_sha(TRAIN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(a):\n x = a\n return y", "def f(a):\n y = a\n return y"),
        ("def f():\n x = 1\n def g():\n  return x\n return g", "def f():\n x = 1\n def g():\n  return y\n return g"),
        ("def f():\n x = 1\n def g():\n  global x\n  x = 2", "def f():\n y = 1\n def g():\n  global y\n  y = 2"),
        ("def f():\n x = 1\n return locals()", "def f():\n y = 1\n return locals()"),
        ("def f():\n x = 1\n class A:\n  x = x", "def f():\n y = 1\n class A:\n  y = y"),
        ("A = 1\nB = A\nA = 2", "A = 2\nB = A\nA = 1"),
        ("A = 1\nB = A\nA = 2", "A = 1\nA = 2\nB = A"),
        ("x = 1\ndef f():\n return [x for x in x]", "x = 1\ndef f():\n return [y for y in y]"),
        ("def f():\n import x\n return x", "def f():\n import y\n return y"),
        ("A = f()\nB = g()", "B = g()\nA = f()"),
        ("A: int = 1\nB = 2", "A: float = 1\nB = 2"),
        ("class A:\n x: int = 1\n y: int = 2", "class A:\n y: int = 2\n x: int = 1"),
        ("def f():\n def g():\n  nonlocal x\n  x = 2\n x = 1", "def f():\n def g():\n  x = 2\n x = 1"),
        ("def f(x):\n class A:\n  x = x\n return A", "def f(x):\n class A:\n  y = x\n return A"),
        ("def f():\n x = 1\n return lambda x: x", "def f():\n x = 1\n return lambda z: x"),
    ],
)
def test_programs_that_differ_have_different_shas(one: str, other: str) -> None:
    assert normal_sha(one) != normal_sha(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f():\n x = 1\n def g():\n  nonlocal x\n  x = 2", "def f():\n y = 1\n def h():\n  nonlocal y\n  y = 2"),
        ("def f(a):\n x = 1\n return lambda a: a + x", "def f(a):\n y = 1\n return lambda a: a + y"),
        ("A = 1\nB = 2\nC = A + B", "B = 2\nA = 1\nC = A + B"),
        ("A: float = 1.0\nB = [1, 2]\nC = {'a': B}", "B = [1, 2]\nC = {'a': B}\nA: float = 1.0"),
        ("A = torch.float16\nB = 1 if A else 2\nC = not A", "A = torch.float16\nC = not A\nB = 1 if A else 2"),
        ("def f():\n try:\n  g()\n except E as e:\n  h(e)", "def f():\n try:\n  g()\n except E as x:\n  h(x)"),
        ("def f(v):\n match v:\n  case [a, *b]:\n   g(a, b)", "def f(v):\n match v:\n  case [c, *d]:\n   g(c, d)"),
        ("def f(v):\n return {k: w for k, w in v}", "def f(v):\n return {a: b for a, b in v}"),
        ("def f(v):\n if any((h := w) for w in v):\n  g(h)", "def f(v):\n if any((k := x) for x in v):\n  g(k)"),
        ("def f():\n x = 1\n return [x for y in g(x) if x]", "def f():\n z = 1\n return [z for x in g(z) if z]"),
    ],
)
def test_renaming_follows_the_scopes_of_python(one: str, other: str) -> None:
    assert normal_sha(one) == normal_sha(other)


@given(st.permutations(range(8)))
def test_the_order_of_the_constants_is_free(order: list[int]) -> None:
    lines = TRAIN.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith("MATRIX_LR"))
    block = lines[first : first + 8]
    shuffled = "".join([*lines[:first], *(block[i] for i in order), *lines[first + 8 :]])
    assert normal_sha(shuffled) == normal_sha(TRAIN)


def test_blank_lines_comments_and_docstrings_are_free() -> None:
    source = '"""Doc\n\nstring."""\n\n# comment\nx = 1  # why\n\n\n'
    source += 'def f(\n    a,\n):\n    """Doc."""\n    return """\n\n"""\n'
    assert code_lines(source) == 7
    assert code_lines(TRAIN) == code_lines(ast.unparse(ast.parse(TRAIN)))
    assert code_lines("") == 0


def test_code_beside_a_docstring_counts() -> None:
    assert code_lines('def f(): "doc"; return 1\n') == 1
    assert code_lines('def f():\n    "doc"; x = 1\n    return x\n') == 3


def test_statements_that_share_a_line_count_each() -> None:
    assert code_lines("a = 1; b = 2; c = 3\n") == 3
    assert code_lines("def f(x):\n    if x: y = 1; z = 2\n    else: y = z = 3\n    return y, z\n") == 5


def test_the_diff_counts_lines() -> None:
    assert line_diff("a\nb\nc\n", "a\nx\ny\nc\n") == (2, 1)
    assert line_diff(TRAIN, TRAIN) == (0, 0)
