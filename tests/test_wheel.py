"""The built wheel alone, in an environment without the checkout: its commands run in an empty folder."""

import os
import re
import site
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), re.S)[0]  # a user's proposer
pytestmark = pytest.mark.alone  # a whole run


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints on both streams; it must end with status 0 and without a traceback."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has this project's dependencies, and the project from its wheel."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheel_options: list[str | Path] = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist"]
    run(*pip, "wheel", "--quiet", *wheel_options, ROOT, cwd=folder)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    packages = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip())
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))  # whose own .pth files do not count
    (wheel,) = (folder / "dist").glob("*.whl")
    run(*pip, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    return python


def test_an_installed_wheel_searches_and_trains_in_an_empty_folder(python: Path, tmp_path: Path) -> None:
    home = {"AUTORESEARCH_HOME": str(tmp_path / "home")}
    folder = tmp_path / "empty"
    folder.mkdir()
    where = run(python, "-c", "import autoresearch_ray; print(autoresearch_ray.__file__)", cwd=folder)
    assert where.startswith(str(python.parents[1])), where
    command = python.with_name("autoresearch-ray")
    short = ["--budget-seconds", "1", "--trials", "4", "--slots", "1", "--plain", "--tag", "x"]
    printed = run(command, "launch", *short, cwd=folder, **home)
    assert "cpu.yaml, which ships" in printed and "python -m autoresearch_ray.init" in printed
    assert re.search(r"^trials .*\(\d+ ok\)$", printed, re.M), printed  # more than four if there is overtime
    assert (folder / "runs" / "x" / "report.html").exists() and not (folder / "experiments").exists()

    written = run(python, "-m", "autoresearch_ray.init", cwd=folder)
    assert "experiments/scripts/matmul/build_and_run.sh: written" in written
    assert "experiments/train.py: written" in written and "experiments/t4.ipynb: written" in written
    (folder / "program.md").write_text("# Mine\n")
    assert "program.md: is there, left as it is" in run(command, "init", cwd=folder)
    assert (folder / "program.md").read_text() == "# Mine\n"
    trained = run(
        python, "-m", "autoresearch_ray.train", "experiments/cpu.yaml", "--budget-seconds", "1", cwd=folder, **home
    )
    assert "\nval_bpb:  " in trained, trained

    (folder / "mine.py").write_text(EXAMPLE)
    asked = ["autoresearch_ray.propose", "experiments/cpu.yaml", "--proposer", "own:mine:Smoothing"]
    proposed = run(python, "-m", *asked, cwd=folder, **home)
    assert "+SMOOTHING = 0.02" in proposed and "label_smoothing=SMOOTHING)" in proposed and "rejected" not in proposed
