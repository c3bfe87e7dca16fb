"""Directives by statistics alone, for a run without a director: which subjects go on, and which were not looked at."""

import math

from autoresearch_ray.propose.director.directives import MOST_DIRECTIONS, number_directions
from autoresearch_ray.records.guidance import STATISTICS, Direction, Directives, Findings, SubjectRecord
from autoresearch_ray.settings.score_words import ScoreWords, words_for_models

BITS = words_for_models()

FAIR_TRIAL = 3  # ideas of a subject, after which their mean counts
UNTRIED_SHARE, OPEN_SHARE = 0.7, 0.5  # a subject that brought an advance has share 1


def direct_by_statistics(findings: Findings, before: Directives, words: ScoreWords = BITS) -> Directives:
    """The version after `before`. A subject whose ideas lose for certain is left out and named as not worth trying."""
    directions, stops = list[Direction](), list[str]()
    for record in sorted(
        findings.subjects,
        key=lambda record: (-record.advanced, -record.gain if math.isfinite(record.gain) else 0.0),
    ):
        if _is_dead(record, findings):
            stops.append(f"{record.subject} ({_describe(record, words)})")
        elif record.tried:
            share = 1.0 if record.advanced else OPEN_SHARE
            directions.append(Direction("", record.subject, _describe(record, words), share))
    directions += [
        Direction("", subject, "nobody has tried it", UNTRIED_SHARE) for subject in findings.untried_subjects
    ]
    written = Directives(
        version=before.version + 1,
        author=STATISTICS,
        directions=tuple(directions[:MOST_DIRECTIONS]),
        stops=tuple(stops),
        note=findings.reason,
        results=findings.results,
        at=findings.at,
    )
    return number_directions(written, before)


def _is_dead(record: SubjectRecord, findings: Findings) -> bool:
    """Whether a subject was tried fairly, advanced nothing, and is unlikely to bring a worthwhile gain."""
    if record.advanced or record.tried < FAIR_TRIAL:
        return False
    return record.failed == record.tried or record.high < findings.outlook.bound


def _describe(record: SubjectRecord, words: ScoreWords) -> str:
    mean = f", mean gain {words.gain(record.gain)} {words.scoring.unit}".rstrip() if math.isfinite(record.gain) else ""
    failed = f", {record.failed} failed" if record.failed else ""
    return f"{record.advanced} of {record.tried} advanced{failed}{mean}"
