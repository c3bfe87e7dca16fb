"""report.html: one file that tells a run to a person, with nothing to fetch and nothing to trust.

The template escapes every text of a candidate, a model or a failing program; invisible characters are spelled out here.
Equal histories and pictures give equal bytes, so there is no date of making in it. Held-out scores are shown: people
read this, proposers do not.
"""

import base64
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from markupsafe import Markup

from autoresearch_ray.candidate.difference import compare_constants
from autoresearch_ray.common.paths import BEST_FOLDER, write_whole
from autoresearch_ray.common.text import encodable, last_line, one_line, visible
from autoresearch_ray.observe import facts, guidance, headline
from autoresearch_ray.observe.ablations import HEADS as ABLATION_HEADS
from autoresearch_ray.observe.ablations import Ablation, ablation_rows
from autoresearch_ray.observe.lines import duration, price
from autoresearch_ray.observe.report.chart import chart
from autoresearch_ray.observe.report.curves import learning_curves
from autoresearch_ray.observe.report.lineage_rows import lineage_rows, probability
from autoresearch_ray.observe.report.page import page, render
from autoresearch_ray.observe.report.trial_panel import diff_rows, embed_panels, text_of
from autoresearch_ray.observe.transfers import HEADS as TRANSFER_HEADS
from autoresearch_ray.observe.transfers import Transfer, transfer_rows
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.kept_model import KeptModel
from autoresearch_ray.settings.score_words import ScoreWords

SHOWN_TRIALS = 2_000  # the latest trials; the parquet file has all
SHOWN_WINS = 100
WORDS = 600  # characters of a hypothesis or an error; the parquet file has all
SETTING_LIMIT = 300  # characters of one value
FAILURE_EXAMPLES = 3


def report_html(
    history: History,
    path: Path,
    picture: Path,
    transfers: Sequence[Transfer] = (),
    ablations: Sequence[Ablation] = (),
    kept: KeptModel | None = None,
) -> None:
    """Write the report of a run into `path`, whole or not at all; `picture` is its progress.png."""
    image = base64.b64encode(picture.read_bytes()).decode()
    document = page(
        title_of(history),
        report_body(history, image, transfers, ablations, kept),
        {"chart": asdict(chart(history)), "panels": embed_panels(history)},
    )
    write_whole(path, encodable(document).encode())


def title_of(history: History) -> str:
    """The page's title."""
    return one_line(headline.summarise(history).tag, 100) or "autoresearch"


def report_body(
    history: History,
    picture: str = "",
    transfers: Sequence[Transfer] = (),
    ablations: Sequence[Ablation] = (),
    kept: KeptModel | None = None,
) -> str:
    """What the report says, as HTML within the page; `picture` is a PNG in base64, `kept` the best's trained model.

    Of ablations the latest is shown, and of a best that has been replaced it is told so.
    """
    summary, wins = headline.summarise(history), facts.wins(history)
    words = summary.words
    latest = reversed(history.rows[-SHOWN_TRIALS:])
    commits = {name: history.commits.get(step.index, "") for name, step in facts.steps_by_trial(history).items()}
    named = (("experiment", summary.experiment), ("isolation", facts.isolation(history)))
    return render(
        "report.html",
        title=title_of(history),
        note=" · ".join(f"{what} {one_line(value, WORDS)}" for what, value in named if value),
        metric=words.name,
        rises=words.rises,
        proven=words.scoring.proven,
        cards=_cards(summary),
        picture=picture,
        lineage=lineage_rows(history),
        wins=[_win(history, win, words) for win in wins[-SHOWN_WINS:]],
        win_count=len(wins),
        lead=_lead(history),
        kept=_describe_kept(history, kept) if kept is not None else "",
        transfer_heads=TRANSFER_HEADS,
        transfers=transfer_rows(transfers, words),
        ablation_heads=words.heads(ABLATION_HEADS),
        ablation=ablation_rows(ablations[-1], words) if ablations else [],
        ablation_is_old=bool(ablations) and ablations[-1].best_sha != facts.best_sha(history),
        **_guidance(history, words),
        constants=_constants(history),
        curves=Markup(learning_curves(history)),
        failures=_failures(history),
        trials=[_trial(row, commits.get(row.trial.trial_id, ""), words) for row in latest],
        trial_count=len(history.rows),
        models=[
            (one_line(cost.name, 80), f"{cost.calls:,}", f"{cost.tokens:,}", price(cost))
            for cost in facts.model_costs(history)
        ],
        settings=visible(json.dumps(_shorten(history.settings), indent=2, ensure_ascii=False, default=str)),
    )


def _describe_kept(history: History, kept: KeptModel) -> str:
    """A sentence on where the trained model is, and whose it is."""
    whose = "the best" if kept.source_sha == facts.best_sha(history) else "an earlier best"
    return (
        f"The trained model of {whose} is kept in {BEST_FOLDER}/: {one_line(kept.trial_id, 40)} trained it, val_bpb "
        f"{kept.val_bpb:.4f}, {kept.megabytes:.1f} MB"
    )


@dataclass(frozen=True, slots=True)
class _Card:
    """A number at the head of the page."""

    title: str
    value: str
    note: str
    good: bool = False


def _cards(summary: headline.Summary) -> list[_Card]:
    words, scoring = summary.words, summary.words.scoring
    cards = [_Card("baseline", words.score(summary.baseline), f"{words.title}, {_runs(summary.baseline_runs)}")]
    if summary.wins:
        interval = "no interval yet"
        if math.isfinite(summary.gain_low):
            interval = f"95 %: {words.bounds(summary.gain_low, summary.gain_high)}"
        how = "by pairs of runs" if scoring.has_one_seed else "by pairs of runs on equal seeds"
        doubt = f", {scoring.doubt}" if scoring.doubt else ""
        unit = "bits per byte, " if words.is_ours else words.unit("") and f"{words.unit('')}, "
        cards += [
            _Card("best", words.score(summary.best), f"{words.name}, {how}{doubt}"),
            _Card("gain", words.amount(summary.gain), f"{unit}{interval}", good=True),
        ]
    else:
        cards.append(_Card("best", "–", f"nothing {scoring.proven} better yet"))
    sd = f"sd {words.amount(summary.noise_sd)} of noise" if math.isfinite(summary.noise_sd) else "noise not known yet"
    failed = sum(count for status, count in summary.statuses.items() if status not in ("ok", "running", "stopped"))
    stopped = f", {summary.statuses['stopped']:,} ended early" if "stopped" in summary.statuses else ""
    busy = f"{summary.utilisation:.0%} of {summary.slots} slot{'s' * (summary.slots != 1)} in training"
    return [
        *cards,
        _Card("wins", f"{summary.wins:,}", sd),
        _Card("trials", f"{summary.trials:,}", f"{failed:,} of them failed{stopped}"),
        _Card("time", duration(summary.wall_seconds), busy),
    ]


def _lead(history: History) -> dict[str, str]:
    """What the frontier has ahead of the best, in words; empty if that is nothing."""
    lead = facts.find_lead(history)
    if lead is None:
        return {}
    return {"trial": one_line(lead.trial_id, WORDS), "words": one_line(f"{lead.hypothesis} ({lead.reason})", 500)}


def _win(history: History, win: facts.Win, words: ScoreWords) -> dict[str, object]:
    step = win.step
    told = [f"better with probability {probability(step.probability)}"] if math.isfinite(step.probability) else []
    low_high = f" (95 %: {words.bounds(step.gain_low, step.gain_high)})" if math.isfinite(step.gain_low) else ""
    return {
        "number": win.number,
        "hypothesis": one_line(win.hypothesis, WORDS) or "no hypothesis given",
        "score": words.score(step.val_bpb),
        "gain": words.amount(step.gain, ""),
        "interval": low_high,
        "facts": told
        + [part for part in (words.scoring.doubt,) if part]
        + [one_line(part, 60) for part in (step.proposer, step.trial_id) if part],
        "commit": one_line(win.commit, WORDS)[:10],
        "checks": one_line(", ".join(step.checks), WORDS),
        "diff": diff_rows(text_of(history, win.parent_sha), text_of(history, step.source_sha)),
    }


def _guidance(history: History, words: ScoreWords) -> dict[str, object]:
    """The findings, and the directions that the search got from them."""
    findings = history.findings
    newest = history.directives[-1] if history.directives else None
    return {
        "findings": findings,
        "knob_heads": words.heads(guidance.KNOB_HEADS),
        "knobs": guidance.knob_rows(findings, words) if findings else [],
        "subject_heads": words.heads(guidance.SUBJECT_HEADS),
        "subjects": guidance.subject_rows(findings, words) if findings else [],
        "directives": newest,
        "directives_note": one_line(newest.note, WORDS) if newest else "",
        "directives_author": one_line(newest.author, 100) if newest else "",
        "stops": [one_line(stop, WORDS) for stop in newest.stops] if newest else [],
        "wanted": guidance.directives_rows(newest) if newest else [],
        "direction_heads": words.heads(guidance.DIRECTION_HEADS),
        "directions": guidance.direction_rows(history),
        "part_heads": words.heads(guidance.PART_HEADS),
        "parts": guidance.part_rows(history),
        "proposer_heads": words.heads(guidance.PROPOSER_HEADS),
        "proposers": guidance.proposer_rows(history),
    }


def _constants(history: History) -> list[tuple[str, str, str]]:
    before, after = (text_of(history, sha) or "" for sha in (facts.start_sha(history), facts.best_sha(history)))
    return [
        (one_line(change.name, 80), one_line(change.before, 80) or "–", one_line(change.after, 80) or "–")
        for change in compare_constants(before, after)
    ]


def _failures(history: History) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """(status, number of trials, the latest ones), the most frequent status first."""
    groups: defaultdict[str, list[TrialRow]] = defaultdict(list)
    for row in history.rows:
        if row.result is not None and row.result.status not in ("ok", "stopped"):
            groups[row.result.status].append(row)
    return [
        (one_line(status), f"{len(group):,}", [_failure(row) for row in group[: -FAILURE_EXAMPLES - 1 : -1]])
        for status, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _failure(row: TrialRow) -> tuple[str, str, str]:
    end = one_line(last_line(row.result.error) if row.result else "", 240) or "no message"
    return one_line(row.trial.trial_id, WORDS), end, one_line(row.trial.proposal.hypothesis, 120)


def _trial(row: TrialRow, commit: str, words: ScoreWords) -> dict[str, object]:
    result, proposal, status = row.result, row.trial.proposal, facts.status(row)
    ok = result is not None and status == "ok"
    reason = (
        last_line(result.error) if result and not ok else facts.reason_of(row.decision, words) if row.decision else ""
    )
    numbers = ("", "", "", "")
    if result is not None:
        memory = f"{result.peak_memory_mb:,.0f}"
        numbers = (f"{result.training_seconds:.1f}", f"{result.steps:,}", memory, f"{result.slot}")
    return {
        "name": one_line(row.trial.trial_id, WORDS),
        "kind": one_line(proposal.kind, WORDS),
        "status": one_line(status, WORDS),
        "failed": result is not None and not ok,
        "score": words.score(facts.score(row)),
        "held_out": words.score(result.holdout_bpb) if result and ok else "",
        "verdict": row.decision.verdict if row.decision else "",
        "commit": one_line(commit, WORDS)[:7],
        "hypothesis": one_line(proposal.hypothesis, 240),
        "reason": one_line(reason, 240),
        "proposer": one_line(proposal.proposer, 60),
        "numbers": numbers,
    }


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
