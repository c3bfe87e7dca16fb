"""The metrics of a run, read over HTTP, are those of its trial table; the Grafana file asks for nothing else."""

import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from scrape import PREFIX, scrape, this_node
from small_run import write_experiment

from autoresearch_ray.cluster.metrics import Gauging, metering
from autoresearch_ray.driver.resolve import resolve
from autoresearch_ray.observe.screen import SlotView
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.records.trials import Result
from autoresearch_ray.search.search import Finished, Search
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.alone

GRAFANA = Path(__file__).parents[2] / "experiments" / "clusters" / "grafana.json"
TRIALS = 9
EXPORTED_SECONDS = 60.0  # Ray passes metrics on every ten


class Run:
    """A run without slots: its search is told results by hand."""

    def __init__(self, folder: Path, settings: RunSettings) -> None:
        self.settings = settings
        self.board = Board(SqliteStore(folder / "state.db"))
        self.board.store.put("settings", settings.model_dump_json().encode())
        clock = itertools.count(1000.0, 10.0)  # nobody proposes: after ten seconds a slot replicates instead
        self.search = Search(self.board, settings, folder / "lineage", now=lambda: next(clock))
        self.watch = SimpleNamespace(views={})

    def work(self, trials: int) -> None:
        """So many trials, every third a crash."""
        for number in range(trials):
            trial = self.search.next() or self.search.next()
            assert trial is not None and not isinstance(trial, Finished)
            ok = number % 3 < 2
            bpb = 1.5 - 0.01 * number if ok else float("nan")
            status = "ok" if ok else "crash"
            seconds = 2.0 if ok else 0.5
            self.search.finish(Result(trial.trial_id, status, bpb, bpb, training_seconds=seconds))  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run on halves of logical GPUs."""
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    path = write_experiment(tmp_path)
    path.write_text(path.read_text() + "gpus_per_trial: 0.5\n")
    request = Request(
        experiment=path, tag="metered", runs_dir=tmp_path / "runs", slots=1, program=tmp_path / "program.md"
    )
    requested, folder = resolve(request, lambda line: None)
    folder.mkdir(parents=True)
    run = Run(folder, requested.settle(1))
    yield run
    run.board.store.close()  # type: ignore[attr-defined]  # a SqliteStore


def spend(run: Run) -> None:
    """Two calls of a model, one under way."""
    spending = Spending(run.board.store)
    for call in ("c1", "c2"):
        assert spending.reserve(call, "anthropic:model", 3000) == "reserved"
    spending.settle("c1", 1000, (120, 20, 0, 30))


def test_a_resumed_run_shows_what_an_unbroken_one_would(run: Run) -> None:
    unbroken = Gauging(run.board, run.search, run.watch)
    run.work(4)
    spend(run)
    one = unbroken.look()
    other = Gauging(run.board, run.search, run.watch).look()
    assert (one.trials, one.training_seconds, one.llm_calls) == (other.trials, other.training_seconds, other.llm_calls)
    assert one.trials == {"ok": 3, "crash": 1} and one.training_seconds == 6.5
    assert one.llm_dollars == 0.004 and (one.llm_input_tokens, one.llm_output_tokens) == (120, 30)


def test_idle_is_the_slots_time_without_training(run: Run) -> None:
    now = [100.0]
    gauging = Gauging(run.board, run.search, run.watch, clock=lambda: now[0])
    run.work(2)
    run.watch.views["x"] = SlotView("t00003", "knobs", "", 0.5, 1.4, 3.0)
    now[0] += 10.0
    figures = gauging.look()
    assert figures.training_seconds == 2.0 + 2.0 + 3.0 and figures.busy_slots == 1
    assert figures.idle_seconds == 10.0 - 7.0


def test_metrics_over_http_equal_the_trial_table(run: Run, ray_session: str) -> None:
    run.work(TRIALS)
    spend(run)
    table = trial_table(run.board.history())
    wanted = {(f"{PREFIX}trials", status): count for status, count in Counter(table.status).items()} | {
        (f"{PREFIX}slot_seconds_total", "training"): table.training_seconds.sum(),
        (f"{PREFIX}gpu_seconds_total", "training"): table.training_seconds.sum() / 2,
        (f"{PREFIX}wins", ""): (table.decision == "keep").sum(),
        (f"{PREFIX}llm_calls", ""): 2,
        (f"{PREFIX}llm_dollars", ""): 0.004,
        (f"{PREFIX}llm_tokens", "input"): 120,
    }
    with metering(run.board, run.settings, run.search, run.watch):
        deadline = time.monotonic() + EXPORTED_SECONDS
        while (seen := scrape(this_node(), "metered")).keys() < wanted.keys() and time.monotonic() < deadline:
            time.sleep(1)
    assert {key: seen.get(key) for key in wanted} == pytest.approx(wanted)
    best = run.search.state.best
    assert best is not None
    assert seen[f"{PREFIX}best_val_bpb", ""] == seen[f"{PREFIX}best_score", "lower"] == pytest.approx(best.val_bpb)
    assert missing(json.loads(GRAFANA.read_text()), {name for name, _ in seen}) == set()
    planted = json.loads(GRAFANA.read_text().replace("ray_autoresearch_wins", "ray_autoresearch_winz"))
    assert missing(planted, {name for name, _ in seen}) == {"ray_autoresearch_winz"}


def missing(dashboard: dict[str, object], names: set[str]) -> set[str]:
    """The metrics that a dashboard asks for and nobody has."""
    return set(re.findall(PREFIX + r"\w+", json.dumps(dashboard))) - names


def test_the_dashboard_file_is_one_that_grafana_loads() -> None:
    dashboard = json.loads(GRAFANA.read_text())
    assert dashboard["title"] and dashboard["uid"] and isinstance(dashboard["schemaVersion"], int)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24, "panels lie on one another"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        assert panel["targets"] and all(
            target["expr"].count("(") == target["expr"].count(")") for target in panel["targets"]
        )
