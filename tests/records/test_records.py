"""What a record becomes as JSON, and what it is when it comes back."""

import hashlib
import json
import math
from dataclasses import fields, replace

import pytest

from autoresearch_ray.common.errors import RecordError
from autoresearch_ray.records.codec import FORMER_NAMES, from_json, to_json
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.history import TrialRow
from autoresearch_ray.records.source_files import heading
from autoresearch_ray.records.trials import Candidate, CurvePoint, Proposal, Result, Trial

PROPOSAL = Proposal("p1", "knobs", "tpe", "a" * 64, "b" * 64, 3, 'a "hypothesis"\nof two lines')
TRIAL = Trial("t00001", PROPOSAL, "screen", seed=1, claimed_at=10.5)
RESULT = Result("t00001", "ok", val_bpb=1.5, steps=7, curve=(CurvePoint(0.5, 1, 128, 3.25), CurvePoint(1.0, 2, 256, 3)))


def test_nested_records_come_back_equal() -> None:
    row = TrialRow(TRIAL, Result("t00001", "ok", 1.5, 1.6, curve=RESULT.curve), None)
    assert from_json(TrialRow, to_json(row)) == row
    assert from_json(Trial, to_json(TRIAL).encode()) == TRIAL


def test_a_score_that_does_not_exist_is_null_and_comes_back_as_nan() -> None:
    text = to_json(Result("t00001", "crash"))
    assert '"val_bpb":null' in text
    assert math.isnan(from_json(Result, text).val_bpb)


def test_records_of_before_probes_were_noted_are_read() -> None:
    decision = Decision("t00001", "keep", "P(better) 0.997", 3, 10.0)
    step = Step(4, "keep", "a" * 64, "t00001", "p1", "words", "tpe", 1.5, "reason", 10.0)
    for record in (replace(RESULT, curve=()), decision, step):
        stored = json.loads(to_json(record))
        assert stored.pop("checks") == [] and stored.pop("strength", "") == ""
        assert to_json(from_json(type(record), json.dumps(stored))) == to_json(record)


def test_fields_under_their_former_names_are_read() -> None:
    proposal = Proposal("p1", "knobs", "tpe", "a" * 64, "b" * 64, 7, "words")
    trial = Trial("t00001", proposal, "screen", seed=1, claimed_at=10.0)
    decision = Decision("t00001", "keep", "P(better) 0.997", 3, 10.0)
    for record, then, now in (
        (proposal, "parent_revision", "parent_version"),
        (trial, "parent_revision", "parent_version"),
        (decision, "revision", "frontier_version"),
    ):
        stored = to_json(record)
        former = stored.replace(f'"{now}":', f'"{then}":')
        assert former != stored and from_json(type(record), former) == from_json(type(record), stored)


def test_no_former_name_is_that_of_a_field_now() -> None:
    for record in (Proposal, Decision):
        names = {field.name for field in fields(record)}
        assert set(FORMER_NAMES[record.__name__].values()) <= names and not FORMER_NAMES[record.__name__].keys() & names


def test_a_whole_number_in_a_float_field_comes_back_as_a_float() -> None:
    back = from_json(Result, to_json(RESULT))
    assert back.curve[1] == CurvePoint(1.0, 2, 256, 3.0)
    assert isinstance(back.curve[1].train_bpb, float)


def test_fields_keep_their_order_and_names() -> None:
    assert to_json(RESULT.curve[0]) == '{"seconds":0.5,"step":1,"tokens":128,"train_bpb":3.25}'


def test_an_unknown_field_and_an_infinite_number_are_refused() -> None:
    with pytest.raises(RecordError, match=r"CurvePoint: unknown fields \['color'\]"):
        from_json(CurvePoint, '{"seconds":1,"step":1,"tokens":1,"train_bpb":1,"color":"red"}')
    with pytest.raises(AssertionError, match="infinite"):
        to_json(Result("t00001", "ok", val_bpb=math.inf))


def test_a_lone_train_py_is_stored_and_named_by_its_bare_text() -> None:
    candidate = Candidate.of("x = 1  # ü\n")
    assert candidate.encode() == "x = 1  # ü\n".encode() and Candidate.decode(candidate.encode()) == candidate
    assert candidate.sha == hashlib.sha256("x = 1  # ü\n".encode()).hexdigest()


def test_a_candidate_of_several_files_comes_back_equal_under_a_hash_of_all_of_them() -> None:
    files = (("model.py", "WIDTH = 3\n"), ("train.py", "x = 1\n"))
    candidate = Candidate(files)
    text = f"{heading('model.py')}WIDTH = 3\n{heading('train.py')}x = 1\n"
    assert Candidate.decode(candidate.encode()) == candidate == Candidate.of(text) and candidate.text == text
    shas = {candidate.sha, Candidate.of("x = 1\n").sha, Candidate((("model.py", "WIDTH = 4\n"), files[1])).sha}
    assert len(shas) == 3


@pytest.mark.parametrize("paths", [("../train.py",), ("/train.py",), ("train.py", "model.py"), ()])
def test_a_candidate_keeps_to_its_folder_and_has_one_order(paths: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="paths"):
        Candidate(tuple((path, "") for path in paths))
