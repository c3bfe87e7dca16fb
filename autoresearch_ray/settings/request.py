"""What a launch asks for, and its check.

    request = ask(experiment="experiments/cpu.yaml", tag="monday")    # what a person typed

A new option is one field of `Request`: the command line and its checks are made from it. If the run keeps it, it is a
field of `settings.RunTerms` too.
"""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.records.trials import Isolation
from autoresearch_ray.settings.experiment import FrozenModel, expectation
from autoresearch_ray.settings.proposer_spec import (
    KNOWN_PROPOSERS,
    NONE,
    ModelPrice,
    ProposerSpec,
    check_names,
    parse_director,
    parse_price,
    parse_proposer,
)
from autoresearch_ray.settings.run_settings import EarlyStop, KeepWeights

TrackerName = Literal["wandb", "mlflow", "tensorboard"]
AUTO: Literal["auto"] = "auto"  # for --gpus-per-trial


def _parse_share(value: object) -> object:
    try:
        share = AUTO if value == AUTO else float(str(value))
    except ValueError:
        share = -1.0
    if share != AUTO and not 0 <= share <= 1:
        raise ValueError(f"expected a share of one GPU, 0 to 1, or {AUTO}")
    return share


def _parse_staleness(value: object) -> object:
    if value != NONE and not re.fullmatch(r"\d{1,9}", str(value)):
        raise ValueError(f"expected a number of frontier versions, 0 or more, or {NONE}")
    return value


def _parse_run(said: object) -> object:
    if not isinstance(said, (str, Path)):
        return said
    if not str(said).strip("/ "):
        raise ValueError("expected a run's folder such as runs/TAG, or STORAGE_URL/TAG")
    return str(said).rstrip("/")


def _check_tag(tag: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", tag):
        raise ValueError("expected letters, digits, '.', '_' and '-', 64 at most")
    if ".." in tag or tag.endswith((".", ".lock")):
        raise ValueError("expected a name that git takes for a branch: without '..', '.' or '.lock' at its end")
    return tag


def _check_command(command: str) -> str:
    if not command.strip():
        raise ValueError("expected a shell command")
    return command


def _option(meaning: str, metavar: str | None = None, default: Any = None, ge: int | None = None) -> Any:
    """A field of `Request`; `metavar` stands for its value in the command line's help."""
    return Field(default, description=meaning, ge=ge, json_schema_extra={"metavar": metavar} if metavar else None)


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Request(FrozenModel):
    """What was asked for; None where nothing was said. `ask` makes one from what a person typed."""

    experiment: Path | None = _option(
        "YAML file, or the folder of a script: a checkout of karpathy/autoresearch (default: what fits the hardware)"
    )
    tag: Annotated[str, AfterValidator(_check_tag)] | None = _option("name of the run (default: day and time)", "T")
    runs_dir: Path = _option("where runs live (default: runs)", "DIR", default=Path("runs"))
    trials: int | None = _option("trials, replicates included, overtime not (default: the experiment's)", "N", ge=4)
    hours: Positive | None = _option("wall-clock limit of this launch", "H")
    budget_seconds: Positive | None = _option("training time of a trial (default: the experiment's)", "S")
    slots: int | None = _option("trials at once (default: as many as fit)", "N", ge=1)
    gpus_per_trial: Annotated[float | Literal["auto"], BeforeValidator(_parse_share)] | None = _option(
        "share of a GPU, 0 to 1, or auto: measure what is best", "F"
    )
    cpus_per_trial: Positive | None = _option("CPUs of a trial, also its threads", "F")
    proposers: Annotated[
        tuple[Annotated[ProposerSpec, BeforeValidator(parse_proposer)], ...], AfterValidator(check_names)
    ] = _option(f"who proposes: {KNOWN_PROPOSERS}; repeatable (default: tpe)", "NAME[:MODEL][=WEIGHT]", ())
    director: Annotated[ProposerSpec | Literal["none"], BeforeValidator(parse_director)] | None = _option(
        "a model that reads all results and says where the others are to look; none ends it", "NAME:MODEL"
    )
    program: Path | None = _option("what steers the search (default: program.md)", "FILE")
    from_run: Annotated[str, BeforeValidator(_parse_run)] | None = _option(
        "start from the best of this run, and know what it learned: its folder, or STORAGE_URL/TAG", "RUN"
    )
    seed: int | None = _option("seed of the search and of its trials (default: 0)", "N", ge=0)
    resume: bool = _option("continue the run of --tag", default=False)
    address: str | None = _option("join this Ray cluster (default: start Ray here)", "A")
    early_stop: EarlyStop | None = _option(
        "paired: end a screen that has lost already, by its learning curve beside its parent's (default: none)", "NAME"
    )
    keep_weights: KeepWeights | None = _option(
        "best: keep the trained model of the proven best in the run's folder, to sample from (default: none)", "WHICH"
    )
    llm_base_url: str | None = _option(
        "of a vLLM, Ollama or llama.cpp server, for openai:MODEL; none: the provider's own again", "URL"
    )
    context_tokens: int | None = _option(
        "window of the models, prompt and answer together, where it is below 40000 (default: as a refusal names it)",
        "N",
        ge=1_000,
    )
    max_cost_usd: Positive | None = _option("what all model calls of the run may cost", "C")
    prices: tuple[Annotated[ModelPrice, BeforeValidator(parse_price)], ...] = _option(
        "of a model whose price is not known, or is another for you; dollars per million tokens; repeatable",
        "MODEL=IN,OUT[,CACHED]",
        (),
    )
    max_calls: int | None = _option("how many model calls the run may make, for models without a price", "N", ge=1)
    max_staleness: Annotated[int | Literal["none"], BeforeValidator(_parse_staleness)] | None = _option(
        "advances of the frontier that a waiting proposal may have missed and still be tried; 0 is strict, none tries "
        "all that start near the frontier (default: none)",
        "N",
    )
    complexity_price: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = _option(
        "bits per byte that a line of code costs (default: 0.00005, upstream's 0.001 for 20 lines)", "P"
    )
    isolation: Isolation | None = _option(
        f"of candidates: {', '.join(get_args(Isolation))} (default: best, the best that can be had)", "MODE"
    )
    state: str | None = _option(
        "where the state is: sqlite or etcd://host:2379[,host2:2379] (default: sqlite)", "WHERE"
    )
    push_to: str | None = _option("push every win to this git remote", "REMOTE")
    on_win: Annotated[str, AfterValidator(_check_command)] | None = _option(
        "run this shell command after each proven win; it reads what was found as JSON on its standard input", "COMMAND"
    )
    on_end: Annotated[str, AfterValidator(_check_command)] | None = _option(
        "the same when the launch ends, also when it is interrupted", "COMMAND"
    )
    log: tuple[TrackerName, ...] = _option(
        f"tell the run to an experiment tracker: {', '.join(get_args(TrackerName))}; repeatable", "TOOL", ()
    )
    storage: str | None = _option(
        "keep a copy of everything there, and resume from it: s3://, gs://, a mounted folder; none ends it", "URL"
    )
    init_only: bool = _option("of a folder: write its experiment as a YAML file here, and end", default=False)
    submit: str | None = _option("run as a job of the cluster whose dashboard this is, and follow it", "URL")
    plain: bool = _option("one line a decision instead of a live screen", default=False)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.resume and self.tag is None:
            raise ValueError("--resume: which run? say --tag TAG")
        return self


def ask(**options: Any) -> Request:
    """The request with these options. SettingsError names the first that is wrong."""
    unknown = sorted(set(options) - set(Request.model_fields))
    if unknown:
        expected = ", ".join(sorted(Request.model_fields))
        raise SettingsError(f"unknown option {', '.join(unknown)}; expected some of {expected}")
    try:
        return Request.model_validate(options)
    except ValidationError as error:
        raise SettingsError(describe(error)) from None


def option_name(field: str) -> str:
    """How the command line calls a field of `Request`."""
    return "--" + {"proposers": "proposer", "prices": "price"}.get(field, field).replace("_", "-")


def describe(error: ValidationError) -> str:
    """The first wrong option of a request in one line: what was said, what was expected."""
    first = error.errors()[0]
    expected = expectation(first)
    if not first["loc"]:
        return expected
    said = first["input"] if isinstance(first["input"], (tuple, list)) else [first["input"]]
    words = " ".join(spec.label if isinstance(spec, ProposerSpec) else shlex.quote(str(spec)) for spec in said)
    return f"{option_name(str(first['loc'][0]))} {words}: {expected}"


def default_tag(now: datetime | None = None) -> str:
    """A tag of the day and minute."""
    return (now or datetime.now(UTC)).strftime("%b%d-%H%M%S").lower()
