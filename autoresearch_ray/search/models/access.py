"""The language models of a run before it starts: their SDKs, keys, prices and connections, while a person still looks.

Keys are taken out of this process's environment while the run goes, so that no process started from it has them; they
travel to the proposer actor alone.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.agents.agent import Agent, agent_environment, find_executable
from autoresearch_ray.propose.llm.calls import Ask
from autoresearch_ray.propose.llm.conversation import Accept, Conversation, Gates
from autoresearch_ray.propose.llm.prices import Price, find_price, price
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.keys import VARIABLES, Key, load_key, withdraw
from autoresearch_ray.propose.llm.providers.sdk import need
from autoresearch_ray.propose.llm.providers.surroundings import check_address
from autoresearch_ray.propose.llm.window import Window, propose_within
from autoresearch_ray.propose.own import load_proposer, load_tuner
from autoresearch_ray.settings.proposer_spec import AGENT, MODELS, OWN, OWN_TUNER, PROVIDERS, ProposerSpec
from autoresearch_ray.settings.run_settings import RunTerms

ADDRESSES = re.compile(
    r"(openai|anthropic|google|gemini|azure)_|aws_(region|default_region|profile|\w+_file)|(https?|all|no)_proxy$|ssl_cert_|requests_ca_bundle$",
    re.I,
)


class Model(Ask, Protocol):
    """A model or an agent that is set up."""

    who: str

    async def close(self) -> None:
        """Close what it holds."""


class Mind(Protocol):
    """Whoever writes code: a model, an agent or a class of the user's, asked for ideas on a view."""

    async def converse(self, view: SearchView, gates: Gates, accept: Accept) -> Conversation:
        """One conversation, every idea of it through all gates."""


@dataclass(slots=True)
class AskedMind:
    """A model or an agent: prompts go to its Ask, within its window."""

    ask: Ask
    window: Window

    async def converse(self, view: SearchView, gates: Gates, accept: Accept) -> Conversation:
        """As `propose_within`."""
        return await propose_within(self.window, self.ask, view, gates, accept)


@contextmanager
def model_keys(run: RunTerms) -> Iterator[dict[str, str]]:
    """The key of every model, and the environment of every agent as JSON, by proposer. SettingsError.

    A key that there is none of is asked for at the terminal.
    """
    models = [spec for spec in run.proposers if spec.name in MODELS]
    if run.director is not None and run.director.label not in {spec.label for spec in models}:
        models.append(run.director)
    for spec in run.proposers:
        if spec.name == OWN_TUNER:
            load_tuner(spec.model)
    specs = [spec for spec in models if spec.name in PROVIDERS]
    for spec in specs:
        need(spec.name)
    for spec in models:
        _check_price(spec, run)
    keys: dict[str, str] = {}
    for spec in models:
        if spec.name == OWN:
            load_proposer(spec.model)
            keys[spec.label] = ""
        if spec.name == AGENT:
            find_executable(spec.model, os.environ)
            keys[spec.label] = json.dumps(agent_environment(spec.model, os.environ))
    typed: dict[tuple[str, bool], str] = {}  # once a provider, and once for all servers of one's own
    for spec in specs:
        key = spec.name, base_url(spec, run) is not None
        if key not in typed:
            typed[key] = load_key(spec.name, os.environ, base_url(spec, run)).reveal()
        connect_model(spec, Key(typed[key]), run)  # whether it can be set up
        keys[spec.label] = typed[key]
    saved = {name: os.environ[name] for names in VARIABLES.values() for name in names if name in os.environ}
    withdraw(os.environ)
    try:
        yield keys
    finally:
        os.environ |= saved


def connect_model(spec: ProposerSpec, key: Key, run: RunTerms) -> Model:
    """The model or agent as an Ask; `key` is what `model_keys` gave for it. SettingsError where it cannot be set up."""
    if spec.name == AGENT:
        return Agent(spec.label, spec.model, json.loads(key.reveal()))
    return connect(spec.name, spec.model_name, key, base_url(spec, run), who=spec.label)


def price_of(spec: ProposerSpec, run: RunTerms) -> Price | None:
    """What the model's tokens cost: as the user says, or as is published; None where that is not known."""
    given = {one.model: price(one.input, one.cached, one.output) for one in run.prices}
    return find_price(spec.name, spec.model_name, base_url(spec, run), given)


def base_url(spec: ProposerSpec, run: RunTerms) -> str | None:
    """Where the model is asked for; None for its provider's own address. SettingsError for what is no URL."""
    if spec.name != "openai":
        return None
    if spec.server is None:
        return run.llm_base_url or None
    try:
        return check_address(spec.server)
    except ValueError as error:
        raise SettingsError(f"--proposer {spec.label}: {error}") from None


def sdk_environment() -> dict[str, str]:
    """The variables that tell the SDKs where to ask and how; the keys are not among them while `model_keys` lasts."""
    return {name: value for name, value in os.environ.items() if ADDRESSES.match(name)}


def adopt_sdk_environment(environment: dict[str, str]) -> None:
    """Take the variables of where `launch` runs in the place of this process's own."""
    for name in sdk_environment():
        del os.environ[name]
    os.environ |= environment


def _check_price(spec: ProposerSpec, run: RunTerms) -> None:
    if spec.name == OWN:
        return
    if run.max_cost_usd is not None and run.max_calls is None and price_of(spec, run) is None:
        raise SettingsError(
            f"--max-cost-usd {run.max_cost_usd:g}: the price of {spec.label} is not known, so the limit could not "
            f"be held; give its price with --price, say --max-calls N, or leave the limit away"
        )
