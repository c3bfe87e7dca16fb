"""The git history of a run is a function of its steps."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch_ray.common.errors import LineageError
from autoresearch_ray.records.decisions import Step, StepKind
from autoresearch_ray.records.trials import Candidate
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The commits of all steps."""
    return Lineage(tmp_path_factory.mktemp("lineage"), "x").replay(STEPS, candidate, {})


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


REFUSES = "#!/bin/sh\nexit 1\n"
CONFIGS = {
    "its signature and line ends": "[user]\nname = N\n[commit]\ngpgsign = true\n[core]\nautocrlf = true\n",
    "its hooks": "[core]\nhooksPath = {0}/hooks\n",
    "its template": '[init]\ntemplateDir = {0}\n[filter "up"]\nsmudge = tr a-z A-Z\n',
    "its filters": '[core]\nattributesFile = {0}/attributes\n[filter "up"]\nsmudge = tr a-z A-Z\n',
    "its encoding": "[i18n]\ncommitEncoding = latin1\n",
}


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A folder of a user's hooks (that refuse every move of a branch) and attributes."""
    folder = tmp_path / "users"
    (folder / "hooks").mkdir(parents=True)
    (folder / "hooks" / "reference-transaction").write_text(REFUSES)
    (folder / "hooks" / "reference-transaction").chmod(0o755)
    (folder / "info").mkdir()
    for name in ("attributes", "info/attributes"):
        (folder / name).write_text("*.py filter=up\n")
    return folder


@pytest.mark.parametrize("what", CONFIGS)
def test_the_users_git_settings_have_no_say(
    tmp_path: Path, whole: dict[int, str], users: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (users / "config").write_text(CONFIGS[what].format(users))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(users / "config"))
    git(tmp_path, "init", "-q", "old")  # as an older version made it, by the user's settings
    for folder in (tmp_path / "two", tmp_path / "old"):
        assert Lineage(folder, "x").replay(STEPS[:2], candidate, {}) == {1: whole[1], 2: whole[2]}
        assert (folder / "train.py").read_bytes() == b"# a\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_DIR", "{0}/.git"),
        ("GIT_INDEX_FILE", "{0}/.git/index"),
        ("GIT_WORK_TREE", "{0}"),
        ("GIT_OBJECT_DIRECTORY", "{0}/.git/objects"),
        ("GIT_NAMESPACE", "theirs"),
        ("GIT_DEFAULT_HASH", "sha256"),
        ("GIT_CONFIG_PARAMETERS", "'core.worktree={0}'"),
    ],
)
def test_another_repository_that_git_variables_name_is_left_alone(
    tmp_path: Path, whole: dict[int, str], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", "other")
    (other / "theirs.txt").write_text("theirs")
    git(other, "add", ".")
    before = {path: path.read_bytes() for path in other.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setenv(name, value.format(other))
        assert Lineage(tmp_path / "two", "x").replay(STEPS[:2], candidate, {}) == {1: whole[1], 2: whole[2]}
    assert {path: path.read_bytes() for path in other.rglob("*") if path.is_file()} == before
    assert git(tmp_path / "two", "status", "--short") == ""


def test_a_commit_whose_hook_launches_a_run_is_made_whole(tmp_path: Path) -> None:
    """`git commit -a` gives its hook an index that is not there yet, by GIT_INDEX_FILE."""
    git(tmp_path, "init", "-q", "theirs")
    theirs, script = tmp_path / "theirs", tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_lineage as here\nfrom pathlib import Path\n"
        f"here.Lineage(Path({str(tmp_path / 'one')!r}), 'x').replay(here.STEPS[:1], here.candidate, {{}})\n"
    )
    hook = theirs / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} {script}\n")
    hook.chmod(0o755)
    (theirs / "theirs.txt").write_text("one")
    git(theirs, "add", ".")
    git(theirs, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "theirs")
    assert git(theirs, "ls-tree", "--name-only", "HEAD").split() == ["theirs.txt"]
    assert (tmp_path / "one" / "train.py").read_text() == "# a\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_lineage_of_another_owner_is_written_to_by_who_may(tmp_path: Path, whole: dict[int, str]) -> None:
    known = Lineage(tmp_path / "two", "x").replay(STEPS[:4], candidate, {})
    subprocess.run(["chown", "-R", "12345:12345", tmp_path / "two"], check=True)
    assert known | Lineage(tmp_path / "two", "x").replay(STEPS, candidate, known) == whole
    assert (tmp_path / "two" / "train.py").read_text() == "# d\n"
    shown = git(tmp_path, "--git-dir", "two/.git", "log", "--format=%H", "autoresearch/x").split()
    assert shown[0] == whole[7]


def test_a_folder_that_git_cannot_use_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken" / ".git").mkdir(parents=True)
    (tmp_path / "broken" / ".git" / "config").write_text("[core\n")
    for folder in (tmp_path / "file", tmp_path / "broken"):
        with pytest.raises(LineageError, match=str(folder)) as caught:
            Lineage(folder, "x")
        assert "\n" not in str(caught.value)


def test_a_step_that_git_refused_is_committed_by_the_next_call(tmp_path: Path, whole: dict[int, str]) -> None:
    lineage = Lineage(tmp_path / "two", "x")
    known = lineage.replay(STEPS[:3], candidate, {})
    objects = tmp_path / "two" / ".git" / "objects"
    objects.rename(objects.with_name("away"))  # a disk that is not there for a while
    with pytest.raises(LineageError, match="git hash-object failed"):
        lineage.replay(STEPS[3:5], candidate, known)
    objects.with_name("away").rename(objects)
    assert lineage.done == 3
    assert known | lineage.replay(STEPS[3:], candidate, known) == whole


def test_what_a_killed_git_locked_is_free_again(tmp_path: Path) -> None:
    known = Lineage(tmp_path / "one", "x").replay(STEPS[:4], candidate, {})
    for name in ("index.lock", "HEAD.lock", "refs/heads/autoresearch/x.lock"):
        (tmp_path / "one" / ".git" / name).write_text("")
    assert list(Lineage(tmp_path / "one", "x").replay(STEPS, candidate, known)) == [5, 6, 7]
    assert (tmp_path / "one" / "train.py").read_text() == "# d\n"


def test_a_branch_that_a_person_has_checked_out_is_not_moved(tmp_path: Path) -> None:
    lineage = Lineage(tmp_path / "one", "x")
    known = lineage.replay(STEPS[:3], candidate, {})
    git(tmp_path / "one", "checkout", "-q", "frontier/x")
    git(tmp_path / "one", "checkout", "-q", "-b", "mine")
    known |= lineage.replay(STEPS[3:], candidate, known)
    tips = {name: git(tmp_path / "one", "rev-parse", name).strip() for name in ("mine", "frontier/x", "autoresearch/x")}
    assert tips == {"mine": known[3], "frontier/x": known[6], "autoresearch/x": known[7]}
    assert git(tmp_path / "one", "branch", "--show-current").strip() == "autoresearch/x"


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


def test_files_that_the_best_has_no_more_are_gone_and_a_persons_own_stay(tmp_path: Path) -> None:
    several = Candidate((("model/block.py", "WIDTH = 3\n"), ("train.py", "import model\n")))
    lineage = Lineage(tmp_path / "one", "x")
    known = lineage.replay(STEPS[:3], lambda _: several, {})
    (tmp_path / "one" / "notes.txt").write_text("mine")
    lineage.replay(STEPS[3:], candidate, known)
    assert git(tmp_path / "one", "status", "--short") == "?? notes.txt\n"
    assert not (tmp_path / "one" / "model" / "block.py").exists()


def test_a_win_that_proves_no_advance_is_told_by_itself(tmp_path: Path) -> None:
    lineage = Lineage(tmp_path, "x")
    beside = replace(step(4, "keep", "x"), proves=())
    after = replace(step(5, "keep", "c"), proves=(2, 3))
    lineage.replay([*STEPS[:3], beside, after], candidate, {})
    titles = git(tmp_path, "log", "-2", "--format=%s", "autoresearch/x").splitlines()
    assert titles == ["2 steps: idea 2; idea 3", "idea 4"]
