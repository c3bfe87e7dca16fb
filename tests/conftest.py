"""Fixtures that several folders share."""

import os
from collections.abc import Generator, Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, which installs what tests need, a skip for want of a package is a failure."""
    report = yield
    if report.skipped and "apt-get install" in str(report.longrepr) and os.environ.get("AUTORESEARCH_CI"):
        report.outcome = "failed"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs, clusters and deadlines of seconds want the machine's cores to themselves: `-m alone`."""
    for item in items:
        is_run = item.path.parent.name == "cluster" or hasattr(getattr(item, "module", None), "start_launch")
        if is_run or item.path.name in ("test_slot.py", "test_scheduling.py"):
            item.add_marker("alone")


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
