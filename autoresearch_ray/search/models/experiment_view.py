"""What a prompt says of a run's experiment."""

from functools import cache

from autoresearch_ray.benchmark.data.dataset import Dataset, look_up
from autoresearch_ray.benchmark.data.reference import score_counts
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.propose.llm.prompt.view import ExperimentView
from autoresearch_ray.settings import RunSettings


def experiment_view(settings: RunSettings) -> ExperimentView:
    """What a prompt says of a run's experiment."""
    experiment = settings.train_experiment
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
    )


@cache
def _score_counts(data: Dataset) -> tuple[float, ...]:
    try:
        return score_counts(data)
    except (OSError, ValueError, MemoryError):  # the cache was cleared meanwhile: a prompt can do without
        return ()
