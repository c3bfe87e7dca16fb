"""A folder as a launch's experiment: one that has its own YAML file, or a checkout of upstream or of a fork.

    python -m autoresearch_ray.launch path/to/autoresearch     # writes autoresearch.yaml here, and goes on with it

The checkout itself is never written to.
"""

from collections.abc import Callable
from pathlib import Path

import yaml

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import shorten, write_whole
from autoresearch_ray.driver.checkout.experiment_text import experiment_text, find_kernels
from autoresearch_ray.driver.checkout.upstream import Checkout, read_checkout
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.script_experiment import ScriptExperiment

Say = Callable[[str], None]


def experiment_of(folder: Path, say: Say, *, without_data: bool = False) -> Path:
    """The YAML file of a folder: its own, the one that was written here before, or one that is written now.

    SettingsError for a folder that is no script's, and, unless `without_data`, for a checkout without its data: its
    experiment would name none.
    """
    own = sorted(path for path in folder.glob("*.yaml") if _is_script(path))
    if len(own) == 1:
        say(f"experiment {shorten(own[0])}, the folder's own")
        return own[0]
    checkout = read_checkout(folder.resolve())
    if Path.cwd().resolve().is_relative_to(checkout.folder):
        raise SettingsError(
            f"{folder}: holds the folder that you are in, and a run does not belong into the checkout; go to a "
            f"folder of yours and launch {checkout.folder} there"
        )
    yaml_file = Path(f"{checkout.folder.name}.yaml")
    if yaml_file.exists():
        _check_same(yaml_file, checkout.folder)
        say(f"experiment {yaml_file}, which is here already and used as it is")
    else:
        _write(checkout, yaml_file, say, without_data)
    return yaml_file


def write_experiment(folder: Path | None, say: Say) -> None:
    """`--init-only`: the YAML file of a folder, for a person to look at. SettingsError if nothing is to be written."""
    if folder is None or not folder.is_dir():
        seen = "" if folder is None else f", {folder} is none"
        raise SettingsError(
            f"--init-only: expected the folder of a script{seen}; experiments that ship are written by "
            "python -m autoresearch_ray.init"
        )
    experiment_of(folder, say, without_data=True)


def _write(checkout: Checkout, yaml_file: Path, say: Say, without_data: bool) -> None:
    if checkout.cache is not None and not checkout.cache.exists() and not without_data:
        raise SettingsError(
            f"{checkout.folder}: its data are not in {checkout.cache}; run prepare.py there first (or write the "
            "experiment all the same, with --init-only)"
        )
    try:
        write_whole(yaml_file, experiment_text(checkout, yaml_file).encode())
    except OSError as error:
        raise SettingsError(f"{yaml_file}: cannot be written ({error.strerror}); launch in a folder of yours") from None
    load_any(yaml_file)  # raises if the text that was written is no experiment
    say(f"experiment {yaml_file}, written for the checkout {shorten(checkout.folder)}; it is yours to edit")
    if checkout.kernels and not find_kernels(checkout):
        say(f"its kernels ({', '.join(checkout.kernels)}) are in no cache, and trials have no network: see {yaml_file}")


def _is_script(path: Path) -> bool:
    """Whether a YAML file asks for `contract: script`; a wrong value in it is told by whoever loads it."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(values, dict) and values.get("contract") == "script"


def _check_same(yaml_file: Path, folder: Path) -> None:
    """SettingsError if the file that is here is for another folder."""
    experiment = load_any(yaml_file)
    seen = experiment.folder if isinstance(experiment, ScriptExperiment) else "data of its own"
    if seen != str(folder):
        raise SettingsError(
            f"{yaml_file}: is there already, for {seen}; expected one for {folder}; move it away, or "
            "launch in another folder"
        )
