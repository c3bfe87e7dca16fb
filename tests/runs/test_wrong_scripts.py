"""Wrong use of a script's experiment gets one clear line and exit status 2, before Ray starts or soon after."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch_ray import launch, prepare

EXPERIMENT = """\
contract: script
name: small
command: python fit.py
editable: [fit.py]
metric: loss
budget_seconds: 1
device: cpu
"""
SCRIPT = 'RATE = 0.1  # step; search log(0.01, 1.0)\nprint("loss:", RATE)\n'
CASES: dict[str, tuple[str, str, str]] = {  # a line, what stands there instead, what is said
    "an unknown contract": (
        "contract: script",
        "contract: scripts",
        "e.yaml:1: `contract: scripts` is unknown; expected",
    ),
    "an unknown key": (
        "metric:",
        "metrics:",
        "e.yaml:5: unknown key `metrics`; expected one of artefacts, budget_seconds",
    ),
    "no metric": ("metric: loss\n", "", "`metric` is missing; add it (see docs/scripts.md)"),
    "an editable file that is missing": ("[fit.py]", "[gone.py]", "editable 'gone.py' is no file in "),
    "an editable pattern that means nothing": ("[fit.py]", "['src/*.py']", "editable 'src/*.py' is no file in "),
    "an editable file elsewhere": ("[fit.py]", "[fit.py, ../x.py]", "editable '../x.py' leads out of "),
    "an editable link that leads elsewhere": ("[fit.py]", "[link.py]", "editable 'link.py' leads out of "),
    "an editable file that is no text": ("[fit.py]", "[bytes.bin]", "bytes.bin: cannot be read (is not text)"),
    "a file with a heading of ours": ("[fit.py]", "[headed.py]", "headed.py: has a line like `#### file: NAME ####`"),
    "a read-only file that is missing": (
        "device",
        "read_only: [gone.py]\ndevice",
        "read_only 'gone.py' is no file in ",
    ),
    "no editable file": ("[fit.py]", "[]", "e.yaml:4: `editable: []` is wrong"),
    "a command that is not found": (
        "python",
        "pyhton",
        "command 'pyhton fit.py': pyhton is not found; expected a program",
    ),
    "a command that is not there": ("python fit", "./gone fit", "gone does not exist; expected a program there"),
    "a command with an open quote": (
        "python fit.py",
        "python 'fit.py",
        "cannot be split into words (No closing quotation)",
    ),
    "an unknown direction": (
        "device",
        "direction: up\ndevice",
        "e.yaml:7: `direction: up` is wrong: input should be 'lower'",
    ),
    "a pattern without a group": ("device", 'pattern: "loss .*"\ndevice', "has 0 groups; expected one, for the number"),
    "a pattern that is none": (
        "device",
        'pattern: "loss ("\ndevice',
        "is no regular expression (missing ), unterminated",
    ),
    "a pattern and a file": (
        "device",
        'pattern: "(.)"\nresult_file: r.json\ndevice',
        "both `pattern` and `result_file`",
    ),
    "a limit that is none": ("device", 'limits: {size: "< 3"}\ndevice', "limit of size is '< 3'; expected `<= NUMBER`"),
    "a limit that is a number": ("device", "limits: {size: 3}\ndevice", "e.yaml:7: `limits.size: 3` is wrong"),
    "limits that are a list": ("device", "limits: [size]\ndevice", "input should be a valid dictionary"),
    "an unknown way to seed": ("device", "seed: random\ndevice", "expected one of injected, environment NAME"),
    "data that are missing": (
        "device",
        "data: [gone]\ndevice",
        "data 'gone' does not exist; expected a folder or file",
    ),
    "data that are the whole machine": ("device", "data: [/]\ndevice", "data '/' holds this program itself"),
    "data of a judge that are missing": (
        "device",
        "judge: python fit.py\nartefacts: [a.txt]\njudge_data: [gone]\ndevice",
        "judge_data 'gone' does not exist",
    ),
    "a judge of nothing": (
        "device",
        "judge: python fit.py\ndevice",
        "a judge without `artefacts`; expected the files that",
    ),
    "artefacts for nobody": ("device", "artefacts: [a.txt]\ndevice", "artefacts without a `judge` that reads them"),
    "a folder that is missing": ("device", "folder: gone\ndevice", "expected the folder that the command runs in"),
    "a program that is missing": ("device", "program: gone.md\ndevice", "program 'gone.md' is no file in "),
    "a knob that is no constant": ("device", 'knobs: {DEPTH: "int(1, 3)"}\ndevice', "DEPTH is not a constant"),
    "a knob with two ranges": (
        "device",
        'knobs: {RATE: "log(0.1, 3)"}\ndevice',
        "RATE has the range log(0.01, 1) in its",
    ),
    "a constant that is not there": ("device", "constants: {DEPTH: 3}\ndevice", "DEPTH is not a constant"),
    "nothing to turn and no model": (
        "fit.py]",
        "plain.py]",
        "plain.py: no constant has a range, so the tuner has nothing",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    place = tmp_path / "place"
    place.mkdir()
    texts = {"e.yaml": EXPERIMENT, "fit.py": SCRIPT, "plain.py": "print('loss: 1')\n", "../x.py": SCRIPT}
    for name, text in (texts | {"headed.py": f"#### file: a.py ####\n{SCRIPT}"}).items():
        (place / name).write_text(text)
    (place / "bytes.bin").write_bytes(b"\xff\xfe\0")
    (place / "link.py").symlink_to("../x.py")
    monkeypatch.chdir(place)
    return place


def one_line(capsys: pytest.CaptureFixture[str], expected: str) -> None:
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and expected in lines[0], said
    assert "Traceback" not in said


@pytest.mark.parametrize("what", CASES)
def test_launch_answers_with_one_line(folder: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, expected = CASES[what]
    assert old in EXPERIMENT
    (folder / "e.yaml").write_text(EXPERIMENT.replace(old, new, 1))
    assert launch.main(["e.yaml"]) == 2
    one_line(capsys, expected)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("main", "arguments", "expected"),
    [
        (launch.main, ["e.yaml", "--gpus-per-trial", "auto"], "there is no GPU here to share"),
        (
            launch.main,
            ["e.yaml", "--early-stop", "paired"],
            "--early-stop paired: learning curves are in bits per byte",
        ),
        (launch.main, ["e.yaml", "--budget-seconds", "0"], "--budget-seconds 0: expected"),
        (prepare.main, ["e.yaml"], "e.yaml: is a script's experiment; expected one with data of ours"),
    ],
)
def test_what_is_for_our_own_contract_is_refused(
    folder: Path,
    main: Callable[[list[str]], int],
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments) == 2
    one_line(capsys, expected)


def test_a_folder_too_large_for_every_trial_is_told_before_ray_starts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "images.bin").open("wb") as file:
        file.truncate(65 << 20)
    assert launch.main(["e.yaml"]) == 2
    one_line(capsys, "the largest images.bin; every trial gets a copy, of at most 10,000 files and 64 MB")
