"""What CI installs, and that it takes no skip for want of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEST_WITH_BROWSER = """
from browser import browsing

def test_page(tmp_path):
    with browsing(tmp_path):
        pass
"""
WANTED = re.compile(r"apt-get install ([a-z][a-z0-9+.-]*)")


def test_ci_installs_every_package_that_a_test_skips_without() -> None:
    installed = set(re.findall(r"\[\S+\]=(\S+)", (ROOT / ".ci" / "run").read_text()))
    files = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    wanted = {name for path in files for name in WANTED.findall(path.read_text())}
    table = re.findall(r"^NEEDED = \{(.*)\}", (ROOT / "tests" / "cluster" / "hosts.py").read_text(), re.M)
    wanted |= {name for line in table for name in re.findall(r': "(\S+)"', line)}
    assert {"chromium", "etcd-server", "openssh-server", "openssl"} <= wanted <= installed


@pytest.mark.parametrize(("variables", "status"), [({}, 0), ({"AUTORESEARCH_CI": "1"}, 1)])
def test_a_skip_for_want_of_a_browser_fails_in_ci(variables: dict[str, str], status: int, tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text(TEST_WITH_BROWSER)
    kept = {name: value for name, value in os.environ.items() if name != "AUTORESEARCH_CI"}
    folders = f"{ROOT / 'tests'}:{ROOT / 'tests' / 'observe'}"
    environment = kept | variables | {"PATH": "/nonexistent", "PYTHONPATH": folders}
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "conftest", "-p", "no:cacheprovider", "test_page.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == status and "apt-get install chromium" in done.stdout, done.stdout + done.stderr
