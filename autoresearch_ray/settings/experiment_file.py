"""Reads an experiment from its YAML file.

A wrong file is answered with its name, the line, what was found and what was expected.
"""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.settings.experiment import DATA_FILES, Benchmark, Experiment, local_path
from autoresearch_ray.settings.script_experiment import AnyExperiment, ScriptExperiment, resolve_script

LIKE: dict[type[Benchmark], str] = {
    Experiment: "experiments/cpu.yaml",
    ScriptExperiment: "docs/scripts.md",
}  # where a right one is seen
CONTRACTS: dict[object, type[Experiment] | type[ScriptExperiment]] = {"train": Experiment, "script": ScriptExperiment}


def load_experiment(path: Path) -> Experiment:
    """The experiment of our contract in `path`, its paths absolute. SettingsError says what is wrong."""
    experiment = load_any(path)
    if isinstance(experiment, ScriptExperiment):
        raise SettingsError(f"{path}: is a script's experiment; expected one with data of ours, see {LIKE[Experiment]}")
    return experiment


def load_any(path: Path) -> AnyExperiment:
    """The experiment in `path`, ours or a script's, its paths absolute. SettingsError says what is wrong."""
    values, lines = _read_yaml(path)
    contract = values.get("contract", "train")
    kind = CONTRACTS.get(contract) if isinstance(contract, str) else None
    if kind is None:
        where = f"{path}:{lines['contract']}"
        raise SettingsError(
            f"{where}: `contract: {contract}` is unknown; expected one of {', '.join(map(str, CONTRACTS))}"
        )
    try:
        experiment = kind.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_describe(path, error, lines, kind)) from None
    if isinstance(experiment, ScriptExperiment):
        return resolve_script(path, experiment)
    return _resolve(path, experiment)


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The keys of an experiment's file with their values, and with their lines. SettingsError."""
    try:
        text = path.read_text()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); expected an experiment's YAML file") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not text; expected an experiment's YAML file") from None
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


def _describe(path: Path, error: ValidationError, lines: dict[str, int], kind: type[Benchmark]) -> str:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a typo explains what is missing
    key = str(first["loc"][0]) if first["loc"] else ""
    where = f"{path}:{lines.get(key, 1)}"
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key `{key}`; expected one of {', '.join(sorted(kind.model_fields))}"
    if first["type"] == "missing":
        return f"{where}: `{key}` is missing; add it (see {LIKE[kind]})"
    told = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
    inner = first["loc"][1:2]  # of a mapping
    name = f"{key}.{inner[0]}" if inner and isinstance(inner[0], str) else key
    return f"{where}: `{name}: {first['input']}` is wrong: {told}" if key else f"{path}: {told}"


def _resolve(path: Path, experiment: Experiment) -> Experiment:
    """The experiment with absolute paths, seen from its file. SettingsError for what is not there."""
    folder = path.resolve().parent
    candidate = folder / experiment.candidate
    if not candidate.is_file():
        raise SettingsError(f"{path}: candidate {candidate} does not exist; expected a train.py beside the file")
    update = {"candidate": str(candidate)}
    if experiment.metric_source:
        raise SettingsError(f"{path}: unknown key `metric_source`; expected `metric: FILE.py:FUNCTION`")
    if experiment.metric != "val_bpb":
        update["metric_source"] = _read_metric(path, experiment.metric)
    local = local_path(experiment.data, folder) or local_path(experiment.data)
    if local is not None:
        update["data"] = str(_readable(path, local).resolve())
    return experiment.replace(**update)


def _read_metric(path: Path, metric: str) -> str:
    """The text of the file that a metric of one's own is in: beside the experiment, or a module. SettingsError."""
    where, _, name = metric.rpartition(":")
    if where.endswith(".py"):
        file = path.resolve().parent / Path(where).expanduser()
    else:
        try:
            spec = importlib.util.find_spec(where)
        except (ImportError, ValueError):
            spec = None
        file = Path(spec.origin) if spec is not None and spec.origin else Path(f"{where}.py")
    try:
        text = file.read_text()
        defined = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise SettingsError(f"{path}: metric {metric}: {file} cannot be read as Python ({error})") from None
    if name not in defined:
        raise SettingsError(
            f"{path}: metric {metric}: {file} defines no function {name}; expected one at its top level"
        )
    return text


def _readable(path: Path, data: Path) -> Path:
    """The data file or folder, if it is there and of a kind that is read. SettingsError."""
    expected = "expected a .txt, .jsonl or .parquet file, or a folder of them"
    if not data.exists():
        raise SettingsError(f"{path}: data file {data} does not exist; {expected}")
    if data.is_file() and data.suffix.lower() not in DATA_FILES:
        raise SettingsError(f"{path}: data file {data} is of a kind that is not read; {expected}; convert or unpack it")
    return data
