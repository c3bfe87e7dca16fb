"""Reads the search's state as it is stored, also that of runs that began before there was a ledger."""

import json
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

from autoresearch_ray.decide.ledger import Entry, Ledger, Run
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.trials import Trial

logger = logging.getLogger(__name__)


def read_state(text: bytes, read_trials: Callable[[], Iterable[Trial]]) -> SearchState:
    """The state in this text. An older one needs the run's trials, and a person is told of it."""
    if not is_older(text):
        return from_json(SearchState, text)
    logger.warning("this run began under earlier rules: its best and its frontier stay, the ledger decides from here")
    return _read_older(text, {trial.trial_id: trial for trial in read_trials()})


def is_older(text: bytes) -> bool:
    """Whether this state was stored before there was a ledger."""
    return "ledger" not in json.loads(text)


def _read_older(text: bytes, trials: dict[str, Trial]) -> SearchState:
    """The state as far as it carries over: best, frontier, their runs on numbered seeds, and the noise.

    The frontier enters as a merge on the best whose expected effect is what the earlier rules estimated.
    """
    values = json.loads(text)
    steps, failures = int(values["steps"]), tuple(values["baseline_failures"])
    if values["best"] is None:
        return SearchState(baseline_failures=failures, steps=steps)
    best, frontier = _standing(values["best"]), _standing(values["frontiers"][-1])
    runs = values.get("runs", [])
    entries = [_entry(best, "", trials, runs)]
    if frontier.source_sha != best.source_sha:
        moved = _entry(frontier, best.source_sha, trials, runs)
        entries.append(moved)
    ledger = Ledger(tuple(entries), scale=_noise_sd(values["noise"]))
    return SearchState(ledger, failures, frontier=frontier, best=best, steps=steps)


def _entry(standing: Standing, parent_sha: str, trials: dict[str, Trial], runs: list[dict[str, Any]]) -> Entry:
    first = next((trial for trial in trials.values() if trial.proposal.source_sha == standing.source_sha), None)
    own = [run for run in runs if run["source_sha"] == standing.source_sha and run["seed_number"] >= 0]
    return Entry(
        source_sha=standing.source_sha,
        parent_sha=parent_sha,
        number=int(first.trial_id.lstrip("t")) if first else 0,
        kind=first.proposal.kind if first else "baseline",
        proposer=first.proposal.proposer if first else "",
        proposal_id=first.proposal.proposal_id if first else "",
        hypothesis=first.proposal.hypothesis if first else "",
        code_lines=standing.code_lines,
        runs=tuple(Run(run["seed_number"], run["objective"], run["objective"]) for run in own)
        or (Run(0, standing.objective, standing.objective),),
    )


def _standing(values: dict[str, Any]) -> Standing:
    return Standing(**values)


def _noise_sd(noise: dict[str, Any]) -> float:
    squares = noise["squares"] + sum(group["squares"] for group in noise["groups"])
    degrees = noise["degrees"] + sum(max(0, group["n"] - 1) for group in noise["groups"])
    return max(math.sqrt(squares / degrees), 1e-9) if degrees else 1e-9
