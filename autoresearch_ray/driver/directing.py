"""What `direct` shows of a run, and a person's edit of its directives, checked before it is handed over."""

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from autoresearch_ray.common.errors import DirectivesError, SettingsError
from autoresearch_ray.common.paths import DIRECTIVES_FOLDER
from autoresearch_ray.driver.tables.sources import is_running
from autoresearch_ray.observe import facts
from autoresearch_ray.observe.guidance import (
    DIRECTION_HEADS,
    PROPOSER_HEADS,
    align,
    direction_rows,
    findings_lines,
    proposer_rows,
)
from autoresearch_ray.propose.director.directives import directives_text
from autoresearch_ray.records.guidance import NO_DIRECTIVES, PERSON, STATISTICS, Directives
from autoresearch_ray.records.history import History
from autoresearch_ray.search.watches.directives import Action, Edit, apply_edit, leave_edit
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.connect import read_run

HELP = """\
# Where the models are asked to look. Lines that begin with # are left out; program.md stands above all of it.
#   direction: a title of one line       begins a direction
#   reason: what speaks for it
#   share: 0.4                           its part of the askings at first; what it earns decides after that
#   stop: what is not worth trying any more
#   note: what the results say
"""


def show(run_dir: Path) -> Iterator[str]:
    """Findings and directives of a run as lines."""
    history = read_run(run_dir)
    words = facts.score_words(history)
    yield from findings_lines(history.findings, words)
    yield ""
    newest = newest_directives(history)
    yield from _describe(newest)
    yield from align(words.heads(DIRECTION_HEADS), direction_rows(history))
    yield from align(words.heads(PROPOSER_HEADS), proposer_rows(history))
    waiting = len(list((run_dir / DIRECTIVES_FOLDER).glob("*.json")))
    if waiting:
        yield f"{waiting} edit{'s' * (waiting > 1)} waiting for the run to go on"


def newest_directives(history: History) -> Directives:
    """The last version; an empty one before the first."""
    return history.directives[-1] if history.directives else NO_DIRECTIVES


def edit(run_dir: Path, action: Action, file: Path | None) -> str:
    """Hand over an edit; what to tell the person. SettingsError for what no run could take."""
    history = read_run(run_dir)
    before = newest_directives(history)
    text = _read_text(before, history, file) if action == "edit" else ""
    made = Edit(action, text, time.time())
    try:
        apply_edit(made, before)
    except DirectivesError as error:
        raise SettingsError(f"{file or 'what was typed'}: {error}") from None
    leave_edit(run_dir, made)
    when = "the launch that runs takes it now" if is_running(run_dir) else "the run takes it when it is resumed"
    models = RunSettings.model_validate(history.settings).has_models
    nobody = "" if models else "; no language model proposes in it, so nobody reads directions"
    return f"{when}{nobody}"


def _read_text(before: Directives, history: History, file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file}: cannot be read ({error}); expected directions as a text") from None
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="autoresearch-direct-") as folder:
        path = Path(folder) / f"directions-{history.settings.get('tag', 'run')}.txt"
        path.write_text(f"{HELP}\n{directives_text(before)}")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SettingsError(f"{editor}: {error}; nothing was changed, name an editor in EDITOR") from None
        text = path.read_text()
    if text.removeprefix(HELP).strip() == directives_text(before).strip():
        raise SettingsError("nothing was changed; --pin keeps the directions as they are")
    return text


def _describe(directives: Directives) -> Iterator[str]:
    if not directives.version:
        yield "no directions yet"
        return
    who = {STATISTICS: "by statistics", PERSON: "by a person"}.get(directives.author, f"by {directives.author}")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(directives.at))
    suffix = ", switched off" if directives.off else ", pinned" if directives.pinned else ""
    yield f"directions, version {directives.version}, {who}, {when}, after {directives.results} results{suffix}"
    yield from directives_text(directives).rstrip().split("\n")
