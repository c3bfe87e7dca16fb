"""A person's train.py, file of a script, or patch: checked as a model's idea would be, and left for its driver."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.candidate.difference import diff_lines
from autoresearch_ray.candidate.knobs import constants, set_constants
from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.observe import facts
from autoresearch_ray.propose.llm.diffs import read_patch
from autoresearch_ray.propose.llm.edits import apply_edits
from autoresearch_ray.records.history import History
from autoresearch_ray.records.source_files import has_headings
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.search.models.dry_runs import make_dry_runner
from autoresearch_ray.search.watches.suggestions import Suggestion
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.connect import read_run

PATCHES = (".patch", ".diff")


def check_suggestion(run_dir: Path, file: Path, hypothesis: str, say: Callable[[str], None]) -> tuple[Suggestion, str]:
    """The file's suggestion to the run, and the checks that it passed. SettingsError where it cannot be tried."""
    history = read_run(run_dir)
    settings = RunSettings.model_validate_json(json.dumps(history.settings))
    text, parent_sha = _read_candidate(file, history, settings, say)
    try:
        check_for(settings)(text, len(settings.program.splitlines()))
        normal = normal_sha(text)
    except CandidateError as error:
        raise SettingsError(f"{file}: {error}") from None
    for row in history.rows:
        proposal = row.trial.proposal
        candidate = history.candidates.get(proposal.source_sha)
        if candidate is not None and normal_sha(candidate.text) == normal:
            raise SettingsError(f"{file}: does the same as {row.trial.trial_id} of this run; change what it does")
    trace = _dry_run(text, settings) if isinstance(settings.experiment, Experiment) else None
    if trace is not None:
        raise SettingsError(f"{file}: fails a dry run on the CPU; nothing was queued\n{trace}")
    said = hypothesis.strip() or f"As suggested in {file.name}."
    passed = "the rules and a dry run" if isinstance(settings.experiment, Experiment) else "the rules"
    return Suggestion(text, parent_sha, said, time.time()), passed


def wins_of(other_dir: Path, run_dir: Path) -> list[Suggestion]:
    """Each win of another run as a suggestion to this one, oldest first. SettingsError where there is none to take."""
    history, other = read_run(run_dir), read_run(other_dir)
    if not history.steps:
        raise SettingsError(f"{run_dir}: its start is not measured yet; try again soon")
    if run_dir.resolve() == other_dir.resolve():
        raise SettingsError(f"{other_dir}: is the run itself; expected another one")
    wins = facts.wins(other)
    if not wins:
        raise SettingsError(f"{other_dir}: has no win; expected a run that has proven something")
    tag, now = other.settings.get("tag", other_dir.name), time.time()
    return [
        Suggestion(
            text=other.candidates[win.step.source_sha].text,
            parent_sha=win.parent_sha,
            hypothesis=f"As it won in {tag}: {win.hypothesis}",
            at=now + 1e-3 * win.number,  # files are taken in this order
            parent_text=other.candidates[win.parent_sha].text,
        )
        for win in wins
    ]


def _read_candidate(file: Path, history: History, settings: RunSettings, say: Callable[[str], None]) -> tuple[str, str]:
    """The suggested text, and the sha of the run's candidate that it was made from."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read ({error}); expected a train.py or a patch of one") from None
    shas = dict.fromkeys((facts.frontier_sha(history), facts.best_sha(history), facts.start_sha(history)))
    texts = {sha: history.candidates[sha].text for sha in shas if sha in history.candidates}
    if not texts:
        raise SettingsError(f"{history.settings.get('tag', 'the run')}: its start is not measured yet; try again soon")
    if file.suffix not in PATCHES:
        whole = {sha: put_file(file, text, source) for sha, source in texts.items()}
        nearest = min(texts, key=lambda sha: len(diff_lines(texts[sha], whole[sha])))
        if not isinstance(settings.experiment, Experiment):
            return whole[nearest], nearest
        written = write_constants(text, texts[nearest], settings.experiment)
        if written is None:
            return text, nearest
        say("made from the experiment's train.py: the experiment's constants are written into it, as a launch does")
        return written, facts.start_sha(history)
    if not read_patch(text):
        raise SettingsError(f"{file}: has no hunk (`@@`); expected a unified diff of what the run searches")
    faults = ""
    for sha, source in texts.items():
        try:
            return apply_patch(source, text), sha
        except CandidateError as error:
            faults = faults or str(error)
    raise SettingsError(f"{file}: applies neither to the frontier nor to the best or the start; {faults}")


def put_file(file: Path, text: str, source: str) -> str:
    """The candidate `source` with the suggested file in it. SettingsError where it is none of its files."""
    candidate = Candidate.of(source)
    if candidate.is_lone or has_headings(text):
        return text
    paths = [path for path, _ in candidate.files]
    found = [path for path in paths if Path(path).name == file.name] if len(paths) > 1 else paths
    if len(found) != 1:
        raise SettingsError(
            f"{file}: is {'several' if found else 'none'} of the files that may change ({', '.join(paths)}); expected "
            f"the name of one, a patch, or all of them below headings like `#### file: {paths[0]} ####`"
        )
    text = text if text.endswith("\n") else f"{text}\n"
    return Candidate(tuple((path, text if path == found[0] else old) for path, old in candidate.files)).text


def apply_patch(source: str, text: str) -> str:
    """The candidate with a unified diff applied, file by file. CandidateError where it does not apply."""
    patched = apply_edits(source, read_patch(text))
    if not isinstance(patched, str):
        raise CandidateError(str(patched[0]))
    return patched


def write_constants(text: str, nearest: str, experiment: Experiment) -> str | None:
    """A text that was made from the experiment's own train.py, with the constants that the experiment sets.

    What the text itself sets to another value than that train.py stays. None for a text that is nearer to `nearest`.
    """
    try:
        shipped = Path(experiment.candidate).read_text()
        if not experiment.constants or len(diff_lines(shipped, text)) >= len(diff_lines(nearest, text)):
            return None
        before, own = constants(shipped), constants(text)
        kept = {name for name, value in own.items() if name in before and before[name] == value}
        return set_constants(text, {name: value for name, value in experiment.constants.items() if name in kept})
    except (OSError, UnicodeDecodeError, CandidateError):
        return None


def _dry_run(text: str, settings: RunSettings) -> str | None:
    if isinstance(settings.experiment, Experiment):
        prepare(settings.experiment)
    runner = make_dry_runner(settings)
    try:
        return asyncio.run(runner.run(text))
    finally:
        runner.close()
