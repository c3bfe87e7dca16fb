"""What an experiment tracker is to a run: a run is a run, a trial is a step, a win is an artefact where there are any.

Ray Tune has integrations with the same tools (`ray.air.integrations`). They are not used: they make a run of the tool
of every Tune trial, and a Tune trial is a slot here, which runs one trial after another. They also work within Tune's
loop, so that a server which does not answer would hold up every slot.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autoresearch_ray.driver.tools.news import TrialNews, WinNews
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.scoring import Scoring

PROJECT = "autoresearch_ray"  # the tool's project, unless its own variable names another
ADDRESSES = {"state", "storage", "llm_base_url"}  # private addresses: not sent to a tool
LONGEST = 500  # characters of a parameter


class Tracker(Protocol):
    """One run of an experiment tracker, open. One thread; any call may raise what the tool raises.

    A number of a trial may come twice, with the same values, after a crash.
    """

    def note_trial(self, news: TrialNews) -> None:
        """A trial was decided: a step of the run."""

    def note_win(self, news: WinNews, candidate: Candidate) -> None:
        """A win was proven."""

    def close(self) -> None:
        """Finish what is under way. The run may be opened again."""

    def abandon(self) -> None:
        """The tool failed: leave nothing that holds up its next run or the end of this process. Any thread."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The data by which a tracker opens its run: the same at every launch of the run."""

    run_id: str  # unique in all places
    name: str
    folder: Path
    params: dict[str, str]
    scoring: Scoring


def describe_run(settings: RunSettings, folder: Path) -> TrackedRun:
    """The run as trackers know it."""
    run_id = f"{settings.tag}-{1000 * settings.created_at:.0f}"
    return TrackedRun(run_id, settings.tag, folder, list_params(settings), settings.experiment.scoring)


def list_params(settings: RunSettings) -> dict[str, str]:
    """The settings by name, without texts and addresses."""
    values = settings.model_dump(mode="json", exclude={"baseline", "program", "created_at", *ADDRESSES})
    scoring = settings.experiment.scoring
    values |= {"metric": scoring.name, "direction": scoring.direction}
    values["proposers"] = " ".join(spec.label for spec in settings.proposers)
    params: dict[str, str] = {}
    for name, value in values.items():
        inner = {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
        params |= {key: str(item)[:LONGEST] for key, item in inner.items() if item not in (None, "", [], {})}
    return params
