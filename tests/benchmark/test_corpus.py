"""Corpora: what becomes a document, what is refused, and which split it lands in."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from small_corpus import some_documents

from autoresearch_ray.benchmark.data.corpus import Spool, copies_in_library, documents, library, split
from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.settings.experiment import Experiment

Make = Callable[..., Experiment]


def test_blank_lines_separate_the_documents_of_a_text_file(make: Make, corpus: Path, tmp_path: Path) -> None:
    corpus.write_text("one\ntwo\n\nthree\n   \nfour")
    assert list(documents(make(), tmp_path)) == ["one\ntwo", "three", "four"]


def test_marked_documents_keep_their_blank_lines(make: Make, corpus: Path, tmp_path: Path) -> None:
    corpus.write_text("one\n\ntwo\n<|endoftext|>\nthree\n")
    assert list(documents(make(), tmp_path)) == ["one\n\ntwo", "three"]


def test_a_repeated_document_is_taken_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ["a", "b", "a", "", "b"], limit_bytes=0)
    assert [spool.text(i) for i in range(len(spool))] == ["a", "b"]


def test_no_more_text_is_read_than_asked(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", iter(["aaaa", "bbbb", "cccc"]), limit_bytes=9)
    assert spool.total_bytes == 8


def test_every_document_is_in_exactly_one_pool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", some_documents(300), limit_bytes=0)
    pools = split(spool, eval_tokens=1024)
    assert sorted(pools.val + pools.holdout + pools.train) == list(range(300))
    for pool in (pools.val, pools.holdout):
        assert 0 < sum(map(spool.size, pool)) <= 0.2 * spool.total_bytes


def test_the_split_does_not_depend_on_the_order_of_the_corpus(tmp_path: Path) -> None:
    texts = some_documents(100)
    spools = [Spool(tmp_path / "a", texts, 0), Spool(tmp_path / "b", reversed(texts), 0)]
    one, two = ([spool.text(i) for i in split(spool, 1024).val] for spool in spools)
    assert one == two


def test_one_long_document_is_not_the_validation_set(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", [*some_documents(50), "long " * 10_000], limit_bytes=0)
    pools = split(spool, eval_tokens=1024)
    assert 50 in pools.train


def test_an_empty_or_too_small_corpus_is_refused_and_leaves_nothing(make: Make, corpus: Path, home: Path) -> None:
    corpus.write_text("")
    with pytest.raises(DataError, match="holds no text"):
        prepare(make())
    corpus.write_text("\n\n".join(some_documents(12)))
    with pytest.raises(DataError, match="take more text, or lower eval_tokens"):
        prepare(make(vocab_size=260))
    assert not [path for path in (home / "datasets").iterdir() if path.is_dir()]


def test_a_vocabulary_larger_than_the_text_gives_is_refused(make: Make) -> None:
    with pytest.raises(DataError, match="lower vocab_size or take more text"):
        prepare(make(vocab_size=20_000))


def test_climbmix_is_not_read_whole_by_mistake(make: Make) -> None:
    with pytest.raises(DataError, match="set corpus_mb"):
        prepare(make(data="climbmix"))


def test_files_of_the_library_are_found_by_their_text() -> None:
    text = (library() / "this.py").read_text(encoding="utf-8")
    assert copies_in_library({hashlib.sha256(text.encode()).digest()}) == ["this.py"]
