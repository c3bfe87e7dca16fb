"""Wrong use gets one clear line and exit status 2: no traceback, no Ray, no half-made run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoresearch_ray import launch, prepare, report, train

CANDIDATE = "LR = 0.1  # rate; search log(0.01, 1.0)\n\ndef train(task):\n    return None\n"
EXPERIMENT = """\
name: small
data: words.txt
seq_len: 32
vocab_size: 300
eval_tokens: 1024
budget_seconds: 1
"""


NO_STORAGE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@dataclass
class Place:
    """A folder with a working experiment, for cases to spoil."""

    folder: Path

    @property
    def yaml(self) -> Path:
        return self.folder / "e.yaml"

    def changed(self, old: str, new: str) -> str:
        assert old in EXPERIMENT
        self.yaml.write_text(EXPERIMENT.replace(old, new))
        return str(self.yaml)

    def file(self, name: str) -> str:
        (self.folder / name).write_text("text")
        return self.changed("words.txt", name)

    def candidate(self, text: str) -> str:
        (self.folder / "train.py").write_text(text)
        return str(self.yaml)

    def run_dir(self, tag: str) -> Path:
        path = self.folder / "runs" / tag
        path.mkdir(parents=True)
        return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody")
    for name, value in NO_STORAGE.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "words.txt").write_text("\n\n".join(f"{i} the cat sat on the mat {i * 7}" * 9 for i in range(200)))
    (tmp_path / "e.yaml").write_text(EXPERIMENT)
    (tmp_path / "train.py").write_text(CANDIDATE)
    (tmp_path / "reads.py").write_text(CANDIDATE.replace("return None", "return open('val.bin')"))
    return Place(tmp_path)


def file_instead_of_folder(place: Place) -> list[str]:
    (place.folder / "file").write_text("")
    return [str(place.yaml), "--runs-dir", str(place.folder / "file")]


def existing_tag(place: Place) -> list[str]:
    (place.run_dir("x") / "state.db").write_text("")
    return [str(place.yaml), "--tag", "x"]


def damaged_store(place: Place) -> list[str]:
    (place.run_dir("x") / "state.db").write_text("this is no database at all, whatever its name says" * 100)
    return ["--resume", "--tag", "x"]


def broken_lineage(place: Place) -> list[str]:
    (place.run_dir("x") / "lineage" / ".git").mkdir(parents=True)
    (place.folder / "runs" / "x" / "lineage" / ".git" / "config").write_text("[core")
    return [str(place.yaml), "--tag", "x"]


def binary_file(place: Place) -> list[str]:
    (place.folder / "bin").write_bytes(b"\xff\xfe\0")
    return [str(place.folder / "bin")]


MODEL = ["--proposer", "openai:x"]
Case = Callable[[Place], list[str]]
CASES: dict[str, tuple[Case, str]] = {
    "no such file": (lambda p: ["nowhere.yaml"], "nowhere.yaml: cannot be read"),
    "a folder for a file": (lambda p: [str(p.folder)], "or one YAML file with `contract: script`"),
    "not text": (binary_file, "is not text"),
    "bad YAML": (lambda p: [p.changed("seq_len: 32", "seq_len: [32")], "is not YAML"),
    "a list for a mapping": (lambda p: [p.changed(EXPERIMENT, "- name: x\n")], "expected a mapping"),
    "an empty file": (lambda p: [p.changed(EXPERIMENT, "")], "expected a mapping"),
    "an unknown key": (lambda p: [p.changed("seq_len", "sequence_length")], "e.yaml:3: unknown key `sequence_length`"),
    "a missing key": (lambda p: [p.changed("seq_len: 32\n", "")], "`seq_len` is missing"),
    "a key twice": (lambda p: [p.changed("name: small", "name: small\nname: big")], "e.yaml:2: `name` is set twice"),
    "a wrong type": (lambda p: [p.changed("seq_len: 32", "seq_len: many")], "e.yaml:3: `seq_len: many` is wrong"),
    "an impossible number": (lambda p: [p.changed("vocab_size: 300", "vocab_size: 100")], "e.yaml:4:"),
    "a negative budget": (lambda p: [p.changed("budget_seconds: 1", "budget_seconds: -1")], "e.yaml:6:"),
    "no candidate": (lambda p: [p.changed("name", "candidate: gone.py\nname")], "gone.py does not exist"),
    "no data file": (lambda p: [p.changed("words.txt", "gone.txt")], "gone.txt does not exist"),
    "data of another kind": (lambda p: [p.file("words.csv")], "words.csv is of a kind that is not read"),
    "data that are packed": (lambda p: [p.file("words.jsonl.gz")], "not read; expected a .txt, .jsonl or"),
    "no data at home": (lambda p: [p.changed("words.txt", "~/gone")], "gone does not exist; expected a .txt"),
    "too little text": (lambda p: [p.changed("eval_tokens: 1024", "eval_tokens: 10000000")], "take more text"),
    "a candidate that is no Python": (lambda p: [p.candidate("def train(:")], "train.py:"),
    "a candidate without train": (lambda p: [p.candidate("LR = 0.1  # r; search log(0.01, 1.0)\n")], "train(task)"),
    "a candidate without knobs": (lambda p: [p.candidate("def train(task):\n    return None\n")], "has no knobs"),
    "a knob out of its range": (lambda p: [p.candidate(CANDIDATE.replace("0.1 ", "9.0 "))], "LR"),
    "a constant that is not there": (
        lambda p: [p.changed("budget_seconds: 1\n", "budget_seconds: 1\nconstants:\n  DEPTH: 3\n")],
        "DEPTH is not a module-level constant",
    ),
    "a GPU that is not there": (lambda p: [p.changed("name", "device: cuda\nname")], "no CUDA device"),
    "too few trials": (lambda p: [str(p.yaml), "--trials", "2"], "--trials 2: expected"),
    "trials that are no number": (lambda p: [str(p.yaml), "--trials", "many"], "--trials"),
    "no hours": (lambda p: [str(p.yaml), "--hours", "0"], "--hours 0: expected"),
    "hours that are nan": (lambda p: [str(p.yaml), "--hours", "nan"], "--hours nan: expected"),
    "a budget below zero": (lambda p: [str(p.yaml), "--budget-seconds", "-3"], "--budget-seconds -3: expected"),
    "no slots": (lambda p: [str(p.yaml), "--slots", "0"], "--slots 0: expected"),
    "more slots than cores": (lambda p: [str(p.yaml), "--slots", "1000"], "--slots 1000:"),
    "more CPUs than there are": (lambda p: [str(p.yaml), "--cpus-per-trial", "999"], "a trial takes 999 CPU"),
    "more than one GPU": (lambda p: [str(p.yaml), "--gpus-per-trial", "2"], "--gpus-per-trial 2: expected"),
    "a share that is none": (lambda p: [str(p.yaml), "--gpus-per-trial", "half"], "half: expected a share"),
    "a GPU to be shared where there is none": (
        lambda p: [str(p.yaml), "--gpus-per-trial", "auto"],
        "there is no GPU here to share",
    ),
    "an unknown proposer": (lambda p: [str(p.yaml), "--proposer", "oracle"], "unknown proposer 'oracle'"),
    "a weight of nothing": (lambda p: [str(p.yaml), "--proposer", "tpe=0"], "weight '0'"),
    "a proposer twice": (lambda p: [str(p.yaml), "--proposer", "tpe", "--proposer", "tpe=2"], "say each once"),
    "a bad tag": (lambda p: [str(p.yaml), "--tag", "../up"], "--tag ../up: expected"),
    "a tag that is no branch": (lambda p: [str(p.yaml), "--tag", "x.lock"], "--tag x.lock: expected a name that git"),
    "a lineage that git cannot use": (broken_lineage, "lineage: git init failed: "),
    "a bound that is none": (lambda p: [str(p.yaml), "--max-staleness", "old"], "old: expected a number of"),
    "a bound below zero": (lambda p: [str(p.yaml), "--max-staleness=-1"], "--max-staleness -1: expected a number"),
    "a budget of days": (lambda p: [str(p.yaml), "--budget-seconds", "1e6"], "1e+06: expected at most 86400"),
    "a negative seed": (lambda p: [str(p.yaml), "--seed", "-1"], "--seed -1: expected"),
    "no program": (lambda p: [str(p.yaml), "--program", "gone.md"], "gone.md: cannot be read"),
    "an unknown early stop": (lambda p: [str(p.yaml), "--early-stop", "soon"], "--early-stop soon: expected one of"),
    "an unknown option": (lambda p: [str(p.yaml), "--slot", "1", "--wat"], "unrecognized arguments"),
    "two experiments": (lambda p: [str(p.yaml), str(p.yaml)], "unrecognized arguments"),
    "resume of nothing": (lambda p: ["--resume", "--tag", "gone"], "holds no run"),
    "resume without a tag": (lambda p: ["--resume"], "say --tag"),
    "a tag that exists": (existing_tag, "continue it with --resume"),
    "a folder that cannot be written": (file_instead_of_folder, "cannot be written"),
    "a damaged store": (damaged_store, "state.db"),
    "a model without a name": (lambda p: [str(p.yaml), "--proposer", "anthropic"], "which model? expected anthropic:"),
    "a tuner with a model": (lambda p: [str(p.yaml), "--proposer", "tpe:big"], "has no model"),
    "a model without a key": (lambda p: [str(p.yaml), "--proposer", "gemini:x"], "GEMINI_API_KEY or GOOGLE_API_KEY"),
    "a limit for a model without a price": (
        lambda p: [str(p.yaml), "--proposer", "openai:nobody-knows", "--max-cost-usd", "1"],
        "the price of openai:nobody-knows is not known",
    ),
    "a model's address without a scheme": (
        lambda p: [str(p.yaml), *MODEL, "--llm-base-url", "127.0.0.1:1/v1"],
        "--llm-base-url 127.0.0.1:1/v1: expected http:// or https:// and a host",
    ),
    "a model's address that is none": (
        lambda p: [str(p.yaml), *MODEL, "--llm-base-url", "http://[::1:9/v1"],
        "--llm-base-url 'http://[::1:9/v1': expected http://",
    ),
    "a model's address that is empty": (
        lambda p: [str(p.yaml), *MODEL, "--llm-base-url", ""],
        "--llm-base-url '': expected http://",
    ),
    "a window of a few tokens": (lambda p: [str(p.yaml), "--context-tokens", "9"], "--context-tokens 9: expected"),
    "a cost below zero": (lambda p: [str(p.yaml), "--max-cost-usd", "-1"], "--max-cost-usd -1: expected"),
    "an unknown store": (lambda p: [str(p.yaml), "--state", "redis://x"], "--state redis://x: expected sqlite or etcd"),
    "an etcd URL that is none": (lambda p: [str(p.yaml), "--state", "etcd://a:b:c"], "expected"),
    "an etcd that does not answer": (lambda p: [str(p.yaml), "--state", "etcd://127.0.0.1:1"], "127.0.0.1:1"),
    "an unknown isolation": (lambda p: [str(p.yaml), "--isolation", "paper"], "--isolation paper: expected one of"),
    "a remote that is none": (lambda p: [str(p.yaml), "--push-to", "gone.git"], "--push-to gone.git: git cannot"),
    "an empty command": (lambda p: [str(p.yaml), "--on-win", " "], "--on-win ' ': expected a shell command"),
    "an empty last command": (lambda p: [str(p.yaml), "--on-end", ""], "--on-end '': expected a shell command"),
    "an unknown tracker": (lambda p: [str(p.yaml), "--log", "paper"], "--log paper: expected one of"),
    "a storage that is none": (lambda p: [str(p.yaml), "--storage", "ftp://x/y"], "--storage ftp://x/y: expected s3://"),
    "a storage with its password": (lambda p: [str(p.yaml), "--storage", "s3://a:b@c"], "credentials do not belong"),
    "a storage that does not answer": (lambda p: [str(p.yaml), "--storage", "s3://bucket"], "s3://bucket: "),
    "a storage that holds no run": (
        lambda p: ["--resume", "--tag", "gone", "--storage", str(p.folder / "kept")],
        "kept/gone: holds no run",
    ),
    "no cluster there": (lambda p: [str(p.yaml), "--address", "127.0.0.1:1"], "nobody answers"),
}  # fmt: skip


def one_line(capsys: pytest.CaptureFixture[str], expected: str) -> None:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and expected in lines[0], lines
    assert "Traceback" not in lines[0]


@pytest.mark.parametrize("what", CASES)
def test_launch_answers_with_one_line(
    place: Place, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, expected = CASES[what]
    arguments = case(place)
    monkeypatch.chdir(place.folder)
    before = set(place.folder.glob("runs/**")) | set(place.folder.glob("file/**"))
    assert launch.main(arguments) == 2
    one_line(capsys, expected)
    assert set(place.folder.glob("runs/**")) | set(place.folder.glob("file/**")) == before, "no half-made run"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ALL_PROXY", "socks://u:secret@127.0.0.1:1080", "look at ALL_PROXY=socks://[password]@127.0.0.1:1080"),
        ("SSL_CERT_FILE", "gone.pem", "FileNotFoundError: [Errno 2] No such file or directory); expected proxies"),
        ("OPENAI_BASE_URL", "", "OPENAI_BASE_URL=: expected http:// or https:// and a host"),
        ("OPENAI_BASE_URL", "localhost:8000/v1", "OPENAI_BASE_URL=localhost:8000/v1: expected http://"),
    ],
)
def test_an_environment_in_which_no_model_can_be_asked_is_found_before_ray_starts(
    place: Place,
    variable: str,
    value: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    assert launch.main([str(place.yaml), *MODEL, "--runs-dir", str(place.folder / "runs")]) == 2
    one_line(capsys, expected)
    assert not (place.folder / "runs").exists()


def test_no_git_is_said(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.folder))
    assert launch.main([str(place.yaml)]) == 2
    one_line(capsys, "git is not installed")


@pytest.mark.parametrize(
    ("main", "arguments", "expected"),
    [
        (train.main, ["gone.yaml"], "gone.yaml: cannot be read"),
        (train.main, ["e.yaml", "--candidate", "gone.py"], "gone.py: cannot be read"),
        (train.main, ["e.yaml", "--candidate", "reads.py"], "reads.py: builtins: line 4: open is refused"),
        (train.main, ["e.yaml", "--budget-seconds", "0"], "--budget-seconds 0: expected"),
        (train.main, ["e.yaml", "--repeat", "0"], "--repeat 0"),
        (prepare.main, ["gone.yaml"], "gone.yaml: cannot be read"),
        (report.main, ["gone"], "gone"),
    ],
)
def test_the_other_commands_do_too(
    place: Place,
    main: Callable[[list[str]], int],
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place.folder)
    assert main(arguments) == 2
    one_line(capsys, expected)
