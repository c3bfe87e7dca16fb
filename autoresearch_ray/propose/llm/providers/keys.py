"""Keys of providers: from their usual environment variables, or typed at a hidden prompt.

    key = load_key("anthropic", os.environ)    # Key(hidden)
    withdraw(os.environ)                       # before any process is started that has no business with keys

Only `reveal` shows a key: no log, traceback, JSON or pickle does.
"""

import getpass
import json
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import NoReturn

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.providers.registry import REGISTRY

VARIABLES = {name: facts.key_variables for name, facts in REGISTRY.items()}
NO_KEY = "none"  # sent to a server of one's own that asks for no key
AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SHORTEST = 8  # a shorter text is not hidden: it would blot out innocent words


class Key:
    """A secret text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key itself, for the one who sends it."""
        return self._text

    def scrub(self, text: str) -> str:
        """The text without the key in it."""
        return text.replace(self._text, "[key]") if len(self._text) >= SHORTEST else text

    def __repr__(self) -> str:
        return "Key(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not travel by itself; where it must, send what reveal() gives")


def load_key(
    provider: str,
    environ: Mapping[str, str] = os.environ,
    base_url: str | None = None,
    ask: Callable[[str], str] | None = None,
) -> Key:
    """The provider's key; SettingsError when there is none and no terminal to ask at.

    Where the SDK finds credentials by itself, the key is empty, or what the environment has of AWS's as JSON.
    `ask` shows a prompt and returns what is typed: by default a hidden one, if there is a terminal. Only `openai` with
    a base URL of the user's own may do without a key.
    """
    names = VARIABLES[provider]
    for name in names:
        if environ.get(name, "").strip():
            return Key(_check(environ[name].strip(), name))
    if provider == "openai" and base_url is not None:
        return Key(NO_KEY)
    if not REGISTRY[provider].needs_key:
        signed = {name: environ[name] for name in AWS_KEYS if provider == "bedrock" and environ.get(name)}
        return Key(json.dumps(signed) if signed else "")
    if ask is None and not (sys.stdin and sys.stdin.isatty()):
        raise SettingsError(f"no key for {provider}: {' or '.join(names)} is not set, and there is no terminal to ask")
    try:
        typed = (ask or getpass.getpass)(f"Key for {provider} (not shown, not stored): ").strip()
    except EOFError:
        typed = ""
    if not typed:
        raise SettingsError(f"no key for {provider}: nothing was typed; set {' or '.join(names)} or type it")
    return Key(_check(typed, "what was typed"))


def withdraw(environ: MutableMapping[str, str] = os.environ) -> None:
    """Take every provider's key out of an environment, so that nothing started from it inherits one."""
    for names in VARIABLES.values():
        for name in names:
            environ.pop(name, None)


def _check(text: str, where: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError(f"{where} is no key: it has spaces or signs that no key has; paste the key alone")
    return text
