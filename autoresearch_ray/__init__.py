"""Autonomous, parallel research on training code: fixed-budget trials on Ray, proven wins in git.

    outcome = autoresearch_ray.run(trials=28)
    table = autoresearch_ray.load_trials(outcome.run_dir)

`load_best` brings the trained model of a run's best back, to generate text. `load_lineage`, `load_calls`,
`load_decisions` and `load_curves` read the rest of a run, docs/tables.md describes it. All are imported when they are
asked for, so that a candidate's process loads neither Ray nor pandas.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoresearch_ray.driver.best_model import load_best
    from autoresearch_ray.driver.run import run
    from autoresearch_ray.driver.tables.load import (
        load_calls,
        load_curves,
        load_decisions,
        load_lineage,
        load_trials,
    )
    from autoresearch_ray.search.recompute import recompute_decisions

__all__ = [
    "load_best",
    "load_calls",
    "load_curves",
    "load_decisions",
    "load_lineage",
    "load_trials",
    "recompute_decisions",
    "run",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module autoresearch_ray has no attribute {name!r}")
    places = {"load_best": "driver.best_model", "run": "driver.run", "recompute_decisions": "search.recompute"}
    module = importlib.import_module(f"autoresearch_ray.{places.get(name, 'driver.tables.load')}")
    return getattr(module, name)
