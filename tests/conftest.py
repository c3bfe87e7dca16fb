"""Fixtures that several folders share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_session() -> Iterator[str]:
    """A small Ray of this pytest process alone, started when first asked for; the value is its namespace."""
    import ray  # here, so that tests without Ray do not pay for it

    ray.init(
        address="local",  # never somebody else's
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        namespace="tests",
        logging_level="warning",
    )
    yield "tests"
    ray.shutdown()
