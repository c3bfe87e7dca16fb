"""The chat completions protocol as Azure serves it: at a deployment's own path."""

from wire_openai import begin, error, finish, half, piece, ping, read, stream_error, thought

__all__ = ["begin", "error", "finish", "half", "path", "piece", "ping", "read", "stream_error", "thought"]


def path(model: str) -> str:
    """Where a request for this deployment must go."""
    return f"/openai/deployments/{model}/chat/completions"
