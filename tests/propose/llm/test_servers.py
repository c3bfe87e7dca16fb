"""Each `openai:MODEL@URL` is asked at its own server, with the model's name alone."""

import asyncio
from contextlib import ExitStack

import pytest
from wire import Say, WireServer
from wire_client import PROMPT

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.new_run import new_run
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.search.models.access import connect_model, model_keys
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RequestedRun


def run_of(*proposers: str, **options: str) -> RequestedRun:
    return new_run(ask(proposers=proposers, isolation="none", **options), "x", address="none")


def test_two_models_are_asked_at_two_servers_and_the_others_where_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ExitStack() as stack:
        one, two, rest = (stack.enter_context(WireServer("openai", [Say(words)])) for words in ("one", "two", "rest"))
        run = run_of(f"openai:a/b:c@{one.url}", f"openai:d@{two.url}=0.5", "openai:e", llm_base_url=rest.url)
        with model_keys(run) as keys:
            assert set(keys.values()) == {"none"} and len(keys) == 3
            said = [asyncio.run(ask_once(run, index, keys)) for index in range(3)]
        assert said == ["one", "two", "rest"]
        assert [server.requests[0].model for server in (one, two, rest)] == ["a/b:c", "d", "e"]
        assert run.proposers[1].weight == 0.5


async def ask_once(run: RequestedRun, index: int, keys: dict[str, str]) -> str:
    spec = run.proposers[index]
    model = connect_model(spec, Key(keys[spec.label]), run)
    try:
        return (await model(PROMPT)).text
    finally:
        await model.close()


def test_a_server_that_is_no_url_and_a_provider_that_has_its_own_are_one_line() -> None:
    with pytest.raises(SettingsError, match="expected openai:MODEL@URL"):
        ask(proposers=("anthropic:m@http://localhost:1",))
    run = run_of("openai:m@http://")
    with pytest.raises(SettingsError, match="--proposer openai:m@http://: expected http"), model_keys(run):
        pass
