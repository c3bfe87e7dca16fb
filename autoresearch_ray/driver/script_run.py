"""What a new run of a script starts from: the texts of its editable files, and the text that steers the search."""

from pathlib import Path

from autoresearch_ray.benchmark.script.command import words_of
from autoresearch_ray.candidate.given_ranges import write_ranges
from autoresearch_ray.candidate.knobs import read_knobs, set_constants
from autoresearch_ray.candidate.rules import check_script
from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.records.source_files import HEADING
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.settings.proposer_spec import MODELS, ProposerSpec
from autoresearch_ray.settings.script_experiment import ScriptExperiment

PROGRAMS = ("program.md", "README.md")  # the first of these in a script's folder steers the search


def read_start(experiment: ScriptExperiment) -> str:
    """The starting candidate: the editable files, with the experiment's constants and ranges. SettingsError."""
    for command in filter(None, (experiment.command, experiment.judge)):
        words_of(command, experiment.folder)  # raises if there is no such program
    files = read_files(experiment, Path(experiment.folder))
    try:
        text = set_constants(Candidate(files).text, dict(experiment.constants))
        text = write_ranges(text, experiment.knobs)
        check_script(text, experiment.editable)
    except CandidateError as error:
        raise SettingsError(f"{experiment.folder}: {error}") from None
    return text


def read_files(experiment: ScriptExperiment, folder: Path) -> tuple[tuple[str, str], ...]:
    """The editable files as they are in some folder, by path. SettingsError."""
    return tuple((path, read_source(folder / path)) for path in experiment.editable)


def read_script(experiment: ScriptExperiment, proposers: tuple[ProposerSpec, ...]) -> str:
    """The starting candidate of a search, which needs a knob or a model. SettingsError."""
    text = read_start(experiment)
    if not read_knobs(text) and not any(spec.name in MODELS for spec in proposers):
        raise SettingsError(
            f"{', '.join(experiment.editable)}: no constant has a range, so the tuner has nothing to turn; expected "
            "comments that end in `; search log(0.001, 0.1)`, `knobs:` in the experiment, or a model as --proposer"
        )
    return text


def script_program(experiment: ScriptExperiment) -> Path | None:
    """The file that steers the search of a script; None if there is none. SettingsError."""
    if experiment.program:
        path = Path(experiment.folder, experiment.program)
        if not path.is_file():
            raise SettingsError(
                f"program {experiment.program!r} is no file in {experiment.folder}; expected a text file"
            )
        return path
    return next((path for name in PROGRAMS if (path := Path(experiment.folder, name)).is_file()), None)


def read_source(path: Path) -> str:
    """The text of a file that may change, as a candidate holds it. SettingsError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise SettingsError(f"{path}: cannot be read ({reason}); expected a text file that may change") from None
    if HEADING.search(text):
        raise SettingsError(f"{path}: has a line like `#### file: NAME ####`, which marks files here; change that line")
    return text if text.endswith("\n") or not text else text + "\n"
