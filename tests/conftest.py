"""Fixtures that several folders share."""

import os
from collections.abc import Generator, Iterator

import pytest

LONGEST = {"test_store_differential.py", "test_isolation.py", "test_experiments.py", "test_simulate.py"}  # few tests


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, which installs what tests need, a skip for want of a package is a failure."""
    report = yield
    is_missing = any(words in str(report.longrepr) for words in ("apt-get install", "could not import"))
    if report.skipped and is_missing and os.environ.get("AUTORESEARCH_CI"):
        report.outcome = "failed"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small Ray of this pytest process alone, started when first asked for; the value is its namespace."""
    import ray  # here, so that tests without Ray do not pay for it

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_HOME", str(tmp_path_factory.mktemp("home")))  # of the slots that runs have on it
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


@pytest.fixture(scope="session")
def ray_address(ray_session: str) -> str:
    """What a run joins that Ray by with --address: it starts in a third less time than with a Ray of its own."""
    import ray

    return ray.get_runtime_context().gcs_address
