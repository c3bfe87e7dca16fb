"""The experiment of a checkout, as a YAML file for a person to read and edit."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from autoresearch_ray.driver.checkout.ranges import choose_ranges, is_upstreams
from autoresearch_ray.driver.checkout.upstream import PROGRAM, Checkout

BUDGET_TIMES = 1.1  # budget over training time: upstream's example takes 325.9 s for 300 s of training
GUESSED_SECONDS = 300.0  # training time where prepare.py does not say
LONGEST_SECONDS = 86400.0  # the longest budget
TIMEOUT_SECONDS = 600.0  # upstream's, for 300 s of training; twice the training where that is more
HUB = ".cache/huggingface/hub"  # the default folder of repositories, below the home folder
COLUMN = 27  # where comments begin


def experiment_text(checkout: Checkout, yaml_file: Path) -> str:
    """The file that is to be written at `yaml_file`."""
    lines = [
        "# The experiment of a checkout of karpathy/autoresearch, or of a fork of it. It is yours to edit: a launch of",
        "# that folder from here takes this file as it is. docs/scripts.md explains every key.",
        "contract: script",
        *_list_keys(checkout, yaml_file),
        *_list_data(checkout),
        *_list_knobs(choose_ranges(checkout.train)),
    ]
    return "\n".join(lines) + "\n"


def find_kernels(checkout: Checkout) -> list[Path]:
    """The folders of the kernels that train.py loads, as far as they are in the cache."""
    return [path for name in checkout.kernels for path in sorted(hub_folder().glob(f"*--{name.replace('/', '--')}"))]


def hub_folder() -> Path:
    """The cache of repositories, as the kernels package and Hugging Face's own library find it."""
    said = os.environ.get("KERNELS_CACHE") or os.environ.get("HF_HUB_CACHE")
    above = {"HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}
    found = (f"{os.environ[name]}/{below}" for name, below in above.items() if os.environ.get(name))
    return Path(said or next(found, f"~/{HUB}")).expanduser()


def _list_keys(checkout: Checkout, yaml_file: Path) -> Iterator[str]:
    training = checkout.time_budget or GUESSED_SECONDS
    said = (
        f"TIME_BUDGET is {training:g} s"
        if checkout.time_budget
        else f"no TIME_BUDGET was found, {training:g} s is a guess"
    )
    yield _key(
        "name", re.sub(r"[^A-Za-z0-9._-]", "-", checkout.folder.name) or "autoresearch", "scores compare within it"
    )
    folder = os.path.relpath(checkout.folder.resolve(), yaml_file.resolve().parent)
    if folder.startswith("../../"):
        folder = str(checkout.folder.resolve())
    yield _key("folder", folder, "every trial runs in a copy of it; it stays as it is")
    yield _key("command", "python train.py", "by the Python of the folder's .venv, if it has one")
    yield _line("editable: [train.py]", "what the search changes; all other files are read-only")
    yield _key("metric", checkout.metric, "the number on that line of what train.py prints; the script's own word")
    yield _line("direction: lower", "is better")
    if checkout.metric == "val_bpb":
        yield _line("unit: bpb")
    yield _line(
        f"budget_seconds: {round(min(BUDGET_TIMES * training, LONGEST_SECONDS), 1):g}",
        f"a run takes about: {said}, and start-up and evaluation come on top",
    )
    yield _line(
        f"timeout_seconds: {max(TIMEOUT_SECONDS, 2 * training):g}",
        "after which a run has failed, as in upstream's program.md",
    )
    if checkout.needs_cuda:
        yield _line("device: cuda", "train.py asks for no other")
        yield _line("cpus_per_trial: 4")
    else:
        yield _line("device: auto", "CUDA where it is")
    yield _line("gpus_per_trial: 1", "a whole GPU a trial, where there is one")
    yield _line("trials: 100", "of one launch, replicates included; upstream's night")
    yield _line("overtime_trials: 16", "at most, after these: for a last proof that may well succeed")
    if checkout.has_program:
        yield _key("program", PROGRAM, "what steers the search, if models propose")
    yield _line("complexity_price: 0.00005", "of the score, that a line of code costs: upstream's 0.001 for 20 lines")
    yield _line("removal_margin: 0.001", "of the score, that all removals of code may cost since the last gain")


def _list_data(checkout: Checkout) -> Iterator[str]:
    """What is read from elsewhere: a trial sees no other folder of this machine, and no network."""
    hub, kernels = hub_folder(), find_kernels(checkout)
    shown = [path for path in (checkout.cache, *kernels) if path is not None and path.exists()]
    yield "# What a trial may read besides its copy of the folder. It sees no other file of yours, and no network."
    if shown:
        yield "data:"
        yield from (f"  - {_scalar(_shorten(path))}" for path in shown)
    if checkout.cache is not None and not checkout.cache.exists():
        yield f"# {_shorten(checkout.cache)} is not there yet: run prepare.py in the folder, then name it as `data:`."
    if kernels:
        yield "environment:"
        yield _line('  HF_HUB_OFFLINE: "1"', "the kernels come from the cache")
        if hub != Path.home() / HUB:  # a trial has another environment than this process
            yield f"  KERNELS_CACHE: {_scalar(str(hub))}"
    elif checkout.kernels:
        yield "# The kernels that train.py loads are not in the cache: run train.py once in the folder, then name what"
        yield f'# is in {_shorten(hub)} of them as `data:`, and add `environment: {{HF_HUB_OFFLINE: "1"}}`.'


def _list_knobs(knobs: Mapping[str, str]) -> Iterator[str]:
    """The ranges, those of constants that upstream does not have apart."""
    if not knobs:
        yield "# No constant of train.py looks like a knob: give ranges under `knobs:`, or let a model propose."
        return
    yield "# What the knob tuner turns. Take out what should stay, and mind what fits your GPU's memory."
    yield "knobs:"
    yield from (f"  {name}: {said}" for name, said in knobs.items() if is_upstreams(name))
    others = [f"  {name}: {said}" for name, said in knobs.items() if not is_upstreams(name)]
    if others:
        yield "  # Upstream has none of these: their ranges are guessed from the values."
        yield from others


def _shorten(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _key(name: str, value: str, comment: str) -> str:
    return _line(f"{name}: {_scalar(value)}", comment)


def _line(text: str, comment: str = "") -> str:
    return (
        f"{text:<{COLUMN}}# {comment}"
        if comment and len(text) < COLUMN
        else f"{text}  # {comment}"
        if comment
        else text
    )


def _scalar(text: str) -> str:
    """A string in YAML, in quotes where it needs them."""
    is_plain = re.fullmatch(r"[\w~./][\w~./ -]*[\w./~-]|\w", text) and yaml.safe_load(text) == text
    return text if is_plain else json.dumps(text, ensure_ascii=False)
