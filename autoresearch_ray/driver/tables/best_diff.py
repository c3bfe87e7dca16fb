"""What all wins of a run changed together, as a diff."""

import os

from autoresearch_ray.candidate.difference import diff_lines
from autoresearch_ray.common.text import visible
from autoresearch_ray.driver.tables.sources import open_run
from autoresearch_ray.observe import facts
from autoresearch_ray.store.connect import read_run


def diff_best(source: str | os.PathLike[str]) -> str:
    """The unified diff from the run's start to its best; "" while nothing is proven.

    Invisible characters are spelled out. `source` and errors as of `load_trials`, of one run.
    """
    with open_run(os.fspath(source)) as folder:
        history = read_run(folder)
    start, best = facts.start_sha(history), facts.best_sha(history)
    if start == best:
        return ""
    before, after = (visible(history.candidates[sha].text) for sha in (start, best))
    return "\n".join([f"--- start {start[:10]}", f"+++ best {best[:10]}", *diff_lines(before, after), ""])
