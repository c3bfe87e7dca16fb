"""From `PROVIDER:MODEL` to an Ask, the SDK imported only now.

ask = connect("anthropic", "claude-opus-5-5", load_key("anthropic"))
ask = connect("openai", "qwen3", key, base_url="http://localhost:8000/v1")     # vLLM, Ollama, llama.cpp ...
"""

import importlib

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.known import KNOWN
from autoresearch_ray.propose.llm.providers.provider import Provider, Wire
from autoresearch_ray.propose.llm.providers.sdk import need
from autoresearch_ray.propose.llm.providers.watch import Patience


def connect(
    provider: str, model: str, key: Key, base_url: str | None = None, patience: Patience | None = None
) -> Provider:
    """One model of one provider; nothing is sent yet. SettingsError: no such provider, or its SDK is not installed."""
    if provider not in KNOWN:
        raise SettingsError(f"--proposer {provider}:{model}: unknown provider; expected one of {', '.join(KNOWN)}")
    need(provider)
    patience = patience or Patience()
    return Provider(f"{provider}:{model}", _wire(provider, model, key, base_url, patience), key, patience)


def _wire(provider: str, model: str, key: Key, base_url: str | None, patience: Patience) -> Wire:
    module = importlib.import_module(f"{__package__}.{provider}")
    wire: Wire = getattr(module, KNOWN[provider].wire)(model, key, base_url, patience)
    return wire
