"""A run of a script as prompts see it: two files, one of them C, and an accuracy that should be high."""

import math
from dataclasses import replace

from autoresearch_ray.propose.llm.prompt.past import Past
from autoresearch_ray.propose.llm.prompt.view import Moment, ScriptView, SearchView
from autoresearch_ray.records.decisions import Decision, Standing, Step
from autoresearch_ray.records.source_files import join
from autoresearch_ray.records.trials import Candidate, Kind, Proposal, Purpose, Result, Trial
from autoresearch_ray.settings.scoring import Scoring

FIT = '''\
"""Fits the digits and prints its accuracy."""

import ctypes

RATE = 0.1  # step of the fit; search log(0.01, 1.0)
EPOCHS = 20  # passes over the rows; search int(5, 80)


def fit(rows, labels):
    weights = [0.0] * len(rows[0])
    for _ in range(EPOCHS):
        for row, label in zip(rows, labels):
            error = label - dot(weights, row)
            weights = [w + RATE * error * x for w, x in zip(weights, row)]
    return weights
'''
KERNEL = """\
#define BLOCK 64  // values a step; search log_int(8, 512)

/* The product of two rows. */
double dot(const double *a, const double *b, int size) {
    double sum = 0;
    for (int i = 0; i < size; i++)
        sum += a[i] * b[i];
    return sum;
}
"""
FILES = join((("fit.py", FIT), ("src/dot.c", KERNEL)))
ACCURACY = ScriptView(
    name="digits",
    command="python fit.py",
    editable=("fit.py", "src/dot.c"),
    scoring=Scoring("accuracy", "", "higher", "script"),
    read_from="the number in a line `accuracy: NUMBER` of the output; there has to be exactly one",
    budget_seconds=5.0,
    time_limit=70.0,
    device="AMD EPYC",
    slots=2,
    limits=(("train_seconds", "<= 4"),),
    seeding=("injected", ""),
    data=("/data/digits",),
)
TIME = replace(
    ACCURACY,
    scoring=Scoring("wall_seconds", "s", "lower", "harness"),
    read_from="the seconds of a run, as the harness measures",
    seeding=("measurement", ""),
)
SCORES = (0.9512, 0.9433, 0.9645, math.nan)
SAID = ("the start", "Twice the step gets further in the same passes.", "More passes.", "A blank line.")


def script_view(experiment: ScriptView = ACCURACY, start: str = FILES, price: float = 0.0) -> SearchView:
    """After the start, an idea that lowered the score, one that raised it and is the frontier, and one that failed."""
    others = (start.replace("RATE * error", "2 * RATE * error"), start.replace("EPOCHS = 20", "EPOCHS = 40"))
    texts = {Candidate.of(text).sha: text for text in (start, *others, start + "\n")}
    sign, shas = experiment.scoring.sign, list(texts)
    past = Past(texts.__getitem__, experiment.scoring)
    past.note_step(Step(1, "start", shas[0], "t00001", "b", "the start", "baseline", sign * SCORES[0], "", 0.0))
    for number, (sha, why, score) in enumerate(zip(shas, SAID, SCORES, strict=True), 1):
        kind: Kind = "baseline" if number == 1 else "code"
        purpose: Purpose = "baseline" if number == 1 else "screen"
        expected = sign * 0.02 if number == 2 else math.nan
        proposal = Proposal(f"p{number}", kind, "anthropic:m", sha, shas[0], 1, why, expected_effect=expected)
        past.note_trial(Trial(f"t0000{number}", proposal, purpose, 1, 0.0, seed_number=0))
        error = "" if number < 4 else "Traceback:\nTypeError: dot() takes 3 arguments"
        result = Result(f"t0000{number}", "crash" if error else "ok", val_bpb=sign * score, error=error)
        past.note_result(replace(result, total_seconds=3.21, peak_memory_mb=118.0))
    side = "above" if sign == -1 else "below"
    reason = f"J is expected 0.0079 {side} the frontier's, P(worthwhile) 0.01"
    past.note_decision(Decision("t00002", "discard", reason, 1, 0.0))
    past.note_step(
        Step(2, "advance", shas[2], "t00003", "p3", "More passes.", "anthropic:m", sign * SCORES[2], "", 0.0)
    )
    frontier = Standing(shas[2], sign * SCORES[2] + price * 18, sign * SCORES[2], 18, 2, 0.0)
    best = replace(frontier, source_sha=shas[0], val_bpb=sign * SCORES[0], objective=sign * SCORES[0] + price * 18)
    program = "# Digits\n\nMake the fit more accurate.\n"
    return past.view(Moment(program, experiment, price, 0.4, frontier, best, 0.0031, 6, (), 3))
