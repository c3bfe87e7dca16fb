"""A coding agent as an Ask: a throw-away folder goes in, the train.py that it leaves there comes out as an answer.

    ask = Agent("agent:claude", "claude", environment)
    answer = await ask(prompt)      # `<idea 1>`, its last words as the hypothesis, and the whole train.py

In the folder are train.py, program.md, contract.md and history.md, and nothing else of this machine. Every call makes
it anew; a repair begins with the train.py that the agent's last answer left. Any number of calls at once. Of a script
it is the files that may change, at their paths; others that the agent makes are named in the answer and not read.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from autoresearch_ray.common.errors import BadAnswerError, ProviderRefusedError, ProviderTimeoutError, SettingsError
from autoresearch_ray.common.text import last_line, one_line
from autoresearch_ray.propose.llm.agents.folder import fill_folder
from autoresearch_ray.propose.llm.agents.process import Ended, run_command
from autoresearch_ray.propose.llm.agents.registry import MALFORMED, Said, find_agent, is_allowed
from autoresearch_ray.propose.llm.calls import Answer, Prompt

SECONDS = 900.0  # limit for one call
LOG_CHARACTERS = 100_000  # output kept beside the answer
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
            folder = fill_folder(Path(name), prompt, self._facts.files)
            command = [self._executable, *self._facts.arguments(folder.task, self._model)]
            try:
                ended = await run_command(
                    command, folder.path, self._environment, folder.task if self._facts.by_input else "", self._seconds
                )
            except OSError as error:
                raise ProviderRefusedError(
                    f"{self.who}: {self._executable} cannot be started ({error.strerror})", billed=UNCOUNTED
                ) from None
            said = self._read_last_words(ended)
            text = folder.read_answer(said.words)
        tokens = said.tokens or UNCOUNTED
        return Answer(
            text=text,
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
    """The path of the agent's program. SettingsError says how to install it."""
    facts, _ = find_agent(name)
    found = shutil.which(facts.executable, path=environment.get("PATH"))
    if found is None:
        raise SettingsError(
            f"--proposer agent:{name}: there is no program {facts.executable}; expected {facts.install}"
        )
    return found
