"""A run's page as of now: rendered from the living store when its revision has moved, else as it was.

Any thread may ask. A render takes at most a fifth of the time, so that a long run that is watched keeps its cores.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from autoresearch_ray.common.text import encodable
from autoresearch_ray.live_page.run_files import trial_files
from autoresearch_ray.observe.ablations import read_ablations
from autoresearch_ray.observe.report.chart import chart
from autoresearch_ray.observe.report.html import report_body, title_of
from autoresearch_ray.observe.report.page import encode_data, page
from autoresearch_ray.observe.report.trial_panel import trial_panel
from autoresearch_ray.observe.transfers import read_transfers
from autoresearch_ray.records.history import History
from autoresearch_ray.records.kept_model import look_at_kept
from autoresearch_ray.store.connect import read_revision, read_run

REST = 4.0  # pause between renders, in durations of a render


@dataclass(frozen=True, slots=True)
class Rendered:
    """The page of a run at one revision of its store."""

    revision: int
    history: History
    document: bytes  # HTML
    data: bytes  # JSON: the revision, what the charts draw, and the page's body


class LivePage:
    """The page of the run in a folder."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()
        self._latest: Rendered | None = None
        self._rests_until = 0.0

    def render(self) -> Rendered:
        """The page at the store's revision, or a little before. SettingsError, StoreError when it cannot be read."""
        with self._lock:
            begin = self._clock()
            if self._latest is not None and begin < self._rests_until:
                return self._latest
            revision = read_revision(self._folder)
            if self._latest is None or revision != self._latest.revision:
                self._latest = _render(self._folder, revision)
                end = self._clock()
                self._rests_until = end + REST * (end - begin)
            return self._latest

    def trial(self, trial_id: str) -> bytes | None:
        """All about one trial as JSON, its files too; None if there is no such trial. Errors as `render`."""
        history = self.render().history
        panel = trial_panel(history, trial_id)
        if panel is None:
            return None
        proposal = next(row.trial.proposal for row in history.rows if row.trial.trial_id == trial_id)
        files = trial_files(self._folder, trial_id, proposal.proposal_id)
        return encodable(encode_data({**asdict(panel), "files": files})).encode()


def _render(folder: Path, revision: int) -> Rendered:
    """The history is read after the revision: what it has more of is rendered once more."""
    history = read_run(folder)
    body = report_body(
        history,
        transfers=read_transfers(folder),
        ablations=read_ablations(folder),
        kept=look_at_kept(folder),
    )
    drawn = {"revision": revision, "chart": asdict(chart(history))}
    document = page(title_of(history), body, drawn, is_live=True)
    data = encode_data({**drawn, "body": body})
    return Rendered(revision, history, encodable(document).encode(), encodable(data).encode())
