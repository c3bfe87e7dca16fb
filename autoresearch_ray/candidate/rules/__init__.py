"""What a candidate's text must keep to before it may take a slot; one rule a function, used for every proposal.

A rule raises CandidateError: `rule: line N: what was seen; the remedy`. The rules read the syntax tree and execute
nothing. They keep candidates readable and honest, and refuse known ways to escape. They are no sandbox: the trial has
to contain a running candidate. `check_for` chooses the rules of a run.
"""

from collections.abc import Callable

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.rules.elisions import check_comments, check_elisions
from autoresearch_ray.candidate.rules.escapes import (
    check_attributes,
    check_builtins,
    check_computed_names,
    check_definitions,
    check_strings,
)
from autoresearch_ray.candidate.rules.imports import check_imports, check_module_values, check_parts
from autoresearch_ray.candidate.rules.name_flow import Reading
from autoresearch_ray.candidate.rules.ownership import check_foreign, check_task
from autoresearch_ray.candidate.rules.script import check_script
from autoresearch_ray.candidate.rules.seeds import check_seeds
from autoresearch_ray.candidate.rules.shape import MAX_LINES, check_length, check_module_level, check_train
from autoresearch_ray.candidate.template import KEPT_TEMPLATES, Template, split
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.settings.run_settings import RunTerms
from autoresearch_ray.settings.script_experiment import ScriptExperiment

__all__ = ["MAX_LINES", "RULES", "Check", "Checked", "check_candidate", "check_for", "check_many_for", "check_script"]

Check = Callable[[str, int], None]  # a candidate's text and the length of program.md; raises CandidateError

RULES = (
    check_train,
    check_module_level,
    check_elisions,
    check_imports,
    check_builtins,
    check_module_values,
    check_parts,
    check_task,
    check_attributes,
    check_computed_names,
    check_strings,
    check_definitions,
    check_foreign,
    check_seeds,
)


def check_candidate(source: str, program_lines: int = 0) -> None:
    """Raise CandidateError if `source` breaks a rule; `program_lines` is the length of program.md."""
    check_length(source, program_lines)
    check_comments(source)
    reading = Reading(source)
    for rule in RULES:
        rule(reading)
    check_knobs(source)


def check_for(run: RunTerms) -> Check:
    """The rules that candidates of this run must keep to."""
    experiment = run.experiment
    if not isinstance(experiment, ScriptExperiment):
        return check_candidate

    def check(source: str, program_lines: int = 0) -> None:
        check_script(source, experiment.editable, run.baseline)

    return check


def check_many_for(run: RunTerms) -> Check:
    """`check_for` for many texts that differ little."""
    return check_for(run) if isinstance(run.experiment, ScriptExperiment) else Checked().check


def check_knobs(source: str) -> None:
    """Raise CandidateError if a knob or its range is wrong."""
    try:
        read_knobs(source)
    except CandidateError as error:
        raise CandidateError(f"knobs: {error}") from None


class Checked:
    """Checks many texts: one that differs from a valid one in the numbers of its constants alone is valid too.

    No rule looks at the number that a module-level constant is, apart from the range of a knob.
    """

    def __init__(self) -> None:
        self._valid: set[tuple[Template, tuple[str, ...]]] = set()

    def check(self, source: str, program_lines: int) -> None:
        """See `check_candidate`."""
        text = split(source)
        kind = text.template, text.strings
        if kind in self._valid:
            check_length(source, program_lines)
            check_knobs(source)
            return
        check_candidate(source, program_lines)
        if len(self._valid) >= KEPT_TEMPLATES:
            self._valid.clear()
        self._valid.add(kind)
