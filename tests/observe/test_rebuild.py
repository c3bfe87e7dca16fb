"""`python -m autoresearch_ray.report`, on a real store."""

from pathlib import Path

import pytest
from histories import realistic, stored

from autoresearch_ray import load_trials
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.report import main

FILES = ("results.tsv", "trials.parquet", "progress.png", "report.html")


def test_the_files_are_made_from_the_store_and_twice_is_once(tmp_path: Path) -> None:
    stored(realistic(), tmp_path)
    assert main([str(tmp_path)]) == 0
    first = {name: (tmp_path / name).read_bytes() for name in FILES}
    for name in FILES:
        (tmp_path / name).write_bytes(b"damaged")
    assert rebuild(tmp_path).commits == realistic().commits
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == first
    assert len(load_trials(tmp_path)) == len(realistic().rows)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_folder_without_a_run_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "state.db: does not exist; expected a run's folder" in error


def test_a_damaged_store_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database" * 100)
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    stored(realistic(), tmp_path)
    (tmp_path / "results.tsv").mkdir()
    with pytest.raises(SettingsError, match="cannot be written"):
        rebuild(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
