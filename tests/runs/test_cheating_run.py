"""A whole run whose candidate has tricks to turn on: the search tries them, and proves and commits none."""

import subprocess
from pathlib import Path

import pytest
from small_run import start_launch, write_experiment

from autoresearch_ray import load_trials
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.store.history import read_history

pytestmark = pytest.mark.alone

TRICKY = """\
import torch

TRICK = "none"  # how it cheats; search choice("none", "peek", "remember")


class Model(torch.nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = torch.nn.Embedding(vocab_size, vocab_size)
        self.answers = {}

    def forward(self, x):
        logits = self.table(x)
        if TRICK == "none" or self.training:
            return logits
        seen = torch.nn.functional.one_hot(x.roll(-1, 1), logits.size(2))
        if TRICK == "peek":
            return logits + 2 * seen
        logits = logits + 2 * seen
        for row, tokens in enumerate(x.tolist()):
            for t in range(len(tokens)):
                logits[row, t] = self.answers.setdefault(tuple(tokens[: t + 1]), logits[row, t].clone())
        return logits


def train(task):
    torch.manual_seed(task.seed)
    model = Model(task.vocab_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    for x, y in task.batches(4):
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.report(loss)
    return model
"""


@pytest.mark.timeout(300)
def test_a_trick_that_one_trial_does_not_show_ends_with_its_proof(tmp_path: Path, ray_address: str) -> None:
    check_candidate(TRICKY)
    write_experiment(tmp_path, candidate=TRICKY)
    driver = start_launch(tmp_path, "e.yaml", "--tag", "x", "--trials", "14", "--address", ray_address)
    output = driver.communicate(timeout=240)[0]
    assert driver.returncode == 0, output
    run = tmp_path / "runs" / "x"
    table = load_trials(run)
    tried = table[table.hypothesis.str.contains("TRICK")].set_index("decision")
    assert tried.loc["discard"].status == "invalid" and "tokens after its position" in tried.loc["discard"].error, (
        output
    )
    honest = table[table.kind == "baseline"].val_bpb
    believed = tried[tried.status == "ok"].iloc[0]
    assert believed.val_bpb < honest.min() - 0.1, "one trial believes what answers the same again"
    assert believed.checks.startswith("normal: ") and table.checks[0].startswith("full: ")
    proofs = table[table.decision == "drop"]
    assert len(proofs) == 1, output
    assert proofs.status.iloc[0] == "invalid" and "predictions depend on" in proofs.error.iloc[0]
    assert not (table.decision == "keep").any() and "nothing was proven better" in output
    log = ["git", "-C", str(run / "lineage"), "rev-list", "--count", "autoresearch/x"]
    assert subprocess.run(log, capture_output=True, text=True, check=True).stdout.strip() == "1"
    assert 'TRICK = "none"' in (run / "lineage" / "train.py").read_text()
    assert [step.kind for step in read_history(run / "state.db").steps] == ["start", "advance", "drop"]
