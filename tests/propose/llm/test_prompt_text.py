"""Foreign text in prompts, and how many tokens a text is."""

import hashlib
import tempfile
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from pasts import PROGRAM, TRAIN

from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.prompt import tokens
from autoresearch_ray.propose.llm.prompt.tokens import estimate, token_count
from autoresearch_ray.propose.llm.prompt.untrusted import fence_source, quote_end

PIECES = [*"ab `|#<>\n\r\t\v\f\0\x85\u2028\u202e\ud800é漢", "```", "````", "\x1b[31m", "\r\n", "word"]
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=100).map("".join)


@given(HOSTILE, st.integers(1, 80))
def test_one_line_is_one_printable_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable() and len(line) <= limit and line == line.strip()


@given(HOSTILE, st.integers(1, 6), st.integers(1, 100))
def test_output_is_quoted_line_by_line(text: str, lines: int, characters: int) -> None:
    quoted = quote_end(text, lines, characters)
    rows = quoted.splitlines()
    assert len(rows) <= lines
    assert all(row.startswith("| ") and row.isprintable() for row in rows)
    assert sum(len(row) - 2 for row in rows) <= characters


def test_of_long_output_the_end_is_quoted() -> None:
    text = "\n".join(f"line {number}" for number in range(100_000)) + "\n\n"
    assert quote_end(text, 2, 1_000) == "| line 99998\n| line 99999"
    assert quote_end("first\n" + "x" * 50 + "end", 9, 10) == "| …xxxxxxend"
    assert quote_end("", 9, 10) == quote_end(" \n\x1b[0m\n", 9, 10) == ""


@given(HOSTILE)
def test_a_fence_is_longer_than_any_in_the_text(text: str) -> None:
    block = fence_source(text, "python")
    opening, *body, closing = block.split("\n")
    fence = opening.removesuffix("python")
    assert set(fence) == {"`"} and closing == fence
    assert fence not in "\n".join(body)
    assert all(character.isprintable() or character in "\n\t" for character in block)


def test_an_ordinary_source_is_shown_as_it_is() -> None:
    assert fence_source(TRAIN, "python") == f"```python\n{TRAIN.rstrip()}\n```"


def test_the_estimate_is_not_below_what_a_real_vocabulary_takes() -> None:
    """Counted once with o200k_base: 3,693 tokens of a train.py of 12,684 bytes, 598 of a program.md of 2,442."""
    for text, bytes_a_token in ((TRAIN, 12_684 / 3_693), (PROGRAM, 2_442 / 598)):
        assert 1.0 <= estimate(text) / (len(text.encode()) / bytes_a_token) < 1.4
    assert estimate("t00041 MATRIX_LR 0.04 -> 0.0264; 1.7104 (-0.0171, 2.3 sd)\n" * 20) >= 680  # o200k_base: 680
    assert estimate("") == 0


@given(st.text(max_size=200), st.text(max_size=200))
def test_parts_are_at_least_the_whole(one: str, other: str) -> None:
    """So that a prompt made of counted parts is not longer than they are together, but for one piece a seam."""
    assert estimate(f"{one}\n{other}") <= estimate(one) + estimate(other) + 3


def test_without_a_vocabulary_on_this_machine_nothing_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = hashlib.sha1(tokens.URL.encode()).hexdigest()
    for folder in ("", str(tmp_path / "nowhere"), str(tmp_path)):
        (tmp_path / name).write_text("damaged")
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", folder)
        tokens._encoding.cache_clear()
        assert token_count(TRAIN) == estimate(TRAIN)
    assert (tmp_path / name).read_text() == "damaged"
    tokens._encoding.cache_clear()


def test_the_vocabulary_is_looked_for_where_tiktoken_keeps_it() -> None:
    """The address and the hash are tiktoken's own, so that what it has fetched once is found."""
    source = Path(tiktoken.__file__).parent.parent / "tiktoken_ext/openai_public.py"
    assert tokens.URL in source.read_text() and tokens.SHA256 in source.read_text()
    loader = (Path(tiktoken.__file__).parent / "load.py").read_text()
    assert '"data-gym-cache"' in loader and "sha1(blobpath" in loader and tempfile.gettempdir()
