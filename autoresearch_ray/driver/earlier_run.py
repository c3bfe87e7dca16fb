"""A new run that starts from the best of an earlier one, and knows what that one learned.

found = find_run("runs/monday")            # or STORAGE_URL/TAG; nothing of it is kept here
run = start_from(found, run, say)          # its best as the start, checked as any start is
earlier = know(run, settings, say)         # what the new run's store keeps: scores only where they compare
"""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import ValidationError

from autoresearch_ray.candidate.knobs import constants, read_knobs, set_constants, spell
from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.driver.tables.sources import open_run
from autoresearch_ray.observe import facts
from autoresearch_ray.propose.llm.prompt.earlier_text import tell_lessons
from autoresearch_ray.propose.llm.prompt.past import view_of
from autoresearch_ray.propose.llm.prompt.view import Moment
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.history import EarlierRun, History, KnobScore
from autoresearch_ray.search.models.experiment_view import experiment_view
from autoresearch_ray.settings.experiment import Benchmark
from autoresearch_ray.settings.run_settings import RequestedRun, RunSettings, RunTerms
from autoresearch_ray.settings.score_words import ScoreWords
from autoresearch_ray.settings.scoring import OURS, Direction, Scoring
from autoresearch_ray.settings.script_experiment import ScriptExperiment
from autoresearch_ray.store.connect import read_run

SCORES = 2_000  # latest screens to read: as many as a tuner looks at
LESSONS_FROM = 1_000  # latest trials to take lessons from
WITHOUT_EFFECT = {"name", "candidate", "trials", "overtime_trials"}  # fields of an experiment that no score depends on

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FoundRun:
    """An earlier run whose start was measured."""

    said: str  # how it was named
    history: History
    settings: RunSettings
    start: str  # its text
    best: str  # sha of the proven best; of the start while nothing is proven


def find_run(said: str) -> FoundRun:
    """The run of this folder or storage. SettingsError where there is none to start from, StorageError, StoreError."""
    with open_run(said, "--from-run") as folder:
        history = read_run(folder)
    try:
        settings = RunSettings.model_validate_json(json.dumps(history.settings))
    except ValidationError:
        raise SettingsError(f"--from-run {said}: holds no settings of this version; expected another run") from None
    start, best = facts.start_sha(history), facts.best_sha(history)
    if not facts.best_levels(history):
        raise SettingsError(f"--from-run {said}: its start is not measured yet; let it go on first, or name another")
    if not {start, best} <= history.candidates.keys():
        raise SettingsError(f"--from-run {said}: its store has lost the text of its best; expected another run")
    return FoundRun(said, history, settings, history.candidates[start].text, history.candidates[best].text)


def start_from(found: FoundRun, run: RequestedRun, say: Say) -> RequestedRun:
    """The new run with that best as its start. SettingsError where the best cannot be one."""
    try:
        text = write_constants(found, run, say)
        check_for(run)(text, len(run.program.splitlines()))
        knobs = read_knobs(text)
    except CandidateError as error:
        raise SettingsError(f"--from-run {found.said}: its best: {error}") from None
    if not knobs and not (isinstance(run.experiment, ScriptExperiment) and run.has_models):
        raise SettingsError(f"--from-run {found.said}: its best has no knobs; expected a start that can be tuned")
    return run.replace(baseline=text, from_run=found.said, earlier=_learn(found, run.rules.complexity_price))


def write_constants(found: FoundRun, run: RequestedRun, say: Say) -> str:
    """The best's text as it starts the new run, whose `baseline` is its experiment's own start. CandidateError.

    In another experiment its constants take the values that this one gives them, but for those that the earlier search
    moved away from its own start: these are a part of what it found.
    """
    old, new = found.settings.experiment, run.experiment
    if _describe_experiment(old) == _describe_experiment(new):
        return found.best
    before, best, wanted = constants(found.start), constants(found.best), constants(run.baseline)
    names = [name for name in {**new.constants, **old.constants} if name in wanted]
    others = [name for name in names if name in best and best[name] != wanted[name]]
    kept = [name for name in others if name not in before or before[name] != best[name]]
    written = {name: wanted[name] for name in others if name not in kept}
    lost = [name for name in names if name not in best]
    told = [f"{name} = {spell(value)} is written into it" for name, value in written.items()]
    told += [f"{name} stays {spell(best[name])}, as it was moved there" for name in kept]
    told += [f"{name} is no constant of it" for name in lost]
    if told:
        say(f"constants of experiment {new.name} in the start from {found.said}: {'; '.join(told)}")
    return set_constants(found.best, written)


def know(run: RequestedRun, settings: RunSettings, say: Say) -> EarlierRun | None:
    """The record of the run that this one starts from, for this run's store; None where it starts from none."""
    earlier = run.earlier
    if earlier is None:
        return None
    words = ScoreWords(_scoring_of(earlier.conditions))
    wins = f"{earlier.wins} win{'s' if earlier.wins > 1 else ''}" if earlier.wins else "nothing is proven there yet"
    score = f"{words.name} {words.score(earlier.val_bpb, 'nan')}"
    taken = f"the {'best' if earlier.wins else 'start'} of {run.from_run} ({score}, {wins})"
    differs = "; ".join(_compare(earlier.conditions, describe_conditions(settings)))
    if differs:
        say(f"starts from {taken}; its scores are not told to the tuner, for they do not compare: {differs}")
        return replace(earlier, scores=(), differs=differs)
    count = len(earlier.scores)
    say(f"starts from {taken}; its {count} result{'' if count == 1 else 's'} are known to the tuner")
    return earlier


def describe_conditions(terms: RunTerms) -> dict[str, str]:
    """The conditions of a score, by name: where one differs, scores do not compare."""
    return {
        **_describe_experiment(terms.experiment),
        "data set": terms.dataset_fingerprint[:12],
        "hardware": f"{terms.device} {terms.hardware.get('device', '')} {terms.accelerator}".strip(),
    }


def _scoring_of(conditions: dict[str, str]) -> Scoring:
    """How a run of these conditions scores; those of our contract name no metric."""
    if "metric" not in conditions:
        return OURS
    if conditions["metric"] == OURS.name and conditions.get("contract") == "train":
        return OURS
    way: Direction = "higher" if conditions.get("direction") == "higher" else "lower"
    return Scoring(conditions["metric"].rpartition(":")[2], conditions.get("unit", ""), way, "script")


def _describe_experiment(experiment: Benchmark) -> dict[str, str]:
    return {name: str(value) for name, value in experiment.model_dump(exclude=WITHOUT_EFFECT).items()}


def _compare(there: dict[str, str], here: dict[str, str]) -> Iterator[str]:
    """The differences, in words."""
    for name in {**there, **here}:
        if there.get(name) != here.get(name):
            yield f"{name} {there.get(name) or 'not known'}, here {here.get(name) or 'not known'}"


def _learn(found: FoundRun, price: float) -> EarlierRun:
    history = found.history
    best, step = facts.best_sha(history), facts.best_levels(history)[-1].step
    runs = [facts.score(row) for row in facts.trials_of(history, best)]
    val_bpb = sum(runs) / len(runs) if runs else step.val_bpb
    lines = code_lines(found.best)
    standing = Standing(best, step.val_bpb + price * lines, step.val_bpb, lines, step.index, step.at)
    return EarlierRun(
        tag=found.settings.tag,
        conditions=describe_conditions(found.settings),
        val_bpb=step.val_bpb,
        wins=len(facts.wins(history)),
        objective=val_bpb + price * lines,
        lessons=_tell(found, standing, price),
        scores=tuple(_list_scores(history, price)),
    )


def _list_scores(history: History, price: float) -> Iterator[KnobScore]:
    """The scores of the latest screens, oldest first."""
    is_screen = [row for row in history.rows if row.trial.purpose == "screen" and math.isfinite(facts.score(row))]
    for row in is_screen[-SCORES:]:
        text = history.candidates[row.trial.proposal.source_sha].text
        with suppress(CandidateError):  # a later version may read it differently
            values = {knob.name: knob.value for knob in read_knobs(text)}
            yield KnobScore(values, facts.score(row) + price * code_lines(text))


def _tell(found: FoundRun, best: Standing, price: float) -> str:
    """The text about the earlier run for models."""
    there = found.settings
    moment = Moment(
        program=there.program,
        experiment=experiment_view(there),
        complexity_price=price,
        advance_sd=there.rules.worthwhile_sd,
        frontier=best,
        best=best,
        noise_sd=math.nan,
        noise_degrees=0,
        queued=(),
        ideas=0,
    )
    return tell_lessons(view_of(replace(found.history, rows=found.history.rows[-LESSONS_FROM:]), moment))
