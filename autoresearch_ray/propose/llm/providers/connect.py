"""From `PROVIDER:MODEL` to an Ask, the SDK imported only now.

ask = connect("anthropic", "claude-opus-5-5", load_key("anthropic"))
ask = connect("openai", "qwen3", key, base_url="http://localhost:8000/v1")     # vLLM, Ollama, llama.cpp ...
"""

import importlib

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.providers.failures import MESSAGE_CHARS
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Provider, Wire
from autoresearch_ray.propose.llm.providers.registry import REGISTRY
from autoresearch_ray.propose.llm.providers.sdk import need
from autoresearch_ray.propose.llm.providers.surroundings import check_variable, way_told
from autoresearch_ray.propose.llm.providers.watch import Patience


def connect(
    provider: str,
    model: str,
    key: Key,
    base_url: str | None = None,
    patience: Patience | None = None,
    who: str = "",
) -> Provider:
    """One model of one provider, told as `who` (PROVIDER:MODEL if that is not said); nothing is sent yet.

    SettingsError: no such provider, its SDK is not installed, or its client cannot be set up in this environment.
    """
    if provider not in REGISTRY:
        raise SettingsError(f"--proposer {provider}:{model}: unknown provider; expected one of {', '.join(REGISTRY)}")
    need(provider)
    if base_url is None:
        check_variable(REGISTRY[provider].address_variable)
    patience = patience or Patience()
    return Provider(who or f"{provider}:{model}", _wire(provider, model, key, base_url, patience), key, patience)


def _wire(provider: str, model: str, key: Key, base_url: str | None, patience: Patience) -> Wire:
    module = importlib.import_module(f"{__package__}.{provider}")
    from autoresearch_ray.propose.llm.providers.connection import UNUSABLE  # needs an SDK

    try:
        wire: Wire = getattr(module, REGISTRY[provider].wire)(model, key, base_url, patience)
    except UNUSABLE as error:
        what = one_line(key.scrub(f"{type(error).__name__}: {error}"), MESSAGE_CHARS)
        raise SettingsError(
            f"--proposer {provider}:{model}: its HTTP client cannot be set up ({what}); expected proxies "
            f"(http, https, socks5, socks5h) and certificates that exist, look at {way_told() or 'the base URL'}"
        ) from None
    return wire
