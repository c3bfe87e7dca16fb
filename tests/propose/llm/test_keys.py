"""Keys: found where they usually are, asked for when missing, and shown to nobody."""

import io
import json
import logging
import os
import pickle
import pty
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.providers.keys import NO_KEY, VARIABLES, Key, load_key, withdraw

SECRET = "sk-0123456789"


def never(prompt: str) -> str:
    raise AssertionError(f"asked: {prompt}")


@pytest.mark.parametrize(
    ("provider", "name"), [(provider, name) for provider, names in VARIABLES.items() for name in names]
)
def test_the_usual_variable_is_enough(provider: str, name: str) -> None:
    assert load_key(provider, {name: f" {SECRET}\n"}, ask=never).reveal() == SECRET


def test_gemini_s_own_variable_goes_before_google_s() -> None:
    assert load_key("gemini", {"GOOGLE_API_KEY": "maps", "GEMINI_API_KEY": SECRET}, ask=never).reveal() == SECRET


def test_an_empty_variable_is_none() -> None:
    assert load_key("anthropic", {"ANTHROPIC_API_KEY": " "}, ask=lambda prompt: SECRET).reveal() == SECRET


def test_what_is_asked_names_the_provider() -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    load_key("gemini", {}, ask=ask)
    assert len(asked) == 1 and "gemini" in asked[0]


def test_without_a_terminal_a_missing_key_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(SECRET))
    with pytest.raises(SettingsError) as caught:
        load_key("gemini", {})
    assert "GEMINI_API_KEY or GOOGLE_API_KEY is not set" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("typed", ["", "  "])
def test_typing_nothing_is_refused(typed: str) -> None:
    with pytest.raises(SettingsError, match="nothing was typed"):
        load_key("openai", {}, ask=lambda prompt: typed)


@pytest.mark.parametrize("typed", ["sk-0123 4567", "sk-0123\n4567", "sk-schlüssel", "sk-\x1b[31m0123"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(typed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_key("openai", {}, ask=lambda prompt: typed)
    assert typed not in str(caught.value) and "0123" not in str(caught.value)


def test_a_server_of_one_s_own_needs_no_key() -> None:
    assert load_key("openai", {}, "http://localhost:8000/v1", ask=never).reveal() == NO_KEY
    assert load_key("openai", {"OPENAI_API_KEY": SECRET}, "http://localhost:8000/v1", ask=never).reveal() == SECRET


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_base_url_excuses_no_other_provider(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SettingsError):
        load_key(provider, {}, "http://localhost:8000")


def test_a_key_shows_itself_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    key = Key(SECRET)
    logging.getLogger("test").warning("%s %r %s", key, key, {"key": key})
    shown = [str(key), repr(key), f"{key}", f"{key!r}", f"{[key]}", caplog.text, str(dir(key)), str(Key.__dict__)]
    assert not [text for text in shown if SECRET in text]
    with pytest.raises(TypeError):
        json.dumps(key)
    with pytest.raises(TypeError):
        vars(key)


@pytest.mark.parametrize("copy", [pickle.dumps, deepcopy])
def test_a_key_does_not_travel_by_itself(copy: object) -> None:
    assert callable(copy)
    with pytest.raises(TypeError, match="reveal"):
        copy(Key(SECRET))


def test_a_key_is_taken_out_of_a_text_and_a_stand_in_is_not() -> None:
    assert Key(SECRET).scrub(f"a {SECRET} b{SECRET}") == "a [key] b[key]"
    assert Key(NO_KEY).scrub("none of it") == "none of it"


def test_withdrawing_leaves_an_environment_without_any_key() -> None:
    environ = {name: SECRET for names in VARIABLES.values() for name in names} | {"PATH": "/bin"}
    withdraw(environ)
    assert environ == {"PATH": "/bin"}


def test_at_a_real_terminal_the_key_is_typed_and_not_echoed(tmp_path: Path) -> None:
    program = (
        "from autoresearch_ray.propose.llm.providers.keys import load_key\n"
        f"open({str(tmp_path / 'key')!r}, 'w').write(load_key('openai', {{}}).reveal())\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    seen = b""
    while b"not stored): " not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, SECRET.encode() + b"\n")
    try:
        while piece := os.read(terminal, 1024):
            seen += piece
    except OSError:  # the child has closed its side
        pass
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "key").read_text() == SECRET and SECRET.encode() not in seen
