"""Any script as an experiment: `contract: script`.

    contract: script
    name: digits
    command: python fit.py          # run in a copy of the folder that the YAML file is in
    editable: [fit.py]              # what the search may change; everything else is read-only
    metric: accuracy                # from a line `accuracy: 0.97` of its output
    direction: higher
    budget_seconds: 5               # what one run takes, about

The score is the script's own word, unless a `judge` command or the harness itself (`wall_seconds`, `peak_memory_mb`)
says it. What a key means stands beside it below; docs/scripts.md is the guide.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import PACKAGE
from autoresearch_ray.settings.experiment import Benchmark, Experiment
from autoresearch_ray.settings.scoring import Direction, ScoredBy, Scoring

MEASURED = ("wall_seconds", "peak_memory_mb")  # metrics that the harness measures itself, from outside
PYTHON = re.compile(r"(?:.*/)?python[0-9.]*")
SEEDS = ("injected", "environment NAME", "argument --NAME", "fixed", "measurement")
LIMIT = re.compile(r"(?P<sign><=|>=)\s*(?P<number>[-+0-9.eE]+)")
GUESSED_TIMES, GUESSED_MORE = 2.0, 60.0  # of the budget, and seconds: after which a script is ended, if nothing is said

Words = Mapping[str, str]
RelativePath = Annotated[str, Field(min_length=1, pattern=r"^[^/].*$")]


class ScriptExperiment(Benchmark):
    """A command that prints its own score."""

    contract: Literal["script"]
    folder: str = "."  # what the command runs in a copy of; seen from the YAML file
    command: Annotated[str, Field(min_length=1)]  # words as a shell splits them; no shell runs it
    editable: Annotated[tuple[RelativePath, ...], Field(min_length=1, strict=False)]  # paths or patterns like src/*.py
    read_only: Annotated[tuple[RelativePath, ...], Field(strict=False)] | None = None  # None: all that is not editable
    metric: Annotated[str, Field(min_length=1)]  # its name: a line `NAME: NUMBER`, or a key of `result_file`
    pattern: str = ""  # a regular expression for the metric instead, with one group
    result_file: str = ""  # JSON that the script writes, for metrics instead of lines; a.b is b in the mapping a
    take: Literal["only", "last"] = (
        "only"  # what counts where the metric is printed several times; only: that is an error
    )
    direction: Direction = "lower"  # which is better
    unit: str = ""
    holdout: str = ""  # a second metric, read as the first is, that no proposer is told of
    limits: Words = Field({})  # of other metrics, like `accuracy: ">= 0.9"`; a run outside them is invalid
    timeout_seconds: Annotated[float, Field(gt=0, le=604800)] | None = None  # after which a run is ended
    seed: str = ""  # how it gets its seed; "": injected into Python, else fixed
    environment: Words = Field({})
    data: Annotated[tuple[str, ...], Field(strict=False)] = ()  # folders and files that it may read, where they are
    judge: str = ""  # a command that scores what the script leaves, in a process of its own
    artefacts: Annotated[
        tuple[RelativePath, ...], Field(strict=False)
    ] = ()  # files that the script leaves for the judge
    judge_data: Annotated[tuple[str, ...], Field(strict=False)] = ()  # folders and files that the judge alone may read
    knobs: Words = Field({})  # NAME: range, for constants whose comment has none
    program: str = ""  # what steers the search, seen from the folder; "": its program.md or README.md

    @property
    def scoring(self) -> Scoring:
        """How its candidates are scored."""
        by: ScoredBy = "harness" if self.metric in MEASURED else "judge" if self.judge else "script"
        return Scoring(self.metric, self.unit, self.direction, by, has_one_seed=self.seeding[0] == "fixed")

    @property
    def time_limit(self) -> float:
        """Seconds after which a run is ended."""
        return self.timeout_seconds or GUESSED_TIMES * self.budget_seconds + GUESSED_MORE

    @property
    def seeding(self) -> tuple[str, str]:
        """How it gets its seed, and the variable's or argument's name: ("environment", "SEED")."""
        said = self.seed or ("injected" if PYTHON.fullmatch(shlex.split(self.command)[0]) else "fixed")
        how, _, name = said.partition(" ")
        return how, name.strip()

    @field_validator("command", "judge")
    @classmethod
    def _check_command(cls, command: str) -> str:
        try:
            shlex.split(command)
        except ValueError as error:
            raise ValueError(f"cannot be split into words ({error})") from None
        return command

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from None
        if pattern and groups != 1:
            raise ValueError(f"has {groups} groups; expected one, for the number")
        return pattern

    @field_validator("limits")
    @classmethod
    def _check_limits(cls, limits: Words) -> Words:
        for name, limit in limits.items():
            if LIMIT.fullmatch(limit.strip()) is None:
                raise ValueError(f"limit of {name} is {limit!r}; expected `<= NUMBER` or `>= NUMBER`")
        return limits

    @field_validator("seed")
    @classmethod
    def _check_seed(cls, seed: str) -> str:
        if seed and not re.fullmatch(
            r"injected|fixed|measurement|environment [A-Za-z_]\w*|argument -{0,2}\w[\w-]*", seed
        ):
            raise ValueError(f"expected one of {', '.join(SEEDS)}")
        return seed

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.artefacts and not self.judge:
            raise ValueError("artefacts without a `judge` that reads them")
        if self.pattern and self.result_file:
            raise ValueError("both `pattern` and `result_file`; expected one of the two")
        if self.judge and not self.artefacts:
            raise ValueError("a judge without `artefacts`; expected the files that the script leaves for it")
        return self


AnyExperiment = Experiment | ScriptExperiment


def resolve_script(path: Path, experiment: ScriptExperiment) -> ScriptExperiment:
    """The experiment with absolute paths, seen from its file, and patterns expanded. SettingsError."""
    folder = (path.resolve().parent / Path(experiment.folder).expanduser()).resolve()
    if not folder.is_dir():
        raise SettingsError(f"{path}: folder {folder} does not exist; expected the folder that the command runs in")
    return experiment.replace(
        folder=str(folder),
        editable=_expand(path, folder, "editable", experiment.editable),
        read_only=None if experiment.read_only is None else _expand(path, folder, "read_only", experiment.read_only),
        data=_resolve_all(path, folder, "data", experiment.data),
        judge_data=_resolve_all(path, folder, "judge_data", experiment.judge_data),
    )


def _expand(path: Path, folder: Path, key: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The files below the folder that paths and patterns mean, in order. SettingsError for one that means none."""
    found = set[str]()
    for pattern in patterns:
        if ".." in Path(pattern).parts:
            raise SettingsError(f"{path}: {key} {pattern!r} leads out of {folder}; expected files below it")
        files = [file for file in folder.glob(pattern) if file.is_file()]
        if not files:
            raise SettingsError(
                f"{path}: {key} {pattern!r} is no file in {folder}; expected paths below it, like train.py"
            )
        inside = [file for file in files if file.resolve().is_relative_to(folder)]
        if len(inside) < len(files):
            raise SettingsError(f"{path}: {key} {pattern!r} leads out of {folder}; expected files below it")
        found |= {str(file.relative_to(folder)) for file in files}
    return tuple(sorted(found, key=PurePosixPath))


def _resolve_all(path: Path, folder: Path, key: str, said: tuple[str, ...]) -> tuple[str, ...]:
    paths = [(folder / Path(one).expanduser()).resolve() for one in said]
    for one, resolved in zip(said, paths, strict=True):
        if not resolved.exists():
            raise SettingsError(f"{path}: {key} {one!r} does not exist; expected a folder or file to be read")
        if PACKAGE.is_relative_to(resolved):
            raise SettingsError(f"{path}: {key} {one!r} holds this program itself; expected a folder of data alone")
    return tuple(map(str, paths))
