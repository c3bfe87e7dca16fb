"""What a container may use is read from its control group, in both versions; the kernel's word on memory is heard."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.benchmark.sandbox import cgroup
from autoresearch_ray.cluster.capacity import MEMORY_SHARE, memory_for

SLOT = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
for group in sys.argv[3:]:
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
from autoresearch_ray.benchmark.sandbox import cgroup
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot
GREEDY = "import torch\\ndef train(task):\\n    next(task.batches(4))\\n    [torch.ones(1 << 28) for _ in range(3)]\\n"
with Slot(1) as slot:
    list(slot.run(Job(GREEDY, sys.argv[1], 1, 100.0, "cpu", "none", 1, 0, 0.0), Path(sys.argv[2])))
    limits = [cgroup.usable_cpus(), cgroup.usable_memory() >> 20, cgroup.limit("pids")]
    print(json.dumps([*limits, slot.result.status, slot.result.error]))
"""
LIMITS = {
    "cpu": {"cpu.cfs_quota_us": "190000"},
    "memory": {"memory.limit_in_bytes": "1800M"},
    "pids": {"pids.max": "400"},
}


def container(folder: Path, version: int, **files: str) -> Path:
    """A /proc/self of a process whose group is two below the mount, and the limits that its groups have."""
    inner = folder / "mount" / "pod" / "own"
    inner.mkdir(parents=True)
    for name, text in files.items():
        place = inner if not name.startswith("above_") else inner.parent
        (place / name.removeprefix("above_").replace("__", ".")).write_text(text + "\n")
    groups = "0::/kube/pod/own\n" if version == 2 else "7:cpu,cpuacct:/kube/pod/own\n4:memory:/kube/pod/own\n0::/\n"
    kind, options = ("cgroup2", "rw,nsdelegate") if version == 2 else ("cgroup", "rw,cpu,cpuacct,memory")
    (folder / "cgroup").write_text(groups)
    (folder / "mountinfo").write_text(
        f"25 1 0:22 / /proc rw - proc proc rw\n30 1 0:26 /kube {folder}/mount rw - {kind} cgroup {options}\n"
    )
    return folder


def test_the_tightest_quota_of_the_groups_above_counts(tmp_path: Path) -> None:
    new = container(tmp_path / "v2", 2, cpu__max="max 100000", above_cpu__max="250000 100000")
    assert cgroup.limit("cpu", new) == 2.5
    period = {"cpu__cfs_period_us": "50000", "above_cpu__cfs_period_us": "100000"}
    old = container(tmp_path / "v1", 1, cpu__cfs_quota_us="40000", above_cpu__cfs_quota_us="-1", **period)
    assert cgroup.limit("cpu", old) == 0.8
    assert cgroup.usable_cpus(old) == 1, "a part of a core is a core"


def test_the_memory_of_a_container_is_what_its_trials_share(tmp_path: Path) -> None:
    new = container(tmp_path / "v2", 2, memory__max=str(1 << 30), above_memory__max="max")
    old = container(tmp_path / "v1", 1, memory__limit_in_bytes=str(1 << 30))
    assert cgroup.usable_memory(new) == cgroup.usable_memory(old) == 1 << 30
    (tmp_path / "v1" / "mount" / "pod" / "own" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert cgroup.usable_memory(old) == psutil.virtual_memory().total
    assert memory_for(2) == int(cgroup.usable_memory() * MEMORY_SHARE / 2) >> 20


def test_a_machine_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert cgroup.limit("memory", tmp_path) == cgroup.limit("cpu", tmp_path) == math.inf
    assert cgroup.usable_cpus(tmp_path) == len(os.sched_getaffinity(0)) and cgroup.count_memory_kills(tmp_path) == 0


def test_what_the_kernel_ended_for_memory_is_counted(tmp_path: Path) -> None:
    new = container(tmp_path / "v2", 2, memory__events="low 0\nhigh 0\noom 3\noom_kill 2\noom_group_kill 0")
    old = container(tmp_path / "v1", 1, memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2")
    assert cgroup.count_memory_kills(new) == cgroup.count_memory_kills(old) == 2


@pytest.fixture
def groups() -> Iterator[list[Path]]:
    """Real control groups of version 1 with LIMITS; skips where none can be made."""
    made = [Path("/sys/fs/cgroup") / controller / f"autoresearch-test-{os.getpid()}" for controller in LIMITS]
    try:
        for group, files in zip(made, LIMITS.values(), strict=True):
            group.mkdir()
            for name, text in files.items():
                (group / name).write_text(text)
        yield made
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made here ({error.strerror})")
    finally:
        for group in made:
            if group.exists():
                group.rmdir()


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    return prepare(small_experiment(tmp_path))


def test_a_candidate_that_the_kernel_ends_for_memory_is_oom_not_lost(
    groups: list[Path], dataset: Dataset, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SLOT, dataset.folder, tmp_path / "trial", *groups]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    cpus, memory_mb, processes, status, error = json.loads(done.stdout)
    assert (cpus, memory_mb, processes, status) == (1, 1800, 400, "oom"), error
    assert "the kernel ended it because memory ran out; 1800 MB" in error
