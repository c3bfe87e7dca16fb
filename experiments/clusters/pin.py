"""The versions that are installed here, as constraints for a cluster's nodes.

python experiments/clusters/pin.py > experiments/clusters/constraints.txt
"""

import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
HEADER = """\
# What every node of a cluster installs: the versions that the tests ran with, for Python 3.11 on Linux.
# Made by pin.py. torch pins its own CUDA libraries.
"""


def closure(requirements: list[str]) -> dict[str, str]:
    """The versions of all that these need, by name, as installed here."""
    versions: dict[str, str] = {}
    waiting, seen = [Requirement(text) for text in requirements], set()
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        versions[name] = metadata.version(name).partition("+")[0]
        for text in metadata.requires(name) or []:
            inner = Requirement(text)
            extras = wanted.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return versions


def main() -> None:
    """Print the constraints."""
    wanted = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    print(HEADER + "\n".join(f"{name}=={version}" for name, version in sorted(closure(wanted).items())))


if __name__ == "__main__":
    main()
