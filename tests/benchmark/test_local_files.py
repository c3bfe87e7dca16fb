"""Files and folders of one's own: read as they are, refused with their place, noticed when they change."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_corpus import small_experiment, some_documents

from autoresearch_ray.benchmark.data.corpus import cut, documents
from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.data.tokenizer import LONGEST_RUN, encode, train_tokenizer
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.experiment_file import load_experiment

Make = Callable[..., Experiment]
TEXTS = some_documents(200)


def jsonl(rows: list[Any]) -> bytes:
    """Rows, or lines that are none, as a .jsonl file."""
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)


def parquet(folder: Path, values: list[Any]) -> bytes:
    """A column `text` as a .parquet file."""
    pq.write_table(pa.table({"text": values}), folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def with_row(row: Any) -> list[Any]:
    return [*({"text": text} for text in TEXTS[:50]), row, *({"text": text} for text in TEXTS[50:])]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_jsonl_and_parquet_are_read_through_datasets(make: Make, tmp_path: Path, suffix: str) -> None:
    texts = some_documents(120)
    experiment = make(data=str(_table(tmp_path / f"table{suffix}", "story", texts)), text_column="story")
    assert list(documents(experiment, tmp_path / "hub")) == texts
    dataset = prepare(experiment)
    assert dataset.encoding().decode(dataset.rows("val")[0].tolist()).startswith("<|bos|>")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_an_unknown_column_is_named_with_those_there_are(make: Make, tmp_path: Path, suffix: str) -> None:
    path = _table(tmp_path / f"table{suffix}", "story", some_documents(10))
    with pytest.raises(DataError, match=r"no column `text`; expected one of story; set text_column"):
        prepare(make(data=str(path)))


UNSOUND: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "null.jsonl": (lambda _: jsonl(with_row({"text": None})), "row 51: column `text` holds nothing; expected text"),
    "missing.jsonl": (lambda _: jsonl(with_row({"other": 1})), "row 51: column `text` holds nothing; expected text"),
    "number.jsonl": (lambda _: jsonl(with_row({"text": 5})), "row 51: column `text` holds int; expected text"),
    "list.jsonl": (lambda _: jsonl(with_row([1])), "line 51 has no text in `text`"),
    "cut.jsonl": (lambda _: jsonl(with_row({"text": "x"}))[:-9], "line 201 is no whole JSON object"),
    "byte.jsonl": (lambda _: jsonl(with_row(b'{"text": "caf\xe9"}')), "byte 17,398 (in line 51) is not UTF-8"),
    "empty.jsonl": (lambda _: b"", "holds no text; expected documents to train on"),
    "cut.parquet": (lambda folder: parquet(folder, TEXTS)[:-99], "Parquet magic bytes not found in footer"),
    "empty.parquet": (lambda _: b"", "Parquet file size is 0 bytes"),
    "null.parquet": (lambda folder: parquet(folder, [*TEXTS, None]), "row 201: column `text` holds nothing"),
    "byte.txt": (lambda _: b"caf\xc3\xa9\n" * 10_000 + b"\xe9", "byte 60,000 (in line 10,001) is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_not_sound_is_told_with_its_place_and_without_the_network(
    make: Make, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content, expected = UNSOUND[name]
    (tmp_path / name).write_bytes(content(tmp_path))
    with pytest.raises(DataError) as caught:
        prepare(make(data=str(tmp_path / name)))
    assert str(tmp_path / name) in str(caught.value) and expected in str(caught.value), str(caught.value)
    assert "network" not in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr().err == "", "nothing is said twice"


def test_a_shard_that_is_not_sound_is_named(make: Make, tmp_path: Path) -> None:
    folder = shards(tmp_path)
    (folder / "b.parquet").write_bytes((folder / "b.parquet").read_bytes()[:-99])
    with pytest.raises(DataError, match=r"shards/b\.parquet: Parquet magic bytes not found"):
        prepare(make(data=str(folder)))


def shards(tmp_path: Path) -> Path:
    """A folder of two tables."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for name, texts in (("a", TEXTS[:100]), ("b", TEXTS[100:])):
        (folder / f"{name}.parquet").write_bytes(parquet(tmp_path, texts))
    return folder


def test_a_folder_is_the_data_that_lie_in_it_and_a_replaced_shard_is_noticed(make: Make, tmp_path: Path) -> None:
    folder = shards(tmp_path)
    whole = prepare(make(data=str(folder)))
    assert whole.fingerprint == prepare(make()).fingerprint, "the same documents, wherever they lie"
    (folder / ".cache").write_text("of a program that looks at the folder")
    assert prepare(make(data=str(folder))) == whole
    (folder / "b.parquet").write_bytes(parquet(tmp_path, some_documents(100, seed=1)))
    assert prepare(make(data=str(folder))).fingerprint != whole.fingerprint


@pytest.mark.parametrize("said", ["words.TXT", "~/words.TXT", "./words.TXT", "here", "./here"])
def test_a_path_is_one_however_it_is_written(
    make: Make, tmp_path: Path, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_experiment(tmp_path)
    (tmp_path / "words.txt").rename(tmp_path / "words.TXT")
    shards(tmp_path).rename(tmp_path / "here")
    (tmp_path / "train.py").write_text("")
    (tmp_path / "e.yaml").write_text(f"name: x\ndata: {said}\nseq_len: 32\nvocab_size: 300\nbudget_seconds: 1.0\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    experiment = load_experiment(tmp_path / "e.yaml")
    assert Path(experiment.data) == tmp_path / said.removeprefix("~/")
    assert list(documents(experiment, tmp_path / "hub")) == TEXTS


@pytest.mark.parametrize("said", ["stdlib", "allenai/c4", "roneneldan/TinyStories", "foo/v1.5", "wikitext"])
def test_a_name_of_the_hub_is_none(tmp_path: Path, said: str) -> None:
    (tmp_path / "train.py").write_text("")
    (tmp_path / "e.yaml").write_text(f"name: x\ndata: {said}\nseq_len: 32\nvocab_size: 300\nbudget_seconds: 1.0\n")
    assert load_experiment(tmp_path / "e.yaml").data == said


ONE = "\n".join(f"{number} {text}" for number in range(2) for text in TEXTS)
LONG = {
    "one document of many lines": (ONE, {}),
    "one document without ends of lines": (ONE.replace("\n", " "), {}),
    "one document without blanks": (ONE.replace("\n", "").replace(" ", "ü"), {}),
    "a few": ("\n\n".join(f"{number}\n{ONE}" for number in range(3)), {}),
    "one of more than is to be read": (ONE * 10, {"corpus_mb": 1}),
}


@pytest.mark.parametrize("what", LONG)
def test_documents_that_are_too_long_to_be_shared_out_are_cut_and_this_is_said(
    make: Make, corpus: Path, what: str
) -> None:
    text, change = LONG[what]
    corpus.write_text(text)
    said: list[str] = []
    dataset = prepare(make(**change), said.append)
    assert dataset.val.rows == dataset.holdout.rows == 32 and dataset.val.documents > 1
    assert sum("cut at ends of lines" in line for line in said) == 1


def test_a_cut_loses_nothing_and_leaves_short_texts_alone() -> None:
    parts = list(cut([ONE, "short"], 1000))
    assert "".join(parts[:-1]) == ONE and parts[-1] == "short"
    assert max(map(len, parts)) <= 1000 and all(part.endswith("\n") for part in parts[:-2])


def test_a_run_of_blanks_of_any_length_is_split_and_loses_nothing() -> None:
    text = f"\n\nx{' ' * 1_000_100}y"
    encoding = train_tokenizer(iter([*TEXTS, text]), 300)
    (tokens,) = encode(encoding, [text], 1)
    assert encoding.decode(tokens) == text


def test_the_tokens_of_what_could_be_read_before_are_as_they_were() -> None:
    """Where a run is just short enough, and where an end of a line lets it be longer, the library is asked whole."""
    encoding = train_tokenizer(iter(TEXTS), 300)
    texts = [f"x{' ' * LONGEST_RUN}y", f"x{' ' * 1_200_000}\n   y", *TEXTS[:3]]
    assert encode(encoding, texts, 1) == [encoding.encode_ordinary(text) for text in texts]


def test_the_longest_run_is_the_longest(tmp_path: Path) -> None:
    """In a process of its own, whose panic is printed there."""
    script = (
        "from autoresearch_ray.benchmark.data.tokenizer import *\n"
        f"encoding = train_tokenizer(iter({TEXTS[:50]!r}), 300)\n"
        "encoding.encode_ordinary(f'x{\" \" * (LONGEST_RUN + 1)}y')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "StackOverflow" in done.stderr


def _table(path: Path, column: str, texts: list[str]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps({column: text}) for text in texts))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({column: texts}), path)
    return path
