"""A run told in plain lines: one a decision, and the summary at its end. For pipes, logs and `--plain`."""

import math
import shlex

from rich.cells import cell_len, set_cell_size

from autoresearch_ray.common.paths import LINEAGE, REPORT_FILE, python_command
from autoresearch_ray.common.text import last_line, one_line
from autoresearch_ray.observe import facts, headline
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.kept_model import KeptModel
from autoresearch_ray.records.proposers import dollars
from autoresearch_ray.settings.score_words import ScoreWords

COLUMNS = 120
SHOWN_WINS = 20
SHOWN_HELD = 5
NAME_CELLS = 20  # width of a metric's name in a decision's line
OURS = ScoreWords()
WORTH_A_REASON = frozenset({"keep", "drop", "advance", "promising"})


def decision_line(row: TrialRow, commit: str = "", words: ScoreWords = OURS) -> str:
    """One line: trial, kind, status, score, verdict, what was tried (or how it failed), and the commit at the end.

    At most 120 terminal columns, printable, fields in fixed columns up to the free text.
    """
    value, verdict = words.score(facts.score(row), "nan"), row.decision.verdict if row.decision else ""
    score = f"{fit(words.name, NAME_CELLS)} {value:>{7 if words.is_ours else 9}}"
    start = f"{row.trial.trial_id:6} {row.trial.proposal.kind:9} {facts.status(row):7} {score} {verdict:9}  "
    end = f"  [{one_line(commit)[:7]}]" if commit else ""
    return (start + fit(_words(row, words), COLUMNS - cell_len(start) - len(end)) + end).rstrip()


def summary_lines(history: History, run_dir: str = "", resume: str = "", kept: KeptModel | None = None) -> list[str]:
    """A run's results, and where to look next; `resume` is the command that continues it."""
    summary = headline.summarise(history)
    lines = [
        *_scores(summary),
        *_wins(history, summary.words),
        *_lead(history),
        *_effort(history, summary),
        *_models(history),
        *_lines_of_held(history),
    ]
    folder = one_line(run_dir) or "."
    lines += [
        _line("report", f"{folder}/{REPORT_FILE}"),
        page_line(folder),
        *_model(history, folder, kept),
        _line("lineage", _lineage(history, folder, summary.tag)),
        _line("table", f'autoresearch_ray.load_trials("{folder}")'),
    ]
    return [*lines, _line("resume", resume)] if resume else lines


def page_line(run_dir: str) -> str:
    """The command that shows the run's page in a browser; said at a run's beginning and at its end."""
    return _line("page", f"{python_command()} -m autoresearch_ray.watch {shlex.quote(run_dir)}")


def duration(seconds: float) -> str:
    """A length of time in at most two units: 42 s, 4 min 05 s, 3 h 20 min, 2 d 4 h."""
    if not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _words(row: TrialRow, words: ScoreWords) -> str:
    """What was tried; for a failure how it ended; else the decision's reason, if it is news."""
    hypothesis = one_line(row.trial.proposal.hypothesis, COLUMNS)
    if row.result is not None and row.result.status != "ok":
        error = last_line(row.result.error)
        return f"{error} ({hypothesis})" if error else hypothesis
    if row.decision is not None and row.decision.verdict in WORTH_A_REASON and row.decision.reason:
        return f"{hypothesis} ({facts.reason_of(row.decision, words)})"
    return hypothesis


def _scores(summary: headline.Summary) -> list[str]:
    if not math.isfinite(summary.baseline):
        return [_line("baseline", "not measured yet")]
    words, scoring = summary.words, summary.words.scoring
    way = "" if words.is_ours else f", {words.way}"
    runs = f", mean of {summary.baseline_runs} runs" if summary.baseline_runs > 1 else ""
    lines = [_line("baseline", f"{words.score(summary.baseline)} {words.name}{runs}{way}")]
    if not summary.wins:
        return [*lines, _line("best", f"the starting candidate: nothing was {scoring.proven} better")]
    interval = ""
    if math.isfinite(summary.gain_low):
        interval = f", 95 % interval {words.bounds(summary.gain_low, summary.gain_high)}"
    start = words.shown(summary.baseline)
    share = f" ({summary.gain / start:.1%})" if start > 0 else ""
    how = "by pairs of runs" if scoring.has_one_seed else "by pairs of runs on equal seeds"
    doubt = f", {scoring.doubt}" if scoring.doubt else ""
    return [
        *lines,
        _line("best", f"{words.score(summary.best)} {words.name}, {how}{doubt}"),
        _line("improvement", f"{words.amount(summary.gain)}{words.unit()}{share}{interval}"),
    ]


def _wins(history: History, words: ScoreWords) -> list[str]:
    wins = facts.wins(history)
    if not wins:
        return []
    shown = wins[-SHOWN_WINS:]
    lines = [_line("wins", str(len(wins)) + (f", the last {len(shown)}:" if len(shown) < len(wins) else ""))]
    for win in shown:
        score, gain = words.score(win.step.val_bpb, "nan"), words.amount(win.step.gain, "-")
        start = f"  {one_line(win.commit)[:7] or 'pending':7}  {score}  gain {gain}  "
        lines.append(start + fit(win.hypothesis, COLUMNS - len(start)))
    return lines


def _lead(history: History) -> list[str]:
    lead = facts.find_lead(history)
    if lead is None:
        return []
    start, reason = f"{'frontier':12} ", f" (no win yet: {one_line(lead.reason, COLUMNS // 2)})"
    return [start + fit(lead.hypothesis, COLUMNS - len(start) - len(reason)) + reason]


def _effort(history: History, summary: headline.Summary) -> list[str]:
    kinds = ", ".join(f"{count:,} {status}" for status, count in summary.statuses.items())
    overtime = facts.count_overtime(history)
    more = f", {overtime} of them overtime for a proof" if overtime else ""
    lines = [_line("trials", f"{summary.trials:,}{more}" + (f" ({kinds})" if kinds else ""))]
    if summary.wall_seconds > 0:
        used = f"{summary.slots}, training {summary.utilisation:.0%} of {duration(summary.wall_seconds)}"
        lines.append(_line("slots", used))
    if summary.noise_freedom:
        lines.append(
            _line("noise", f"sd {summary.words.amount(summary.noise_sd)}, {summary.noise_freedom} degrees of freedom")
        )
    return lines


def _models(history: History) -> list[str]:
    costs = facts.model_costs(history)
    if not costs:
        return []
    total = dollars(sum(cost.micros for cost in costs))
    each = [f"  {one_line(cost.name)}  {cost.calls:,} calls, {cost.tokens:,} tokens, {price(cost)}" for cost in costs]
    return [_line("models", f"{total} in all launches"), *each]


def price(cost: facts.ModelCost) -> str:
    """The cost of a model's calls, in words."""
    return dollars(cost.micros) if cost.priced else "price not known"


def _model(history: History, folder: str, kept: KeptModel | None) -> list[str]:
    """The command that samples from the kept model."""
    if kept is not None:
        earlier = "" if kept.source_sha == facts.best_sha(history) else ", of an earlier best"
        words = f"{one_line(kept.trial_id)}, {kept.megabytes:.1f} MB{earlier}"
        return [_line("model", f"{python_command()} -m autoresearch_ray.sample {shlex.quote(folder)}  ({words})")]
    if facts.setting(history, "keep_weights", "none") == "none" or not facts.wins(history):
        return []
    return [_line("model", "the best's weights are not kept yet: --resume runs it once more for them")]


def _lines_of_held(history: History) -> list[str]:
    held = [one_line(trial_id) for trial_id in facts.find_held(history)]
    more = f" and {len(held) - SHOWN_HELD} more" if len(held) > SHOWN_HELD else ""
    return [_line("held", f"{', '.join(held[-SHOWN_HELD:])}{more}: too good to be true, please look")] if held else []


def _lineage(history: History, folder: str, tag: str) -> str:
    """The command that shows it; --git-dir, for git refuses to look for another user's repository by itself."""
    missing = sum(step.index not in history.commits for step in history.steps)
    if not history.steps:
        return "nothing to commit yet"
    if missing:
        return f"{missing} of {len(history.steps)} steps are not committed; they are stored, --resume commits them"
    return f"git --git-dir {folder}/{LINEAGE}/.git log -p autoresearch/{one_line(tag)}"


def _line(name: str, words: str) -> str:
    return f"{name:12} {words}".rstrip()


def fit(text: str, cells: int) -> str:
    """`text` as one line, cut to that many terminal cells (a Chinese character takes two, an accent none)."""
    line = one_line(text, max(8 * cells, 1))
    if cell_len(line) <= cells:
        return line
    return (set_cell_size(line, cells - 1).rstrip() + "…") if cells > 0 else ""
