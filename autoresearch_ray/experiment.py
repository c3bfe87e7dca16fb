"""Experiments: the fixed benchmark, read from a YAML file under `experiments/`.

A wrong file is answered with its name, the line, what was found and what was expected. What a launch chooses (slots,
tag, proposers) is not here; see `settings.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoresearch_ray.errors import SettingsError

Constant = bool | int | float | str

BUILT_IN_DATA = {"stdlib", "tinystories", "climbmix"}
DATA_FILES = (".txt", ".jsonl", ".parquet")
OTHER_FILES = (".csv", ".tsv", ".json", ".gz", ".zst", ".bz2", ".xz", ".zip", ".tar", ".arrow", ".md", ".bin", ".npy")


class FrozenModel(BaseModel):
    """Validated, unchangeable, and without fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: Any) -> Self:
        """A copy with other values, validated like the first. pydantic.ValidationError."""
        return self.model_validate(dict(self) | changes)


class Experiment(FrozenModel):
    """One benchmark: data, tokenizer, budget and the starting candidate. Scores compare only within one experiment."""

    model_config = ConfigDict(strict=True)

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
    candidate: str = "train.py"  # beside the YAML file
    data: Annotated[str, Field(min_length=1)]  # stdlib, tinystories, climbmix, a hub name, a local file or folder
    text_column: str = "text"
    corpus_mb: Annotated[int, Field(ge=0)] = 0  # read at most this much text; 0: all
    seq_len: Annotated[int, Field(ge=8, le=65536)]
    vocab_size: Annotated[int, Field(ge=257, le=65536)]  # 256 bytes, the document start, and merges
    eval_tokens: Annotated[int, Field(ge=1024)] = 65536  # scored in each of the validation and held-out splits
    budget_seconds: Annotated[float, Field(gt=0, le=86400)]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    amp: Literal["auto", "none", "fp16", "bf16"] = "auto"
    cpus_per_trial: Annotated[float, Field(gt=0)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0, le=1)] = 0
    trials: Annotated[int, Field(ge=4)] = 100
    removal_margin: Annotated[float, Field(ge=0, le=1)] = 0.0  # bpb that code may be worth and still be taken out
    constants: dict[str, Constant] = {}

    def override(self, **said: Any) -> Self:
        """The experiment with what a command line says of its fields; None: nothing. SettingsError names the option."""
        try:
            return self.replace(**{name: value for name, value in said.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            option = str(first["loc"][0]).replace("_", "-")
            raise SettingsError(f"--{option} {first['input']:g}: {expectation(first)}") from None


def local_path(data: str, folder: Path = Path()) -> Path | None:
    """The file or folder that `data:` names, seen from `folder`; None for a name that ships or is on the hub."""
    path = folder / Path(data).expanduser()
    is_name = not data.startswith(("~", ".", "/")) and data.count("/") <= 1
    if data in BUILT_IN_DATA or (is_name and path.suffix.lower() not in DATA_FILES + OTHER_FILES and not path.exists()):
        return None
    return path


def expectation(error: Mapping[str, Any]) -> str:
    """What was expected where a value is wrong."""
    limits, kind = error.get("ctx", {}), error["type"]
    if kind == "value_error":
        return str(limits["error"])
    if kind == "literal_error":
        return "expected one of " + str(limits["expected"]).replace("'", "").replace(" or ", ", ")
    if kind == "less_than_equal":
        return f"expected at most {limits['le']:g}"
    if kind == "greater_than_equal" or kind.startswith("int"):
        return "expected a whole number" + (f" of at least {limits['ge']}" if "ge" in limits else "")
    if kind.startswith(("float", "finite", "greater")):
        return "expected a number above 0"
    return str(error["msg"]).lower()


def load_experiment(path: Path) -> Experiment:
    """The experiment in `path`; `candidate` and a local `data` become absolute. SettingsError says what is wrong."""
    try:
        text = path.read_text()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); expected an experiment's YAML file") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not text; expected an experiment's YAML file") from None
    values, lines = _parse(path, text)
    try:
        experiment = Experiment.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_describe(path, error, lines)) from None
    return _resolve(path, experiment)


def _parse(path: Path, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        node, values = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(
            f"{path}:{line}: is not YAML: {error.problem}; expected lines like `seq_len: 128`"
        ) from None
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise SettingsError(
            f"{path}:1: found {type(values).__name__}; expected a mapping with lines like `seq_len: 128`"
        )
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if key.value in lines:
            raise SettingsError(f"{path}:{key.start_mark.line + 1}: `{key.value}` is set twice; keep one of the two")
        lines[str(key.value)] = key.start_mark.line + 1
    return values, lines


def _describe(path: Path, error: ValidationError, lines: dict[str, int]) -> str:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a typo explains what is missing
    key = str(first["loc"][0]) if first["loc"] else ""
    where = f"{path}:{lines.get(key, 1)}"
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key `{key}`; expected one of {', '.join(sorted(Experiment.model_fields))}"
    if first["type"] == "missing":
        return f"{where}: `{key}` is missing; add it (see experiments/cpu.yaml)"
    return f"{where}: `{key}: {first['input']}` is wrong: {first['msg'].lower()}"


def _resolve(path: Path, experiment: Experiment) -> Experiment:
    folder = path.resolve().parent
    candidate = folder / experiment.candidate
    if not candidate.is_file():
        raise SettingsError(f"{path}: candidate {candidate} does not exist; expected a train.py beside the file")
    update = {"candidate": str(candidate)}
    local = local_path(experiment.data, folder) or local_path(experiment.data)
    if local is not None:
        update["data"] = str(_readable(path, local).resolve())
    return experiment.replace(**update)


def _readable(path: Path, data: Path) -> Path:
    """The data file or folder, if it is there and of a kind that is read. SettingsError."""
    expected = "expected a .txt, .jsonl or .parquet file, or a folder of them"
    if not data.exists():
        raise SettingsError(f"{path}: data file {data} does not exist; {expected}")
    if data.is_file() and data.suffix.lower() not in DATA_FILES:
        raise SettingsError(f"{path}: data file {data} is of a kind that is not read; {expected}; convert or unpack it")
    return data
