"""Experiments: the fixed benchmark.

    Benchmark           what every experiment has: a budget, a device, how many trials
    ├── Experiment        our contract: the harness owns data, clock and metric
    └── ScriptExperiment  any command that prints its own score (`contract: script`), in `script_experiment.py`

`experiment_file.py` reads them. What a launch chooses (slots, tag, proposers) is not here; see `run_settings.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.settings.scoring import Direction, Scoring

B = TypeVar("B", bound="Benchmark")
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


class Benchmark(FrozenModel):
    """What every experiment has. Scores compare only within one."""

    model_config = ConfigDict(strict=True)

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
    budget_seconds: Annotated[float, Field(gt=0, le=86400)]  # of training; of a script: what one run takes, about
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cpus_per_trial: Annotated[float, Field(gt=0)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0, le=1)] = 0
    trials: Annotated[int, Field(ge=4)] = 100
    overtime_trials: Annotated[int, Field(ge=0)] = 0  # after these, for a last proof that may well succeed
    removal_margin: Annotated[float, Field(ge=0)] = 0.0  # of the score, that code may be worth and still be taken out
    complexity_price: Annotated[float, Field(ge=0)] | None = None  # of the score, a code line; None: see `Rules`
    constants: dict[str, Constant] = {}

    @property
    def scoring(self) -> Scoring:
        """How its candidates are scored."""
        return Scoring()

    def override(self, **said: Any) -> Self:
        """The experiment with what a command line says of its fields; None: nothing. SettingsError names the option."""
        try:
            return self.replace(**{name: value for name, value in said.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            option = str(first["loc"][0]).replace("_", "-")
            raise SettingsError(f"--{option} {first['input']:g}: {expectation(first)}") from None


class Experiment(Benchmark):
    """Our contract: data, tokenizer, budget and the starting train.py."""

    contract: Literal["train"] = "train"
    candidate: str = "train.py"  # beside the YAML file
    data: Annotated[str, Field(min_length=1)]  # stdlib, tinystories, climbmix, a hub name, a local file or folder
    text_column: str = "text"
    corpus_mb: Annotated[int, Field(ge=0)] = 0  # read at most this much text; 0: all
    seq_len: Annotated[int, Field(ge=8, le=65536)]
    vocab_size: Annotated[int, Field(ge=257, le=65536)]  # 256 bytes, the document start, and merges
    eval_tokens: Annotated[int, Field(ge=1024)] = 65536  # scored in each of the validation and held-out splits
    amp: Literal["auto", "none", "fp16", "bf16"] = "auto"
    metric: Annotated[str, Field(pattern=r"^(val_bpb|[\w./~-]+:[A-Za-z_]\w*)$")] = "val_bpb"  # or FILE.py:FUNCTION
    direction: Direction = "lower"  # which is better; of a metric of one's own
    unit: str = ""  # of a metric of one's own
    metric_source: str = ""  # the text of its file, read when a run begins

    @property
    def scoring(self) -> Scoring:
        """How its candidates are scored."""
        if self.metric == "val_bpb":
            return Scoring()
        return Scoring(self.metric.rpartition(":")[2], self.unit, self.direction)

    @model_validator(mode="after")
    def _check_metric(self) -> Self:
        if self.metric == "val_bpb" and (self.direction != "lower" or self.unit):
            raise ValueError("direction and unit belong to a `metric: FILE.py:FUNCTION`; val_bpb is lower is better")
        return self


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
