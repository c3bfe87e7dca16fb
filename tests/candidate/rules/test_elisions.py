"""A comment that stands for code is refused, however it says so; honest ones with three dots are not."""

import pytest
from honest import SHIPPED
from tricks import CANDIDATE

from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.common.errors import CandidateError

# As models of several makers write them; the first four are from runs.
ELISIONS = """\
# ... value embeddings unchanged ...
# ... rest unchanged ...
# ... existing smear code ...
# ... (rest of the code remains the same)
# ...
# \N{HORIZONTAL ELLIPSIS}
# ... existing code ...
# {{ ... existing code ... }}
# [... unchanged ...]
# --- existing code ---
# ...rest of the optimiser...
# ... same as before
# ... other methods
# rest of the forward pass ...
# (rest of the function is unchanged)
# Rest of the code remains the same.
# The rest of the training loop stays as is
# remainder of the file omitted for brevity
# Remaining code unchanged
# same code as above
# existing attention code here
# [previous code omitted]
# code omitted for brevity
# Everything else stays the same
# all other functions unchanged
# attention implementation unchanged
# unchanged
# no changes here
# same as before
# <snip>
# your code here
# implementation goes here
# TODO: implement
pass  # ... rest unchanged ...
y = 0  # ... rest of the schedule ...
# The schedule:
# ...
# ... the rest of the schedule
# is as it was ..."""
HONEST = """\
# betas, eps, weight decay, ...
# 1, 2, 4, ... doublings of the batch
# x[..., :half] is the first half
# (..., T, V)
# ..., then the head
# Wait ... the norm comes first
# the same for the other heads: q, k and v share it...
# ...and the second half of the sentence that began above
# the rest of the parameters
# AdamW for the rest
# the rest goes to AdamW ...
# keeps the scale unchanged under bf16
# same shape as x
# as in the paper
# gradients are skipped where they are not finite
# code from https://example.org, kept as it is there for comparison
# TODO: try a longer warm-up
# MATRIX_LR = ...
# existing momentum is carried over
# same as before the warm-up
Y = (0,)  # ...
Z = 0  # unchanged"""


def elisions() -> list[str]:
    """Each form, of one line or of several."""
    *single, one, two, three, four = ELISIONS.splitlines()
    return [*single, f"{one}\n    {two}", f"{three}\n    {four}"]


@pytest.mark.parametrize("comment", elisions())
def test_a_comment_in_the_place_of_code_is_refused(comment: str) -> None:
    with pytest.raises(CandidateError, match=r"^elisions: line .* write the code out"):
        check_candidate(CANDIDATE.format(outside="", inside=f"    {comment}"))


@pytest.mark.parametrize("comment", HONEST.splitlines())
def test_an_honest_comment_is_not(comment: str) -> None:
    check_candidate(CANDIDATE.format(outside=f"{comment}\nX = 1", inside=f"    {comment}"))


def test_a_body_that_is_a_comment_alone_is_refused_for_that() -> None:
    body = SHIPPED[SHIPPED.index("def lr_factor(") : SHIPPED.index("def train(")]
    head = body.partition(":\n")[0]
    with pytest.raises(CandidateError, match=r"^elisions: line"):
        check_candidate(SHIPPED.replace(body, f"{head}:\n    # ... unchanged ...\n\n\n"))


def test_a_method_without_a_body_may_be_dots() -> None:
    holder = "class A(typing.Protocol):\n    def f(self): ...\nclass B:\n    @abc.abstractmethod\n    def f(self): ..."
    check_candidate(
        CANDIDATE.format(outside=f"import abc\nimport typing\n{holder}\nX: tuple[int, ...] = ()", inside="")
    )
    with pytest.raises(CandidateError, match=r"^elisions: line .*or say `pass`"):
        check_candidate(CANDIDATE.format(outside="def f(): ...", inside=""))
