"""What a merge would lose or break in silence, although the texts fit beside each other.

Each check compares the merged program with the three that it came from. It names what is wrong in the merge and was
wrong on neither side. In doubt it is a conflict: a wrong merge costs a trial and gives a false result about two ideas.

    statements  each occurs once, in the block where its side has put it
    names       none is used that is gone, or before it has a value; no new name has two meanings
    calls       they fit the definitions; the other side makes no new use of what one side redefined with its uses
    effects     a side's change still makes a difference, also behind `if NAME == ...` of a constant
"""

import ast
from functools import lru_cache

from autoresearch_ray.candidate.merge_calls import call_faults
from autoresearch_ray.candidate.merge_effects import effect_faults
from autoresearch_ray.candidate.merge_names import name_faults
from autoresearch_ray.candidate.merge_statements import statement_faults
from autoresearch_ray.candidate.syntax import TREES, parse
from autoresearch_ray.common.errors import CandidateError


def losses(base: str, ours: str, theirs: str, merged: str) -> tuple[str, ...]:
    """A line each; none where the merge has both changes whole. All but the merged text must parse."""
    try:
        trees = [_tree(text) for text in (base, ours, theirs, merged)]
    except CandidateError as error:
        return (f"the merged text is not valid: {error}",)
    found: list[str] = []
    for faults in (statement_faults, name_faults, call_faults, effect_faults):
        found += faults(*trees)
    return tuple(dict.fromkeys(found))


def idle_values(base: str, ours: str, theirs: str, merged: str) -> tuple[str, ...]:
    """The losses where one side changed the values of constants alone: code that these rule out. All parse."""
    return tuple(effect_faults(*map(_tree, (base, ours, theirs, merged))))


@lru_cache(maxsize=TREES)
def _tree(text: str) -> ast.Module:
    """A text's tree, shared by checks, which do not change it."""
    return parse(text)
