"""How long a model rests after a failure."""

from autoresearch_ray.common.errors import ProviderError
from autoresearch_ray.common.repeating import pause_after

FAILED_SECONDS = (15.0, 240.0)  # after a failed call, doubled up to the second while it goes on failing


def pause_seconds(failures: int, error: Exception | None, bounds: tuple[float, float] = FAILED_SECONDS) -> float:
    """After so many failures in a row, at least as long as its provider asked for."""
    asked = (error.retry_after_seconds or 0.0) if isinstance(error, ProviderError) else 0.0
    return max(asked, pause_after(failures, bounds))
