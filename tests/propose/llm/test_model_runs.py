"""Whole runs with a language model behind each provider's real protocol: its good ideas are tried and win, its bad
ones cost no slot, and its key is nowhere afterwards."""

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from small_run import CANDIDATE, start_launch, write_experiment
from wire import PROTOCOLS, Drop, Fail, Protocol, Reply, Request, Say, WireServer

from autoresearch_ray.observe.table import load_trials

SECRET = "sk-planted-3f9c1e77a5b24d0e"
MODELS = {"anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash", "openai": "gpt-5-mini"}
VARIABLES = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
}
TIMID = (  # a start that no tuner mends
    CANDIDATE.replace("0.1  # SGD learning rate; search log(0.001, 10.0)", "0.01  # rate; search log(0.0099, 0.0101)")
    .replace("search log_int(4, 64)", "search log_int(15, 17)")
    .replace("search log_int(2, 32)", "search log_int(4, 5)")
)
TRIALS = (20, 50)  # the second where the machine is so busy that the first were over before the idea came
GOOD = "Adam scales each weight's step by itself, which rare tokens need."
STEP = "    optimizer = torch.optim.SGD(model.parameters(), lr=LR)\n"
LOSS = "        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())\n"


def idea(number: int, hypothesis: str, search: str, replace: str) -> str:
    blocks = f"<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"
    return f"<idea {number}>\nhypothesis: {hypothesis}\nexpected: -0.1\n{blocks}</idea>\n"


ADAM = idea(1, GOOD, STEP, STEP.replace("SGD", "Adam").replace("LR", "0.03"))
NO_SUCH_LINE = idea(2, "Momentum helps.", "    optimiser = torch.optim.AdamW()\n", "    pass\n")
FORBIDDEN = idea(3, "Look for the answers.", "import torch\n", "import os\n\nimport torch\n")
SAME = idea(2, "Another name.", LOSS, f"        # the loss\n{LOSS}")
WRONG_SHAPE = idea(3, "Half of the logits.", LOSS, LOSS.replace("model(x)", "model(x)[:, :-1]"))


class ScriptedModel:
    """Good and bad ideas first; mends them into others that fail; then only says that it has none."""

    def __call__(self, request: Request) -> Reply:
        if "it is not new" in request.text or "fails the dry run" in request.text:
            return Say("I give up on these.")
        if "its edits do not apply" in request.text:
            return Say(SAME + WRONG_SHAPE)
        if request.number == 0:
            return Say(ADAM + NO_SUCH_LINE + FORBIDDEN)
        return Say("Nothing comes to my mind.")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_model_s_idea_is_tried_proven_and_committed_and_its_bad_ones_cost_no_slot(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_experiment(tmp_path, candidate=TIMID)
    key, address = VARIABLES[protocol]
    with WireServer(protocol, ScriptedModel()) as server:
        monkeypatch.setenv(key, SECRET)
        monkeypatch.setenv(address, server.url)
        model = f"{protocol}:{MODELS[protocol]}"
        options = ["--tag", "x", "--max-cost-usd", "1", "--proposer", model]
        run, output, committed = tmp_path / "runs" / "x", "", ""
        for trials in TRIALS:
            if GOOD.split(",")[0] not in committed:
                start = ["--resume"] if output else ["e.yaml"]
                launched = start_launch(tmp_path, *start, *options, "--trials", str(trials))
                output += launched.communicate(timeout=300)[0]
                assert launched.returncode == 0, output
                committed = " ".join(git_log(run).split())
    assert GOOD.split(",")[0] in committed, committed + output
    assert f"{model}: " in output, output
    assert "Every run of its proof passed at full strength: clock, cores, speed, causal, rows, again" in committed
    later = [request.text for request in server.requests[3:] if "its edits do not apply" not in request.text]
    assert later and "it failed the dry run, Half of the logits." in later[-1]
    table = load_trials(run)
    assert len(table) in TRIALS
    code = table[(table.kind == "code") & (table.proposer == model)]
    assert len(code) == 1, output
    assert (table.status == "ok").all(), table[["kind", "status", "error"]]
    check_transcripts(run)
    assert all(any(SECRET in value for value in request.headers.values()) for request in server.requests)
    check_no_key(tmp_path, output)


FAULTS = [
    Fail(429, retry_after="1"),
    Fail(429),
    Fail(500),
    Fail(529),
    Drop(),
    Say("<idea 1>", end="half"),
    Say("<idea 1>\nhypothesis: cut", stop="length"),
    Say("I would rather not.", stop="refusal"),
    Say("", stop="end"),
    Fail(401, kind="authentication_error"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("faults", [FAULTS, FAULTS[-1:]], ids=["all", "a wrong key"])
def test_a_model_that_fails_in_every_way_delays_no_trial(
    faults: list[Reply], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_experiment(tmp_path)
    with WireServer("anthropic", faults) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        launched = start_launch(
            tmp_path, "e.yaml", "--tag", "x", "--trials", "24", "--proposer", "anthropic:claude-haiku-4-5"
        )
        output = launched.communicate(timeout=200)[0]
    assert launched.returncode == 0, output
    table = load_trials(tmp_path / "runs" / "x")
    assert len(table) == 24 and (table.status == "ok").all()
    assert (table.proposer == "tpe").any(), "the tuner stands in"
    assert len(server.requests) >= min(2, len(faults)) and SECRET not in output and "Traceback" not in output
    if len(faults) == 1:
        assert "ANTHROPIC_API_KEY" in output and "not asked again in this launch, the others go on" in output


def git_log(run: Path) -> str:
    """Of the proven wins."""
    log = ["git", "-C", str(run / "lineage"), "log", "autoresearch/x"]
    return subprocess.run(log, check=True, capture_output=True, text=True).stdout


def check_transcripts(run: Path) -> None:
    """The first conversation in full: one idea queued, the others rejected for their last reason."""
    conversations = [json.loads(gzip.decompress(path.read_bytes())) for path in sorted((run / "calls").glob("*.gz"))]
    first = next(held for held in conversations if held["proposals"])
    kinds = sorted((held["kind"], held.get("reason", "")) for held in first["outcomes"])
    assert kinds == [("idea", ""), ("rejection", "dry_run"), ("rejection", "duplicate")], first["outcomes"]
    assert len(first["calls"]) == 3
    assert all(call["charge"]["micros"] > 0 and call["answer"]["seconds"] > 0 for call in first["calls"])


def check_no_key(folder: Path, output: str) -> None:
    """No byte of it in what was printed, the run's folder, its git objects, or Ray's logs of the last minutes."""
    assert SECRET not in output
    ray = Path("/tmp/ray/session_latest").resolve()
    found: list[Any] = []
    for root in (folder, ray):
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                if path.suffix == ".gz":
                    content = gzip.decompress(content)
                if SECRET.encode() in content:
                    found.append(path)
    objects = ["git", "-C", str(folder / "runs" / "x" / "lineage"), "cat-file", "--batch-all-objects", "--batch"]
    assert SECRET.encode() not in subprocess.run(objects, check=True, capture_output=True).stdout
    assert found == [], found
    assert os.environ["HOME"], "the search above is of real folders"
