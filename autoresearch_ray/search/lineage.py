"""The git history of a run, made from its steps alone: same steps, same commit hashes, whenever and wherever made.

`runs/<tag>/lineage` has two branches: `autoresearch/<tag>`, one commit a proven win, checked out, so that its train.py
is the best; and `frontier/<tag>`, one commit an advance and one for each return to the best. Author, dates and message
come from the stored steps; the user's git settings and hooks have no say. Making a commit again changes nothing.
A person may look around in it: other branches, notes and the like are left alone; files are put back at each win.
"""

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from autoresearch_ray.common.errors import LineageError
from autoresearch_ray.common.git_commands import Repository
from autoresearch_ray.common.paths import write_whole
from autoresearch_ray.records.decisions import Step
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.records.unproven import Unproven, disappointed
from autoresearch_ray.settings.score_words import ScoreWords
from autoresearch_ray.settings.scoring import OURS, Scoring

AUTHOR = "autoresearch_ray"
EMAIL = "autoresearch_ray@localhost"
IDENTITY = {  # for every move of a branch too: git asks the name server else, and waits where there is none
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", AUTHOR), ("EMAIL", EMAIL))
}


class Lineage:
    """The repository of one run. One writer."""

    def __init__(self, folder: Path, tag: str, scoring: Scoring = OURS) -> None:
        """Opens or creates it. LineageError if git cannot."""
        self._folder, self._repository, self._words = folder, Repository(folder), ScoreWords(scoring)
        self._best, self._frontier = f"refs/heads/autoresearch/{tag}", f"refs/heads/frontier/{tag}"
        self._tips: dict[str, str] = {}
        self._unproven = Unproven()
        self._wins = 0
        self._shown: Candidate | None = None  # the best, whose files lie in the folder
        self.done = 0  # index of the last step that is in git
        self._repository.create(f"autoresearch/{tag}")
        self._repository.unlock()

    def replay(
        self, steps: Sequence[Step], candidate: Callable[[str], Candidate], committed: dict[int, str]
    ) -> dict[int, str]:
        """Make commits of `steps` (those after `done`, in order); returns the ones that are not in `committed`.

        LineageError if git fails, or if a commit comes out other than recorded: the history was made from something
        else. The next call then begins where this one did.
        """
        made: dict[int, str] = {}
        before = self.done, dict(self._tips), self._unproven, self._wins, self._shown
        try:
            for step in steps:
                commit = self._commit(step, candidate(step.source_sha))
                if committed.get(step.index, commit) != commit:
                    raise LineageError(
                        f"{self._folder}: step {step.index} was commit {committed[step.index]} and now is {commit}"
                    )
                if step.index not in committed:
                    made[step.index] = commit
            self._move_branches()
        except LineageError:
            self.done, self._tips, self._unproven, self._wins, self._shown = before
            raise
        return made

    def _commit(self, step: Step, candidate: Candidate) -> str:
        assert step.index == self.done + 1, (step, self.done)
        self.done = step.index
        if step.kind in ("start", "keep"):
            self._shown = candidate
        if step.kind == "start":
            commit = self._commit_tree(step, candidate, f"Start from the baseline\n\n{step.reason}\n", None)
            self._tips = {self._best: commit, self._frontier: commit}
        elif step.kind == "advance":
            origin = f"Proposed by {step.proposer}, confirmed by {step.trial_id}."
            message = f"{_title(step.hypothesis)}\n\n{step.reason}\nNot proven yet. {origin}\n"
            commit = self._tips[self._frontier] = self._commit_tree(
                step, candidate, message, self._tips[self._frontier]
            )
        elif step.kind == "keep":
            commit = self._tips[self._best] = self._commit_tree(
                step, candidate, self._win_message(step), self._tips[self._best]
            )
        else:
            message = f"Return to the best\n\nThe frontier failed its proof: {step.reason}\n"
            if disappointed(step):
                message = f"Return to an earlier candidate\n\nThe frontier disappointed: {step.reason}\n"
            commit = self._tips[self._frontier] = self._commit_tree(
                step, candidate, message, self._tips[self._frontier]
            )
        self._unproven = self._unproven.after(step)
        return commit

    def _win_message(self, win: Step) -> str:
        steps = (win,) if win.proves == () else self._unproven.judged_by(win)
        self._wins += 1
        title = (
            steps[0].hypothesis
            if len(steps) == 1
            else f"{len(steps)} steps: " + "; ".join(step.hypothesis for step in steps)
        )
        lines = [f"- {step.hypothesis} ({step.proposer}, {step.trial_id})" for step in steps]
        words, doubt = self._words, self._words.scoring.doubt
        score = f"{win.val_bpb:.6f}" if words.is_ours else words.score(win.val_bpb)  # as upstream prints it
        proof = f"{words.name} {score}, gain {words.amount(win.gain)} ({words.bounds(win.gain_low, win.gain_high)})"
        proof += f", {doubt}" if doubt else ""
        checked = f"Every run of its proof passed at full strength: {', '.join(win.checks)}\n" if win.checks else ""
        held_out = f", held-out gain {words.amount(win.holdout_gain)}" if math.isfinite(win.holdout_gain) else ""
        return (
            f"{_title(title)}\n\nWin {self._wins}. {proof}\n{win.reason}{held_out}\n{checked}\n"
            + "\n".join(lines)
            + "\n"
        )

    def _commit_tree(self, step: Step, candidate: Candidate, message: str, parent: str | None) -> str:
        date = f"{int(step.at)} +0000"
        run = self._repository.run
        with tempfile.TemporaryDirectory() as scratch:
            index = {"GIT_INDEX_FILE": f"{scratch}/index"}
            blobs = [(run("hash-object", "-w", "--stdin", text=text), path) for path, text in candidate.files]
            files = "".join(f"100644 {blob}\t{path}\n" for blob, path in blobs)
            run("update-index", "--add", "--index-info", text=files, variables=index)
            tree = run("write-tree", variables=index)
        parents = ["-p", parent] if parent else []
        dates = {f"GIT_{role}_DATE": date for role in ("AUTHOR", "COMMITTER")}
        return run("commit-tree", tree, *parents, "-F", "-", text=message, variables=IDENTITY | dates)

    def _move_branches(self) -> None:
        run = self._repository.run
        for branch, commit in self._tips.items():
            run("update-ref", branch, commit, variables=IDENTITY)
        if self._shown is None:
            return
        before = run("ls-files", "-z").split("\0")
        run("symbolic-ref", "HEAD", self._best)  # whatever a person has checked out: its branch is not moved
        run("read-tree", "--reset", self._best)
        self._show(self._shown, [name for name in before if name])

    def _show(self, best: Candidate, before: Sequence[str]) -> None:
        """Put the best's files into the folder, as they are: git would send them through filters."""
        try:
            for name in set(before) - {path for path, _ in best.files}:
                (self._folder / name).unlink(missing_ok=True)
            for path, text in best.files:
                (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._folder / path, text.encode())
        except OSError as error:
            raise LineageError(f"{self._folder}: cannot be written ({error.strerror})") from None


def _title(hypothesis: str) -> str:
    words = " ".join(hypothesis.split()) or "Change train.py"
    return words if len(words) <= 100 else words[:97] + "..."
