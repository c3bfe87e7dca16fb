"""Ways to say the same request to servers that speak OpenAI's protocol, each of which refuses another part of it.

A way is left for good as soon as a server refuses it, and each step leaves one more, so asking again comes to an end.
"""

import re
from dataclasses import dataclass, replace

USAGE = re.compile(r"stream_options|include_usage")
SYSTEM = re.compile(r"system[ _](role|message|prompt)|role\W{1,3}system|developer instruction")
STREAM = re.compile(r"\bstream(ing|ed)?\b")
NOT_TAKEN = (400, 422)
FAILED = range(500, 600)  # a chat template that raises


@dataclass(frozen=True, slots=True)
class Way:
    """How a request is said."""

    limits: tuple[str, ...]  # names of the answer's limit that were not refused yet; the first is used
    counts: bool = True  # ask for the tokens of a streamed answer
    system: bool = True  # the contract in a system message, else at the head of the user's first
    stream: bool = True

    def describe(self) -> str:
        """The way in words."""
        parts = {"its counts": self.counts, "a system message": self.system, "streaming": self.stream}
        without = [name for name, there in parts.items() if not there]
        return f"with {self.limits[0]}" + (f" and without {', '.join(without)}" if without else "")


def next_way(way: Way, status: int, message: str, param: str) -> Way | None:
    """The way to ask after this refusal; None when it is about something else."""
    said = f"{param} {message}".lower()
    if way.system and status in (*NOT_TAKEN, *FAILED) and SYSTEM.search(said):
        return replace(way, system=False)
    if status not in NOT_TAKEN:
        return None
    if len(way.limits) > 1 and re.search(rf"\b{way.limits[0]}\b", said):
        return replace(way, limits=way.limits[1:])
    if way.stream and way.counts and USAGE.search(said):
        return replace(way, counts=False)
    if way.stream and STREAM.search(said):
        return replace(way, stream=False)
    return None
