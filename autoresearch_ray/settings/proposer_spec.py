"""Who proposes, as the command line names it: tuners, providers of models, agents and classes of the user's.

`NAME[:MODEL][=WEIGHT]` becomes a `ProposerSpec`; what its tokens cost a `ModelPrice`.
"""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError

from autoresearch_ray.settings.experiment import FrozenModel

TunerName = Literal["tpe", "random"]
ProviderName = Literal["anthropic", "gemini", "openai", "azure", "bedrock", "vertex"]
TUNERS: tuple[TunerName, ...] = get_args(TunerName)
PROVIDERS: tuple[ProviderName, ...] = get_args(ProviderName)
AGENT: Literal["agent"] = "agent"  # a coding agent's command line
SERVER = r"@(?=https?://)"  # between a model and its server's address
OWN: Literal["own"] = "own"  # a class of the user's
OWN_TUNER: Literal["tuner"] = "tuner"  # one that tunes knobs
ABLATION = "ablation"  # the proposer of what takes out parts of a best
MODELS = (*PROVIDERS, AGENT, OWN)  # who writes code
AGENTS = "agent:claude, agent:codex, agent:gemini, agent:opencode, agent:'COMMAND'"
CLASSES = f"{OWN}:MODULE:CLASS, {OWN_TUNER}:MODULE:CLASS"
KNOWN_PROPOSERS = ", ".join((*TUNERS, *(f"{provider}:MODEL" for provider in PROVIDERS), AGENTS, CLASSES))
NONE: Literal["none"] = "none"  # for --director, --max-staleness, --storage and --llm-base-url


class ProposerSpec(FrozenModel):
    """A proposer and its share of the proposals."""

    name: TunerName | ProviderName | Literal["agent", "own", "tuner"]
    model: str = ""  # of a provider; which agent, or where the class is
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    @property
    def is_tuner(self) -> bool:
        """Whether it sets knobs."""
        return self.name in (*TUNERS, OWN_TUNER)

    @property
    def model_name(self) -> str:
        """The model as its provider names it, without a server's address."""
        return re.split(SERVER, self.model)[0]

    @property
    def server(self) -> str | None:
        """The address of the server that this model alone is asked at; None for what holds for all."""
        return self.model[len(self.model_name) + 1 :] or None

    @property
    def label(self) -> str:
        """What trials, tables and logs call it."""
        return f"{self.name}:{self.model}" if self.model else self.name


class ModelPrice(FrozenModel):
    """What a model's tokens cost, in dollars per million, as decimal numbers."""

    model: str
    input: str
    output: str
    cached: str  # input read from the provider's cache


def parse_price(text: object) -> object:
    """`MODEL=IN,OUT[,CACHED]` as a ModelPrice; ValueError says what is wrong with it."""
    if not isinstance(text, str):
        return text
    number = r"(\d{1,6}(?:\.\d{1,9})?)"
    match = re.fullmatch(rf"(\S+)={number},{number}(?:,{number})?", text)
    if match is None:
        raise ValueError(
            "expected MODEL=IN,OUT or MODEL=IN,OUT,CACHED in dollars per million tokens, say my-model=2,10"
        )
    model, given, made, cached = match.groups()
    return ModelPrice(model=model, input=given, output=made, cached=cached or given)


def parse_proposer(text: object) -> object:
    """`NAME[:MODEL][=WEIGHT]` as a ProposerSpec; ValueError says what is wrong with it."""
    if not isinstance(text, str):
        return text
    is_command = text.startswith(f"{AGENT}:") and re.search(r"\s", text)  # whose options may have a =
    who, _, weight_text = (text, "", "") if is_command else text.partition("=")
    name, _, model = who.partition(":")
    if name not in (*TUNERS, *MODELS, OWN_TUNER):
        raise ValueError(f"unknown proposer {name!r}; expected one of {KNOWN_PROPOSERS}")
    if name == AGENT and not model.strip():
        raise ValueError(f"which agent? expected one of {AGENTS}")
    if name in (OWN, OWN_TUNER) and not model:
        raise ValueError(f"which class? expected {name}:package.module:Class")
    if name in PROVIDERS and not model:
        raise ValueError(f"which model? expected {name}:MODEL, as its provider names it")
    if name != "openai" and name in PROVIDERS and re.search(SERVER, model):
        raise ValueError(f"{name} is asked at its provider alone; expected openai:MODEL@URL for a server of your own")
    if name in TUNERS and model:
        raise ValueError(f"{name} tunes knobs and has no model; expected {name}")
    try:
        return ProposerSpec.model_validate({"name": name, "model": model, "weight": weight_text or 1.0})
    except ValidationError:
        raise ValueError(f"weight {weight_text!r} is wrong; expected a number above 0") from None


def parse_director(text: object) -> object:
    """`PROVIDER:MODEL` as a ProposerSpec, or none; ValueError says what is wrong with it."""
    if not isinstance(text, str) or text == NONE:
        return text
    if text.partition(":")[0] not in PROVIDERS:
        raise ValueError(f"a director is a model; expected one of {', '.join(f'{name}:MODEL' for name in PROVIDERS)}")
    return parse_proposer(text)


def check_names(specs: tuple[ProposerSpec, ...]) -> tuple[ProposerSpec, ...]:
    if len({spec.label for spec in specs}) < len(specs):
        raise ValueError("names one twice; say each once, with its weight")
    return specs
