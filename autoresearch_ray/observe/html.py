"""report.html: one file that tells a run to a person, with nothing to fetch and nothing to trust.

Every text of a candidate, a model or a failing program is escaped, its invisible characters are spelled out. Equal
histories and pictures give equal bytes, so there is no date of making in it. Held-out scores are shown: people read
this, proposers do not.
"""

import base64
import json
import math
from collections import defaultdict
from html import escape
from pathlib import Path

from autoresearch_ray.candidate.difference import compare_constants, diff_lines
from autoresearch_ray.observe import facts
from autoresearch_ray.observe.curves import learning_curves
from autoresearch_ray.observe.lines import duration, price
from autoresearch_ray.observe.page import page
from autoresearch_ray.paths import write_whole
from autoresearch_ray.records import History, TrialRow
from autoresearch_ray.text import encodable, last_line, one_line, visible

SHOWN_TRIALS = 2_000  # of the latest; the parquet file has all
SHOWN_WINS = 100
SHOWN_DIFF_LINES = 800
WORDS = 600  # characters of a hypothesis or an error; the parquet file has all
SETTING_LIMIT = 300  # characters of one value
FAILURE_EXAMPLES = 3


def report_html(history: History, path: Path, picture: Path) -> None:
    """Write the report of a run into `path`, whole or not at all; `picture` is its progress.png."""
    summary = facts.summarise(history)
    name = one_line(summary.tag, 100) or "autoresearch"
    parts = [
        _head(summary, name, facts.isolation(history)),
        _picture(picture),
        _wins(history),
        _constants(history),
        learning_curves(history),
        _failures(history),
        _trials(history),
        _models(history),
        _settings(history),
    ]
    document = page(escape(name), "\n".join(part for part in parts if part))
    write_whole(path, encodable(document).encode())


def words(text: str, limit: int = WORDS) -> str:
    """Foreign text as one escaped line."""
    return escape(one_line(text, limit))


def _head(summary: facts.Summary, name: str, isolation: str) -> str:
    cards = [_card("baseline", _score(summary.baseline), f"val_bpb, {_runs(summary.baseline_runs)}")]
    if summary.wins:
        interval = "no interval yet"
        if math.isfinite(summary.gain_low):
            interval = f"95 %: {summary.gain_low:.4f} to {summary.gain_high:.4f}"
        cards += [
            _card("best", _score(summary.best), "val_bpb, by pairs of runs on equal seeds"),
            _card("gain", _score(summary.gain), f"bits per byte, {interval}", good=True),
        ]
    else:
        cards.append(_card("best", "–", "nothing proven better yet"))
    sd = f"sd {summary.noise_sd:.4f} of noise" if math.isfinite(summary.noise_sd) else "noise not known yet"
    failed = sum(count for status, count in summary.statuses.items() if status not in ("ok", "running", "stopped"))
    stopped = f", {summary.statuses['stopped']:,} ended early" if "stopped" in summary.statuses else ""
    busy = f"{summary.utilisation:.0%} of {summary.slots} slot{'s' * (summary.slots != 1)} in training"
    cards += [
        _card("wins", f"{summary.wins:,}", sd),
        _card("trials", f"{summary.trials:,}", f"{failed:,} of them failed{stopped}"),
        _card("time", duration(summary.wall_seconds), busy),
    ]
    named = (("experiment", summary.experiment), ("isolation", isolation))
    note = " · ".join(f"{what} {words(value)}" for what, value in named if value)
    note = f'<p class="note">{note}</p>' if note else ""
    return f'<h1>{escape(name)}</h1>{note}<div class="cards">{"".join(cards)}</div>'


def _card(title: str, value: str, note: str, good: bool = False) -> str:
    return f'<div class="card{" good" * good}"><span>{title}</span><b>{value}</b><span>{note}</span></div>'


def _picture(picture: Path) -> str:
    encoded = base64.b64encode(picture.read_bytes()).decode()
    return f'<img class="picture" alt="val_bpb of every trial" src="data:image/png;base64,{encoded}">'


def _wins(history: History) -> str:
    wins = facts.wins(history)
    if not wins:
        return '<h2>Wins</h2><p class="note">Nothing has been proven better than the starting candidate.</p>'
    shown = wins[-SHOWN_WINS:]
    note = f'<p class="note">The latest {len(shown)} of {len(wins):,}.</p>' if len(shown) < len(wins) else ""
    return "<h2>Wins</h2>" + note + "".join(_win(history, win) for win in shown)


def _win(history: History, win: facts.Win) -> str:
    step = win.step
    parts = [f"val_bpb {_score(step.val_bpb)}"]
    if math.isfinite(step.gain):
        low_high = f" (95 %: {step.gain_low:.4f} to {step.gain_high:.4f})" if math.isfinite(step.gain_low) else ""
        parts.append(f'<span class="good">gain {step.gain:.4f}</span>{low_high}')
    if math.isfinite(step.probability):
        parts.append(f"better with probability {_probability(step.probability)}")
    parts += [words(part, 60) for part in (step.proposer, step.trial_id) if part]
    parts.append(f"<code>{words(win.commit)[:10]}</code>" if win.commit else "not committed yet")
    if step.checks:
        parts.append(f"every run of its proof passed at full strength: {words(', '.join(step.checks))}")
    title = f"<h3>{win.number}. {words(win.hypothesis) or 'no hypothesis given'}</h3>"
    diff = _diff(_text(history, win.parent_sha), _text(history, step.source_sha))
    return f'<section class="win"><header>{title}<div class="note">{" · ".join(parts)}</div></header>{diff}</section>'


def _diff(before: str | None, after: str | None) -> str:
    if before is None or after is None:
        return "<p>The texts of this win are not in the store.</p>"
    lines = diff_lines(visible(before), visible(after))
    if not lines:
        return "<p>No line differs.</p>"
    marks = {"+": "p", "-": "m", "@": "h"}
    shown = [
        f'<i class="{marks[line[0]]}">{escape(line)}</i>' if line[:1] in marks else f"<i>{escape(line)}</i>"
        for line in lines[:SHOWN_DIFF_LINES]
    ]
    if len(lines) > SHOWN_DIFF_LINES:
        shown.append(f'<i class="h">and {len(lines) - SHOWN_DIFF_LINES:,} more lines</i>')
    return f'<pre class="diff">{"".join(shown)}</pre>'


def _text(history: History, sha: str) -> str | None:
    candidate = history.candidates.get(sha)
    return candidate.text if candidate is not None else None


def _constants(history: History) -> str:
    before, after = (_text(history, sha) or "" for sha in (facts.start_sha(history), facts.best_sha(history)))
    changed = compare_constants(before, after)
    if not changed:
        return ""
    rows = "".join(
        f"<tr><td class=id>{words(change.name, 80)}</td><td class=id>{words(change.before, 80) or '–'}</td>"
        f"<td class=id>{words(change.after, 80) or '–'}</td></tr>"
        for change in changed
    )
    head = "<tr><th>constant</th><th>start</th><th>best</th></tr>"
    return f'<h2>Constants that changed</h2><div class="scroll"><table><thead>{head}</thead>{rows}</table></div>'


def _failures(history: History) -> str:
    groups: defaultdict[str, list[TrialRow]] = defaultdict(list)
    for row in history.rows:
        if row.result is not None and row.result.status not in ("ok", "stopped"):
            groups[row.result.status].append(row)
    if not groups:
        return ""
    rows = "".join(
        f'<tr><td class="bad">{words(status)}</td><td class=n>{len(group):,}</td>'
        f"<td class=w>{'<br>'.join(_failure(row) for row in group[: -FAILURE_EXAMPLES - 1 : -1])}</td></tr>"
        for status, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    )
    head = "<tr><th>status</th><th class=n>trials</th><th>the latest, and how they ended</th></tr>"
    return f'<h2>What failed</h2><div class="scroll"><table><thead>{head}</thead>{rows}</table></div>'


def _failure(row: TrialRow) -> str:
    error = last_line(row.result.error) if row.result else ""
    tried = words(row.trial.proposal.hypothesis, 120)
    end = words(error, 240) or "no message"
    return f"<code>{words(row.trial.trial_id)}</code> {end} <span class=note>({tried})</span>"


_TRIAL_HEADS = (
    ("trial", ""), ("kind", ""), ("status", ""), ("val_bpb", "n"), ("held out", "n"), ("decision", ""), ("commit", ""),
    ("hypothesis, reason or error", ""), ("proposer", ""), ("training s", "n"), ("steps", "n"), ("MB", "n"),
    ("slot", "n"),
)  # fmt: skip


def _trials(history: History) -> str:
    if not history.rows:
        return '<h2>Trials</h2><p class="note">No trial has begun.</p>'
    shown = history.rows[-SHOWN_TRIALS:]
    note = ""
    if len(shown) < len(history.rows):
        note = f"The latest {len(shown):,} of {len(history.rows):,}; trials.parquet has all of them."
    commits = {name: history.commits.get(step.index, "") for name, step in facts.steps_by_trial(history).items()}
    heads = "".join(f'<th class="{kind}">{name}</th>' if kind else f"<th>{name}</th>" for name, kind in _TRIAL_HEADS)
    rows = "\n".join(_trial(row, commits.get(row.trial.trial_id, "")) for row in reversed(shown))
    table = f'<table class="sorted"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    note = f'<p class="note">{note}</p>' if note else ""
    return f'<h2>Trials</h2>{note}<div class="scroll">{table}</div>'


def _trial(row: TrialRow, commit: str) -> str:
    result, proposal, status = row.result, row.trial.proposal, facts.status(row)
    ok = result is not None and status == "ok"
    verdict = row.decision.verdict if row.decision else ""
    reason = last_line(result.error) if result and not ok else facts.reason_of(row.decision) if row.decision else ""
    text = words(proposal.hypothesis, 240) + (f"<br><span class=note>{words(reason, 240)}</span>" if reason else "")
    cells = [
        f"<td class=id>{words(row.trial.trial_id)}</td><td>{words(proposal.kind)}</td>",
        f"<td{' class=bad' if result and not ok else ''}>{words(status)}</td>",
        f"<td class=n>{_score(facts.score(row))}</td>",
        f"<td class=n>{_score(result.holdout_bpb) if result and ok else ''}</td>",
        f"<td{' class=good' if verdict == 'keep' else ''}>{words(verdict)}</td><td class=id>{words(commit)[:7]}</td>",
        f'<td class="w">{text}</td><td>{words(proposal.proposer, 60)}</td>',
    ]
    if result is None:
        return f"<tr>{''.join(cells)}{'<td class=n></td>' * 4}</tr>"
    numbers = (f"{result.training_seconds:.1f}", f"{result.steps:,}", f"{result.peak_memory_mb:,.0f}", f"{result.slot}")
    return f"<tr>{''.join(cells)}{''.join(f'<td class=n>{number}</td>' for number in numbers)}</tr>"


def _models(history: History) -> str:
    costs = facts.model_costs(history)
    if not costs:
        return ""
    rows = "".join(
        f"<tr><td class=id>{words(cost.name, 80)}</td><td>{cost.calls:,}</td><td>{cost.tokens:,}</td>"
        f"<td>{price(cost)}</td></tr>"
        for cost in costs
    )
    head = "<tr><th>model</th><th>calls</th><th>tokens</th><th>cost</th></tr>"
    return f'<h2>Models</h2><div class="scroll"><table><thead>{head}</thead>{rows}</table></div>'


def _settings(history: History) -> str:
    shown = json.dumps(_shorten(history.settings), indent=2, ensure_ascii=False, default=str)
    return f'<h2>Settings</h2><pre class="plain">{escape(visible(shown))}</pre>'


def _shorten(value: object) -> object:
    """Settings with long texts (the program, the starting candidate) cut; settings.json has all of them."""
    if isinstance(value, dict):
        return {key: _shorten(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    if isinstance(value, str) and len(value) > SETTING_LIMIT:
        return f"{one_line(value, SETTING_LIMIT)} ({len(value):,} characters)"
    return value


def _runs(count: int) -> str:
    return f"mean of {count} runs" if count > 1 else "one run" if count else "as recorded"


def _score(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"


def _probability(value: float) -> str:
    return "> 0.999" if value > 0.999 else f"{value:.3f}"
