"""Imports point one way: the contracts in pyproject.toml, and that they see what breaks them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import write_experiment

ROOT = Path(__file__).parents[1]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """The contracts, on the package in this folder."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, for a test to spoil."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "autoresearch_ray", tmp_path / "autoresearch_ray", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold_and_see_lazy_imports_that_break_them(copy: Path) -> None:
    assert lint_imports(copy).returncode == 0, lint_imports(copy).stdout
    for path, line in (
        ("decide/effects.py", "from autoresearch_ray.store.board import Board"),
        ("search/search.py", "from autoresearch_ray.store.connect import connect"),
        ("observe/tables/trials.py", "import ray"),
        ("store/board.py", "import ray"),
        ("propose/llm/calls.py", "from autoresearch_ray.decide import plan"),
        ("decide/plan.py", "from autoresearch_ray.candidate import knobs"),
        ("benchmark/score/metric.py", "from autoresearch_ray.benchmark.trial.job import Job"),
    ):
        module = copy / "autoresearch_ray" / path
        module.write_text(f"{module.read_text()}\n\ndef late() -> None:\n    {line}\n")
    (copy / "autoresearch_ray" / "stray.py").write_text("")
    told = lint_imports(copy)
    words_told = " ".join(told.stdout.split())  # it breaks lines
    assert told.returncode == 1 and "1 kept, 8 broken" in words_told, words_told
    for words in ("decide.effects -> autoresearch_ray.store.board", "search.search -> autoresearch_ray.store.connect",
                  "tables.trials -> ray", "metric -> autoresearch_ray.benchmark.trial.job", "stray"):  # fmt: skip
        assert words in words_told, words_told


def test_a_wrong_command_line_is_told_so_without_loading_torch_or_ray() -> None:
    script = (
        "import sys; from autoresearch_ray.launch import main; status = main(['--trials', '2']); "
        "print(status, *{'torch', 'ray', 'matplotlib'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["2"] and "--trials 2" in told.stderr


def test_a_run_on_cpus_is_resolved_without_loading_torch(tmp_path: Path) -> None:
    write_experiment(tmp_path)
    script = (
        "import sys; from pathlib import Path; from autoresearch_ray.settings.request import ask; "
        "from autoresearch_ray.driver import resolve; "
        "request = ask(experiment='e.yaml', tag='x', program='program.md'); "
        "print(resolve.resolve(request, print)[0].device, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["cpu", "False"]


def test_a_simulation_does_without_ray_and_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from autoresearch_ray.simulate import main; status = main(['--trials', '4', '--slots', '1']); "
        "print(status, *{'torch', 'ray'} & set(sys.modules), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stderr.split() == ["0"], told.stderr
