"""What the documents for users say is there: their links lead somewhere, and the commands that they print exist."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "experiments" / "clusters" / "README.md",
    ROOT / "autoresearch_ray" / "README.md",
]
CODE = re.compile(r"^    .*$|`[^`]+`", re.M)  # a line of a block, or words within a sentence
COMMAND = re.compile(r"python\s+-m\s+autoresearch_ray\.(\w+)([^'#`]*)")
SCRIPT = re.compile(r"`?(?:python )?((?:experiments|tests)/benchmarks/\w+\.py)")
OF_BENCHMARKS = re.compile(r"`(\w+\.py)(?: [A-Z_]+| --out FOLDER)?`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_of_the_repository(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    inside = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in inside if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_printed_command_exists_with_its_options(page: Path) -> None:
    for module, words in COMMAND.findall("\n\n".join(CODE.findall(page.read_text()))):
        known = options_of(module)
        asked = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", words.partition("\n\n")[0]))
        assert asked <= known, f"{module} has no {sorted(asked - known)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_script_that_is_named_exists(page: Path) -> None:
    text = page.read_text()
    assert [name for name in SCRIPT.findall(text) if not (ROOT / name).exists()] == []
    if page.name == "measurements.md":
        named = set(OF_BENCHMARKS.findall(text)) - {"train.py"}
        assert [name for name in named if not (ROOT / "experiments" / "benchmarks" / name).exists()] == []


def test_a_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link).resolve() for link in re.findall(r"\]\(([^)\s#]+)", (ROOT / "README.md").read_text())}
    assert {page.resolve() for page in PAGES} - linked == {ROOT / "README.md"}


def test_the_readme_is_read_in_minutes() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120 and max(map(len, lines)) <= 200


@cache
def options_of(module: str) -> frozenset[str]:
    """What a command takes, by its own help."""
    command = [sys.executable, "-m", f"autoresearch_ray.{module}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return frozenset(re.findall(r"--[a-z][a-z-]+", done.stdout))
