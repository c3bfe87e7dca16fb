"""A coding agent edits a script's files at their paths; what else it leaves is named and not taken."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from scripts import FILES, script_view
from stand_ins import install

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.agents.agent import Agent
from autoresearch_ray.propose.llm.agents.folder import fill_folder
from autoresearch_ray.propose.llm.answer import parse_answer
from autoresearch_ray.propose.llm.calls import Message, Prompt
from autoresearch_ray.propose.llm.prompt.prompt import build_prompt
from autoresearch_ray.propose.llm.script_files import ScriptFiles

EDIT = """\
kernel = here / "src" / "dot.c"
kernel.write_text(kernel.read_text().replace("i++", "i += 2"))
assert "EPOCHS = 40" in (here / "fit.py").read_text() and "fit.py, src/dot.c" in prompt
(here / "notes.txt").write_text("mine")
(here / "src" / "helper.c").write_text("int one;")
end("hypothesis: Half of the passes.\\nexpected: +0.01")
"""
VIEW = replace(script_view(), form="folder", ideas=1)
SCRIPT = ScriptFiles(VIEW.frontier.text, -1)


def call(tmp_path: Path, prompt: Prompt) -> str:
    """The answer of an agent that makes EDIT."""
    install(tmp_path / "bin", "claude", EDIT)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    return asyncio.run(Agent("agent:claude", "claude", environment)(prompt)).text


def test_only_the_files_that_may_change_are_taken_and_the_others_are_named(tmp_path: Path) -> None:
    answer = call(tmp_path, build_prompt(VIEW))
    assert answer.startswith("Not taken, for they are no files that may change: notes.txt, src/helper.c.\n")
    (idea,) = parse_answer(answer, script=SCRIPT)
    assert idea.whole_file == VIEW.frontier.text.replace("i++", "i += 2") and not idea.problem
    assert idea.expected_effect == -0.01 and idea.hypothesis == "Half of the passes."


def test_a_repair_begins_with_what_the_last_answer_left(tmp_path: Path) -> None:
    prompt = build_prompt(VIEW)
    turns = (Message("assistant", call(tmp_path, prompt)), Message("user", "Mend it."))
    folder = fill_folder(tmp_path, replace(prompt, messages=(*prompt.messages, *turns)), {})
    assert (tmp_path / "src/dot.c").read_text() == dict(SCRIPT.files)["src/dot.c"].replace("i++", "i += 2")
    assert folder.task.endswith("Mend it.") and "by editing fit.py, src/dot.c in this folder" in folder.task


def test_a_link_and_a_file_that_is_gone_are_no_change(tmp_path: Path) -> None:
    folder = fill_folder(tmp_path, build_prompt(VIEW), {})
    (tmp_path / "fit.py").unlink()
    (tmp_path / "src/dot.c").unlink()
    (tmp_path / "src/dot.c").symlink_to("/etc/hosts")
    assert folder.read_answer("I broke it.") == "I broke it."


def test_a_file_that_has_the_name_of_the_agent_s_own_is_refused(tmp_path: Path) -> None:
    prompt = build_prompt(script_view(start=FILES.replace("#### file: fit.py ####", "#### file: contract.md ####")))
    with pytest.raises(SettingsError, match=r"editable: contract\.md is where agents find their task"):
        fill_folder(tmp_path, prompt, {})
