"""Experiments on local files, and the shipped T4 experiment's number format, through the real command line."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from small_run import CANDIDATE, EXPERIMENT, WORDS, write_experiment

ROOT = Path(__file__).parents[2]


def train(folder: Path, experiment: Path, *arguments: str) -> str:
    """What `python -m autoresearch_ray.train` prints."""
    command = [sys.executable, "-m", "autoresearch_ray.train", str(experiment), *arguments]
    environment = {"PATH": "/usr/bin:/bin", "AUTORESEARCH_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def field(summary: str, name: str) -> float:
    return float(next(line.split()[1] for line in summary.splitlines() if line.startswith(f"{name}:")))


def stories(count: int) -> list[str]:
    return [f"{i} " + " ".join(WORDS[(i * k + k * k) % len(WORDS)] for k in range(20, 120)) for i in range(1, count)]


def test_a_trial_prints_upstreams_summary_and_keeps_to_the_budget(tmp_path: Path) -> None:
    summary = train(tmp_path, write_experiment(tmp_path), "--budget-seconds", "2")
    assert 0 < field(summary, "val_bpb") < 10
    assert field(summary, "training_seconds") > 1.8
    for name in ("total_seconds", "peak_vram_mb", "total_tokens_M", "num_steps", "num_params_M"):
        assert field(summary, name) > 0 or name in ("total_tokens_M", "num_params_M")
    assert "(cold)" in summary


def test_repeats_after_the_first_start_warm(tmp_path: Path) -> None:
    summaries = train(tmp_path, write_experiment(tmp_path), "--repeat", "2").split("---\n")[1:]
    assert "(cold)" in summaries[0] and "(warm)" in summaries[1]


def test_an_experiment_on_a_parquet_file_runs(tmp_path: Path) -> None:
    pq.write_table(pa.table({"story": stories(200)}), tmp_path / "stories.parquet")
    changed = EXPERIMENT.replace("data: words.txt", "data: stories.parquet\ntext_column: story")
    summary = train(tmp_path, write_experiment(tmp_path, experiment=changed))
    assert 0 < field(summary, "val_bpb") < 10


def test_the_t4_experiment_trains_in_fp16_with_a_local_stand_in_for_its_data(tmp_path: Path) -> None:
    """Same file and candidate, but: data is a tiny local stand-in for TinyStories, on the CPU, for seconds."""
    settings = yaml.safe_load((ROOT / "experiments" / "t4.yaml").read_text())
    pq.write_table(pa.table({"text": stories(4000)}), tmp_path / "tinystories-stand-in.parquet")
    settings |= {"name": "t4-stand-in", "data": "tinystories-stand-in.parquet", "device": "cpu", "budget_seconds": 6}
    settings |= {"corpus_mb": 0, "eval_tokens": 2048, "gpus_per_trial": 0, "vocab_size": 300}
    settings["candidate"] = str(ROOT / "experiments" / "train.py")
    settings["constants"] |= {"WIDTH": 64, "BATCH_ROWS": 4, "MICRO_ROWS": 4}
    assert settings["amp"] == "fp16"
    (tmp_path / "t4.yaml").write_text(yaml.safe_dump(settings))
    summary = train(tmp_path, tmp_path / "t4.yaml")
    assert 0 < field(summary, "val_bpb") < 9, "no worse than uniform over the vocabulary"


def test_a_failed_candidate_is_told_with_its_output_and_the_rule_that_it_breaks(tmp_path: Path) -> None:
    write_experiment(tmp_path)
    (tmp_path / "bad.py").write_text(CANDIDATE.replace("loss.backward()", "open; raise ValueError('stop here')"))
    command = [sys.executable, "-m", "autoresearch_ray.train", "e.yaml", "--candidate", "bad.py", "--unchecked"]
    environment = {"PATH": "/usr/bin:/bin", "AUTORESEARCH_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("bad.py: builtins: line 15: open is refused") == 1
    assert "ValueError: stop here (train.py:" in done.stdout and 'raise ValueError("stop here")' not in done.stderr
