"""Whatever a script does, its slot says what it was: a score, or one line; nothing is left, and the slot goes on."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from script_place import Place, script_experiment

from autoresearch_ray.benchmark.script.job import script_slot
from autoresearch_ray.benchmark.trial.execution import OUTPUT_LIMIT

SCORED: dict[str, tuple[str, dict[str, Any]]] = {
    "among other lines": ("print('begin')\nprint('loss: 0.5')\nprint('end of loss: 3')", {}),
    "as upstream prints it, after progress on one line": (
        "for i in range(3): print(f'\\rstep {i} | loss: high', end='')\nprint('\\n---\\nloss:             0.500000')",
        {},
    ),
    "with an equals sign": ("print('  loss = 5e-1')", {}),
    "without a newline at the end": ("print('loss: 0.5', end='')", {}),
    "among bytes that are no text": (
        "import os\nos.write(1, bytes(range(128, 256)) * 9 + b'\\nloss: 0.5\\r\\n\\xff')",
        {},
    ),
    "on standard error": ("import sys\nprint('loss: 0.5', file=sys.stderr)", {}),
    "the last of several": ("print('loss: 2')\nprint('loss: 1')\nprint('loss: 0.5')", {"take": "last"}),
    "by a pattern": ("print('epoch 3: loss 0.5, accuracy 0.7')", {"pattern": r"loss (\S+),"}),
    "in JSON": ("import json\njson.dump({'loss': 0.5}, open('r.json', 'w'))", {"result_file": "r.json"}),
    "in a mapping of JSON in a folder": (
        "import json, os\nos.mkdir('out')\njson.dump({'end': {'loss': 0.5}}, open('out/r.json', 'w'))",
        {"result_file": "out/r.json", "metric": "end.loss"},
    ),
    "within its limits": (
        "print('loss: 0.5\\nsize: 3\\naccuracy: 0.9')",
        {"limits": {"size": "<= 3", "accuracy": ">=0.9"}},
    ),
    "and changes itself": ("open('fit.py', 'a').write('#')\nprint('loss: 0.5')", {}),
    "and writes new files": ("open('new.py', 'w').write('#')\nprint('loss: 0.5')", {}),
    "and changes what it may change": (
        "open('helper.py', 'w').write('#')\nprint('loss: 0.5')",
        {"read_only": ("judge.py",)},
    ),
    "and knows its budget": ("import os\nprint('loss:', float(os.environ['AUTORESEARCH_BUDGET_SECONDS']) / 2)", {}),
}  # fmt: skip

NONE: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "prints no metric": ("print('done')", {}, "invalid", "printed no line `loss: NUMBER`; its last was: done"),
    "prints nothing": ("pass", {}, "invalid", "printed no line `loss: NUMBER`; nor any other"),
    "prints another metric": ("print('val_loss: 3\\nlosses: 3')", {}, "invalid", "printed no line `loss: NUMBER`"),
    "prints it twice": (
        "print('loss: 0.5\\nloss: 0.1')",
        {}, "invalid", "printed loss 2 times (0.5, 0.1); expected once",
    ),
    "prints nan": ("print('loss: nan')", {}, "invalid", "loss is nan, expected a finite number"),
    "prints infinity": ("print('loss: -inf')", {}, "invalid", "loss is -inf, expected a finite number"),
    "prints too large a number": ("print('loss: 1e999')", {}, "invalid", "loss is 1e999, expected a finite number"),
    "prints a word where the pattern looks": (
        "print('loss is low')",
        {"pattern": r"loss is (\w+)"},
        "invalid",
        "loss is 'low', expected a number",
    ),
    "writes no JSON file": ("print('loss: 1')", {"result_file": "r.json"}, "invalid", "wrote no r.json"),
    "writes what is not JSON": (
        "open('r.json', 'w').write('loss: 1')",
        {"result_file": "r.json"},
        "invalid",
        "r.json is not JSON",
    ),
    "writes JSON without its metric": (
        "open('r.json', 'w').write('{\"end\": {}}')",
        {"result_file": "r.json", "metric": "end.loss"},
        "invalid",
        "r.json has no `end.loss`",
    ),
    "writes its metric as a string": (
        "open('r.json', 'w').write('{\"loss\": \"0.5\"}')",
        {"result_file": "r.json"},
        "invalid",
        "loss is '0.5' in r.json, expected a number",
    ),
    "writes nan in JSON": (
        "open('r.json', 'w').write('{\"loss\": NaN}')",
        {"result_file": "r.json"},
        "invalid",
        "loss is nan, expected a finite number",
    ),
    "links its JSON file elsewhere": (
        "import os\nos.symlink('/proc/self/status', 'r.json')",
        {"result_file": "r.json"},
        "invalid",
        "wrote no r.json",
    ),
    "lies outside a limit": (
        "print('loss: 1\\nsize: 3.5')",
        {"limits": {"size": "<= 3"}},
        "invalid",
        "size is 3.5, expected <= 3",
    ),
    "says nothing of a limit": ("print('loss: 1')", {"limits": {"size": "<= 3"}}, "invalid", "printed no line `size:"),
    "changes a file that it may only read": (
        "open('helper.py', 'a').write('#')\nprint('loss: 0')",
        {},
        "invalid",
        "changed helper.py, which it may only read",
    ),
    "removes a file that it may only read": (
        "import os\nos.remove('helper.py')\nprint('loss: 0')",
        {},
        "invalid",
        "changed helper.py",
    ),
    "puts a link in the place of a file that it may only read": (
        "import os\nos.rename('helper.py', 'h')\nos.symlink('h', 'helper.py')\nprint('loss: 0')",
        {},
        "invalid",
        "changed helper.py",
    ),
    "puts a pipe in the place of a file that it may only read": (
        "import os\nos.remove('helper.py')\nos.mkfifo('helper.py')\nprint('loss: 0')",
        {},
        "invalid",
        "changed helper.py",
    ),
    "raises": ("raise ValueError('no such layer')", {}, "crash", "it printed: ValueError: no such layer"),
    "exits after its score": (
        "print('loss: 0')\nraise SystemExit(3)",
        {}, "crash", "ended with exit status 3 in its run",
    ),
    "crashes in native code": ("import ctypes\nctypes.string_at(0)", {}, "crash", "ended with exit status -11"),
    "is no Python": ("def fit(:", {}, "crash", "SyntaxError"),
    "takes too long": (
        "import time\ntime.sleep(99)",
        {"timeout_seconds": 1.0}, "timeout", "its run took longer than 1 s",
    ),
    "prints for ever": ("while True: print('loss: 0')", {"timeout_seconds": 1.0}, "timeout", "its run took longer"),
    "takes too much memory": ("x = bytearray(4 << 30)\nprint('loss: 0')", {}, "oom", "MemoryError"),
    "fills its folder": (
        "for i in range(9): open(f'{i}', 'wb').write(bytes(99 << 20))",
        {},
        "crash",
        "No space left on device",
    ),
}  # fmt: skip

OUTLIVES = """
import os, subprocess, sys, time
subprocess.Popen(["sleep", "1000"], start_new_session=True)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
    os._exit(0)
print("loss: 0.5")
"""
REMEMBERS = """
import os, tempfile
places = [".", os.path.expanduser("~"), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", "/scratch"]
paths = [os.path.join(place, "best_loss_so_far") for place in places]
found = [path for path in paths if os.path.exists(path)]
for path in paths:
    try:
        open(path, "w").write("0.01")
    except OSError:
        print(path, "cannot be written")
print("loss:", 0.01 if found else 1)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("script")
    experiment = script_experiment(folder / "small")
    with script_slot(experiment) as slot:
        yield Place(slot, experiment, folder)


@pytest.mark.parametrize("how", SCORED)
def test_a_score_is_read(place: Place, how: str) -> None:
    text, changes = SCORED[how]
    result = place.run(text, **changes)
    assert (result.status, result.val_bpb, result.error) == ("ok", 0.5, "")
    assert place.left() == []


@pytest.mark.parametrize("what", NONE)
def test_a_script_has_no_score_that(place: Place, what: str) -> None:
    text, changes, status, expected = NONE[what]
    result = place.run(text, **changes)
    assert result.status == status and expected in result.error, result.error
    assert math.isnan(result.val_bpb) and "\n" not in result.error
    assert place.left() == []


def test_where_higher_is_better_the_sign_is_turned(place: Place) -> None:
    result = place.run("print('loss: 0.5\\nother: 3')", direction="higher", holdout="other", strength="full")
    assert (result.val_bpb, result.holdout_bpb) == (-0.5, -3)


def test_the_second_score_is_read_where_it_is_asked_for(place: Place) -> None:
    text = "print('loss: 0.5\\nother: 3')"
    assert place.run(text, holdout="other", strength="full").holdout_bpb == 3
    assert math.isnan(place.run(text, holdout="other").holdout_bpb)
    assert "printed no line `other: NUMBER`" in place.run("print('loss: 0.5')", holdout="other", strength="full").error
    assert place.run("print('loss: 0.5')", holdout="other").status == "ok"


def test_time_and_memory_are_measured_from_outside(place: Place) -> None:
    text = "import time\nx = bytearray(200 << 20)\nx[::4096] = x[::4096]\ntime.sleep(1.2)\nprint('wall_seconds: 0.001')"
    result = place.run(text, metric="wall_seconds")
    assert result.status == "ok" and 1.2 <= result.val_bpb < 30
    assert place.run(text, metric="peak_memory_mb").val_bpb > 150
    late = place.run(text + "\nprint('loss: 1')", limits={"wall_seconds": "<= 1"})
    assert late.status == "invalid" and "wall_seconds is 1." in late.error, late.error


def test_what_upstream_prints_of_itself_is_kept(place: Place) -> None:
    lines = "training_seconds: 300.1", "num_steps:        953", "num_params_M:     50.3", "total_tokens_M:   499.6"
    result = place.run("\n".join(f"print('{line}')" for line in ("loss: 0.5", *lines)))
    assert (result.training_seconds, result.steps) == (300.1, 953)
    assert (result.parameters, result.tokens) == (50_300_000, 499_600_000)


def test_what_a_script_leaves_behind_is_ended(place: Place) -> None:
    result = place.run(OUTLIVES)
    assert (result.status, result.val_bpb) == ("ok", 0.5), result.error
    assert place.left() == []


def test_an_endless_flood_of_output_is_cut_and_its_score_read(place: Place) -> None:
    result = place.run(
        "import os, time\nprint('loss: 0.5', flush=True)\nif os.fork() == 0: os.system('yes')\ntime.sleep(0.5)"
    )
    assert (result.status, result.val_bpb) == ("ok", 0.5), result.error
    assert len(place.printed()) <= OUTPUT_LIMIT + 100 and "more bytes were not kept" in place.printed()[-100:]
    assert place.left() == []


def test_a_score_that_an_earlier_run_left_is_not_found(place: Place) -> None:
    assert [place.run(REMEMBERS).val_bpb for _ in range(2)] == [1.0, 1.0]


def test_a_program_that_is_not_python_runs(place: Place, tmp_path: Path) -> None:
    assert place.run("echo loss: 0.5\n", command="sh fit.py").val_bpb == 0.5
