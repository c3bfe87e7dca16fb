"""A user without a home folder, as in a container that is started with a number for its user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 4242  # who has no line in /etc/passwd
ASK = f"""
import os
from autoresearch_ray.benchmark.data.dataset import cache_home
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.common.paths import find_home
os.environ.pop("HOME", None)
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
print(find_home())
try:
    cache_home()
except DataError as error:
    print(error)
os.environ["AUTORESEARCH_HOME"] = "/srv/cache"
print(cache_home())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes a user without a home folder")
def test_a_user_without_a_home_folder_is_told_which_variable_to_set() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "AUTORESEARCH_HOME"}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=60)
    words = "this user has no home folder for the data; set AUTORESEARCH_HOME to a folder"
    assert done.stdout == f"None\n{words}\n/srv/cache\n", done.stderr


@pytest.mark.parametrize("path", [f"{Path(sys.executable).parent}:/usr/bin:/bin", "/usr/bin:/bin"])
def test_a_command_that_is_printed_starts_this_python_where_it_is_copied(path: str) -> None:
    ask = "from autoresearch_ray.common.paths import python_command; print(python_command())"
    environment = os.environ | {"PATH": path}
    done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, timeout=60)
    again = ["bash", "-c", f"{done.stdout.strip()} -c 'import sys; print(sys.prefix)'"]
    started = subprocess.run(again, env=environment, capture_output=True, text=True, timeout=60)
    assert started.stdout.strip() == sys.prefix, done.stdout + started.stderr
    assert (done.stdout == "python\n") is path.startswith(str(Path(sys.executable).parent))
