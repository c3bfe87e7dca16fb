"""Imports point one way: vocabulary <- folders <- Ray side <- command lines."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import write_experiment

PACKAGE = Path(__file__).parents[1] / "autoresearch_ray"
VOCABULARY = {"errors", "records", "experiment", "settings"}
FORBIDDEN = {
    "benchmark": {"ray"},
    "propose": {"ray", "torch"},
    "decide": {"ray", "torch"},
    "state": {"torch"},
    "observe": {"torch", "ray"},
    "storage": {"torch", "ray"},
}
ALLOWED = {"propose/spending.py": {"state"}}  # what calls cost is kept under the store's contract


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own(path: Path) -> set[str]:
    """The parts of our own package that a file imports: first name below the package."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("autoresearch_ray.")}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_knows_only_its_own_and_the_vocabulary(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        if path.name == "__main__.py":
            continue  # a command line
        outside = {name.split(".")[0] for name in imports(path)}
        assert not outside & FORBIDDEN[folder], path
        assert own(path) <= VOCABULARY | {folder} | ALLOWED.get(f"{folder}/{path.name}", set()), path


@pytest.mark.parametrize("name", sorted(VOCABULARY))
def test_the_vocabulary_imports_nothing_but_itself(name: str) -> None:
    assert own(PACKAGE / f"{name}.py") <= VOCABULARY


def test_nothing_imports_a_command_line() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not own(path) & {"launch", "prepare", "train"} or path.name == "__main__.py", path


def test_the_check_sees_an_import_that_breaks_the_rule(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from ray import tune\n    import autoresearch_ray.search\n")
    assert "ray" in {name.split(".")[0] for name in imports(bad)} and own(bad) == {"search"}


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
        "import sys; from pathlib import Path; from autoresearch_ray import settings; "
        "from autoresearch_ray.driver import resolve; "
        "request = settings.Request(Path('e.yaml'), tag='x', program=Path('program.md')); "
        "print(resolve.resolve(request, print)[0].device, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["cpu", "False"]
