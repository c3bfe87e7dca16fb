"""What each machine gives is found out, shown, and held to: as root, as an ordinary user, in a container."""

import json
import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.build import WITHHELD
from autoresearch_ray.benchmark.data.dataset import open_dataset, prepare
from autoresearch_ray.benchmark.sandbox import landlock, root_folder
from autoresearch_ray.benchmark.sandbox.walls import FULL, Walls, check_reached, try_walls
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.common.errors import SettingsError

HERE = Path(__file__).parent
ORDINARY = 61999  # a user that nobody is
REACH_PYTHON = """
python=$1 home=$2 && shift 2
aside=$(mktemp -d) && mount --bind "$python" "$aside"
mount -t tmpfs -o mode=755 tmpfs "$home" && mkdir -p "$python" && mount --bind "$aside" "$python"
exec "$@"
"""  # a mount namespace in which everybody may use the Python that lies in root's home folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """For everybody."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-elsewhere-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def closed_folders(*paths: Path) -> list[Path]:
    """The folders above these that are not for everybody."""
    above = [parent for path in paths for parent in (path, *path.parents)]
    return [folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH]


def as_ordinary_user(command: list[str]) -> list[str]:
    """The command run by a user without rights; this process's own if it has none."""
    if os.geteuid():
        return command
    if closed := closed_folders(HERE, Path(sys.prefix)):
        pytest.skip(f"an ordinary user cannot enter {closed[0]}, in which the checkout or its Python lies")
    command = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", *command]
    if Path(sys.base_prefix).is_relative_to("/root"):
        command = ["unshare", "--mount", "sh", "-ec", REACH_PYTHON, "sh", sys.base_prefix, "/root", *command]
    return command


def run(folder: Path, *arguments: str, ordinary: bool = False) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "slot_elsewhere.py"), str(folder), *arguments]
    environment = os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "HOME": "/nonexistent"}
    answer = subprocess.run(
        as_ordinary_user(command) if ordinary else command, env=environment, capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    told: dict[str, Any] = json.loads(answer.stdout)
    return told | {"said": answer.stderr}


def full_here() -> bool:
    return try_walls().layers == FULL


@pytest.mark.skipif(not full_here(), reason="this machine gives no namespaces")
def test_strict_isolation_works_here(folder: Path) -> None:
    result = run(folder, "strict")
    assert (result["status"], result["isolation"]) == ("ok", "pid+net+fs+seccomp"), result
    assert "isolation" not in result["said"]


@pytest.mark.skipif(os.geteuid() != 0 or not full_here(), reason="makes itself an ordinary user, for which it is root")
def test_strict_isolation_works_for_an_ordinary_user(folder: Path) -> None:
    result = run(folder, "strict", ordinary=True)
    assert (result["status"], result["isolation"]) == ("ok", "pid+net+fs+seccomp"), result


@pytest.mark.skipif(os.geteuid() != 0 or not full_here(), reason="only root may be another user")
def test_a_candidate_of_root_is_not_root(folder: Path) -> None:
    user = int(run(folder, "strict")["output"].split()[1])
    assert user >= 61184


@pytest.mark.parametrize("ordinary", [False, True])
def test_without_namespaces_the_best_is_landlock_and_strict_is_refused(folder: Path, ordinary: bool) -> None:
    result = run(folder, "best", "--without-namespaces", ordinary=ordinary)
    assert (result["status"], result["isolation"]) == ("ok", "landlock+seccomp"), result
    assert result["said"].count("candidates run without pid, net, fs") == 1, "it is said once"
    refused = run(folder, "strict", "--without-namespaces", ordinary=ordinary)
    assert refused["status"] == "refused"
    assert "gives landlock+seccomp, no pid" in refused["error"] and "run as root, or allow user" in refused["error"]


@pytest.mark.skipif(landlock.version() < 6, reason="the kernel is older than 6.12")
def test_a_candidate_of_an_ordinary_user_cannot_signal_its_judge() -> None:
    """The two have the same user then."""
    look = (
        "import os, sys\nfrom autoresearch_ray.benchmark.sandbox import landlock, syscalls as linux\n"
        "linux.forbid_new_privileges()\nlandlock.keep_signals_in()\nchild = os.fork() or os._exit(os.getppid() == 1)\n"
        "os.kill(child, 0)\nos.waitpid(child, 0)\n"
        "try:\n    os.kill(int(sys.argv[1]), 0)\nexcept PermissionError:\n    print('refused')\n"
    )
    with subprocess.Popen(["sleep", "60"]) as other:
        answer = subprocess.run(
            [sys.executable, "-c", look, str(other.pid)], capture_output=True, text=True, check=True
        )
        other.kill()
    assert answer.stdout == "refused\n"


def test_none_says_what_is_given_up(folder: Path) -> None:
    result = run(folder, "none")
    assert (result["status"], result["isolation"]) == ("ok", "pid"), result
    assert result["said"].count("candidates can read your files, use the network") == 1


def test_a_wall_that_does_not_hold_is_not_counted() -> None:
    walls = Walls(FULL).without({"net"})
    assert walls.level == "pid+fs+seccomp" and "got through" in walls.missing["net"]
    with pytest.raises(SettingsError, match=r"no net \(a process behind it got through\)"):
        check_reached("strict", walls)


def test_full_walls_are_nothing_to_talk_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_reached("strict", Walls(FULL))
        check_reached("best", Walls(FULL))
    assert caplog.text == ""


def test_an_unknown_isolation_is_refused() -> None:
    with pytest.raises(SettingsError, match="isolation 'tight': expected one of strict, best, none"):
        Slot(1, isolation="tight")


def test_no_visible_folder_lies_in_another() -> None:
    shown = [Path(path) for path in root_folder.visible() if not Path(path).is_symlink()]
    assert shown and not any(one != other and one.is_relative_to(other) for one in shown for other in shown)


@pytest.mark.skipif(not full_here(), reason="this machine gives no namespaces")
def test_text_of_the_scored_splits_is_blank_where_python_has_it_too(tmp_path: Path) -> None:
    """The corpus `stdlib` is files that every process can see: those of validation and held-out are withheld."""
    dataset = prepare(small_experiment(tmp_path))
    dataset.folder.chmod(0o755)
    (dataset.folder / WITHHELD).write_text('["this.py", "no_such_file.py"]')
    look = (
        "import os, sys, colorsys\nimport torch\nplace = os.path.dirname(os.__file__)\n"
        "print(len(open(place + '/this.py').read().strip('\\0')), len(open(place + '/colorsys.py').read()) > 99)\n"
        "try:\n    os.unlink(place + '/this.py')\nexcept OSError: print('kept')\n"
    )
    job = Job(look, str(dataset.folder), 1, 0.3, "cpu", "none", 1, 1500, 0.0)
    assert open_dataset(dataset.folder).list_withheld()[0].name == "this.py"
    with Slot(1) as slot:
        list(slot.run(job, tmp_path / "trial"))
    assert (tmp_path / "trial" / "output.log").read_text().split()[:3] == ["0", "True", "kept"]


@pytest.mark.skipif(not full_here(), reason="this machine gives no namespaces")
def test_a_hidden_folder_is_hidden_where_a_visible_one_holds_it(tmp_path: Path) -> None:
    """A run that lies beside the packages, say."""
    dataset = prepare(small_experiment(tmp_path))
    inside = Path(os.__file__).parent / "json"
    look = f"import os\nprint(os.listdir({str(inside)!r}), os.path.exists({str(inside.parent / 'os.py')!r}))\n"
    job = Job(look, str(dataset.folder), 1, 0.3, "cpu", "none", 1, 1500, 0.0)
    with Slot(1, hidden=(inside,)) as slot:
        list(slot.run(job, tmp_path / "trial"))
    assert (tmp_path / "trial" / "output.log").read_text().startswith("[] True")


def test_files_without_a_limit_of_their_own_are_watched_from_outside(tmp_path: Path) -> None:
    dataset = prepare(small_experiment(tmp_path))
    fill = (
        "import os, time\nwith open('big', 'wb') as f: os.posix_fallocate(f.fileno(), 0, 600 << 20)\ntime.sleep(60)\n"
    )
    job = Job(fill, str(dataset.folder), 1, 0.3, "cpu", "none", 1, 1500, 0.0)
    with Slot(1, isolation="none") as slot:
        list(slot.run(job, tmp_path / "trial"))
    assert slot.result.status == "crash" and "MB of files, allowed are 512 MB" in slot.result.error, slot.result.error


def test_processes_without_a_limit_of_their_own_are_watched_from_outside(tmp_path: Path) -> None:
    dataset = prepare(small_experiment(tmp_path))
    crowd = (
        "import threading, time\nthreading.stack_size(65536)\n"
        "for _ in range(400): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\ntime.sleep(60)\n"
    )
    job = Job(crowd, str(dataset.folder), 1, 0.3, "cpu", "none", 1, 1500, 0.0)
    with Slot(1, isolation="none") as slot:
        list(slot.run(job, tmp_path / "trial"))
        limited = slot.walls.user != 0 or os.geteuid() != 0
    expected = "can't start new thread" if limited else "processes and threads, allowed are 256"
    assert slot.result.status == "crash" and expected in slot.result.error, slot.result.error
