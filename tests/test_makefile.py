"""The Makefile's set-up finds an interpreter and pip, or says in a line what is missing, before anything is fetched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
OLD = '#!/bin/sh\ntest "$1" = --version && echo Python 3.10.12 && exit\nexit 1\n'  # as it answers what it is asked


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-f", MAKEFILE, *words], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=120
    )


def test_an_environment_without_pip_gets_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    done = make(tmp_path, ".venv/bin/pip")
    assert done.returncode == 0, done.stderr
    assert "pip" in subprocess.run([tmp_path / ".venv/bin/pip", "--version"], capture_output=True, text=True).stdout


@pytest.mark.parametrize("is_there", [False, True])
def test_an_interpreter_that_is_too_old_is_refused_before_anything_is_made(tmp_path: Path, is_there: bool) -> None:
    (tmp_path / "pyproject.toml").touch()
    old = tmp_path / (".venv/bin/python" if is_there else "python3.10")
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text(OLD)
    old.chmod(0o755)
    if is_there:
        old.with_name("pip").touch()
    done = make(tmp_path, ".venv/.installed", f"PYTHON={old}")
    assert done.returncode == 2 and "is Python 3.10.12, expected 3.11 or newer; make clean" in done.stderr
    assert not (tmp_path / ".venv").exists() or is_there


def test_an_interpreter_that_cannot_install_pip_says_what_to_install(tmp_path: Path) -> None:
    broken = tmp_path / ".venv" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text('#!/bin/sh\ntest "$2" != ensurepip || { echo No module named ensurepip >&2; exit 1; }\n')
    broken.chmod(0o755)
    done = make(tmp_path, ".venv/bin/pip")
    assert (
        done.returncode == 2 and "has no pip and cannot install one; on Debian and Ubuntu: apt install" in done.stderr
    )
