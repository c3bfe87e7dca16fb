"""What a script and its judge may read: the data that are named, where they are, and nothing else of this machine."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from script_place import Place, script_experiment

from autoresearch_ray.benchmark.sandbox import landlock
from autoresearch_ray.benchmark.script.job import script_slot
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.script_experiment import ScriptExperiment

KEYS = {
    "ANTHROPIC_API_KEY": "sk-of-ours",
    "OPENAI_API_KEY": "sk-of-ours",
    "RAY_AUTH_TOKEN": "token-of-ours",
    "HF_TOKEN": "t",
}
YAML = """\
contract: script
name: small
command: python fit.py
editable: [fit.py]
metric: loss
budget_seconds: 1
data: [data, ~/set, {folder}/elsewhere.txt]
judge: python judge.py
artefacts: [answer.txt]
judge_data: [secret.txt]
environment: {{WORD: hello}}
"""
READS = """
import os
from pathlib import Path
for place in ("data", "~/set", "{folder}/elsewhere.txt", "{folder}/place/data"):
    path = Path(place).expanduser()
    path = path if path.is_file() else path / "x.txt"
    print("read", path.read_text().strip())
    try:
        path.write_text("mine")
        print("written", path)
    except OSError:
        pass
    try:
        path.with_name("new.txt").write_text("mine")
        print("written beside", path) if path.with_name("new.txt").resolve().parent != Path.cwd() else None
    except OSError:
        pass
print("loss: 1")
"""
SEARCHES = """
from pathlib import Path
for path in ("secret.txt", "place/secret.txt", "place/helper.py", "closed.txt", "person/key.txt", "trial/output.log"):
    for path in (Path("{folder}", path), Path(path)):
        try:
            print("found", path) if path.read_text() else None
        except OSError:
            pass
Path("answer.txt").write_text("3")
"""
SURROUNDINGS = """
import os, tempfile
print("seen", dict(os.environ))
assert os.environ["HOME"] == os.getcwd() == tempfile.gettempdir() and os.environ["WORD"] == "hello"
print("loss: 1")
"""


@pytest.fixture(scope="module", params=["best", "landlock+seccomp"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Behind namespaces, and without any: in a folder that everybody may enter, as data are for which root asks."""
    if request.param != "best" and not landlock.version():
        pytest.skip("this kernel has no Landlock")
    folder = Path(tempfile.mkdtemp(prefix="autoresearch-elsewhere-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "person"))
        for name, value in KEYS.items():
            patch.setenv(name, value)
        script_experiment(folder / "place")
        for path in (
            "place/data/x.txt",
            "person/set/x.txt",
            "elsewhere.txt",
            "closed.txt",
            "person/key.txt",
            "place/secret.txt",
        ):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("3.25\n")
        (folder / "place" / "e.yaml").write_text(YAML.format(folder=folder))
        experiment = load_any(folder / "place" / "e.yaml")
        assert isinstance(experiment, ScriptExperiment)
        with script_slot(experiment, isolation=request.param) as slot:
            yield Place(slot, experiment, folder / "trial")
    shutil.rmtree(folder)


def fill(text: str, place: Place) -> str:
    return text.replace("{folder}", str(Path(place.experiment.folder).parent))


def test_data_are_read_where_they_are_and_stay_as_they_are(place: Place) -> None:
    result = place.run(fill(READS, place), judge="", artefacts=())
    assert result.status == "ok", place.printed()
    assert place.printed().count("read 3.25") == 4 and "written" not in place.printed(), place.printed()


def test_a_judge_reads_what_the_script_cannot(place: Place) -> None:
    result = place.run(fill(SEARCHES, place))
    assert (result.status, result.val_bpb, result.checks) == ("ok", 0.25, ("files", "judge")), result.error
    assert "found" not in place.printed(), place.printed()


def test_the_scripts_own_word_counts_for_nothing_where_a_judge_is(place: Place) -> None:
    assert place.run("print('loss: 0')\nopen('answer.txt', 'w').write('3')").val_bpb == 0.25


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("print('loss: 0')", "invalid", "left no answer.txt for the judge"),
        ("import os\nos.symlink('/etc/passwd', 'answer.txt')", "invalid", "left no answer.txt for the judge"),
        ("import os\nos.symlink('secret.txt', 'answer.txt')", "invalid", "left no answer.txt for the judge"),
        ("import os\nos.mkfifo('answer.txt')", "invalid", "left no answer.txt for the judge"),
        ("import os\nos.mkdir('answer.txt')", "invalid", "left no answer.txt for the judge"),
        ("open('answer.txt', 'w').write('three')", "crash", "in judging, without a result; it printed: ValueError"),
        ("open('answer.txt', 'w').write('nan')", "invalid", "loss is nan"),
        (
            "open('answer.txt', 'w').write('3')\nopen('judge.py', 'w').write('print(\"loss: 0\")')",
            "invalid",
            "changed judge.py, which it may only read",
        ),
        (
            "open('answer.txt', 'w').write('3')\nopen('sitecustomize.py', 'w').write('print(\"loss: 0\")')",
            "ok",
            "",
        ),
    ],
)
def test_an_artefact_is_a_file_that_the_script_left(place: Place, text: str, status: str, expected: str) -> None:
    result = place.run(text)
    assert result.status == status and expected in result.error, result.error
    assert result.val_bpb == 0.25 or status != "ok"


def test_no_key_is_inherited_and_home_is_the_scratch_folder(place: Place) -> None:
    assert place.run(SURROUNDINGS, judge="", artefacts=()).status == "ok", place.printed()
    assert "of-ours" not in place.printed() and not [name for name in KEYS if name in place.printed()]


def test_nothing_of_a_run_is_left(place: Place) -> None:
    text = "import os, subprocess\nfor path in ('left-by-a-script', os.path.expanduser('~/left-by-a-script')):\n"
    text += (
        "    open(path, 'w').write('x')\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\nprint('loss: 1')"
    )
    assert place.run(text, judge="", artefacts=()).status == "ok", place.printed()
    assert place.left() == []
    places = [*Path(tempfile.gettempdir()).glob("autoresearch-slot-*"), Path(place.experiment.folder).parent]
    assert [path for folder in places for path in folder.rglob("left-by-a-script")] == []
