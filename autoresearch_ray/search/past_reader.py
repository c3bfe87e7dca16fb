"""A run's past as a language model may see it, kept up to date from the board's events."""

import math

from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.decide.portfolio import Portfolio
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.propose.llm.prompt.past import Past
from autoresearch_ray.propose.llm.prompt.view import ExperimentView, Moment, ScriptView, SearchView
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.decisions import Decision, Standing
from autoresearch_ray.records.guidance import Findings
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.search.stored_state import is_older
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.changes import Changes


class PastReader:
    """Everything so far, and what comes. One thread."""

    def __init__(self, board: Board, settings: RunSettings) -> None:
        self.settings = settings
        self.queue: dict[str, Proposal] = {}
        self.past = Past(lambda sha: board.candidates.get(sha).text, settings.experiment.scoring)
        self.findings: Findings | None = None
        self.portfolio = Portfolio()
        self._board = board
        self._read()

    def absorb(self, changes: Changes) -> None:
        """Learn from what was written to the board."""
        self.settings = changes.settings or self.settings
        self.findings = changes.findings or self.findings
        for name, proposal in changes.queued.items():
            self.queue.pop(name, None)
            if proposal is not None:
                self.queue[name] = proposal
        for trial in changes.trials:
            self._note_trial(trial)
        for result in changes.results:
            self._note_result(result)
        for decision in changes.decisions:
            self._note_decision(decision)
        for idea in changes.rejected:
            self.past.note_rejection(idea)
        for step in changes.steps:
            self.past.note_step(step)

    def view(self, ideas: int, experiment: ExperimentView | ScriptView) -> SearchView:
        """What a prompt is made of now, findings and directives with it."""
        settings, frontier = self.settings, self.frontier()
        ledger = self.state().ledger
        moment = Moment(
            program=self.program(),
            experiment=experiment,
            complexity_price=settings.rules.complexity_price,
            advance_sd=settings.rules.worthwhile_sd,
            frontier=frontier,
            best=self._board.best() or frontier,
            noise_sd=ledger.sd,
            noise_degrees=ledger.degrees,
            queued=tuple(self.queue.values()),
            ideas=ideas,
            findings=self.findings,
        )
        return self.past.view(moment)

    def state(self) -> SearchState:
        """What the decisions stand on now; a fresh one where there is none, or none of this version."""
        text, _ = self._board.search_state()
        return SearchState() if text is None or is_older(text) else from_json(SearchState, text)

    def frontier(self) -> Standing:
        """What new proposals start from."""
        return self._board.frontier() or start_standing(self.settings.baseline)

    def program(self) -> str:
        """program.md as it is now."""
        return self._board.notes.program() or self.settings.program

    def _read(self) -> None:
        board = self._board
        for step in board.steps():
            self.past.note_step(step)
        for trial in board.trials():
            self._note_trial(trial)
        for result in board.results():
            self._note_result(result)
        for decision in board.decisions():
            self._note_decision(decision)
        for idea in board.notes.rejections():
            self.past.note_rejection(idea)
        self.queue = {proposal.proposal_id: proposal for proposal in board.queue()}
        self.findings = board.notes.findings()

    def _note_trial(self, trial: Trial) -> None:
        self.past.note_trial(trial)
        self.portfolio.note_trial(trial)

    def _note_result(self, result: Result) -> None:
        self.past.note_result(result)
        self.portfolio.note_result(result)

    def _note_decision(self, decision: Decision) -> None:
        self.past.note_decision(decision)
        self.portfolio.note_decision(decision)


def start_standing(baseline: str) -> Standing:
    """The starting candidate as the frontier, before it is measured."""
    nan = math.nan
    return Standing(Candidate.of(baseline).sha, nan, nan, code_lines(baseline), version=1, since=0.0)
