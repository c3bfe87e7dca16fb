"""What a prompt says of a run's experiment."""

import ast
from functools import cache

from autoresearch_ray.benchmark.data.dataset import Dataset, look_up
from autoresearch_ray.benchmark.data.reference import score_counts
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.prompt.view import ExperimentView, ScriptView
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.script_experiment import MEASURED, ScriptExperiment

METRIC_CHARACTERS = 200  # of what a metric says of itself


def experiment_view(settings: RunSettings) -> ExperimentView | ScriptView:
    """What a prompt says of a run's experiment."""
    if isinstance(settings.experiment, ScriptExperiment):
        return _script_view(settings, settings.experiment)
    return _train_view(settings, settings.experiment)


def _train_view(settings: RunSettings, experiment: Experiment) -> ExperimentView:
    data = look_up(experiment)
    return ExperimentView(
        name=experiment.name,
        data=experiment.data,
        seq_len=experiment.seq_len,
        vocab_size=experiment.vocab_size,
        budget_seconds=experiment.budget_seconds,
        device=str(settings.hardware["device"]),
        amp=experiment.amp,
        slots=settings.slots,
        threads=max(1, int(experiment.cpus_per_trial)),
        gpus=settings.gpu_share,
        torch=settings.versions.get("torch", ""),
        train_tokens=data.train.tokens if data else 0,
        bytes_per_token=data.train_bytes_per_token if data else 0.0,
        document_tokens=data.train.tokens // max(1, data.train.documents) if data else 0,
        eval_tokens=data.val.tokens if data else 0,
        startup_seconds=job_for(experiment, "", "", 0, device="cpu", memory_mb=0).startup_limit,
        counted_bpb=_score_counts(data) if data else (),
        scoring=experiment.scoring,
        metric_words=_describe_metric(experiment),
    )


def _script_view(settings: RunSettings, experiment: ScriptExperiment) -> ScriptView:
    return ScriptView(
        name=experiment.name,
        command=experiment.command,
        editable=tuple(path for path, _ in Candidate.of(settings.baseline).files),
        scoring=experiment.scoring,
        read_from=_tell_source(experiment),
        budget_seconds=experiment.budget_seconds,
        time_limit=experiment.time_limit,
        device=str(settings.hardware["device"]),
        slots=settings.slots,
        threads=max(1, int(experiment.cpus_per_trial)),
        gpus=settings.gpu_share,
        limits=tuple(experiment.limits.items()),
        seeding=experiment.seeding,
        data=experiment.data,
        artefacts=experiment.artefacts,
    )


def _tell_source(experiment: ScriptExperiment) -> str:
    """Which number the metric is, in words."""
    metric = experiment.metric
    if metric in MEASURED:
        return {
            "wall_seconds": "the seconds that a run takes, by the harness's clock",
            "peak_memory_mb": "the memory of a run at its peak in MB, as the harness measures it",
        }[metric]
    output = "the judge's output" if experiment.judge else "the output"
    if experiment.result_file:
        return f"the number under `{metric}` in the JSON file `{experiment.result_file}` that is written"
    times = "the last one counts" if experiment.take == "last" else "there has to be exactly one"
    if experiment.pattern:
        return f"the number that the regular expression `{experiment.pattern}` finds in {output}; {times}"
    return f"the number in a line `{metric}: NUMBER` of {output}; {times}"


def _describe_metric(experiment: Experiment) -> str:
    """What a metric of the owners' own says of itself: its docstring's first line."""
    functions = [node for node in ast.parse(experiment.metric_source).body if isinstance(node, ast.FunctionDef)]
    told = {function.name: ast.get_docstring(function) or "" for function in functions}
    return one_line(told.get(experiment.scoring.name, "").partition("\n")[0].rstrip("."), METRIC_CHARACTERS)


@cache
def _score_counts(data: Dataset) -> tuple[float, ...]:
    try:
        return score_counts(data)
    except (OSError, ValueError, MemoryError):  # the cache was cleared meanwhile: a prompt can do without
        return ()
