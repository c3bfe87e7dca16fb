"""A refusal because prompt or answer is too long: recognised by the servers' own words, with the limit that they name.

The words are those of OpenAI, Anthropic, Gemini, vLLM, llama.cpp, LM Studio, DeepSeek and Groq, as public reports quote
them.
"""

import re
from collections.abc import Collection

from autoresearch_ray.common.errors import TooLongError

KINDS = {"context_length_exceeded", "exceed_context_size_error"}
TOO_LONG = re.compile(
    r"context (length|window|size|limit)|context of this model|prompt is too long|input token count|request too large|"
    r"max(_completion|_output)?_tokens\W.{0,60}(too large|valid range|less than or equal| > )|"
    r"completion tokens, whereas",
    re.IGNORECASE | re.DOTALL,
)
NUMBER = r"[`'\[(]?(\d{3,}(?:,\d{3})*)[`'\])]?"
ANSWER = [  # the answer alone is limited
    re.compile(rf"at most {NUMBER} (?:completion|output) tokens"),
    re.compile(rf" > {NUMBER}, which is the maximum allowed number of output tokens"),
    re.compile(rf"valid range of max_tokens is \[1, ?{NUMBER}"),
    re.compile(rf"less than or equal to {NUMBER}, the maximum value for .?max"),
]
WINDOW = [  # prompt and answer together are limited
    re.compile(rf" > {NUMBER}"),
    re.compile(rf"maximum number of tokens allowed {NUMBER}"),
    re.compile(rf"limit {NUMBER}, requested", re.IGNORECASE),  # a limit per minute that one request would exceed
    re.compile(rf"context[^.\d]{{0,60}}?{NUMBER}", re.IGNORECASE),
]

PROMPT = [
    re.compile(rf"{NUMBER} (?:in the messages|prompt\b|input tokens)"),
    re.compile(rf"(?:input token count|request|prompt is too long:) {NUMBER}"),
    re.compile(rf"{NUMBER} \+ \d+ > "),
]


def too_long(who: str, status: int, kinds: Collection[str], message: str) -> TooLongError | None:
    """The error, if the provider's kinds or words mean that something is too long; else None."""
    if status not in (400, 413, 422, 500) or not (KINDS & set(kinds) or TOO_LONG.search(message)):
        return None
    answer = _first(ANSWER, message)
    window = None if answer else _first(WINDOW, message)
    said = f"{who}: prompt and answer are too long for the model ({status}): {message}"
    return TooLongError(said, None, None, window, answer, _first(PROMPT, message))


def _first(patterns: list[re.Pattern[str]], text: str) -> int | None:
    found = (pattern.search(text) for pattern in patterns)
    return next((int(match[1].replace(",", "")) for match in found if match), None)
