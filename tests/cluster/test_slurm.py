"""experiments/clusters/slurm.sh on a host of its own, where `srun` and `scontrol` stand in for a Slurm of one node.

Not covered: what Slurm itself does with the #SBATCH lines, and several nodes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import Host, hosts, unavailable
from small_run import write_experiment

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "hosts can be had"),
    pytest.mark.xdist_group("hosts"),
]
STAND_INS = """
mkdir -p ~/bin ~/project && cd ~/project
printf '#!/bin/sh\\nhostname\\n' >~/bin/scontrol
printf '#!/bin/sh\\nshift\\nexec "$@"\\n' >~/bin/srun
chmod +x ~/bin/*
cp -r {root}/autoresearch_ray {root}/experiments {root}/program.md . && ln -s {venv} .venv
"""
ALLOCATION = "SLURM_SUBMIT_DIR=~/project SLURM_JOB_NODELIST=head SLURM_JOB_NUM_NODES=1 SLURM_CPUS_PER_TASK=2"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Host]:
    """A machine with a checkout in its home."""
    with hosts(tmp_path, 1) as (host,):
        host.run(STAND_INS.format(root=ROOT, venv=Path(sys.executable).parent.parent))
        write_experiment(tmp_path)
        for name in ("e.yaml", "train.py", "program.md", "words.txt"):
            host.send(tmp_path / name, f"~/project/{name}")
        yield host


def test_a_slurm_job_runs_resumes_and_leaves_nothing(node: Host) -> None:
    def job(number: int, words: str) -> str:
        allocation = f"{ALLOCATION} SLURM_JOB_ID={number} SLURM_JOB_END_TIME=$(($(date +%s) + 3600))"
        command = f"PATH=~/bin:$PATH {allocation} bash ~/project/experiments/clusters/slurm.sh"
        return node.run(f"{command} --program program.md --tag night {words} 2>&1", timeout=150)

    first = job(7, "e.yaml --trials 4 --slots 2")
    assert "trials       4 (4 ok)" in first and "Traceback" not in first, first
    again = job(8, "--resume --trials 6")
    assert "trials       6 (6 ok)" in again, again
    assert node.run("ls ~/.autoresearch-token-* 2>/dev/null || true") == "", "the job's key outlives it"
    assert node.processes() == []
