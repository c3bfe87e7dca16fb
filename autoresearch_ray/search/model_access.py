"""The language models of a run before it starts: their SDKs, keys, prices and connections, while a person still looks.

Keys are taken out of this process's environment while the run goes, so that no process started from it has them; they
travel to the proposer actor alone.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.propose.llm.agents.agent import Agent, agent_environment, find_executable
from autoresearch_ray.propose.llm.calls import Ask
from autoresearch_ray.propose.llm.prices import find_price
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.keys import VARIABLES, Key, load_key, withdraw
from autoresearch_ray.propose.llm.providers.sdk import need
from autoresearch_ray.settings import AGENT, MODELS, PROVIDERS, ProposerSpec, RunTerms

ADDRESSES = re.compile(r"(openai|anthropic|google|gemini)_|(https?|all|no)_proxy$|ssl_cert_|requests_ca_bundle$", re.I)


class Model(Ask, Protocol):
    """A model or an agent that is set up."""

    who: str

    async def close(self) -> None:
        """Close what it holds."""


@contextmanager
def model_keys(run: RunTerms) -> Iterator[dict[str, str]]:
    """The key of every model, and the environment of every agent as JSON, by proposer. SettingsError.

    A key that there is none of is asked for at the terminal.
    """
    models = [spec for spec in run.proposers if spec.name in MODELS]
    specs = [spec for spec in models if spec.name in PROVIDERS]
    for spec in specs:
        need(spec.name)
    for spec in models:
        _check_price(spec, run)
    agents = {}
    for spec in models:
        if spec.name == AGENT:
            find_executable(spec.model, os.environ)
            agents[spec.label] = json.dumps(agent_environment(spec.model, os.environ))
    typed: dict[str, str] = {}  # once a provider, however many models of it
    for spec in specs:
        if spec.name not in typed:
            typed[spec.name] = load_key(spec.name, os.environ, base_url(spec, run)).reveal()
        connect(spec.name, spec.model, Key(typed[spec.name]), base_url(spec, run))  # whether it can be set up
    held = {name: os.environ[name] for names in VARIABLES.values() for name in names if name in os.environ}
    withdraw(os.environ)
    try:
        yield {spec.label: typed[spec.name] for spec in specs} | agents
    finally:
        os.environ |= held


def connect_model(spec: ProposerSpec, key: Key, run: RunTerms) -> Model:
    """The model or agent as an Ask; `key` is what `model_keys` gave for it. SettingsError where it cannot be set up."""
    if spec.name == AGENT:
        return Agent(spec.label, spec.model, json.loads(key.reveal()))
    return connect(spec.name, spec.model, key, base_url(spec, run))


def base_url(spec: ProposerSpec, run: RunTerms) -> str | None:
    """Where the model is asked for; None for its provider's own address."""
    return (run.llm_base_url or None) if spec.name == "openai" else None


def sdk_environment() -> dict[str, str]:
    """The variables that tell the SDKs where to ask and how; the keys are not among them while `model_keys` lasts."""
    return {name: value for name, value in os.environ.items() if ADDRESSES.match(name)}


def adopt_sdk_environment(environment: dict[str, str]) -> None:
    """Take the variables of where `launch` runs in the place of this process's own."""
    for name in sdk_environment():
        del os.environ[name]
    os.environ |= environment


def _check_price(spec: ProposerSpec, run: RunTerms) -> None:
    known = find_price(spec.name, spec.model, base_url(spec, run)) is not None
    if run.max_cost_usd is not None and run.max_calls is None and not known:
        raise SettingsError(
            f"--max-cost-usd {run.max_cost_usd:g}: the price of {spec.label} is not known, so the limit could not "
            f"be held; say --max-calls N too, take a model that has a price, or leave the limit away"
        )
