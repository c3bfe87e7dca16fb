"""Each provider in turn, and an environment without anybody's keys, addresses or proxies."""

import os

import pytest
from wire import PROTOCOLS, Protocol


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(("ANTHROPIC_", "GEMINI_", "GOOGLE_", "OPENAI_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
