"""A whole run whose ideas come from a coding agent: a good one is proven, bad ones cost no slot, and all is told."""

import gzip
import json
import os
from pathlib import Path

import pytest
from small_run import start_launch, write_experiment
from stand_ins import install
from test_model_runs import TIMID

from autoresearch_ray import load_trials
from autoresearch_ray.store.history import read_history

pytestmark = pytest.mark.alone

# Its first edit is the gain that no tuner finds here; the next ones break a rule, change nothing, and fail.
AGENT = """\
number = len(list(pathlib.Path(os.environ["CLAUDE_CALLS"]).iterdir()))
(pathlib.Path(os.environ["CLAUDE_CALLS"]) / str(number)).touch()
if "rule refuses it" in prompt:
    end("I give up on this.")
elif number == 0 or (number > 3 and SGD in (here / "train.py").read_text()):
    edit(SGD, ADAM.replace("0.03", f"{0.03 + number / 10000:.4f}"))
    end(WORDS)
elif number == 1:
    edit("import torch\\n", "import os\\n\\nimport torch\\n")
    end("hypothesis: Look for the answers.")
elif number == 2:
    end("Nothing is worth a trial.")
else:
    fail("You have reached your limit.")
"""
TRIALS = 24


@pytest.mark.timeout(400)
def test_an_agents_edit_is_tried_proven_and_committed(tmp_path: Path) -> None:
    write_experiment(tmp_path, candidate=TIMID)
    install(tmp_path / "bin", "claude", AGENT)
    calls = tmp_path / "calls"
    calls.mkdir()
    options = ["--proposer", "agent:claude", "--max-calls", "12", "--max-cost-usd", "5"]
    launched = start_launch(
        tmp_path,
        *("e.yaml", "--tag", "x", "--trials", str(TRIALS), *options),
        PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        CLAUDE_CALLS=str(calls),
    )
    output = launched.communicate(timeout=300)[0]
    assert launched.returncode == 0, output
    run = tmp_path / "runs" / "x"
    table, history = load_trials(run), read_history(run / "state.db")
    ideas = table[(table.kind == "code") & (table.proposer == "agent:claude")]
    assert (ideas.status == "ok").any() and "Adam scales each weight's step by itself." in set(ideas.hypothesis)
    assert "rule" in {idea.refusal for idea in history.rejected}, history.rejected
    assert len(history.charges) <= 12 and any(charge.micros == 12_300 for charge in history.charges)
    assert "agent:claude" in output and "Traceback" not in output, output
    transcripts = [json.loads(gzip.decompress(path.read_bytes())) for path in (run / "calls").glob("agent-*.gz")]
    answers = [call["answer"] for one in transcripts for call in one["calls"] if call["answer"]]
    assert any('"total_cost_usd": 0.0123' in answer["log"] for answer in answers)
