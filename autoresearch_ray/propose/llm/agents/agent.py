"""A coding agent as an Ask: a throw-away folder goes in, the train.py that it leaves there comes out as an answer.

    ask = Agent("agent:claude", "claude", environment)
    answer = await ask(prompt)      # `<idea 1>`, its last words as the hypothesis, and the whole train.py

In the folder are train.py, program.md, contract.md and history.md, and nothing else of this machine. Every call makes
it anew; a repair begins with the train.py that the agent's last answer left. Any number of calls at once.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from autoresearch_ray.errors import BadAnswerError, ProviderRefusedError, ProviderTimeoutError, SettingsError
from autoresearch_ray.propose.llm.agents.known import MALFORMED, Said, find_agent, is_allowed
from autoresearch_ray.propose.llm.agents.process import Ended, run_command
from autoresearch_ray.propose.llm.answer import FIELD, HYPOTHESIS, parse_answer
from autoresearch_ray.propose.llm.calls import Answer, Prompt
from autoresearch_ray.propose.llm.prompt.prompt import FRONTIER_HEADING, TASK_HEADING
from autoresearch_ray.text import last_line, one_line

SECONDS = 900.0  # of one call
CANDIDATE = "train.py"
READ_FIRST = (
    "Read contract.md, program.md and history.md in this folder, then do what follows by editing train.py in this "
    "folder. No other file counts, you cannot run anything, and nobody answers questions.\n\n"
)
MOST_BYTES = 1 << 20  # of a train.py: more is none
LOG_CHARACTERS = 100_000  # of its output that are kept beside the answer
UNCOUNTED = (0, 0, 0, 0)


class Agent:
    """One coding agent. `environment` is what it may inherit; SECONDS after its start a call is ended."""

    def __init__(self, who: str, name: str, environment: Mapping[str, str], seconds: float = SECONDS) -> None:
        """SettingsError if its program is not there."""
        self.who, self._seconds = who, seconds
        self._facts, self._model = find_agent(name)
        self._environment = agent_environment(name, environment)
        self._executable = find_executable(name, environment)

    async def __call__(self, prompt: Prompt) -> Answer:
        """The answer; BadAnswerError, ProviderTimeoutError, or for good ProviderRefusedError."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="agent-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            source, task = _fill(folder, prompt, self._facts.files)
            command = [self._executable, *self._facts.arguments(task, self._model)]
            try:
                ended = await run_command(
                    command, folder, self._environment, task if self._facts.by_input else "", self._seconds
                )
            except OSError as error:
                raise ProviderRefusedError(
                    f"{self.who}: {self._executable} cannot be started ({error.strerror})", billed=UNCOUNTED
                ) from None
            said = self._read_last_words(ended)
            changed = _read_change(folder / CANDIDATE, source)
        tokens = said.tokens or UNCOUNTED
        return Answer(
            text=_idea_text(said.words, changed) if changed is not None else said.words.strip(),
            stop="end",
            model=said.model or self._facts.executable,
            input_tokens=tokens[0],
            cached_tokens=tokens[1],
            output_tokens=tokens[3],
            seconds=time.monotonic() - began,
            written_tokens=tokens[2],
            micros=said.micros,
            log=(ended.output + ended.errors)[-LOG_CHARACTERS:],
        )

    async def close(self) -> None:
        """Nothing is held between calls."""

    def _read_last_words(self, ended: Ended) -> Said:
        if ended.how == "time":
            raise ProviderTimeoutError(f"{self.who}: no end after {self._seconds:g} s; it was ended")
        if ended.how == "output":
            raise BadAnswerError(f"{self.who}: it printed without end; it was ended")
        told = one_line(last_line(ended.errors) or last_line(ended.output), 300)
        try:
            said = self._facts.read(ended.output)
        except MALFORMED:
            raise BadAnswerError(
                f"{self.who}: its output is not what its documentation says (exit status {ended.code}): {told}"
            ) from None
        if said.failed or ended.code:
            why = one_line(said.failed, 300) or told
            raise BadAnswerError(f"{self.who}: it failed (exit status {ended.code}): {why}", billed=said.tokens)
        return said


def agent_environment(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that this agent gets."""
    facts, _ = find_agent(name)
    return {variable: value for variable, value in environment.items() if is_allowed(variable, facts)}


def find_executable(name: str, environment: Mapping[str, str]) -> str:
    """Where the agent's program is. SettingsError says how to install it."""
    facts, _ = find_agent(name)
    found = shutil.which(facts.executable, path=environment.get("PATH"))
    if found is None:
        raise SettingsError(
            f"--proposer agent:{name}: there is no program {facts.executable}; expected {facts.install}"
        )
    return found


def _fill(folder: Path, prompt: Prompt, settings: Mapping[str, str]) -> tuple[str, str]:
    """Write the folder's files; returns the frontier's text and what the agent is asked to do."""
    program, _, shown = prompt.context.partition(FRONTIER_HEADING)
    history, _, task = prompt.messages[0].text.partition(TASK_HEADING)
    source = _listing(shown)
    begun = source
    if len(prompt.messages) > 1:
        before = parse_answer(prompt.messages[-2].text)
        begun = next((idea.whole_file for idea in before if idea.whole_file is not None), source)
        task = prompt.messages[-1].text
    files = {"program.md": program, "contract.md": prompt.system, "history.md": history, **settings}
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o444)
    (folder / CANDIDATE).write_text(begun)
    return source, READ_FIRST + task.strip()


def _listing(shown: str) -> str:
    """The text within the fence that a prompt shows it in."""
    fence, _, rest = shown.strip().partition("\n")
    ticks = re.match("`+", fence)
    assert ticks is not None, shown[:80]
    return rest.rpartition(f"\n{ticks[0]}")[0] + "\n"


def _read_change(path: Path, source: str) -> str | None:
    """What train.py is now; None where it was not changed, or is no text."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return text if text.strip() and text.strip() != source.strip() else None


def _idea_text(words: str, text: str) -> str:
    """The agent's edit in the format in which models answer."""
    lines = [match for match in map(FIELD.match, words.splitlines()) if match]
    fields = {match[1].lower()[:8]: match[2] for match in lines}
    hypothesis = one_line(fields.get("hypothes") or words, HYPOTHESIS) or "It did not say why."
    expected = f"expected: {one_line(fields['expected'], 40)}\n" if "expected" in fields else ""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"<idea 1>\nhypothesis: {hypothesis}\n{expected}{fence}python\n{text.rstrip()}\n{fence}\n</idea>\n"
