"""MLflow: a run of the experiment that MLFLOW_EXPERIMENT_NAME names, where MLFLOW_TRACKING_URI points.

By its client alone, for the functions of the package itself keep an active run for the whole process.
"""

import logging
import time

from mlflow.entities import Experiment, Metric, Param
from mlflow.environment_variables import MLFLOW_EXPERIMENT_NAME, MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT
from mlflow.tracking import MlflowClient

from autoresearch_ray.driver.tools.news import TrialNews, WinNews
from autoresearch_ray.driver.tools.tracker import PROJECT, TrackedRun
from autoresearch_ray.records.trials import Candidate

RUN_TAG = "autoresearch.run"  # tag to find a run again: MLflow makes its ids itself
PARAMS_AT_ONCE = 100  # MLflow's limit


class MLflow:
    """A Tracker."""

    def __init__(self, run: TrackedRun) -> None:
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # standard output is the search's own
        for library in ("mlflow", "alembic"):  # they log every table of a new database
            logging.getLogger(library).setLevel(logging.WARNING)
        self._client = MlflowClient()
        name = MLFLOW_EXPERIMENT_NAME.get() or PROJECT
        there: Experiment | None = self._client.get_experiment_by_name(name)
        experiment = str(there.experiment_id if there else self._client.create_experiment(name))
        found = self._client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run.run_id}'", max_results=1)
        made = found[0] if found else self._client.create_run(experiment, tags={RUN_TAG: run.run_id}, run_name=run.name)
        self._run = made.info.run_id
        self._client.update_run(self._run, status="RUNNING")
        # MLflow never changes a parameter's value: what a resumed run has changed is in its settings.json.
        new = [Param(name, value) for name, value in run.params.items() if name not in made.data.params]
        for start in range(0, len(new), PARAMS_AT_ONCE):
            self._client.log_batch(self._run, params=new[start : start + PARAMS_AT_ONCE])

    def note_trial(self, news: TrialNews) -> None:
        """One metric a value; all of them in one request."""
        now = time.time_ns() // 1_000_000
        metrics = [Metric(name, value, now, news.number) for name, value in news.metrics().items()]
        self._client.log_batch(self._run, metrics=metrics)

    def note_win(self, news: WinNews, candidate: Candidate) -> None:
        """Files and diff under `wins/<number>/`."""
        told = f"{news.hypothesis}\n\n{news.doubt}\n" if news.doubt else news.hypothesis
        for path, text in (*candidate.files, ("change.diff", news.diff), ("hypothesis.txt", told)):
            self._client.log_text(self._run, text, f"wins/{news.number:03d}/{path}")

    def close(self) -> None:
        """The run is finished, until it is opened again."""
        self._client.set_terminated(self._run)

    def abandon(self) -> None:
        """Nothing to do: requests run in a thread that ends with the process."""
