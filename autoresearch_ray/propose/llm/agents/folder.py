"""The folder that a coding agent works in: the files that it may read and edit, and the edit that it leaves.

folder = fill_folder(path, prompt, settings)     # the frontier's files at their paths, and what to know of them
folder.task                                      # what the agent is asked
folder.read_answer(last_words)                   # its edit, in the format in which models answer
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.answer import HYPOTHESIS, parse_answer
from autoresearch_ray.propose.llm.calls import Prompt
from autoresearch_ray.propose.llm.drafts import FIELD
from autoresearch_ray.propose.llm.prompt.prompt import FRONTIER_HEADING, TASK_HEADING
from autoresearch_ray.propose.llm.prompt.script_parts import SCRIPT_HEADING
from autoresearch_ray.propose.llm.script_files import ScriptFiles
from autoresearch_ray.records.source_files import heading

READ_FIRST = (
    "Read contract.md, program.md and history.md in this folder, then do what follows by editing {files} in this "
    "folder. No other file counts, you cannot run anything, and nobody answers questions.\n\n"
)
MOST_BYTES = 1 << 20  # a larger file is ignored
TOLD_FILES = 8  # ignored files that are named


@dataclass(frozen=True, slots=True)
class Folder:
    """An agent's folder."""

    path: Path
    frontier: ScriptFiles
    is_script: bool
    task: str
    given: frozenset[str]  # paths of all that lies in it

    def read_answer(self, words: str) -> str:
        """The edit as an idea with the agent's last words as its hypothesis; these words alone where it made none."""
        changed = [
            (path, now) for path, was in self.frontier.files if (now := self._read_change(path, was)) is not None
        ]
        if not changed:
            return words.strip()
        return self._tell_others() + self._idea_text(words, changed)

    def _read_change(self, name: str, source: str) -> str | None:
        """A file's new text; None where it was not changed, or is no text file in this folder."""
        path = self.path / name
        try:
            is_inside = path.resolve() == self.path.resolve() / name
            if not is_inside or not path.is_file() or path.stat().st_size > MOST_BYTES:
                return None
            text = path.read_text()
        except (OSError, UnicodeDecodeError):
            return None
        return text if text.strip() and text.strip() != source.strip() else None

    def _tell_others(self) -> str:
        """The files that the agent added, in a line before the idea; "" of our contract, or without any."""
        if not self.is_script:
            return ""
        made = sorted({str(path.relative_to(self.path)) for path in self._list_files()} - self.given)
        more = f" and {len(made) - TOLD_FILES} more" if len(made) > TOLD_FILES else ""
        names = ", ".join(one_line(name, 80) for name in made[:TOLD_FILES])
        return f"Not taken, for they are no files that may change: {names}{more}.\n\n" if made else ""

    def _list_files(self) -> Iterator[Path]:
        """All but what begins with a point: there agents keep things of their own."""
        for top in self.path.iterdir():
            if not top.name.startswith("."):
                yield from [top] if not top.is_dir() or top.is_symlink() else filter(Path.is_file, top.rglob("*"))

    def _idea_text(self, words: str, changed: list[tuple[str, str]]) -> str:
        """The agent's edit in the format in which models answer."""
        lines = [match for match in map(FIELD.match, words.splitlines()) if match]
        fields = {match[1].lower()[:8]: match[2] for match in lines}
        hypothesis = one_line(fields.get("hypothes") or words, HYPOTHESIS) or "It did not say why."
        expected = f"expected: {one_line(fields['expected'], 40)}\n" if "expected" in fields else ""
        files = "".join(self._file_text(path, text) for path, text in changed)
        return f"<idea 1>\nhypothesis: {hypothesis}\n{expected}{files}</idea>\n"

    def _file_text(self, path: str, text: str) -> str:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        language = "python" if path.endswith(".py") else ""
        return f"{heading(path) if self.is_script else ''}{fence}{language}\n{text.rstrip()}\n{fence}\n"


def fill_folder(path: Path, prompt: Prompt, settings: Mapping[str, str]) -> Folder:
    """Write the folder's files; `settings` are the agent's own. SettingsError where two have one name."""
    is_script = f"\n{SCRIPT_HEADING}\n" in prompt.context
    program, _, shown = prompt.context.partition(SCRIPT_HEADING if is_script else FRONTIER_HEADING)
    history, _, task = prompt.messages[0].text.partition(TASK_HEADING)
    frontier = ScriptFiles(_listing(shown))
    begun = frontier
    if len(prompt.messages) > 1:
        before = parse_answer(prompt.messages[-2].text, script=frontier if is_script else None)
        whole = next((idea.whole_file for idea in before if idea.whole_file is not None), frontier.text)
        begun = ScriptFiles(whole)
        task = prompt.messages[-1].text
    files = {"program.md": program, "contract.md": prompt.system, "history.md": history, **settings}
    for name, text in files.items():
        (path / name).write_text(text)
        (path / name).chmod(0o444)
    for name, text in begun.files:
        if name in files:
            raise SettingsError(f"editable: {name} is where agents find their task; rename it to ask an agent")
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    task = READ_FIRST.format(files=", ".join(frontier.paths)) + task.strip()
    return Folder(path, frontier, is_script, task, frozenset({*files, *begun.paths}))


def _listing(shown: str) -> str:
    """The text within the fence that a prompt shows it in."""
    fence, _, rest = shown.strip().partition("\n")
    ticks = re.match("`+", fence)
    assert ticks is not None, shown[:80]
    return rest.rpartition(f"\n{ticks[0]}")[0] + "\n"
