"""How long a model rests after a failure."""

from autoresearch_ray.errors import ProviderError

FAILED_SECONDS = (15.0, 240.0)  # after a failed call, doubled up to the second while it goes on failing


def pause_seconds(failures: int, error: Exception | None, bounds: tuple[float, float] = FAILED_SECONDS) -> float:
    """After so many failures in a row, at least as long as its provider asked for."""
    first, longest = bounds
    asked = (error.retry_after_seconds or 0.0) if isinstance(error, ProviderError) else 0.0
    return max(asked, min(longest, first * 2.0 ** min(failures - 1, 10)))
