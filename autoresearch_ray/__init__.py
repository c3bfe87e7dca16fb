"""Autonomous, parallel research on training code: fixed-budget trials on Ray, proven wins in git.

    outcome = autoresearch_ray.run(trials=28)
    table = autoresearch_ray.load_trials(outcome.run_dir)

`start` is `run` in the background of a notebook. `load_best` brings the trained model of a run's best back, to generate
text. `load_lineage`, `load_calls`, `load_decisions`, `load_curves`, `load_knobs` and `load_runs` read the rest of it,
docs/tables.md describes it; `diff_best` and `show_page` show it. All are imported when they are asked for, so that a
candidate's process loads neither Ray nor pandas.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoresearch_ray.driver.background import start
    from autoresearch_ray.driver.best_model import load_best
    from autoresearch_ray.driver.page_frame import show_page
    from autoresearch_ray.driver.run import run
    from autoresearch_ray.driver.tables.best_diff import diff_best
    from autoresearch_ray.driver.tables.load import (
        load_calls,
        load_curves,
        load_decisions,
        load_knobs,
        load_lineage,
        load_runs,
        load_trials,
    )
    from autoresearch_ray.search.recompute import recompute_decisions

__all__ = [
    "diff_best",
    "load_best",
    "load_calls",
    "load_curves",
    "load_decisions",
    "load_knobs",
    "load_lineage",
    "load_runs",
    "load_trials",
    "recompute_decisions",
    "run",
    "show_page",
    "start",
]
__version__ = "0.2.0"
_MODULES = {
    "load_best": "driver.best_model",
    "diff_best": "driver.tables.best_diff",
    "recompute_decisions": "search.recompute",
    "run": "driver.run",
    "show_page": "driver.page_frame",
    "start": "driver.background",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module autoresearch_ray has no attribute {name!r}")
    module = importlib.import_module(f"autoresearch_ray.{_MODULES.get(name, 'driver.tables.load')}")
    return getattr(module, name)
