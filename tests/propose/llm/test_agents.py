"""A coding agent's edit of train.py is an idea like a model's, whatever the agent does beside it."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pasts import Story
from small_run import CANDIDATE
from stand_ins import install

from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.common.errors import (
    BadAnswerError,
    ProviderError,
    ProviderRefusedError,
    ProviderTimeoutError,
    SettingsError,
)
from autoresearch_ray.propose.llm.agents.agent import Agent
from autoresearch_ray.propose.llm.agents.process import MARK
from autoresearch_ray.propose.llm.agents.registry import AGENTS
from autoresearch_ray.propose.llm.answer import parse_answer
from autoresearch_ray.propose.llm.calls import Answer, Prompt
from autoresearch_ray.propose.llm.conversation import Conversation, Gates, Idea, Rejection
from autoresearch_ray.propose.llm.metered import Metered
from autoresearch_ray.propose.llm.prompt.prompt import build_prompt
from autoresearch_ray.propose.llm.prompt.rebase_text import RebaseView
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.llm.session import propose
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.settings import proposer_spec
from autoresearch_ray.settings.request import ask
from autoresearch_ray.store.sqlite.store import SqliteStore

EDITS = "edit(SGD, ADAM)\nend(WORDS)\n"


def view() -> SearchView:
    frontier = replace(Story().view().frontier, text=CANDIDATE, code_lines=16)
    return replace(Story().view(), frontier=frontier, best=frontier, form="folder", ideas=1)


def environment(bin_folder: Path) -> dict[str, str]:
    return {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(bin_folder)}


def call(bin_folder: Path, name: str, seconds: float = 60, more: Mapping[str, str] | None = None) -> Answer:
    agent = Agent(f"agent:{name}", name, environment(bin_folder) | dict(more or {}), seconds)
    return asyncio.run(agent(build_prompt(view())))


def left(bin_folder: Path) -> list[int]:
    """Processes that a call of an agent there has left."""
    found = []
    for process in psutil.process_iter():
        try:
            if MARK in (variables := process.environ()) and variables["HOME"] == str(bin_folder):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.parametrize(
    ("name", "model", "micros"),
    [
        ("claude", "opus", 12_300),
        ("claude:sonnet", "sonnet", 12_300),
        ("codex", "codex", None),
        ("gemini", "gemini-pro", None),
        ("opencode", "opencode", 12_300),
    ],
)
def test_each_agents_documented_protocol_gives_an_idea_and_its_cost(
    name: str, model: str, micros: int | None, tmp_path: Path
) -> None:
    install(tmp_path / "bin", name.partition(":")[0], EDITS)
    answer = call(tmp_path / "bin", name)
    (idea,) = parse_answer(answer.text)
    assert not idea.problem and idea.whole_file is not None and "torch.optim.Adam(" in idea.whole_file
    assert idea.whole_file.replace("Adam(model.parameters(), lr=0.03)", "SGD(model.parameters(), lr=LR)") == CANDIDATE
    assert (idea.hypothesis, idea.expected_effect) == ("Adam scales each weight's step by itself.", -0.01)
    assert (answer.model, answer.micros) == (model, micros)
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens) == (2300, 800, 90)


def test_a_command_of_ones_own_reads_the_task_and_says_its_last_paragraph(tmp_path: Path) -> None:
    body = "assert arguments == ['--deep', 'x=1'], arguments\n" + EDITS
    path = install(tmp_path / "bin", "mine", body, protocol="own")
    (idea,) = parse_answer(call(tmp_path / "bin", f"{path} --deep x=1").text)
    assert idea.hypothesis == "Adam scales each weight's step by itself." and not idea.problem


def test_the_folder_has_the_candidate_the_program_the_contract_and_the_history(tmp_path: Path) -> None:
    body = (
        "print(sorted(os.listdir()), file=sys.stderr)\n"
        "print((here / 'contract.md').read_text()[-900:], (here / 'program.md').read_text(), file=sys.stderr)\n"
        "assert (here / 'train.py').read_text().startswith('import torch\\n'), 'as it is'\n"
        "assert 'one change to train.py' in prompt and 'Noise:' in (here / 'history.md').read_text()\n"
    )
    install(tmp_path / "bin", "claude", body + EDITS)
    log = call(tmp_path / "bin", "claude").log
    assert "['contract.md', 'history.md', 'program.md', 'train.py']" in log
    assert "You edit train.py in your folder, and end." in log and "SEARCH" not in log
    assert "# The program, by the owners of this search" in log and "every idea starts from" not in log


def test_an_agent_gets_its_own_key_and_no_other(tmp_path: Path) -> None:
    names = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY")
    body = f"print([name for name in {names} if name in os.environ], file=sys.stderr)\n"
    install(tmp_path / "bin", "claude", body + EDITS)
    log = call(tmp_path / "bin", "claude", more=dict.fromkeys(names, "secret-of-mine")).log
    assert "['ANTHROPIC_API_KEY', 'HTTPS_PROXY']" in log and "secret-of-mine" not in log


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("time.sleep(600)\n", ProviderTimeoutError, "no end after 3 s"),
        ("while True: sys.stdout.write('x' * 65536)\n", BadAnswerError, "printed without end"),
        ("print('Segmentation fault'); sys.exit(3)\n", BadAnswerError, "(exit status 3): Segmentation fault"),
        ("fail('Invalid API key · Please run /login')\n", BadAnswerError, "Invalid API key · Please run /login"),
    ],
    ids=["hangs", "prints a gigabyte", "crashes", "says an error"],
)
def test_an_agent_that_fails_is_told_and_leaves_nothing_behind(
    body: str, error: type[ProviderError], words: str, tmp_path: Path
) -> None:
    child = "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    install(tmp_path / "bin", "claude", child + body)
    with pytest.raises(error) as raised:
        call(tmp_path / "bin", "claude", seconds=3 if "sleep(600)\n" in body else 60)
    assert words in str(raised.value)
    assert left(tmp_path / "bin") == []


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
def test_what_an_agent_says_was_wrong_is_told_in_its_words(name: str, tmp_path: Path) -> None:
    install(tmp_path / "bin", name, "fail('You have reached your limit, it resets at 15:00')\n")
    with pytest.raises(BadAnswerError, match="it resets at 15:00"):
        call(tmp_path / "bin", name)


@pytest.mark.parametrize(
    "body",
    [
        "end('Which of the two do you prefer?')\n",
        "answer = input('Proceed? ') if False else sys.stdin.read()\nend('Nothing is worth a trial.')\n",
        "(here / 'model.py').write_text('x = 1')\nos.chmod('program.md', 0o644)\n"
        "(here / 'program.md').write_text('be quick')\nend(WORDS)\n",
        "(here / 'train.py').unlink()\nend(WORDS)\n",
        "(here / 'train.py').unlink()\n(here / 'train.py').symlink_to('/etc/passwd')\nend(WORDS)\n",
        "(here / 'train.py').write_bytes(b'\\xff\\xfe' * 99)\nend(WORDS)\n",
    ],
    ids=["asks", "reads on", "edits other files", "deletes it", "links it", "no text"],
)
def test_without_a_change_of_train_py_there_is_no_idea(body: str, tmp_path: Path) -> None:
    install(tmp_path / "bin", "claude", body)
    answer = call(tmp_path / "bin", "claude")
    assert not any(idea.whole_file for idea in parse_answer(answer.text)) and "root:" not in answer.text


def test_a_child_that_left_its_session_is_ended_and_the_folder_is_gone(tmp_path: Path) -> None:
    body = (
        "subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)\n"
        f"pathlib.Path({str(tmp_path / 'where')!r}).write_text(str(here))\n"
    )
    install(tmp_path / "bin", "claude", body + EDITS)
    (idea,) = parse_answer(call(tmp_path / "bin", "claude").text)
    assert idea.whole_file and left(tmp_path / "bin") == []
    assert not Path((tmp_path / "where").read_text()).exists()


def test_a_call_that_is_cancelled_ends_its_agent(tmp_path: Path) -> None:
    install(tmp_path / "bin", "claude", "time.sleep(600)\n")
    agent = Agent("agent:claude", "claude", environment(tmp_path / "bin"))

    async def cancel() -> None:
        task = asyncio.create_task(agent(build_prompt(view())))
        deadline = time.monotonic() + 30
        while not left(tmp_path / "bin") and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert left(tmp_path / "bin")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    assert left(tmp_path / "bin") == []


def converse(agent: Agent, of: SearchView) -> tuple[Conversation, list[Prompt]]:
    asked = []

    async def asking(prompt: Prompt) -> Answer:
        asked.append(prompt)
        return await agent(prompt)

    async def passes(text: str) -> str | None:
        return None

    async def accept(idea: Idea) -> None:
        return None

    gates = Gates(lambda text: check_candidate(text, 40), lambda text: None, passes)
    prompt = build_prompt(of)
    return asyncio.run(propose(asking, prompt, of.frontier.text, gates, accept, form=of.form)), asked


def test_a_refused_edit_is_mended_in_the_folder_as_it_was_left(tmp_path: Path) -> None:
    body = (
        "if 'rule refuses it' in prompt:\n"
        "    edit('import os\\n\\n', '')\n"
        "else:\n"
        "    edit('import torch\\n', 'import os\\n\\nimport torch\\n')\n"
        "    edit(SGD, ADAM)\n"
        "end(WORDS)\n"
    )
    install(tmp_path / "bin", "claude", body)
    agent = Agent("agent:claude", "claude", environment(tmp_path / "bin"))
    conversation, asked = converse(agent, view())
    (idea,) = conversation.ideas
    assert "Adam" in idea.text and "import os" not in idea.text and idea.repairs == 1
    assert "Mend it there" in asked[1].messages[-1].text and "SEARCH" not in asked[1].messages[-1].text


def test_an_agent_that_changes_nothing_is_asked_once_more_and_then_told_as_a_rejection(tmp_path: Path) -> None:
    install(tmp_path / "bin", "claude", "end('Nothing is worth a trial.')\n")
    agent = Agent("agent:claude", "claude", environment(tmp_path / "bin"))
    conversation, asked = converse(agent, view())
    (rejection,) = conversation.outcomes
    assert isinstance(rejection, Rejection) and "Nothing is worth a trial." in rejection.detail
    assert len(asked) == 2 and "train.py is as it was" in asked[1].messages[-1].text


def test_a_stale_idea_is_brought_into_the_folders_train_py_or_withdrawn(tmp_path: Path) -> None:
    of = replace(view(), rebase=RebaseView("Momentum helps.", "a = 1\n", "a = 2\n"))
    body = "assert 'Bring this one idea into the train.py of your folder' in prompt, prompt\n"
    install(tmp_path / "bin", "claude", body + "end('no longer applies: it stands there')\n")
    agent = Agent("agent:claude", "claude", environment(tmp_path / "bin"))
    conversation, asked = converse(agent, of)
    (rejection,) = conversation.outcomes
    assert len(asked) == 1 and isinstance(rejection, Rejection) and rejection.detail == "it stands there"


def test_a_missing_program_is_one_line_with_how_to_get_it() -> None:
    with pytest.raises(SettingsError, match=r"no program codex; expected npm install -g @openai/codex"):
        Agent("agent:codex", "codex", {"PATH": "/nonexistent"})


@pytest.mark.parametrize(
    ("text", "model", "weight"),
    [
        ("agent:claude", "claude", 1.0),
        ("agent:claude:opus=0.5", "claude:opus", 0.5),
        ("agent:my --x=1", "my --x=1", 1.0),
    ],
)
def test_an_agent_is_named_with_its_model_or_as_a_command(text: str, model: str, weight: float) -> None:
    (spec,) = ask(proposers=(text,)).proposers
    assert (spec.name, spec.model, spec.weight) == ("agent", model, weight)


def test_the_agents_that_the_help_names_are_those_that_there_are() -> None:
    assert re.findall(r"agent:(\w+)", proposer_spec.AGENTS) == list(AGENTS)


def test_which_agent_must_be_said() -> None:
    with pytest.raises(SettingsError, match="--proposer agent: which agent"):
        ask(proposers=("agent",))


def test_calls_are_capped_in_number_over_all_processes_where_no_price_is_known(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    said = Answer("words", "end", "m", 0, 0, 0, 1.0, micros=250_000)

    async def answer(prompt: Prompt) -> Answer:
        return said

    def metered(limit: int) -> Metered:
        return Metered(answer, "agent:claude", None, Spending(store, 5.0, limit))

    prompt = build_prompt(view())
    for _ in range(2):
        asyncio.run(metered(2)(prompt))
    with pytest.raises(ProviderRefusedError, match="--max-calls 2 is reached"):
        asyncio.run(metered(2)(prompt))
    charges = Spending(store).charges().values()
    assert Spending(store).sum_spent_micros() == 500_000 and all(charge.priced for charge in charges)


def test_what_agents_say_that_they_cost_counts_towards_the_dollars(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")

    async def answer(prompt: Prompt) -> Answer:
        return Answer("words", "end", "m", 0, 0, 0, 1.0, micros=3_000_000)

    metered = Metered(answer, "agent:claude", None, Spending(store, 5.0, 100))
    prompt = build_prompt(view())
    asyncio.run(metered(prompt))
    asyncio.run(metered(prompt))
    with pytest.raises(ProviderRefusedError, match="--max-cost-usd"):
        asyncio.run(metered(prompt))
