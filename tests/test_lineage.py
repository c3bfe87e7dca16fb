"""The git history of a run is a function of its steps."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch_ray.errors import LineageError
from autoresearch_ray.records import Candidate, Step, StepKind
from autoresearch_ray.search.lineage import Lineage


def step(index: int, kind: StepKind, source: str) -> Step:
    return Step(index, kind, source, f"t{index}", f"p{index}", f"idea {index}", "tpe", 1.5, "reason", 1e9 + index)


STEPS = [
    step(1, "start", "a"),
    step(2, "advance", "b"),
    step(3, "advance", "c"),
    step(4, "keep", "b"),
    step(5, "drop", "b"),
    step(6, "advance", "d"),
    step(7, "keep", "d"),
]


def candidate(sha: str) -> Candidate:
    return Candidate.of(f"# {sha}\n")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_same_steps_make_the_same_hashes_at_once_or_one_by_one(tmp_path: Path) -> None:
    whole = Lineage(tmp_path / "one", "x").replay(STEPS, candidate, {})
    lineage = Lineage(tmp_path / "two", "x")
    known: dict[int, str] = {}
    for one in STEPS:
        known |= lineage.replay([one], candidate, known)
    assert known == whole and len(whole) == 7


def test_a_replay_after_a_crash_adds_nothing(tmp_path: Path) -> None:
    known = Lineage(tmp_path / "one", "x").replay(STEPS, candidate, {})
    before = git(tmp_path / "one", "rev-list", "--all", "--count")
    assert Lineage(tmp_path / "one", "x").replay(STEPS, candidate, known) == {}
    assert git(tmp_path / "one", "rev-list", "--all", "--count") == before
    git(tmp_path / "one", "fsck", "--strict")


def test_the_best_branch_has_one_commit_a_win_and_is_checked_out(tmp_path: Path) -> None:
    Lineage(tmp_path / "one", "x").replay(STEPS, candidate, {})
    assert git(tmp_path / "one", "rev-list", "--count", "autoresearch/x").strip() == "3"
    assert git(tmp_path / "one", "rev-list", "--count", "frontier/x").strip() == "5"
    assert (tmp_path / "one" / "train.py").read_text() == "# d\n"


def test_a_win_lists_the_steps_that_it_proves_and_no_others(tmp_path: Path) -> None:
    Lineage(tmp_path / "one", "x").replay(STEPS, candidate, {})
    newest, older = git(tmp_path / "one", "log", "--format=%B%x00", "autoresearch/x").split("\0")[:2]
    assert "idea 6" in newest and "idea 3" not in newest
    assert "idea 2" in older and "idea 3" not in older


def test_a_win_says_what_its_proof_passed_and_one_of_before_that_is_as_it_was(tmp_path: Path) -> None:
    old = Lineage(tmp_path / "one", "x").replay(STEPS, candidate, {})
    probed = [replace(s, checks=("causal", "second-process")) if s.index == 7 else s for s in STEPS]
    new = Lineage(tmp_path / "two", "x").replay(probed, candidate, {})
    assert [index for index in old if old[index] != new[index]] == [7]
    message = git(tmp_path / "two", "log", "-1", "--format=%B", "autoresearch/x")
    assert "Every run of its proof passed at full strength: causal, second-process\n" in message


def test_the_users_git_settings_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Lineage(tmp_path / "one", "x").replay(STEPS, candidate, {})
    config = tmp_path / "config"
    config.write_text("[user]\nname = N\nemail = e@x\n[commit]\ngpgsign = true\n[core]\nautocrlf = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert Lineage(tmp_path / "two", "x").replay(STEPS, candidate, {}) == plain


def test_another_history_than_recorded_is_refused(tmp_path: Path) -> None:
    known = Lineage(tmp_path / "one", "x").replay(STEPS, candidate, {})
    del known[1]
    with pytest.raises(LineageError, match="step 2 was commit"):
        Lineage(tmp_path / "two", "x").replay(STEPS, lambda sha: Candidate.of(f"# other {sha}\n"), known)


def test_a_candidate_of_several_files_is_committed_whole(tmp_path: Path) -> None:
    several = Candidate((("model/block.py", "WIDTH = 3\n"), ("train.py", "import model\n")))
    Lineage(tmp_path / "one", "x").replay(STEPS[:1], lambda _: several, {})
    assert git(tmp_path / "one", "ls-files").split() == ["model/block.py", "train.py"]
    assert (tmp_path / "one" / "model" / "block.py").read_text() == "WIDTH = 3\n"
