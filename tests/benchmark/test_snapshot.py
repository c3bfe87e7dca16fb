"""A script's folder is taken once, as it was when its run began."""

import os
import tarfile
from pathlib import Path

import pytest
from script_place import script_experiment

from autoresearch_ray.benchmark.script import snapshot
from autoresearch_ray.benchmark.script.snapshot import TAR_FILE, find_snapshot, take
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.settings.script_experiment import ScriptExperiment


@pytest.fixture
def experiment(tmp_path: Path) -> ScriptExperiment:
    return script_experiment(tmp_path / "small")


def test_the_same_folder_is_the_same_snapshot(experiment: ScriptExperiment) -> None:
    first = take(experiment)
    content, folder = first.tar.read_bytes(), Path(experiment.folder)
    (folder / "helper.py").touch()
    for name in (".git", ".venv", "runs", "__pycache__", ".mypy_cache"):
        (folder / name).mkdir()
        (folder / name / "file").write_text("of no account")
    again = take(experiment)
    assert again == first and again.tar.read_bytes() == content
    assert [path for path, _ in first.hashes] == ["fit.py", "helper.py", "judge.py"]


def test_a_cache_within_the_folder_is_no_part_of_it(
    experiment: ScriptExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", f"{experiment.folder}/cache")
    assert take(experiment) == take(experiment)


def test_a_fingerprint_says_what_scores_depend_on(experiment: ScriptExperiment) -> None:
    first, folder = take(experiment), Path(experiment.folder)
    (folder / "fit.py").write_text("print('loss: 3')\n")
    assert take(experiment).fingerprint == first.fingerprint and take(experiment) != first, (
        "candidates change it anyway"
    )
    assert take(experiment.replace(trials=9, budget_seconds=3)).fingerprint == first.fingerprint
    changes = {"command": "python -O fit.py", "direction": "higher", "limits": {"size": "<= 1"}, "seed": "fixed"}
    prints = [take(experiment.replace(**{name: value})).fingerprint for name, value in changes.items()]
    (folder / "helper.py").write_text("def rate(x): return 1\n")
    assert len({first.fingerprint, take(experiment).fingerprint, *prints}) == 6


def test_a_run_goes_on_with_the_files_that_it_began_with(experiment: ScriptExperiment) -> None:
    first, helper = take(experiment), Path(experiment.folder, "helper.py")
    assert find_snapshot(experiment, first.fingerprint) == first
    helper.write_text("def rate(x): return 1\n")
    assert find_snapshot(experiment, first.fingerprint) == first
    helper.unlink()
    assert find_snapshot(experiment, first.fingerprint) == first
    with pytest.raises(DataError, match="has changed since the run began, and the files that it began with are not in"):
        find_snapshot(experiment, "of another folder")


def test_a_damaged_snapshot_is_refused(experiment: ScriptExperiment) -> None:
    first = take(experiment)
    content = bytearray(first.tar.read_bytes())
    content[700] ^= 1
    (first.folder / TAR_FILE).write_bytes(content)
    with pytest.raises(DataError, match=r"is not a whole snapshot .*delete it, and launch again"):
        take(experiment)
    first.tar.unlink()
    with pytest.raises(DataError, match="is not a whole snapshot"):
        take(experiment)


def test_a_folder_that_is_too_large_is_refused_with_what_makes_it_so(
    experiment: ScriptExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(experiment.folder, "data")
    folder.mkdir()
    with (folder / "images.bin").open("wb") as file:
        file.truncate(snapshot.MOST_BYTES)
    with pytest.raises(
        DataError, match=r"holds 4 files of 67 MB, the largest data/images.bin; .*name what is only read"
    ):
        take(experiment)
    apart = take(experiment.replace(data=(str(folder),)))
    assert "data/images.bin" not in dict(apart.hashes)


def test_links_that_stay_within_the_folder_and_empty_folders_are_kept(experiment: ScriptExperiment) -> None:
    folder = Path(experiment.folder)
    (folder / "inside.py").symlink_to("helper.py")
    (folder / "outside.py").symlink_to("/etc/passwd")
    (folder / "nowhere.py").symlink_to("gone.py")
    (folder / "empty").mkdir()
    (folder / "cached" / "__pycache__").mkdir(parents=True)
    with tarfile.open(take(experiment).tar) as tar:
        links = {entry.name: entry.linkname for entry in tar if entry.issym()}
        assert links == {"inside.py": "helper.py", "nowhere.py": "gone.py"}
        assert [entry.name for entry in tar if entry.isdir()] == ["cached", "empty"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_told(experiment: ScriptExperiment) -> None:
    Path(experiment.folder, "helper.py").chmod(0)
    with pytest.raises(DataError, match=r"helper.py: cannot be read .*make it readable, take it out"):
        take(experiment)
