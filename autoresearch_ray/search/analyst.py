"""Looks at all results together every so often: findings, and directives where no director writes them.

It lives beside the tuners in the proposer actor and works on what it hears of the board. What it has written is in the
store, so a new one goes on where the last one was killed.
"""

import time
from collections.abc import Callable

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.propose.director.findings import find
from autoresearch_ray.propose.director.statistical import direct_by_statistics
from autoresearch_ray.propose.llm.prompt.view import ExperimentView
from autoresearch_ray.records.guidance import Findings
from autoresearch_ray.search.models.experiment_view import experiment_view
from autoresearch_ray.search.past_reader import PastReader
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.score_words import words_for_models
from autoresearch_ray.settings.script_experiment import ScriptExperiment
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.changes import Changes

NO_EXPERIMENT = ExperimentView("", "", 0, 0, 0.0, "", "", 0)  # findings are not about it
EVERY, EVERY_SHARE = 5, 0.05  # screens between two looks: so many, and this part of those so far


class Analyst:
    """One thread; `absorb` first, then `look`."""

    def __init__(self, board: Board, settings: RunSettings, now: Callable[[], float] = time.time) -> None:
        self._board, self._now = board, now
        self._reader = PastReader(board, settings)
        known = board.notes.findings()
        self._looked_at = known.results if known else 0

    def absorb(self, changes: Changes) -> None:
        """Learn from what was written to the board."""
        self._reader.absorb(changes)

    def look(self) -> Findings | None:
        """New findings, if it is time for some; they are stored."""
        tried = self._reader.past.count_tried()
        if tried < self._looked_at + max(EVERY, EVERY_SHARE * tried):
            return None
        state = self._reader.state()
        if state.best is None:
            return None
        settings = self._reader.settings
        is_script = isinstance(settings.experiment, ScriptExperiment)
        view = self._reader.view(0, experiment_view(settings) if is_script else NO_EXPERIMENT)
        pair_sd = Estimate(state.ledger).pair_variance(1) ** 0.5
        findings = find(view, read_knobs(view.frontier.text), pair_sd, self._now())
        self._board.notes.put_findings(findings)
        self._looked_at = findings.results
        self._direct(findings)
        return findings

    def _direct(self, findings: Findings) -> None:
        """Where to look by statistics, for models that no director leads; a person's word and a lost race stand."""
        settings, before = self._reader.settings, self._board.notes.directives()
        stopped = {status.name for status in self._board.notes.proposers() if status.state == "stopped"}
        led = settings.director is not None and settings.director_label not in stopped
        if settings.has_models and not led and not before.is_closed:
            self._board.notes.put_directives(
                direct_by_statistics(findings, before, words_for_models(settings.experiment.scoring))
            )
