"""Weights & Biases: a run of the project that WANDB_PROJECT names; its files are in `wandb/` of the run's folder.

Every variable of W&B's own is obeyed, WANDB_MODE=offline too. Console and code are not captured: the terminal is the
search's own.
"""

import contextlib
import math
import os

import psutil
import wandb

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.tools.news import TrialNews, WinNews
from autoresearch_ray.driver.tools.tracker import PROJECT, TrackedRun
from autoresearch_ray.records.trials import Candidate

SERVICE = "wandb-core"  # the process that sends for the SDK; leaving Python waits for it, even if it never ends


def check_key() -> None:
    """SettingsError unless W&B has a key, or needs none. It does not ask for one: a run may have no terminal."""
    if os.environ.get("WANDB_MODE", "online") in ("offline", "disabled", "dryrun"):
        return
    try:
        is_known = wandb.login(prompt=False)
    except wandb.errors.Error as error:
        raise SettingsError(f"--log wandb: {' '.join(str(error).split())}") from None
    if not is_known:
        raise SettingsError(
            "--log wandb: there is no key; say `wandb login`, set WANDB_API_KEY, or WANDB_MODE=offline to send later"
        )


class WeightsAndBiases:
    """A Tracker."""

    def __init__(self, run: TrackedRun) -> None:
        self._name = f"best-{run.name}"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run.run_id,
            name=run.name,
            dir=str(run.folder),
            config=run.params,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                disable_job_creation=True,
                x_save_requirements=False,
                x_disable_stats=True,  # else it starts a process that measures this machine, next to the trials
            ),
        )
        self._run.config.update(run.params, allow_val_change=True)

    def note_trial(self, news: TrialNews) -> None:
        """One row of the run's history. W&B itself ignores a number that it has already."""
        self._run.log(news.metrics(), step=news.number)

    def note_win(self, news: WinNews, candidate: Candidate) -> None:
        """A version of the artefact `best-<tag>`."""
        facts = {"score": news.score, "metric": news.metric, "direction": news.direction, "doubt": news.doubt}
        facts |= {"commit": news.commit, "trial": news.trial_id, "hypothesis": news.hypothesis}
        facts |= {} if math.isnan(news.val_bpb) else {"val_bpb": news.val_bpb}
        artifact = wandb.Artifact(self._name, type="candidate", description=news.hypothesis, metadata=facts)
        for path, text in (*candidate.files, ("change.diff", news.diff)):
            with artifact.new_file(path, encoding="utf-8") as file:
                file.write(text)
        self._run.log_artifact(artifact, aliases=[f"win-{news.number}"])

    def close(self) -> None:
        """Wait until all is sent."""
        self._run.finish()

    def abandon(self) -> None:
        """End the process that sends; its files stay, and `wandb sync` sends them later. The next run gets another."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process().children():
                if process.name() == SERVICE:
                    process.kill()
        with contextlib.suppress(Exception, SystemExit):  # it would end this process when it finds its own dead
            wandb.teardown()
