"""The rules about what is not the candidate's own: it may be used, not changed; and of `task` only its contract."""

import ast
from collections.abc import Iterator

from autoresearch_ray.candidate.rules.modules import SETTINGS, words
from autoresearch_ray.candidate.rules.name_flow import Reading, refusal

TASK = words("vocab_size seq_len device amp_dtype seed warmup_batches batches clock report steps tokens")
CLOCK = words("progress seconds_left elapsed budget_seconds started")


def check_foreign(reading: Reading) -> None:
    """No attribute or item of a module, of another's class or of the task is assigned or deleted."""
    for node, base, name in _changes(reading):
        for path in reading.paths(base):
            whole = f"{path}.{name}" if name else path
            if path.endswith("[]") or whole in SETTINGS:
                continue
            if path == "builtins.type()":
                raise refusal("foreign", node, f"{name} of some type is changed; change a class of your own")
            raise refusal("foreign", node, f"{whole} is not yours to change; write a class or function of your own")


def check_task(reading: Reading) -> None:
    """Only the parts of the task and its clock that the contract names are used."""
    for use in reading.uses():
        for path in reading.paths(use.base):
            if path == "task" and use.name not in TASK:
                raise refusal("task", use.node, f"task.{use.name} is not in the contract; task has {_join(TASK)}")
            if path == "task.clock" and use.name not in CLOCK:
                raise refusal(
                    "task", use.node, f"task.clock.{use.name} is not in the contract; the clock has {_join(CLOCK)}"
                )


def _join(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _changes(reading: Reading) -> Iterator[tuple[ast.expr | ast.pattern, ast.expr | None, str]]:
    """(where, whose, attribute) of everything that is assigned or deleted; no attribute for an item."""
    for use in reading.uses():
        if use.stored:
            yield use.node, use.base, use.name
    for node in reading.nodes:
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield node, node.value, ""
