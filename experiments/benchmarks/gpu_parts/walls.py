"""The tests of tests/gpu as this user and, for root, as an ordinary one: each claim, and whether it holds."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from gpu_parts.notes import Bench

TESTS = Path(__file__).parents[3] / "tests" / "gpu"
PRETEND = "AUTORESEARCH_PRETEND_GPU"  # lets the tests run on the CPU
ORDINARY_USER = 61183  # a number that nobody has
AGAIN = "layer or honest or cap"  # the tests that an ordinary user is shown by too


def measure(bench: Bench) -> None:
    """Both users."""
    with bench.attempt("tests/gpu"):
        _pytest(bench, "root" if os.geteuid() == 0 else "an ordinary user", [], [])
    if os.geteuid() == 0 and not bench.pretend and bench.enough_time("an ordinary user", 25):
        with bench.attempt("tests/gpu as an ordinary user"):
            user = ["setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups"]
            _pytest(bench, "an ordinary user", user, ["-k", AGAIN])


def _pytest(bench: Bench, who: str, prefix: list[str], selection: list[str]) -> None:
    folder = bench.folder / who.replace(" ", "-")
    folder.mkdir()
    folder.chmod(0o777)
    for parent in folder.parents:  # for the other user's sake
        if parent.stat().st_uid == os.geteuid() and parent != Path(parent.anchor):
            parent.chmod(parent.stat().st_mode | 0o711)
    report = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", str(TESTS), "-o", "addopts=", "-p", "no:cacheprovider", "-q", "-rA"]
    command += ["--junit-xml", str(report), "--basetemp", str(folder / "tmp"), *selection]
    environment = os.environ | {"HOME": str(folder), "TMPDIR": str(folder)} | ({PRETEND: "1"} if bench.pretend else {})
    timeout = max(5.0, bench.seconds_left - 5)
    subprocess.run([*prefix, *command], env=environment, timeout=timeout, check=False, cwd=TESTS.parents[1])
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        bad = next((case.find(kind) for kind in ("failure", "error", "skipped") if case.find(kind) is not None), None)
        outcome, words = ("passed", "") if bad is None else (bad.tag, f"{bad.get('message')}")
        said = "".join(case.findtext(kind) or "" for kind in ("system-out",))
        bench.row(
            "claims", who=who, claim=case.get("name", ""), outcome=outcome, seconds=float(case.get("time", 0)),
            words=words[-1500:], said=said[-1500:],
        )  # fmt: skip
