"""A run told to a tracker: everything once and in order, and a tool that fails is in nobody's way."""

import time
from collections.abc import Callable

import pytest
from told_run import ToldRun

from autoresearch_ray.driver.tools import tracking
from autoresearch_ray.driver.tools.news import TrialNews, WinNews
from autoresearch_ray.driver.tools.tracker import TrackedRun, list_params
from autoresearch_ray.driver.tools.tracking import Tracking
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.store.told import read_mark

Say = Callable[[str], None]


class Notebook:
    """A tracker that writes down what it is told; it fails as often as it is asked to."""

    def __init__(self, failures: int = 0, hangs: bool = False) -> None:
        self.trials: list[TrialNews] = []
        self.wins: list[tuple[WinNews, str]] = []
        self.opened: list[TrackedRun] = []
        self.closed = 0
        self.abandoned = False
        self._failures, self._hangs = failures, hangs

    def open(self, run: TrackedRun) -> "Notebook":
        self.opened.append(run)
        return self

    def note_trial(self, news: TrialNews) -> None:
        while self._hangs and not self.abandoned:
            time.sleep(0.01)
        if self._failures:
            self._failures -= 1
            raise ConnectionError("the server is away")
        self.trials.append(news)

    def note_win(self, news: WinNews, candidate: Candidate) -> None:
        self.wins.append((news, candidate.text))

    def close(self) -> None:
        self.closed += 1

    def abandon(self) -> None:
        self.abandoned = True


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "LOOK_SECONDS", 0.05)


def tracked(run: ToldRun, book: Notebook, say: Say) -> Tracking:
    return Tracking("mlflow", run.board, run.settings, run.folder, lambda: 2, say, book.open)


def test_trials_are_steps_and_best_and_frontier_stand_where_they_stood(run: ToldRun, no_words: Say) -> None:
    book = Notebook()
    with tracked(run, book, no_words):
        run.discard(2.1)
        run.win(1.9)
        run.fail()
    assert [(news.number, news.row.trial.trial_id) for news in book.trials] == [
        (1, "t00001"),
        (2, "t00002"),
        (3, "t00003"),
        (4, "t00004"),
    ]
    assert [news.best for news in book.trials] == [2.0, 2.0, 1.9, 1.9]
    assert [news.metrics().get("val_bpb") for news in book.trials] == [2.0, 2.1, 1.9, None]
    ((win, text),) = book.wins
    assert win.number == 1 and text == "x = 2\n" and book.closed == 1


def test_a_run_that_goes_on_tells_only_what_is_new_to_the_same_run(run: ToldRun, no_words: Say) -> None:
    first, second = Notebook(), Notebook()
    with tracked(run, first, no_words):
        run.win(1.9)
    run.discard(2.0)  # of a launch that told nobody
    with tracked(run, second, no_words):
        run.win(1.8)
    assert [news.number for news in second.trials] == [3, 4] and [win.number for win, _ in second.wins] == [2]
    assert [news.best for news in second.trials] == [1.9, 1.8]
    assert first.opened[0].run_id == second.opened[0].run_id


def test_a_tracker_that_fails_is_said_once_tried_again_and_misses_nothing(
    run: ToldRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "RETRY_SECONDS", (0.05, 0.05))
    book, said = Notebook(failures=3), list[str]()
    with tracked(run, book, said.append):
        run.win(1.9)
        deadline = time.monotonic() + 60
        while read_mark(run.store, "mlflow").number < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert [news.number for news in book.trials] == [1, 2] and len(book.wins) == 1 and len(book.opened) == 4
    assert said[0] == "--log mlflow failed (ConnectionError: the server is away); again in 0 s, the search goes on"
    assert said[1:] in ([], ["--log mlflow: works again, everything is there"])


def test_what_could_not_be_told_at_the_end_is_said_and_told_by_the_next_launch(run: ToldRun, no_words: Say) -> None:
    said: list[str] = []
    with tracked(run, Notebook(failures=100), said.append):
        run.win(1.9)
    assert "not everything is there (ConnectionError: the server is away); --resume --tag x --log mlflow" in said[-1]
    book = Notebook()
    with tracked(run, book, no_words):
        pass
    assert [news.number for news in book.trials] == [1, 2] and len(book.wins) == 1


def test_a_tracker_that_never_answers_is_given_up(run: ToldRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "LAST_SECONDS", 0.3)
    book, said = Notebook(hangs=True), list[str]()
    with tracked(run, book, said.append):
        time.sleep(0.2)
    assert book.abandoned and "not everything is there (no end after 0 s)" in said[-1]


def test_a_past_that_the_store_has_compacted_is_told_all_the_same(run: ToldRun, no_words: Say) -> None:
    run.win(1.9)
    run.discard(2.0)
    run.store.compact(run.store.revision())
    book = Notebook()
    with tracked(run, book, no_words):
        pass
    assert [news.number for news in book.trials] == [1, 2, 3] and [win.number for win, _ in book.wins] == [1]


def test_a_hundred_trials_later_nothing_is_told_twice(run: ToldRun, no_words: Say) -> None:
    book = Notebook()
    with tracked(run, book, no_words):
        for _ in range(100):
            run.discard(2.0)
    assert [news.number for news in book.trials] == list(range(1, 102))


def test_parameters_say_neither_texts_nor_addresses(run: ToldRun) -> None:
    settings = run.settings.replace(storage="s3://secret/place", llm_base_url="http://10.0.0.1/v1")
    params = list_params(settings)
    assert params["experiment.seq_len"] == "32" and params["proposers"] == "tpe" and params["slots"] == "2"
    assert not any("secret" in value or "10.0.0.1" in value or "import torch" in value for value in params.values())
