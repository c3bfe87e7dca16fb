"""The SDKs: imported when needed, missed in one line, and quiet about keys."""

import asyncio
import importlib
import logging
import subprocess
import sys

import pytest
from wire import Fail, Protocol, Say, WireServer
from wire_client import KEY, MODEL, PROMPT, SECRET, ask, outcome, with_provider
from wire_socks import socks_proxy

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.provider import Provider
from autoresearch_ray.propose.llm.providers.registry import REGISTRY
from autoresearch_ray.settings.proposer_spec import PROVIDERS

SDKS = {"anthropic": "anthropic", "gemini": "google.genai", "openai": "openai"}


def test_no_sdk_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys, autoresearch_ray.propose.llm.providers.connect, autoresearch_ray.propose.llm.metered;"
        f"print([name for name in {[*SDKS.values(), 'httpx2', 'anyio']} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_sdk_needs_no_other() -> None:
    program = (
        "import sys; sys.modules['google.genai'] = sys.modules['openai'] = None\n"
        "from autoresearch_ray.propose.llm.providers.keys import Key\n"
        "from autoresearch_ray.propose.llm.providers.connect import connect\n"
        "print(connect('anthropic', 'm', Key('k')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Provider(anthropic:m)"


def test_a_missing_sdk_is_one_line_with_the_command(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, SDKS[protocol], None)
    with pytest.raises(SettingsError) as caught:
        connect(protocol, MODEL, KEY)
    assert str(caught.value).endswith(f"pip install '{REGISTRY[protocol].package}'") and "\n" not in str(caught.value)


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected one of anthropic, gemini, openai"):
        connect("mistral", MODEL, KEY)


def test_no_log_line_of_any_library_has_the_key_in_it(protocol: Protocol, caplog: pytest.LogCaptureFixture) -> None:
    async def calls(provider: Provider) -> None:
        for _ in range(3):
            await outcome(provider(PROMPT))

    caplog.set_level(logging.DEBUG)
    for name in ("anthropic", "openai", "google_genai", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)
    with WireServer(protocol, [Say(), Fail(401, SECRET), Fail(500, "server")]) as server:
        with_provider(server, calls)
    assert caplog.records, "nothing was logged, so nothing was shown"
    lines = [logging.Formatter().format(record) for record in caplog.records]
    assert not [line for line in lines if SECRET in line]


def test_a_proxy_of_the_environment_is_used(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer(protocol, [Say()]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))

        async def call() -> None:
            provider = connect(protocol, MODEL, KEY, "http://provider.invalid")
            await outcome(provider(PROMPT))
            await provider.close()

        asyncio.run(call())
    assert [request.path.startswith("http://provider.invalid/") for request in proxy.requests] == [True]


def test_a_socks_proxy_of_the_environment_is_used(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer(protocol, [Say()]) as server, socks_proxy() as (url, connected):
        monkeypatch.setenv("ALL_PROXY", url)
        assert ask(server).text == "hello"
    assert [host for host, _ in connected] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("ALL_PROXY", "socks://me:secret@127.0.0.1:1080", "ALL_PROXY=socks://[password]@127.0.0.1:1080"),
        ("https_proxy", "http://[::1", "https_proxy=http://[::1"),
        ("SSL_CERT_FILE", "/gone.pem", "SSL_CERT_FILE=/gone.pem"),
    ],
)
def test_a_client_that_cannot_be_set_up_is_one_line_with_the_variable(
    protocol: Protocol, variable: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        connect(protocol, MODEL, KEY, "http://127.0.0.1:1")
    line = str(caught.value)
    assert line.startswith(f"--proposer {protocol}:{MODEL}: its HTTP client cannot be set up (")
    assert shown in line and "secret" not in line and "\n" not in line and SECRET not in line


@pytest.mark.parametrize("value", ["", "localhost:8000/v1", "http://[::1:9/v1", "ftp://localhost"])
def test_an_address_of_the_environment_that_is_none_is_named(
    protocol: Protocol, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = REGISTRY[protocol].address_variable
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        connect(protocol, MODEL, KEY)
    assert str(caught.value).startswith(f"{name}={value}: expected http:// or https:// and a host")


def test_a_provider_shows_its_name_alone() -> None:
    assert repr(connect("openai", "qwen", KEY, "http://localhost:1/v1")) == "Provider(openai:qwen)"


@pytest.mark.parametrize(
    ("protocol", "variable"),
    [("anthropic", "ANTHROPIC_API_KEY"), ("gemini", "GOOGLE_API_KEY"), ("openai", "OPENAI_API_KEY")],
    indirect=["protocol"],
)
def test_the_given_key_is_sent_and_not_one_of_the_environment(
    protocol: Protocol, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "another-key")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another-key")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    with WireServer(protocol, [Say()]) as server:
        with_provider(server, lambda provider: provider(PROMPT))
    sent = " ".join(server.requests[0].headers.values())
    assert SECRET in sent and "another-key" not in sent


def test_every_provider_that_can_be_asked_for_is_known() -> None:
    assert set(REGISTRY) == set(PROVIDERS)
    for name, facts in REGISTRY.items():
        assert hasattr(importlib.import_module(f"autoresearch_ray.propose.llm.providers.{name}"), facts.wire)
