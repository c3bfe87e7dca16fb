"""The notebooks: both run from top to bottom on a small run, and are committed with outputs that tell no machine."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from small_run import write_experiment

import autoresearch_ray
from autoresearch_ray import load_runs, load_trials
from autoresearch_ray.store.connect import read_run

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
NOTEBOOKS = T4, ANALYSIS = EXPERIMENTS / "t4.ipynb", EXPERIMENTS / "analysis.ipynb"
MOST_BYTES = 400_000
PRIVATE = re.compile(r"(?<![\w.~])/(?:work|tmp|root|home|Users|usr|opt|mnt)/")  # a path of somebody's machine


def cells_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook: Any) -> str:
    """Everything that its cells have put out as text."""
    outputs = [output for cell in cells_of(notebook) for output in cell.outputs]
    shown = [output.get("data", {}).get(kind, "") for output in outputs for kind in ("text/plain", "text/html")]
    return "\n".join([output.get("text", "") for output in outputs] + shown)


def pictures_of(notebook: Any) -> int:
    outputs = [output for cell in cells_of(notebook) for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def execute(path: Path, folder: Path, **parameters: object) -> Any:
    """The notebook after a run in `folder`; parameters come in a cell after its own, as papermill puts them."""
    notebook = nbformat.read(path, as_version=4)
    (own,) = (index for index, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    names = set(re.findall(r"^(\w+) = ", notebook.cells[own].source, re.M))
    assert parameters.keys() <= names, "the notebook has these parameters"
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    notebook.cells.insert(own + 1, nbformat.v4.new_code_cell(given))
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return notebook


@pytest.mark.alone  # a whole run, stopped and resumed
@pytest.mark.timeout(900)
def test_both_run_from_top_to_bottom_on_a_small_run(tmp_path: Path) -> None:
    write_experiment(tmp_path)
    small = {"experiment": "e.yaml", "trials": 5, "slots": 2, "pause_after": 1, "page": True, "disk": "disk"}
    done = execute(T4, tmp_path, **small)
    (run,) = (path.parent for path in tmp_path.glob("runs/*/state.db"))
    text = text_of(done)
    assert "who proposes: tpe" in text and f"run {run.name}: small, 5 trials of 0.5 s on 2 slots" in text
    assert "trials       5 (5 ok)" in text and '<iframe sandbox="allow-scripts"' in text
    assert pictures_of(done) == 3, "watched twice, and drawn"
    assert len(read_run(run).launches) == 2, "stopped and resumed"
    stored = tmp_path / "disk" / "runs" / run.name
    assert (tmp_path / "disk" / "cache" / "datasets").is_dir()
    assert load_trials(stored).val_bpb.tolist() == load_trials(run).val_bpb.tolist()

    sources = [f"runs/{run.name}", f"disk/runs/{run.name}"]
    text = text_of(execute(ANALYSIS, tmp_path, sources=sources))
    head = load_runs(run).iloc[0]
    assert f"{run.name}: 5 trials of 0.5 s on small, 2 slots" in text and f"baseline  {head.baseline:.4f}" in text
    assert f"one score      sd {head.noise_sd:.4f}, {head.noise_freedom} degrees of freedom" in text
    assert all(source in text for source in sources), "runs of one tag are told apart"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_its_outputs_are_of_one_run_from_top_to_bottom(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = cells_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    for cell in cells:
        last = cell.source.splitlines()[-1]
        if re.match(r"plt\.show|print\(", last):
            assert cell.outputs, f"{cell.source}: has an output when it has run"
    assert pictures_of(notebook) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_small_and_tells_no_machine(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    assert not PRIVATE.search(text_of(notebook)), text_of(notebook)
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert not any("execution" in cell.metadata for cell in notebook.cells), "no times of whoever ran it"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_uses_what_is_public(path: Path) -> None:
    source = "\n".join(cell.source for cell in cells_of(nbformat.read(path, as_version=4)))
    used = set(re.findall(r"\bautoresearch_ray\.(\w+)", source))
    assert used and used <= set(autoresearch_ray.__all__)
    assert "from autoresearch_ray" not in source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_its_links_lead_to_files_of_the_repository(path: Path) -> None:
    words = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", words) if "://" not in link]
    assert links and [link for link in links if not (path.parent / link).is_file()] == []
