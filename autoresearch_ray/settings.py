"""What a launch asks for, and the settings of a run that follow from it.

    request = Request(experiment=Path("experiments/cpu.yaml"), tag="monday")    # what a person typed
    run, folder = resolve(request, say)          # RequestedRun: everything that can be checked before Ray starts
    settings = settle(run, fingerprint, cluster, say)     # RunSettings: and what the machines decide

A new option is one field of `Request`: the command line and its checks are made from it. If the run keeps it, it is a
field of `RunTerms` too. `RunSettings` are stored in the run's store and in settings.json, and a resumed run takes them
from there. Nothing here starts Ray.
"""

import re
import shlex
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.experiment import Experiment, FrozenModel, expectation
from autoresearch_ray.proposer_spec import (
    KNOWN_PROPOSERS,
    MODELS,
    NONE,
    ModelPrice,
    ProposerSpec,
    check_names,
    parse_director,
    parse_price,
    parse_proposer,
)
from autoresearch_ray.records import CoRun, EarlierRun, Isolation
from autoresearch_ray.script_experiment import AnyExperiment, ScriptExperiment

EarlyStop = Literal["none", "paired"]
KeepWeights = Literal["none", "best"]
TrackerName = Literal["wandb", "mlflow", "tensorboard"]
SQLITE = "sqlite"  # for --state, the default
AUTO: Literal["auto"] = "auto"  # for --gpus-per-trial


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the decision; J and bpb unless said otherwise."""

    complexity_price: float = 0.00005  # bpb a code line: upstream's 0.001 for 20 lines; 0 for another score
    baseline_trials: int = 3  # before anything is decided
    worthwhile_sd: float = 0.4  # a step of the frontier that is worth another run of a contender
    contender_probability: float = 0.3  # of a worthwhile step, above which a contender is run again
    most_runs: int = 3  # of a contender
    advance_probability: float = 0.75  # that a candidate is better, above which the frontier moves to it
    advance_once_probability: float = 0.9  # the same for one that was run once
    return_probability: float = 0.5  # that an ancestor is better, above which the frontier moves back to it
    merge_probability: float = 0.75  # that a change is an improvement, above which it is merged with the frontier
    refuse_probability: float = 0.5  # that a merge is an improvement, below which it counts against its parts
    most_refusals: int = 1  # such merges, after which a change is merged no more
    lead_sd: float = 1.0  # an expected lead over the best that starts a proof
    cheap_pairs: int = 3  # that a proof may need which is begun before the end
    last_chance: float = 0.05  # probability to pass that starts one at the end of the run
    keep_probability: float = 0.99
    drop_probability: float = 0.05  # of a proof to pass, below which it ends
    min_pairs: int = 2  # of a proof
    max_pairs: int = 8
    removal_margin: float = 0.0  # bpb that all removals since the last gain may cost; 0: none is proven
    min_removal_pairs: int = 10  # of the proof of a removal
    max_removal_pairs: int = 20
    plateau_trials: int = 30  # without a move of the frontier, after which removals are proven beside proposals
    needs_holdout: bool = True  # a win must hold on the held-out score too; a script may have none
    reserve_trials: int = 2  # kept for a proof before the run ends
    early_stop_below: float = 0.02  # probability of a worthwhile step, below which a screen may end early
    early_stop_pairs: int = 12  # finished pairs of learning curves that must be known before


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
    trials: int | None = _option("trials in all, replicates included (default: the experiment's)", "N", ge=4)
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


class RunTerms(FrozenModel):
    """What a run is about, whatever it runs on."""

    tag: str
    experiment: AnyExperiment
    trials: Annotated[int, Field(ge=4)]
    hours: float | None
    device: Literal["cpu", "cuda"]
    sharing: tuple[CoRun, ...] = ()  # what --gpus-per-trial auto measured
    accelerator: str = ""  # the kind of GPU that the run is pinned to, as Ray calls it; "" for any
    proposers: tuple[ProposerSpec, ...]
    director: ProposerSpec | None = None  # the model that writes the directives
    from_run: str = ""  # whose best it starts from, as it was said; "" for none
    seed: int
    early_stop: EarlyStop
    keep_weights: KeepWeights = "none"
    llm_base_url: str  # of an OpenAI-compatible server; "" for the provider's own
    context_tokens: int | None = None  # of the models' windows; None: not known
    max_cost_usd: float | None  # of all model calls, over all launches
    prices: tuple[ModelPrice, ...] = ()  # that the user gave
    max_calls: int | None = None  # of all models, over all launches
    isolation: Isolation
    state: str  # sqlite, or the URL of an etcd cluster
    storage: str = ""  # the URL where copies of everything go; "" for none
    max_staleness: int | None  # frontier versions that a queued proposal may lag behind; None: any number
    rules: Rules  # the numbers by which it decides
    baseline: str  # the starting candidate's text, constants written in
    program: str
    dataset_fingerprint: str  # "" before its data were looked at
    versions: dict[str, str]
    hardware: dict[str, Any]
    created_at: float

    @property
    def gpu_share(self) -> float:
        """Of a GPU, that Ray sets aside for a trial; logical GPUs may be shared out for training on CPUs too."""
        wanted = self.device == "cuda" or self.experiment.device == "cpu"
        return self.experiment.gpus_per_trial if wanted else 0.0

    @property
    def train_experiment(self) -> Experiment:
        """The experiment, of our contract. SettingsError for a run of a script."""
        if isinstance(self.experiment, ScriptExperiment):
            raise SettingsError(
                f"run {self.tag} is of a script (contract: script); expected a run whose train.py the harness trains"
            )
        return self.experiment

    @property
    def has_models(self) -> bool:
        """Whether anybody reads directives."""
        return any(spec.name in MODELS for spec in self.proposers)

    @property
    def director_label(self) -> str:
        """How statuses and bills call the director; "" without one."""
        return f"director {self.director.label}" if self.director else ""

    def oldest_parent(self, version: int) -> int:
        """The first frontier version whose proposals are still tried while the frontier is at `version`."""
        return 0 if self.max_staleness is None else version - self.max_staleness

    def terms(self) -> dict[str, Any]:
        """The fields of every run, by name."""
        return {name: getattr(self, name) for name in RunTerms.model_fields}


class RunSettings(RunTerms):
    """The settings of one run, as they are stored."""

    slots: Annotated[int, Field(ge=1)]

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, values: Any) -> Any:
        """Version 0.1 stored no rules, a limit of memory that nothing read, and other ways of early stopping.

        Of earlier rules the price of a line stays: it is a part of J. The others have no meaning any more.
        """
        if not isinstance(values, dict):
            return values
        rules = values.get("rules", {})
        if isinstance(rules, dict):
            names = {field.name for field in fields(Rules)}
            kept = rules if rules.keys() <= names else {k: v for k, v in rules.items() if k == "complexity_price"}
            values = values | {"rules": kept}
        if values.get("early_stop") in ("asha", "median"):
            values = values | {"early_stop": "paired"}
        return {key: value for key, value in values.items() if key != "memory_mb"}


class RequestedRun(RunTerms):
    """A run that can be had, as far as that can be told before Ray starts."""

    address: str | None  # of the Ray cluster to join; None: Ray is started here
    slots: Annotated[int, Field(ge=1)] | None  # asked for, as before, or as fit here; None: to be counted
    follows: bool  # takes more slots when nodes join
    measures_sharing: bool  # finds the share of a GPU by trials
    earlier: EarlierRun | None = None  # that it starts from; of a new run alone

    def settle(self, slots: int, **changes: Any) -> RunSettings:
        """The settings with this number of slots, and other changes."""
        return RunSettings.model_validate(self.terms() | {"slots": slots} | changes)


def default_tag(now: datetime | None = None) -> str:
    """A tag of the day and minute."""
    return (now or datetime.now(UTC)).strftime("%b%d-%H%M%S").lower()
