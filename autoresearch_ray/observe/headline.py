"""The headline of a run: baseline, best, gain with its interval, noise, trials, time and utilisation."""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from autoresearch_ray.observe import facts
from autoresearch_ray.records.decisions import Step
from autoresearch_ray.records.history import History
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.score_words import ScoreWords


@dataclass(frozen=True, slots=True)
class Summary:
    """The headline of a run, NaN where nothing is known yet; scores as decisions read them, `words` writes them."""

    tag: str
    experiment: str
    words: ScoreWords
    baseline: float  # mean of the starting candidate's runs
    baseline_runs: int
    best: float  # the start less what each win gained, or its best run if that is worse
    gain: float  # baseline - best: what the wins gained in pairs on equal seeds; 0 while nothing is proven
    gain_low: float  # 95 % interval
    gain_high: float
    noise_sd: float  # pooled over runs of equal source
    noise_freedom: int
    frontier: float
    trials: int  # trials with a result
    statuses: dict[str, int]  # most frequent first
    wins: int
    slots: int
    wall_seconds: float  # first trial start to last trial end, of every launch; pauses between them do not count
    utilisation: float  # training seconds over slots x wall


def summarise(history: History) -> Summary:
    """The headline of the run so far."""
    won = facts.wins(history)
    sd, freedom = facts.noise(history)
    scores = [facts.score(row) for row in history.rows if row.trial.purpose == "baseline"]
    start = [score for score in scores if math.isfinite(score)]
    levels = facts.best_levels(history)
    baseline = levels[0].val_bpb if levels else math.fsum(start) / len(start) if start else math.nan
    best = levels[-1].val_bpb if levels else baseline
    reach = math.hypot(*((step.gain_high - step.gain_low) / 2 for step in _summands(won)))
    frontier = facts.frontier_levels(history)
    results = [row.result for row in history.rows if row.result is not None]
    named = facts.setting(history, "slots", None)
    slots = named if isinstance(named, int) and named > 0 else len({result.slot for result in results})
    wall = _wall_seconds(results, history.launches)
    busy = math.fsum(result.training_seconds for result in results)
    experiment = facts.setting(history, "experiment", "")
    return Summary(
        tag=str(facts.setting(history, "tag", "")),
        experiment=str(experiment.get("name", "") if isinstance(experiment, dict) else experiment),
        words=ScoreWords(facts.scoring(history), sd),
        baseline=baseline,
        baseline_runs=len(start),
        best=best,
        gain=baseline - best,
        gain_low=baseline - best - reach,
        gain_high=baseline - best + reach,
        noise_sd=sd,
        noise_freedom=freedom,
        frontier=frontier[-1].val_bpb if frontier else math.nan,
        trials=len(results),
        statuses=dict(Counter(facts.status(row) for row in history.rows).most_common()),
        wins=len(won),
        slots=slots,
        wall_seconds=wall,
        utilisation=busy / (slots * wall) if slots and wall > 0 else 0.0,
    )


def _summands(won: Sequence[facts.Win]) -> list[Step]:
    """The wins whose gains add up to the run's: of removals in a row, all measured from one best, the last."""
    steps = [win.step for win in won]
    return [step for step, after in zip_longest(steps, steps[1:]) if not (after and step.removes and after.removes)]


def _wall_seconds(results: list[Result], launches: tuple[float, ...]) -> float:
    """How long trials ran: of each launch, from its first start to its last end."""
    groups: defaultdict[int, list[Result]] = defaultdict(list)
    for result in results:
        if result.started_at and result.finished_at:
            groups[bisect_right(launches, result.started_at)].append(result)
    return math.fsum(
        max(0.0, max(result.finished_at for result in group) - min(result.started_at for result in group))
        for group in groups.values()
    )
