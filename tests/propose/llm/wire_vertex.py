"""Gemini's protocol as Vertex AI serves it: below a project and a location."""

from wire_gemini import begin, error, finish, half, piece, ping, read, stream_error, thought

__all__ = ["begin", "error", "finish", "half", "path", "piece", "ping", "read", "stream_error", "thought"]

PROJECT, LOCATION = "my-project", "europe-west4"


def path(model: str) -> str:
    """Where a request for this model must go."""
    return f"/v1beta1/projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/{model}:streamGenerateContent"
