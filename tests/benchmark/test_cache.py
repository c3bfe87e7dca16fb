"""The cache: built once and whole, verified, rebuilt; its rows lose nothing."""

import json
import logging
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from small_corpus import some_documents

from autoresearch_ray.benchmark.data.build import SPLITS
from autoresearch_ray.benchmark.data.dataset import Dataset, Split, open_dataset, prepare
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.prepare import main
from autoresearch_ray.settings.experiment import Experiment

Make = Callable[..., Experiment]
NAMES = cast(tuple[Split, ...], SPLITS)


def test_every_byte_of_every_training_document_is_in_the_rows(dataset: Dataset) -> None:
    texts, encoding, bos = set(some_documents(200)), dataset.encoding(), dataset.bos
    rows = dataset.rows("train")
    assert (rows[:, 0] == bos).all()
    stream = rows[:, 1:].reshape(-1).tolist()  # the rows' own starts dropped: documents one after another
    starts = [i for i, token in enumerate(stream) if token == bos]
    found = [encoding.decode(stream[a + 1 : b]) for a, b in zip(starts, [*starts[1:], len(stream)], strict=True)]
    assert len(found) in (dataset.train.documents, dataset.train.documents - 1)
    assert set(found[:-1]) <= texts
    assert any(text.startswith(found[-1]) for text in texts)  # only the incomplete last row was dropped
    assert dataset.train.bytes == sum(len(text.encode()) for text in found)


def test_the_splits_share_no_document(dataset: Dataset) -> None:
    texts, encoding = some_documents(200), dataset.encoding()
    streams = {name: encoding.decode(dataset.rows(name)[:, 1:].reshape(-1).tolist()) for name in NAMES}
    holders = [[name for name in NAMES if text[:40] in streams[name]] for text in texts]
    assert all(len(names) <= 1 for names in holders)
    assert {name for names in holders for name in names} == set(SPLITS)


def test_validation_and_held_out_have_exactly_the_asked_tokens(dataset: Dataset) -> None:
    for size in (dataset.val, dataset.holdout):
        assert size.tokens == size.rows * dataset.seq_len == 1024


def test_sizes_and_token_bytes_agree_with_the_text(dataset: Dataset) -> None:
    encoding = dataset.encoding()
    for name in NAMES:
        tokens = dataset.rows(name)[:, 1:]
        size = getattr(dataset, name)
        text = encoding.decode_bytes([token for token in tokens.reshape(-1).tolist() if token != dataset.bos])
        assert size.bytes == len(text) == int(dataset.token_bytes[tokens].sum())
        assert tokens.shape == (size.rows, dataset.seq_len)
    assert dataset.token_bytes[dataset.bos] == 0
    assert dataset.train_bytes_per_token == dataset.train.bytes / dataset.train.tokens


def test_the_tokenizer_gives_any_text_back(dataset: Dataset) -> None:
    encoding = dataset.encoding()
    for text in ("naïve 漢字 🙂", "a\r\n\n  b\t", "<|bos|>", "12345", "\x00\x7f"):
        tokens = encoding.encode_ordinary(text)
        assert encoding.decode(tokens) == text
        assert dataset.bos not in tokens
    assert encoding.n_vocab == dataset.vocab_size == 300


def test_a_second_prepare_opens_what_the_first_built(make: Make, dataset: Dataset) -> None:
    said: list[str] = []
    assert prepare(make(), said.append) == dataset
    assert said == []


def test_a_relative_home_is_found_from_another_folder(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTORESEARCH_HOME", "here")
    built = prepare(make())
    monkeypatch.chdir("/")
    assert built.folder.parent == tmp_path / "here" / "datasets"
    assert open_dataset(built.folder).fingerprint == built.fingerprint


def test_building_twice_gives_the_same_fingerprint(make: Make, home: Path) -> None:
    first = prepare(make())
    home.rename(home.with_name("elsewhere"))
    assert prepare(make()).fingerprint == first.fingerprint


@pytest.mark.parametrize("change", [{"seq_len": 16}, {"vocab_size": 310}, {"eval_tokens": 2048}])
def test_another_benchmark_is_another_data_set(make: Make, dataset: Dataset, change: dict[str, int]) -> None:
    other = prepare(make(**change))
    assert other.folder != dataset.folder
    assert other.fingerprint != dataset.fingerprint


def test_a_local_file_with_other_content_is_another_data_set(make: Make, corpus: Path, dataset: Dataset) -> None:
    corpus.write_text("\n\n".join(some_documents(200, seed=1)))
    assert prepare(make()).fingerprint != dataset.fingerprint


@pytest.mark.parametrize("name", ["val.bin", "train.bin", "tokenizer.json", "token_bytes.npy", "meta.json"])
def test_an_edited_file_is_noticed_and_rebuilt(
    make: Make, dataset: Dataset, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = {path.name: path.read_bytes() for path in dataset.folder.iterdir()}
    _overwrite(dataset.folder / name, whole[name].replace(b"1024", b"1023") if name == "meta.json" else b"\0" * 99)
    with pytest.raises(DataError):
        open_dataset(dataset.folder)
    with caplog.at_level(logging.WARNING):
        assert prepare(make()) == dataset
    assert "building it again" in caplog.text
    assert {path.name: path.read_bytes() for path in dataset.folder.iterdir()} == whole


@pytest.mark.parametrize("name", ["meta.json", "val.bin"])
def test_a_half_written_folder_is_never_used(make: Make, dataset: Dataset, name: str) -> None:
    (dataset.folder / name).unlink()
    with pytest.raises(DataError):
        open_dataset(dataset.folder)
    assert prepare(make()) == dataset


def test_what_a_killed_builder_left_is_ignored(make: Make, home: Path, dataset: Dataset) -> None:
    partial = dataset.folder.with_name(dataset.folder.name + ".partial")
    dataset.folder.rename(partial)  # whole but for its last step
    (partial / "val.bin").unlink()
    assert prepare(make()) == dataset
    assert not partial.exists()


def test_three_processes_at_once_build_once(make: Make) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        answers = pool.map(_prepared, [make().model_dump_json()] * 3)
    assert len({fingerprint for fingerprint, _ in answers}) == 1
    assert sum(built for _, built in answers) == 1


def test_an_unwritable_home_is_one_clear_line(make: Make, home: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="set AUTORESEARCH_HOME"):
        prepare(make())


def test_rows_are_read_only(dataset: Dataset) -> None:
    rows = dataset.rows("val")
    assert rows.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1


def test_the_command_line_prepares_and_summarises(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _experiment_file(make(), tmp_path)
    assert main([str(path)]) == 0
    assert prepare(make()).fingerprint in capsys.readouterr().out


def test_the_command_line_answers_an_error_with_one_line_and_status_2(make: Make, tmp_path: Path) -> None:
    path = _experiment_file(make(vocab_size=60_000), tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "autoresearch_ray.prepare", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "lower vocab_size" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def _prepared(experiment: str) -> tuple[str, bool]:
    said: list[str] = []
    dataset = prepare(Experiment.model_validate(json.loads(experiment)), said.append)
    return dataset.fingerprint, any(line.startswith("writing") for line in said)


def _overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def _experiment_file(experiment: Experiment, folder: Path) -> Path:
    (folder / "train.py").write_text("")
    path = folder / "small.yaml"
    values = experiment.model_dump(include={"name", "data", "seq_len", "vocab_size", "eval_tokens", "budget_seconds"})
    path.write_text("\n".join(f"{key}: {value}" for key, value in values.items()))
    return path
