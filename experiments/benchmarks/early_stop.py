"""What early stopping would have done: its rule replayed on every screen of finished runs, in order of time.

    python experiments/benchmarks/early_stop.py RUN_DIR...

A screen is judged by what was known when it was claimed, as in `--early-stop paired`. Prints the slot time that would
have been saved and the contenders (screens that were found promising) that would have been ended, with the exact
one-sided 95 % bound of that share (Clopper and Pearson). Of a run with early stopping, the screens that ran to their
end are replayed: one in ten of the losers, and what was not ended.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scipy.special import betaincinv

from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.decide.early_stop import Outlook, StopRule, outlook
from autoresearch_ray.decide.ledger import within
from autoresearch_ray.observe.facts import UNSELECTED
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.history import History
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.search.early_stop import Curves
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.connect import read_run

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Replayed:
    """One screen that ran to its end, and where it would have been ended."""

    trial: Trial
    seconds: float  # of its slot
    saved: float
    is_contender: bool
    end: Outlook | None  # None: it would have run on


def replay(history: History) -> list[Replayed]:
    """The screens that could have been ended, in the order in which they were claimed."""
    settings = RunSettings.model_validate(history.settings).replace(early_stop="paired")
    curves, unselected = Curves(settings), dict[str, list[float]]()
    price = settings.rules.complexity_price
    done = [(row.trial, row.result, row.decision) for row in history.rows if row.result is not None]
    waiting = sorted(done, key=lambda row: row[1].finished_at)
    found = []
    for trial, result, decision in sorted(done, key=lambda row: row[0].claimed_at):
        while waiting and waiting[0][1].finished_at <= trial.claimed_at:
            earlier, its_result, _ = waiting.pop(0)
            curves.add(earlier, its_result)
            if earlier.purpose in UNSELECTED and its_result.status == "ok":
                unselected.setdefault(earlier.proposal.source_sha, []).append(its_result.val_bpb)
        if trial.purpose == "screen" and result.status == "ok":
            lines = [
                code_lines(history.candidates[sha].text)
                for sha in (trial.proposal.source_sha, trial.proposal.parent_sha)
                if sha in history.candidates
            ]
            rule = curves.stop_rule(trial, pooled_sd(unselected.values()), price * (lines[0] - lines[-1]))
            if rule is not None:
                found.append(_replayed(trial, result, decision, rule))
    return found


def pooled_sd(groups: Iterable[list[float]]) -> float:
    """Of equal candidates' scores over seeds; NaN while no candidate was run twice."""
    known = [within(values) for values in groups]
    degrees = sum(degrees for _, degrees in known)
    return (sum(squares for squares, _ in known) / degrees) ** 0.5 if degrees else math.nan


def upper_bound(failures: int, trials: int) -> float:
    """The share below which the true one lies with 95 % confidence (Clopper and Pearson, one side)."""
    return 1.0 if failures >= trials else float(betaincinv(failures + 1, trials - failures, CONFIDENCE))


def _replayed(trial: Trial, result: Result, decision: Decision | None, rule: StopRule) -> Replayed:
    is_contender = decision is not None and decision.verdict != "discard"
    end = next(_losses(rule, result), None)
    saved = 0.0 if end is None else result.total_seconds - result.startup_seconds - end.progress * rule.budget_seconds
    return Replayed(trial, result.total_seconds, saved, is_contender, end)


def _losses(rule: StopRule, result: Result) -> Iterator[Outlook]:
    for count in range(1, len(result.curve) + 1):
        seen = outlook(rule, result.curve[:count])
        if seen is not None and seen.is_lost:
            yield seen


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR")
    everything: list[Replayed] = []
    slot_seconds = 0.0
    print(f"{'run':24}  screens  ended  at (median)  slot time saved  contenders  of them ended")
    for folder in parser.parse_args(arguments).runs:
        history = read_run(folder)
        screens = replay(history)
        seconds = sum(row.result.total_seconds for row in history.rows if row.result is not None)
        _tell(folder.name, screens, seconds)
        everything, slot_seconds = everything + screens, slot_seconds + seconds
    _tell("all", everything, slot_seconds)
    contenders = [screen for screen in everything if screen.is_contender]
    wrong = [screen for screen in contenders if screen.end is not None]
    for screen in wrong:
        assert screen.end is not None
        print(f"{screen.trial.trial_id} {screen.trial.proposal.hypothesis}: {screen.end.words()}")
    bound = upper_bound(len(wrong), len(contenders))
    print(f"contenders ended: {len(wrong)} of {len(contenders)}; at most {bound:.1%} with 95 % confidence")
    return 0


def _tell(name: str, screens: Sequence[Replayed], slot_seconds: float) -> None:
    ends = [screen.end.progress for screen in screens if screen.end is not None]
    contenders = [screen for screen in screens if screen.is_contender]
    wrong = sum(screen.end is not None for screen in contenders)
    saved = sum(screen.saved for screen in screens) / slot_seconds if slot_seconds else math.nan
    when = f"{median(ends):.0%}" if ends else "-"
    print(f"{name:24}  {len(screens):7}  {len(ends):5}  {when:>11}  {saved:>15.1%}  {len(contenders):10}  {wrong:13}")


if __name__ == "__main__":
    raise SystemExit(main())
