"""A folder in the place of an experiment: a checkout of upstream or of a fork, found by its files."""

import os
import re
import shutil
from pathlib import Path

import pytest
from small_run import write_experiment

from autoresearch_ray import launch
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.checkout.folder import experiment_of
from autoresearch_ray.driver.checkout.ranges import choose_ranges
from autoresearch_ray.driver.checkout.upstream import read_checkout
from autoresearch_ray.driver.run import drive
from autoresearch_ray.driver.script_run import read_start
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.script_experiment import ScriptExperiment

LAYOUT = Path(__file__).parents[1] / "upstream_layout"
CACHE = Path("home", ".cache", "autoresearch")
KERNEL = Path("home", ".cache", "huggingface", "hub", "kernels--stand-in--attention")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stand-in below the folder that the test is in; the home folder is there too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "KERNELS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    CACHE.mkdir(parents=True)
    shutil.copytree(LAYOUT, tmp_path / "autoresearch", ignore=shutil.ignore_patterns("__pycache__"))
    return Path("autoresearch")


def edit(checkout: Path, name: str, old: str, new: str) -> None:
    text = (checkout / name).read_text()
    assert old in text
    (checkout / name).write_text(text.replace(old, new))


def written(checkout: Path) -> ScriptExperiment:
    """The experiment that a launch of the folder would be of."""
    experiment = load_any(experiment_of(checkout, print))
    assert isinstance(experiment, ScriptExperiment)
    return experiment


def test_a_checkout_gets_an_experiment_by_what_its_files_say(checkout: Path, tmp_path: Path) -> None:
    KERNEL.mkdir(parents=True)
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    experiment = written(checkout)
    assert (experiment.name, experiment.folder) == ("autoresearch", str(tmp_path / "autoresearch"))
    assert (experiment.command, experiment.editable, experiment.program) == (
        "python train.py",
        ("train.py",),
        "program.md",
    )
    assert (experiment.metric, experiment.direction, experiment.unit) == ("val_bpb", "lower", "bpb")
    assert (experiment.budget_seconds, experiment.timeout_seconds) == (1.1, 600)
    assert (experiment.complexity_price, experiment.removal_margin) == (0.00005, 0.001)
    assert experiment.data == (str(tmp_path / CACHE), str(tmp_path / KERNEL))
    assert experiment.environment == {"HF_HUB_OFFLINE": "1"}
    assert (experiment.device, experiment.gpus_per_trial) == ("auto", 1), "it names no CUDA"
    assert list(experiment.knobs) == ["ASPECT_RATIO", "WINDOW_PATTERN", "MATRIX_LR", "WEIGHT_DECAY"], (
        "no 2**9, no FLOPS"
    )
    assert experiment.knobs["MATRIX_LR"] == "log(0.0001, 0.0025)"
    assert "MATRIX_LR = 0.0005  # learning rate (Adam); search log(0.0001, 0.0025)\n" in read_start(experiment)
    assert before == {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("variable", "said", "below"),
    [
        ("KERNELS_CACHE", "k", ""),
        ("HF_HUB_CACHE", "h", ""),
        ("HF_HOME", "f", "hub"),
        ("XDG_CACHE_HOME", "x", "huggingface/hub"),
    ],
)
def test_kernels_are_found_where_their_loader_keeps_them(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, said: str, below: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / said))
    kernel = tmp_path / said / below / KERNEL.name
    kernel.mkdir(parents=True)
    experiment = written(checkout)
    assert experiment.data[1:] == (str(kernel),)
    assert experiment.environment == {"HF_HUB_OFFLINE": "1", "KERNELS_CACHE": str(kernel.parent)}


@pytest.mark.parametrize(
    ("name", "old", "new", "key", "value"),
    [
        ("prepare.py", "TIME_BUDGET = 1 ", "TIME_BUDGET = 20 * 60 ", "timeout_seconds", 2400),
        ("prepare.py", "TIME_BUDGET = 1 ", "TIME_BUDGET = 20 * 60 ", "budget_seconds", 1320),
        ("prepare.py", "TIME_BUDGET = 1 ", "TIME_BUDGET: float = 300.0 ", "budget_seconds", 330),
        ("prepare.py", "TIME_BUDGET = 1 ", "TIME_BUDGET = int(os.environ['T']) ", "budget_seconds", 330),
        ("train.py", "val_bpb:", "val_loss:", "metric", "val_loss"),
        ("train.py", "t_start = time.time()", "device = torch.device('cuda')", "device", "cuda"),
        ("train.py", "time.time()", "torch.ones(1).cuda()", "device", "cuda"),
        ("train.py", "t_start = ", "d = 'cuda' if torch.cuda.is_available() else 'cpu'; t_start = ", "device", "auto"),
        ("train.py", "from prepare import", "from .prepare import", "metric", "val_bpb"),
        ("prepare.py", 'os.path.expanduser("~"), ".cache", "autoresearch"', '"data"', "data", ()),
    ],
)
def test_forks_differ(checkout: Path, name: str, old: str, new: str, key: str, value: object) -> None:
    edit(checkout, name, old, new)
    assert getattr(written(checkout), key) == value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("EMBEDDING_LR = 0.6", "log(0.12, 3)"),
        ("WARMUP_RATIO = 0.0", "float(0, 0.2)"),
        ("WARMDOWN_RATIO = 0.5", "float(0.1, 1)"),
        ("FINAL_LR_FRAC = 0.0", "float(0, 0.2)"),
        ("DEPTH = 8", "int(4, 12)"),
        ("HEAD_DIM = 128", "choice(64, 128, 256)"),
        ("DEVICE_BATCH_SIZE = 128", "choice(32, 64, 128)"),
        ("DEVICE_BATCH_SIZE = 1", None),  # no other value to choose
        ("TOTAL_BATCH_SIZE = 2**19", None),  # no literal
        ('WINDOW_PATTERN = "SSSL"', 'choice("SSSL", "L", "SL", "SSL", "SSSSSL")'),
        ("SOFTCAP = 15.0", "float(0, 30)"),  # not upstream's: by its kind
        ("DROPOUT = 0.1", "float(0, 1)"),
        ("ADAM_EPS = 1e-10", "log(2e-11, 5e-10)"),
        ("N_KV_HEAD = 4", "int(2, 6)"),
        ("SEED = 42", None),
        ("VOCAB_SIZE = 8192", None),
        ("USE_MUON = True", None),
        ("rate = 0.1", None),
        ("LR = 0.1  # search log(0.01, 1)", None),  # it has one
    ],
)
def test_a_constant_gets_a_range_by_its_name_or_kind(line: str, expected: str | None) -> None:
    name = line.partition(" ")[0]
    assert choose_ranges(f"{line}\n").get(name) == expected


def test_the_file_that_is_here_is_used_unless_it_is_for_another_folder(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.main([str(checkout), "--init-only"]) == 0
    place = Path("autoresearch.yaml")
    assert "written for the checkout autoresearch" in capsys.readouterr().out
    place.write_text(place.read_text().replace("budget_seconds: 1.1", "budget_seconds: 7"))
    assert launch.main([str(checkout), "--init-only"]) == 0
    assert "used as it is" in capsys.readouterr().out and written(checkout).budget_seconds == 7
    Path("other").mkdir()
    shutil.move(checkout, "other/autoresearch")
    shutil.copytree(LAYOUT, checkout)
    assert launch.main(["other/autoresearch", "--init-only"]) == 2
    assert re.search(
        r"yaml: is there already, for \S+; expected one for \S+/other/autoresearch;", capsys.readouterr().err
    )
    place.write_text("name: mine\n")
    with pytest.raises(SettingsError, match=r"autoresearch\.yaml:1: `\w+` is missing"):
        experiment_of(checkout, print)


def test_a_folder_with_an_experiment_of_its_own_is_launched_by_that(tmp_path: Path) -> None:
    said = "contract: script\nname: mine\ncommand: python fit.py\neditable: [fit.py]\nmetric: loss\nbudget_seconds: 1\n"
    (tmp_path / "mine.yaml").write_text(said)
    (tmp_path / "other.yaml").write_text("a: 1\n")
    assert experiment_of(tmp_path, print) == tmp_path / "mine.yaml"
    (tmp_path / "two.yaml").write_text(said)
    with pytest.raises(SettingsError, match=r"it has no train\.py and no prepare\.py"):
        experiment_of(tmp_path, print)


@pytest.mark.parametrize(
    ("name", "old", "new", "seen"),
    [
        ("train.py", "from prepare import", "from setup import", r"its train\.py does not import from prepare\.py"),
        ("train.py", "val_bpb:", "accuracy:", "its train.py prints no line `val_bpb: NUMBER`"),
        ("train.py", "class Model(", "class Model((", r"its train\.py is not Python at line \d+"),
    ],
)
def test_another_folder_is_refused_with_what_was_expected(
    checkout: Path, name: str, old: str, new: str, seen: str
) -> None:
    edit(checkout, name, old, new)
    with pytest.raises(SettingsError, match=rf"{seen}; expected .*docs/scripts\.md") as refused:
        experiment_of(checkout, print)
    assert "\n" not in str(refused.value)


def test_a_launch_without_the_data_says_how_to_get_them(checkout: Path) -> None:
    (CACHE).rmdir()
    with pytest.raises(SettingsError, match=r"its data are not in \S+/\.cache/autoresearch; run prepare\.py there"):
        experiment_of(checkout, print)
    assert not Path("autoresearch.yaml").exists()
    assert launch.main([str(checkout), "--init-only"]) == 0
    assert "is not there yet: run prepare.py" in Path("autoresearch.yaml").read_text()


def test_nothing_is_written_into_the_checkout(checkout: Path) -> None:
    os.chdir(checkout)
    for folder in (Path(), Path("..", "autoresearch")):
        with pytest.raises(SettingsError, match="a run does not belong into the checkout"):
            experiment_of(folder, print)
    assert not list(Path().glob("*.yaml"))


def test_only_the_experiment_of_a_folder_is_written_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_experiment(tmp_path)
    assert launch.main([str(path), "--init-only"]) == 2 and launch.main(["--init-only"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "e.yaml is none" in first and "expected the folder of a script;" in second
    with pytest.raises(SettingsError, match="an option of `launch` alone"):
        drive(ask(experiment=path, runs_dir=tmp_path, init_only=True))


def test_a_folder_s_name_is_any_name(checkout: Path) -> None:
    for name in ("1", "a b: #c", "on"):
        shutil.copytree(checkout, name)
        assert written(Path(name)).folder == str(Path(name).resolve())
    assert read_checkout(checkout.resolve()).has_program
