"""The settings of a run that follow from what a launch asks for (`request.py`).

    run, folder = resolve(request, say)          # RequestedRun: everything that can be checked before Ray starts
    settings = settle(run, fingerprint, cluster, say)     # RunSettings: and what the machines decide

`RunSettings` are stored in the run's store and in settings.json, and a resumed run takes them from there. Nothing here
starts Ray.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.records.history import EarlierRun
from autoresearch_ray.records.trials import CoRun, Isolation
from autoresearch_ray.settings.decision_rules import Rules
from autoresearch_ray.settings.experiment import Experiment, FrozenModel
from autoresearch_ray.settings.proposer_spec import MODELS, ModelPrice, ProposerSpec
from autoresearch_ray.settings.script_experiment import AnyExperiment, ScriptExperiment

EarlyStop = Literal["none", "paired"]
KeepWeights = Literal["none", "best"]
SQLITE = "sqlite"  # for --state, the default


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
