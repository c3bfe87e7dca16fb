"""From `PROVIDER:MODEL` to an Ask, the SDK imported only now.

ask = connect("anthropic", "claude-opus-5-5", load_key("anthropic"))
ask = connect("openai", "qwen3", key, base_url="http://localhost:8000/v1")     # vLLM, Ollama, llama.cpp ...
"""

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Provider, Wire
from autoresearch_ray.propose.llm.providers.sdk import PACKAGES, need
from autoresearch_ray.propose.llm.providers.watch import Patience


def connect(
    provider: str, model: str, key: Key, base_url: str | None = None, patience: Patience | None = None
) -> Provider:
    """One model of one provider; nothing is sent yet. SettingsError: no such provider, or its SDK is not installed."""
    if provider not in PACKAGES:
        raise SettingsError(f"--proposer {provider}:{model}: unknown provider; expected one of {', '.join(PACKAGES)}")
    need(provider)
    patience = patience or Patience()
    return Provider(f"{provider}:{model}", _wire(provider, model, key, base_url, patience), key, patience)


def _wire(provider: str, model: str, key: Key, base_url: str | None, patience: Patience) -> Wire:
    if provider == "anthropic":
        from autoresearch_ray.propose.llm.providers.anthropic import AnthropicWire

        return AnthropicWire(model, key, base_url, patience)
    if provider == "gemini":
        from autoresearch_ray.propose.llm.providers.gemini import GeminiWire

        return GeminiWire(model, key, base_url, patience)
    from autoresearch_ray.propose.llm.providers.openai import OpenAIWire

    return OpenAIWire(model, key, base_url, patience)
