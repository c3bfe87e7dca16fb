"""The trained model of a best: what `load_best` brings back is what was scored; what nobody should load is refused."""

import io
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from kept_run import change_kept, kept_run
from stored_run import BETTER, run_folder

import autoresearch_ray
from autoresearch_ray.benchmark.data.dataset import look_up
from autoresearch_ray.benchmark.loaded_model import LoadedModel
from autoresearch_ray.benchmark.sandbox.walls import try_walls
from autoresearch_ray.benchmark.score import metric
from autoresearch_ray.common.errors import WeightsError
from autoresearch_ray.common.paths import BEST_FOLDER
from autoresearch_ray.sample import main
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.connect import read_run


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a kept best; not to be changed."""
    return kept_run(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def model(kept: Path) -> Iterator[LoadedModel]:
    with autoresearch_ray.load_best(kept) as model:
        yield model


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be spoiled."""
    return Path(shutil.copytree(kept, tmp_path / "run"))


def test_the_loaded_model_has_the_very_score_of_the_trial_that_trained_it(
    model: LoadedModel, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(kept.parent / "home"))
    dataset = look_up(RunSettings.model_validate(read_run(kept).settings).train_experiment)
    assert dataset is not None
    rows = dataset.rows("val")
    logits = model.logits(rows[:, :-1].astype(np.int64))
    assert logits.shape == (len(rows), 32, 300) and logits.dtype == torch.float32
    score = metric.score_of(metric.log_probabilities(logits, rows[:, 1:]), rows, dataset.token_bytes)
    assert score.bpb == pytest.approx(model.kept.val_bpb, rel=1e-6)
    stored = {row.trial.trial_id: row.result for row in read_run(kept).rows}[model.kept.trial_id]
    assert stored is not None and stored.val_bpb == model.kept.val_bpb
    assert model.kept.val_bpb < 2.0, "a model without training has 4 bits or more"


def test_text_is_generated_the_same_for_the_same_seed_and_from_the_models_own_words(model: LoadedModel) -> None:
    text = model.generate("12 the cat", tokens=40, seed=3)
    assert text == "".join(model.stream("12 the cat", tokens=40, seed=3)) != model.generate("12 the cat", 40, seed=4)
    assert model.generate("the", 40, temperature=0, seed=1) == model.generate("the", 40, temperature=0, seed=2)
    long = "the cat sat on a mat and then " * 20
    assert len(model.tokenizer.encode_ordinary(long)) > model.kept.seq_len and model.generate(long, tokens=3)


def test_its_weights_are_plain_tensors_and_give_the_same_logits_without_its_code(model: LoadedModel) -> None:
    weights = model.state_dict()
    assert set(weights) == {"0.weight", "1.weight", "1.bias"}
    tokens = [299, 5, 17]
    by_hand = weights["0.weight"][tokens] @ weights["1.weight"].T + weights["1.bias"]
    assert torch.allclose(model.logits(tokens), by_hand, atol=1e-5)
    with pytest.raises(ValueError, match=r"tokens from 0 to 300; expected 0 to 299"):
        model.logits([0, 300])
    with pytest.raises(ValueError, match=r"of shape \(33,\).*expected 1 to 32"):
        model.logits([0] * 33)


def test_the_command_prints_text_and_says_whose_model_it_is(
    kept: Path, model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(kept), "--prompt", "12 the cat", "--tokens", "40", "--seed", "3"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("12 the cat") and len(said.out) > 40
    assert said.err == f"the best of run x (step 3), as t00002 trained it: val_bpb {model.kept.val_bpb:.4f}\n"


@pytest.mark.parametrize("name", ["model.pt", "skeleton.pt", "train.py", "tokenizer.json"])
def test_a_file_that_was_cut_off_or_changed_is_refused(
    copy: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / BEST_FOLDER / name
    whole = path.read_bytes()
    for content in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{name}: is not what was kept"):
            autoresearch_ray.load_best(copy)
    path.unlink()
    assert main([str(copy)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"{name}: cannot be read (No such file or directory)" in line


class Payload:
    """What a pickle runs when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_that_hold_code_are_refused_and_the_code_does_not_run(copy: Path, tmp_path: Path, is_zip: bool) -> None:
    mark = tmp_path / "it-ran"
    file = io.BytesIO()
    if is_zip:
        torch.save({"0.weight": Payload(mark)}, file)
    else:
        pickle.dump({"0.weight": Payload(mark)}, file)
    change_kept(copy, "model.pt", file.getvalue())
    with pytest.raises(WeightsError, match=r"model\.pt: holds more or less than tensors, and is not loaded"):
        autoresearch_ray.load_best(copy)
    assert not mark.exists()
    file.seek(0)
    torch.load(file, weights_only=False) if is_zip else pickle.load(file)
    assert mark.exists(), "it would have"


SPY = """
import os, socket
def tried(name, act):
    try:
        act()
        return name + " done"
    except Exception as error:
        return name + " refused"
said = [
    tried("read", lambda: open({secret!r}).read()),
    tried("write", lambda: open({mark!r}, "w").write("x")),
    tried("connect", lambda: socket.create_connection(("127.0.0.1", {port}), 2)),
]
raise RuntimeError(", ".join(said))
"""


@pytest.mark.parametrize(
    ("isolation", "expected"),
    [("best", "read refused, write refused, connect refused"), ("none", "read done, write done, connect done")],
)
def test_code_of_the_model_that_runs_at_its_loading_is_behind_the_walls(
    copy: Path, tmp_path: Path, isolation: str, expected: str
) -> None:
    import socket

    if isolation == "best" and not {"net", "fs"} <= set(try_walls().layers):
        pytest.skip("this machine gives no net and fs layers")
    secret, mark = tmp_path / "secret", tmp_path / "mark"
    secret.write_text("4711")
    with socket.create_server(("127.0.0.1", 0)) as server:
        spy = SPY.format(secret=str(secret), mark=str(mark), port=server.getsockname()[1])
        change_kept(copy, "train.py", spy.encode())
        with pytest.raises(WeightsError, match=rf"failed: crash RuntimeError: {expected}"):
            autoresearch_ray.load_best(copy, isolation=isolation)  # type: ignore[arg-type]  # both are modes
    assert mark.exists() == (isolation == "none")


def test_what_cannot_be_sampled_is_one_line(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> str:
        assert main(list(words)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    (tmp_path / "without").mkdir()
    without = run_folder(tmp_path / "without", BETTER)
    line = told(str(without))
    assert "no weights of its best were kept" in line and "--resume --tag x --runs-dir " in line
    assert "--keep-weights best" in line
    (tmp_path / "start").mkdir()
    assert "nothing has been proven better than its start" in told(str(run_folder(tmp_path / "start")))
    assert "expected a run's folder" in told(str(tmp_path / "nowhere"))
    assert told(str(copy), "--tokens", "0").endswith("--tokens 0: expected 1 or more")
    assert "--temperature -1: expected a number" in told(str(copy), "--temperature", "-1")
    (copy / BEST_FOLDER / "best.json").write_text("{}")
    assert "best.json: cannot be read" in told(str(copy))


def test_weights_of_another_model_are_refused(copy: Path) -> None:
    weights = torch.load(copy / BEST_FOLDER / "model.pt", weights_only=True)
    file = io.BytesIO()
    torch.save({name: value for name, value in weights.items() if name != "1.bias"}, file)
    change_kept(copy, "model.pt", file.getvalue())
    with pytest.raises(WeightsError, match=r"the weights are not those of this model: 1\.bias is in one of the two"):
        autoresearch_ray.load_best(copy)
