"""The GPU benchmark without a GPU: refused in one line, or driven on the CPU through every one of its lines."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from gpu_parts.noise import variance_parts
from gpu_parts.notes import Bench, read_rows

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "experiments" / "benchmarks" / "gpu.py"
TABLES = {  # what each part must have found, at least
    "product": {"launch", "run", "statuses", "scores", "columns", "metrics"},
    "sharing": {"greedy", "company", "unequal company", "second process", "auto"},
    "trainer": {"peak", "h100", "h100 compiled", "t4", "t4 compiled", "profile", "kernels"},
    "walls": {"claims"},
    "noise": {"runs", "noise"},
}

pytestmark = pytest.mark.alone


def script(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, "--out", out, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(1500)
def test_every_part_runs_on_the_cpu_and_finds_what_it_is_for(tmp_path: Path) -> None:
    ended = script(tmp_path, "--pretend")
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert {name: set() for name in TABLES} == {
        name: tables - set(report["parts"][name]["tables"]) for name, tables in TABLES.items()
    }
    claims = report["parts"]["walls"]["tables"]["claims"]
    assert {claim["outcome"] for claim in claims} == {"passed"} and len(claims) >= 12, claims
    page = (tmp_path / "gpu.html").read_text()
    assert "pretended on the CPU" in page and all(f"<h2>{name} " in page for name in TABLES)


def test_a_part_whose_time_is_over_is_ended_and_the_next_one_starts(tmp_path: Path) -> None:
    before = set(psutil.pids())
    ended = script(tmp_path, "--pretend", "--only", "trainer", "noise", "--seconds", "21")
    assert ended.returncode == 1, ended.stdout
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert [name for name, part in parts.items() if part["status"].startswith("stopped after")] == ["trainer", "noise"]
    left = [psutil.Process(pid) for pid in set(psutil.pids()) - before if psutil.pid_exists(pid)]
    assert not [one.cmdline() for one in left if str(SCRIPT) in " ".join(one.cmdline())]


@pytest.mark.skipif(__import__("torch").cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_is_refused_in_one_line(tmp_path: Path) -> None:
    ended = script(tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: torch ") and len(ended.stderr.splitlines()) == 1, ended.stderr


def test_rows_before_a_torn_line_are_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 0.0, pretend=True)
    bench.row("runs", val_bpb=1.5)
    with bench.attempt("a step"):
        raise RuntimeError("no")
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"table": "runs", "val_')
    tables = read_rows(tmp_path)
    assert tables["runs"] == [{"val_bpb": 1.5}] and tables["faults"][0]["error"] == "RuntimeError: no"


def test_the_parts_of_the_noise_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    seed, together, machine, found = 0.03, 0.02, 0.01, []
    for _ in range(400):
        table = rng.normal(0, seed, (1, 3)) + rng.normal(0, together, (3, 3)) + rng.normal(1.5, machine, (3, 3))
        parts = variance_parts(table, list(rng.normal(1.5, machine, 4)))
        found.append([parts[name] ** 2 for name in ("seed sd", "seed x candidate sd", "machine sd")])
    assert np.sqrt(np.mean(found, axis=0)) == pytest.approx([seed, together, machine], rel=0.15)
