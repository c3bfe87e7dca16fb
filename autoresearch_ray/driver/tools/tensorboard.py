"""TensorBoard's event files, in `tensorboard/` of the run's folder.

Written by tensorboardX, which Ray Tune brings along: TensorBoard itself is needed to look at them alone, TensorFlow
never. The events writer is used without the thread that is put around it elsewhere: that one swallows a full disk.
"""

import os
import time

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import hparams, scalar, text

from autoresearch_ray.driver.tools.news import TrialNews, WinNews
from autoresearch_ray.driver.tools.tracker import TrackedRun
from autoresearch_ray.records.trials import Candidate

FOLDER = "tensorboard"


class TensorBoard:
    """A Tracker. Each launch writes a file of its own, which TensorBoard reads as one run."""

    def __init__(self, run: TrackedRun) -> None:
        folder = run.folder / FOLDER
        folder.mkdir(exist_ok=True)
        self._trials = 0
        suffix = f".{os.getpid()}.{time.time_ns()}"  # default names have whole seconds: two could be equal
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=suffix)
        for summary in hparams(run.params, {"val_bpb" if run.scoring.is_ours else "score": 0.0}):
            self._write(summary, 0)

    def note_trial(self, news: TrialNews) -> None:
        """One scalar a metric."""
        for name, value in news.metrics().items():
            self._write(scalar(name, value), news.number)
        self._trials = news.number

    def note_win(self, news: WinNews, candidate: Candidate) -> None:
        """The hypothesis and the diff, for the page of texts; there are no artefacts."""
        doubt = f", {news.doubt}" if news.doubt else ""
        words = f"win {news.number}{doubt}, commit {news.commit}: {news.hypothesis}\n\n"
        quoted = "".join(f"    {line}\n" for line in news.diff.splitlines())
        self._write(text("win", words + quoted), self._trials)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def abandon(self) -> None:
        """Nothing to do: no thread or file outlives the process."""

    def _write(self, summary: object, step: int) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()
