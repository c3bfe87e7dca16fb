"""The image's Dockerfile and what is in it, as far as it goes without Docker. Not covered: that it builds, and runs."""

import http.client
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hosts import hosts, unavailable

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "experiments" / "clusters"
DOCKERFILE = CLUSTERS / "Dockerfile"
TEXT = DOCKERFILE.read_text()
HADOLINT = Path(sys.executable).with_name("hadolint")
COPIES = [words.split() for words in re.findall(r"^COPY (?:--chmod=\d+ )?([^-\n].*)$", TEXT, re.M)]
PORT = 8123


def lint(path: Path) -> str:
    """What hadolint finds."""
    return subprocess.run([HADOLINT, "--no-color", path], capture_output=True, text=True, timeout=60).stdout


def test_the_dockerfile_is_clean_and_a_planted_mistake_is_found(tmp_path: Path) -> None:
    assert lint(DOCKERFILE) == ""
    (tmp_path / "Dockerfile").write_text(TEXT + "RUN cd /work && sudo true\n")
    assert "DL3004" in lint(tmp_path / "Dockerfile")


def test_the_wheel_is_made_from_what_is_copied_and_nothing_else_reaches_the_builder(tmp_path: Path) -> None:
    rules = (DOCKERFILE.with_name("Dockerfile.dockerignore")).read_text().splitlines()
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert next(line for line in rules if not line.startswith(("#", "!"))) == "*"
    for *sources, target in COPIES:
        for source in sources:
            assert (ROOT / source).exists() and source.split("/")[0] in allowed, source
            if not target.startswith("/checkout/"):
                continue
            place = tmp_path / target.removeprefix("/checkout/")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place)
            else:
                place.mkdir(exist_ok=True)
                shutil.copy(ROOT / source, place)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--wheel-dir", tmp_path / "dist", tmp_path], check=True, timeout=120)
    assert len(list((tmp_path / "dist").glob("autoresearch_ray-*.whl"))) == 1


def test_versions_are_those_of_the_constraints() -> None:
    constraints = (CLUSTERS / "constraints.txt").read_text()
    assert "--requirement /opt/autoresearch/constraints.txt" in TEXT
    assert "experiments/clusters/constraints.txt" in [source for *sources, _ in COPIES for source in sources]
    assert "==" not in TEXT, "none of its own"
    (of_python,) = re.findall(r"^ARG BASE=python:([\d.]+)-", TEXT, re.M)
    assert f"for Python {of_python} on Linux" in constraints


def test_the_slurm_job_runs_in_the_image_if_it_is_told_one(tmp_path: Path) -> None:
    for name, script in {
        "scontrol": "echo localhost",
        "srun": 'printf "%s\\n" "$@"',
        "getent": "echo 127.0.0.1",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_ID": "7"}
    job |= {"SLURM_JOB_NUM_NODES": "1", "SLURM_CPUS_PER_TASK": "2", "HOME": str(tmp_path)}
    job |= {"PATH": f"{tmp_path}:/usr/bin:/bin", "AUTORESEARCH_IMAGE": "/images/a.sqsh"}
    done = subprocess.run(["bash", CLUSTERS / "slurm.sh", "x"], env=job, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[1:3] == ["--container-image=/images/a.sqsh", "--container-workdir=/work"]
    assert words[3].startswith(f"--container-mounts={tmp_path}:/work,{tmp_path}/.autoresearch-token-")


@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "hosts can be had")
@pytest.mark.skipif(shutil.which("socat") is None, reason="needs socat: apt-get install socat")
def test_the_page_is_seen_outside_under_the_names_of_loopback_alone(tmp_path: Path) -> None:
    with hosts(tmp_path, 1) as (host,):
        project = "~/project"
        host.run(f"mkdir -p {project}/runs && ln -s {Path(sys.executable).parent.parent} {project}/.venv")
        host.run(f"cp -r {ROOT}/autoresearch_ray {ROOT}/program.md {CLUSTERS}/page.sh {project}")
        host.run(f"tar xJf {ROOT}/tests/driver/version_0_1.tar.xz -C {project}/runs")
        paths = "PATH=~/project/.venv/bin:$PATH PYTHONPATH=~/project"
        host.run(f"cd {project}; {paths} nohup bash page.sh runs/v0.1 {PORT} >page.log 2>&1 </dev/null &")

        def ask(name: str) -> int:
            connection = http.client.HTTPConnection(host.address, PORT, timeout=20)
            connection.request("GET", "/data", headers={"Host": name})
            status = connection.getresponse().status
            connection.close()
            return status

        deadline = time.monotonic() + 60
        while "watching runs/v0.1" not in (said := host.run(f"cat {project}/page.log")):
            assert "error" not in said and time.monotonic() < deadline, said
            time.sleep(0.2)
        assert ask(f"127.0.0.1:{PORT}") == ask(f"localhost:{PORT}") == 200
        assert ask(f"{host.address}:{PORT}") == 403 and ask("evil.example") == 403
