"""Texts that differ in the values of constants share one template, and each is read as if it were read alone."""

import random

import pytest
from candidates import TRAIN

from autoresearch_ray.candidate.knobs import constants, read_knobs, set_constants
from autoresearch_ray.candidate.normal_form import code_lines, normal_sha
from autoresearch_ray.candidate.template import split
from autoresearch_ray.common.errors import CandidateError

KNOBS = read_knobs(TRAIN)


def variants(count: int) -> list[str]:
    """The text with other values of its knobs, each made from the one before."""
    rng, texts = random.Random(3), [TRAIN]
    for _ in range(count):
        drawn = {k.name: k.range.from_unit(rng.random()) for k in rng.sample(KNOBS, 3)}
        texts.append(set_constants(texts[-1], drawn))
    return texts


def alone(text: str) -> str:
    """The same program without holes: every literal in brackets."""
    for start, end, _ in reversed(split(text).spans):
        text = f"{text[:start]}({text[start:end]}){text[end:]}"
    return text


def test_hundred_texts_with_other_values_are_read_by_one_template() -> None:
    split.cache_clear()  # of texts that other tests have split, whose template is forgotten
    assert len({id(split(text).template) for text in variants(100)}) == 1


def test_each_text_is_read_as_without_a_template() -> None:
    for text in variants(20):
        assert split(text).spans and not split(alone(text)).spans
        assert (normal_sha(text), code_lines(text)) == (normal_sha(alone(text)), code_lines(alone(text)))
        assert read_knobs(text) == read_knobs(alone(text))
        assert constants(text) == constants(alone(text))


@pytest.mark.parametrize(
    "text",
    [
        'S = """\nA = {}\n"""\n',
        "B = \\\nA = {}\n",
        "def f(x):\n    return x\n\nf(\nx={}\n)\n",
        "A = {}; B = 1\n",
        "A = {} + 1\n",
        "A, B = {}, 1\n",
    ],
)
def test_what_is_no_lone_constant_is_no_hole(text: str) -> None:
    one, two = text.format(1), text.format(2)
    assert split(one).literals == split(two).literals == ()
    assert normal_sha(one) != normal_sha(two)


def test_what_looks_like_a_constant_in_a_docstring_is_none() -> None:
    one, two = (f'"""Words.\nA = {value}\n"""\nB = 1\n' for value in (1, 2))
    assert constants(one) == constants(two) == {"B": 1}
    assert normal_sha(one) == normal_sha(two)


def test_a_literal_that_ends_a_string_is_not_taken_for_one_that_stands_alone() -> None:
    joined = 'S = "a\\\nA = "" # "\n'
    assert constants(joined) == {"S": "aA =  # "}
    assert constants(joined.replace('""', "0")) == {"S": "aA = 0 # "}
    with pytest.raises(CandidateError):
        split(joined.replace('""', '"x"'))


def test_blanks_before_a_comment_do_not_make_another_template_and_the_comment_does() -> None:
    one, two = "A = 1    # of it\n", "A = 0.125  # of it\n"
    assert split(one).template is split(two).template
    assert split(one).template is not split("A = 1  # of that\n").template


@pytest.mark.parametrize("literal", ["-3", "0.5", "1e-05", "True", '"a b"', "'x'"])
def test_plain_literals_fill_a_hole(literal: str) -> None:
    (hole,) = split(f"A = {literal}  # one\n").literals
    assert hole == literal
    assert normal_sha(f"A = {literal}\n") == normal_sha(f"A = ({literal})\n")


@pytest.mark.parametrize("literal", ["10_000", "0x10", "None", '"\\n"', 'u"a"', "(1, 2)", "2**4", "1j", "007.5"])
def test_others_are_part_of_the_template(literal: str) -> None:
    assert split(f"A = {literal}\n").literals == ()
