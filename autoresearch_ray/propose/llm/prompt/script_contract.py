"""The part of a script's prompts that never changes within a run: what is run and scored, what may change, the format.

Beside `contract.py`, which says it of our own contract. What it says of the answer is what `answer.py` and `edits.py`
read, and what it says of rules is what `candidate/rules/` checks.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from textwrap import fill

from autoresearch_ray.candidate.ranges import KINDS
from autoresearch_ray.propose.llm.prompt.contract import DATA, INDEPENDENT, LEFT_OUT
from autoresearch_ray.propose.llm.prompt.view import Form, ScriptView
from autoresearch_ray.records.source_files import heading
from autoresearch_ray.settings.score_words import GAIN_DIGITS, write_number

WIDTH = 118
SYSTEM = """\
You improve a program. Your ideas are run as experiments, many side by side, and
{scored}. You are asked again and again; each time you see what the owners of this
search wrote, the files that may change as they stand now, and what was tried so far with its results.

# The script

{script}

# How results are judged

{judged}
- Scores are noisy. The noise of one run is given as a standard deviation (sd); differences below one sd say nothing.
- A promising result is run again{another_seed} before the files (the "frontier") take it, and the frontier is proven
  against the best in side-by-side runs. A lucky run wins nothing.

# Knobs

A constant whose comment ends in a range is a knob, and an automatic tuner searches knobs all the time. It stands on a
line of its own, outside of functions, and its comment is written as its language writes comments:

{examples}

{ranges}

# What is refused before it runs

- files added, removed or renamed: these files are all that may change, and each of them stays
- text with an error of syntax, as far as its language is known here
- a comment or `...` in the place of code{left_out}
- files that do the same as some that were tried: other comments, formatting or ranges are no change

Nothing else is tried beforehand: a mistake costs a whole trial. Check names, types and sizes before you answer.

# A good idea

- One change with one reason, small enough to see why it won or lost. No bundles of unrelated changes.
- It says what limits the score now, and why this change eases that.
- It knows the results: it goes on from what worked, combines what won apart, and leaves what failed three times or is
  in flight.
- It changes what a tuner cannot: method, algorithm, data structures, representation, order of work, numerics, speed.
  Known results from the literature count if they fit these sizes and this time.{independent}
- It keeps the style of the files: constants with their meaning, short functions, no dead code, no logging.

"""

RANGES = """\
Ranges are {kinds}. A third number of int and log_int is a step: give one for what the program rounds. The value is a
literal inside the range, and no two files have a knob of one name. Do not spend ideas on values of knobs that
exist: the tuner does that. But give each new number that matters a knob of its own, with your best first value, so that
the tuner goes on where you stop.
"""
FIELDS = """\
For each idea: a line `<idea 1>` (2, 3 ...), `hypothesis:` in one or two sentences, which become the commit message,
`expected:` with the change of {name} that you expect ({sign}), the edits, and a line `</idea>`. An edit is
"""
BLOCKS = """\
SEARCH is copied from the text below: whole lines, same indentation, and enough of them to occur only once{once}, seldom
more than five. To insert, repeat the line before or after the new ones. To delete, leave the lower part empty. Blocks
apply in order.{headings} Only if more than half of a file changes, give that whole file instead, in one code
block{whole}.
"""
OWN_WORD = """\
The script says its score itself. How it is computed, on what and from what is not yours to change, though it may stand
in a file that you edit: a better number from the same work is no idea. People read the diff of every win.
"""

EDITS = """\
# The format of your answer

{fields}

    <<<<<<< SEARCH
    lines of a file, exactly as they stand there
    =======
    the lines that take their place
    >>>>>>> REPLACE

{blocks}
Think as much as you like before the first `<idea`; between the ideas write nothing. An example of the format, not of
what to propose, for a script that is not yours:

<idea 1>
hypothesis: Half of the time goes into sorting rows that are read once; a heap gives the few that are needed.
expected: {example}
<<<<<<< SEARCH
    rows.sort()
    best = rows[:KEPT]
=======
    best = heapq.nsmallest(KEPT, rows)
>>>>>>> REPLACE
<<<<<<< SEARCH
import json
=======
import heapq
import json
>>>>>>> REPLACE
</idea>
"""

FOLDER = """\
# How you work

You edit these files in your folder, and end: {files}. One change with one reason; the files as you leave
them are your idea, whole and ready to run. Files that you add are not taken. You have no other program, no network and
no second try at a measurement: read, think, edit.

Your last message is one or two lines, and nothing else:

    hypothesis: why it helps, in one or two sentences, which become the commit message
    expected: {example}

{expected} If you find nothing that is worth a trial, change nothing and say why.
"""

EXAMPLES = {
    ".py": "LEARNING_RATE = 0.1  # step of the fit; search log(0.01, 1.0)",
    ".c": "#define BLOCK 64  // rows that are read at once; search log_int(8, 512)",
    ".yaml": "depth: 4  # of each tree; search int(1, 12)",
}
LIKE = {".c": (".h", ".cc", ".cpp", ".hpp", ".cu", ".cuh"), ".yaml": (".yml", ".toml", ".ini", ".cfg", ".sh", ".r")}


def script_system_text(experiment: ScriptView, complexity_price: float, form: Form = "edits") -> str:
    """The system part of every prompt of a script's run, for models that answer in this form."""
    kinds = ", ".join(f"`{kind}(...)`" if kind == "choice" else f"`{kind}(low, high)`" for kind in KINDS)
    is_seeded = experiment.seeding[0] not in ("fixed", "measurement")
    system = SYSTEM.format(
        scored=_tell_scorer(experiment),
        script="\n\n".join(map(_wrap, _describe(experiment))),
        judged=_tell_price(experiment, complexity_price),
        another_seed=" with another seed" if is_seeded else "",
        examples="\n".join(f"    {example}" for example in _choose_examples(experiment)),
        ranges=_wrap(RANGES.format(kinds=kinds)),
        left_out=LEFT_OUT if form == "edits" else "",
        independent=INDEPENDENT.replace("the script as shown", "the files as shown") if form == "edits" else "",
    )
    return system + _format_text(experiment, complexity_price, form) + "\n" + DATA


def _wrap(text: str, indent: str = "") -> str:
    """A text wrapped into lines, none broken within a word: a word may be a path."""
    return fill(" ".join(text.split()), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _tell_scorer(experiment: ScriptView) -> str:
    return {
        "harness": "measured from outside by a harness",
        "judge": "scored by a judge in a process of its own",
        "script": "scored by what the script itself prints",
    }[experiment.scoring.by]


def _describe(experiment: ScriptView) -> Iterator[str]:
    """A paragraph each on what is run, what may change, the score and the limits."""
    scoring = experiment.scoring
    files = ", ".join(f"`{path}`" for path in experiment.editable)
    only = len(experiment.editable) == 1
    yield (
        f"Every trial runs `{experiment.command}` in a fresh copy of its folder. "
        + (f"{files} is the only file that may change. " if only else f"These files may change: {files}. ")
        + "You see it below. " * only
        + f"You see them below, each under a line that names it, such as `{heading(experiment.editable[0]).strip()}`; "
        "such a line belongs to no file. "
        * (not only)
        + "All other files of the folder are read-only: they are there when it runs, and a run that changes one of "
        "them is invalid. Nothing that a run writes is there in the next one."
    )
    unit = f" in {scoring.unit}" if scoring.unit else ""
    judged = (
        f" The judge has data of its own, which the script never sees; it reads "
        f"{', '.join(f'`{path}`' for path in experiment.artefacts)}, which a run has to leave."
        if scoring.by == "judge"
        else ""
    )
    score = f"Its score is `{scoring.name}`{unit}, and {scoring.direction} is better."
    yield f"{score} It is {experiment.read_from}.{judged}"
    if scoring.by == "script":
        yield OWN_WORD
    for name, limit in experiment.limits:
        yield f"`{name}` has to be {limit}. A run outside of this limit is invalid, whatever its score."
    yield (
        f"A run takes about {experiment.budget_seconds:g} s. After {experiment.time_limit:g} s it is ended and counts "
        "as a failure, with everything that it started. Its memory is limited as well, and more than that ends it. "
        f"There is no network.{_tell_data(experiment)}"
    )
    yield _tell_seed(experiment)


def _tell_data(experiment: ScriptView) -> str:
    if not experiment.data:
        return ""
    return f" Beside its folder it may read {', '.join(f'`{path}`' for path in experiment.data)}."


def _tell_seed(experiment: ScriptView) -> str:
    how, name = experiment.seeding
    return {
        "injected": (
            "Every run has a seed of its own: the harness shifts the seeding of random, numpy and torch in its "
            "process. Seeds that are set in the files stay as they are, and no idea is about a seed."
        ),
        "environment": (
            f"Every run gets a seed in the environment variable `{name}`. Whatever is random follows from it; nothing "
            "is seeded otherwise, and no idea is about a seed."
        ),
        "argument": (
            f"Every run gets a seed as the argument `{name}`. Whatever is random follows from it; nothing is seeded "
            "otherwise, and no idea is about a seed."
        ),
        "fixed": (
            "It gets no seed from outside. Seeds that are set in the files stay as they are; no idea is about a seed."
        ),
        "measurement": "It gets no seed: its runs differ by what is measured alone. No idea is about a seed.",
    }[how]


def _tell_price(experiment: ScriptView, price: float) -> str:
    compared = "- An idea is compared with the files that it started from by"
    name = experiment.scoring.name
    if not price:
        return _wrap(f"{compared} {name}. Lines of code cost nothing, but code that earns nothing is not wanted.", "  ")
    sign = "+" if experiment.scoring.direction == "lower" else "-"
    line, twenty = (write_number(amount, None, digits=GAIN_DIGITS) for amount in (price, 20 * price))
    return _wrap(
        f"{compared} J = {name} {sign} {line} * (lines of code); blank lines and comments are free. Twenty lines must "
        f"earn {twenty}; deleting them earns as much.",
        "  ",
    )


def _choose_examples(experiment: ScriptView) -> list[str]:
    suffixes = {PurePosixPath(path).suffix.lower() for path in experiment.editable}
    chosen = [EXAMPLES[kind] for kind in EXAMPLES if suffixes & {kind, *LIKE.get(kind, ())}]
    return chosen or [EXAMPLES[".py"]]


def _format_text(experiment: ScriptView, price: float, form: Form) -> str:
    scoring, only = experiment.scoring, len(experiment.editable) == 1
    sign = f"{scoring.direction} is better, so a gain is {'negative' if scoring.sign == 1 else 'positive'}"
    sign += "; lines are priced apart" if price else ""
    example = "-0.003" if scoring.sign == 1 else "+0.003"
    if form == "folder":
        expected = _wrap(f"`expected` is the change of {scoring.name} that you expect: {sign}.")
        return FOLDER.format(files=", ".join(experiment.editable), example=example, expected=expected)
    name = heading(experiment.editable[0]).strip()
    blocks = BLOCKS.format(
        once="" if only else " in all files together",
        headings="" if only else f" Lines such as `{name}` belong to no file: leave them as they are.",
        whole="" if only else f" below the line that names it, such as `{name}`",
    )
    fields = FIELDS.format(name=scoring.name, sign=sign)
    return EDITS.format(fields=_wrap(fields), blocks=_wrap(blocks), example=example)
