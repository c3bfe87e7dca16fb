"""Autonomous, parallel research on training code: fixed-budget trials on Ray, proven wins in git.

    outcome = autoresearch_ray.run(trials=28)
    table = autoresearch_ray.load_trials(outcome.run_dir)

All are imported when they are asked for, so that a candidate's process loads neither Ray nor pandas.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoresearch_ray.driver.run import run
    from autoresearch_ray.observe.table import load_trials
    from autoresearch_ray.search.recompute import recompute_decisions

__all__ = ["load_trials", "recompute_decisions", "run"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    if name == "run":
        from autoresearch_ray.driver.run import run

        return run
    if name == "load_trials":
        from autoresearch_ray.observe.table import load_trials

        return load_trials
    if name == "recompute_decisions":
        from autoresearch_ray.search.recompute import recompute_decisions

        return recompute_decisions
    raise AttributeError(f"module autoresearch_ray has no attribute {name!r}")
