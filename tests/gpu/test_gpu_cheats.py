"""Cheats that a GPU makes possible, or that go another way there: none wins, none outlives its trial."""

import subprocess
import sys
from collections.abc import Callable

import psutil
from gpu_candidates import FORGER, HOG, PEEK, READER, SURVIVOR, WRITER

from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.records.trials import Result

Trial = Callable[..., tuple[Result, str]]
FREE = "import sys, torch; print(torch.cuda.mem_get_info()[0] >> 20 if sys.argv[1] == 'cuda' else 0)"
TOLERATED_MB = 200


def free_mb(device: str) -> int:
    """Free memory of the GPU, as a fresh process sees it."""
    answer = subprocess.run([sys.executable, "-c", FREE, device], capture_output=True, text=True, check=True)
    return int(answer.stdout)


def test_a_peek_is_refused(trial: Trial) -> None:
    assert trial(PEEK, strength="off")[0].status == "ok"
    result, _ = trial(PEEK)
    assert (result.status, "the model's predictions depend on" in result.error) == ("invalid", True), result.error


def test_a_forger_is_refused_where_it_says_its_own_probabilities(trial: Trial, device: str) -> None:
    result, output = trial(FORGER)
    if device == "cpu":  # it hands over logits, and the judge normalises them: the forgery changes nothing
        assert result.status == "ok" and result.val_bpb > 0.5, result.error
        return
    assert (result.status, "nats from what it had said" in result.error) == ("invalid", True), (result, output[-500:])


def test_a_memory_hog_is_out_of_memory(trial: Trial) -> None:
    result, output = trial(HOG, memory_mb=1500, budget_seconds=4.0)
    assert result.status == "oom", (result.error, output[-500:])


def test_a_second_process_on_the_gpu_ends_with_its_trial(trial: Trial, slot: Slot, device: str) -> None:
    before = free_mb(device)
    result, output = trial(SURVIVOR, budget_seconds=2.0)
    assert "a second process holds 256 MB" in output, (result.error, output[-2000:])
    assert len(psutil.Process(slot.server_pid).children(recursive=True)) <= 1, "the server alone is left"
    assert free_mb(device) >= before - TOLERATED_MB


def test_memory_that_another_trial_has_freed_is_not_readable(trial: Trial) -> None:
    result, output = trial(WRITER)
    assert result.status == "ok" and "wrote 8 times" in output, (result.error, output[-1000:])
    result, output = trial(READER)
    assert result.status == "ok" and output.splitlines()[-1] == "found 0", (result.error, output[-1000:])
