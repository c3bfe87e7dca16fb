"""Answers about a script's files: every form goes to the right file, and what goes to none is said clearly."""

import asyncio

import pytest
from scripts import FILES, FIT, KERNEL, script_view
from test_session import PROMPT, Script
from wire import Say, WireServer
from wire_client import with_provider

from autoresearch_ray.propose.llm.answer import ParsedIdea, parse_answer
from autoresearch_ray.propose.llm.conversation import Conversation, Gates, Idea, Rejection, Subject
from autoresearch_ray.propose.llm.diffs import read_patch
from autoresearch_ray.propose.llm.edits import apply_edits
from autoresearch_ray.propose.llm.script_files import ScriptFiles
from autoresearch_ray.propose.llm.session import propose
from autoresearch_ray.propose.llm.window import Window, propose_within
from autoresearch_ray.records.source_files import join

SCRIPT = ScriptFiles(FILES, -1)
DEFINE = KERNEL.splitlines()[0]
UNROLLED = KERNEL.replace("i++", "i += 2")
HEAD = "<idea 1>\nhypothesis: It is faster.\nexpected: +0.01\n"


def edit(search: str, put: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{put}\n>>>>>>> REPLACE\n"


def parsed(body: str, script: ScriptFiles = SCRIPT) -> ParsedIdea:
    (idea,) = parse_answer(f"{HEAD}{body}</idea>\n", script=script)
    return idea


def text_of(body: str, script: ScriptFiles = SCRIPT) -> str:
    """The candidate that an answer makes."""
    idea = parsed(body, script)
    assert not idea.problem, idea.problem
    text = idea.whole_file if idea.whole_file is not None else apply_edits(script.text, idea.blocks)
    assert isinstance(text, str), text
    return text


def fault_of(body: str) -> str:
    """What is wrong with it."""
    idea = parsed(body)
    if idea.problem:
        return idea.problem
    found = apply_edits(FILES, idea.blocks)
    assert isinstance(found, tuple), found
    return "\n".join(map(str, found))


GOOD = {
    "a block": edit("    for (int i = 0; i < size; i++)", "    for (int i = 0; i < size; i += 2)"),
    "a block with the heading in both parts": edit(
        f"#### file: src/dot.c ####\n{KERNEL.splitlines()[0]}", f"#### file: src/dot.c ####\n{KERNEL.splitlines()[0]}"
    )
    + edit("    for (int i = 0; i < size; i++)", "    for (int i = 0; i < size; i += 2)"),
    "a block below its file's name": "**src/dot.c**\n\n"
    + edit("    for (int i = 0; i < size; i++)", "    for (int i = 0; i < size; i += 2)"),
    "a unified diff": "```diff\n--- a/src/dot.c\n+++ b/src/dot.c\n@@ -6,2 +6,2 @@\n     double sum = 0;\n"
    "-    for (int i = 0; i < size; i++)\n+    for (int i = 0; i < size; i += 2)\n```\n",
    "a whole file below its heading": f"#### file: src/dot.c ####\n```c\n{UNROLLED}```\n",
    "a whole file below its name": f"`src/dot.c`:\n```\n{UNROLLED}```\n",
    "a whole file by the end of its path": f"### dot.c\n```c\n{UNROLLED}```\n",
    "all files in one code block": f"```\n{FILES.replace('i++', 'i += 2')}```\n",
}


@pytest.mark.parametrize("form", GOOD)
def test_every_form_changes_the_file_that_it_means(form: str) -> None:
    assert text_of(GOOD[form]) == FILES.replace("i++", "i += 2")


def test_a_change_of_the_metric_is_turned_once_into_what_decisions_read() -> None:
    body = edit("RATE = 0.1  # step of the fit; search log(0.01, 1.0)", "RATE = 0.2")
    assert parsed(body).expected_effect == -0.01
    assert parsed(body, ScriptFiles(FILES, 1)).expected_effect == 0.01


def test_a_diff_of_two_files_goes_to_both_though_their_lines_are_alike() -> None:
    twins = ScriptFiles(join((("a.yaml", "depth: 1\nseed: 2\n"), ("b.yaml", "depth: 1\n"))))
    patch = "".join(
        f"--- a/{name}.yaml\n+++ b/{name}.yaml\n@@ -1 +1 @@\n-depth: 1\n+depth: {depth}\n"
        for name, depth in (("a", 2), ("b", 3))
    )
    expected = join((("a.yaml", "depth: 2\nseed: 2\n"), ("b.yaml", "depth: 3\n")))
    assert text_of(patch, twins) == expected
    assert apply_edits(twins.text, read_patch(patch)) == expected


def test_a_whole_yaml_file_is_no_prose() -> None:
    script = ScriptFiles(join((("grid.yaml", "depth: 4\nrate: 0.1\n"),)))
    assert text_of("```yaml\ndepth: 5\nrate: 0.1\n```\n", script) == join((("grid.yaml", "depth: 5\nrate: 0.1\n"),))


def test_a_lone_train_py_needs_no_heading_and_no_function_train() -> None:
    lone = ScriptFiles("rate = 0.1\nprint(rate)\n")
    assert text_of("```python\nrate = 0.2\nprint(rate)\n```\n", lone) == "rate = 0.2\nprint(rate)\n"
    assert text_of(edit("rate = 0.1", "rate = 0.3"), lone) == "rate = 0.3\nprint(rate)\n"


def test_a_snippet_is_not_taken_for_the_only_file() -> None:
    only = ScriptFiles(join((("fit.py", FIT),)))
    snippet = "```python\nweights = 0\n```\n"
    assert "no whole file in a code block below a line `#### file: fit.py ####`" in parsed(snippet, only).problem
    assert text_of(snippet + edit("EPOCHS = 20  # passes over the rows; search int(5, 80)", "EPOCHS = 30"), only)


BAD = {
    "a heading left out": (
        edit("#### file: src/dot.c ####\n{DEFINE}", "#define BLOCK 32"),
        "block 1: it takes out, adds or renames a line that names a file; such lines belong to no file",
    ),
    "a heading renamed": (
        edit("#### file: src/dot.c ####", "#### file: src/fast.c ####"),
        "no file can be added, removed or renamed",
    ),
    "a file added": (
        edit("    return sum;\n}", "    return sum;\n}\n#### file: new.py ####\nX = 1"),
        "expected one of fit.py, src/dot.c",
    ),
    "a heading that is none": (
        edit(f"#### file: dot.c ####\n{DEFINE}", "x"),
        "has the line `#### file: dot.c ####`, which names no file here; expected one of fit.py, src/dot.c",
    ),
    "a diff of another file": (
        "```diff\n--- a/data.py\n+++ b/data.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n```\n",
        "it is for the file data.py; expected one of fit.py, src/dot.c",
    ),
    "lines of another file": (
        "#### file: fit.py ####\n" + edit("    double sum = 0;", "    float sum = 0;"),
        "is nowhere in fit.py",
    ),
    "a new whole file": (
        "#### file: helper.py ####\n```python\nX = 1\n```\n",
        "it gives a file helper.py; expected fit.py, src/dot.c, for no file can be added or renamed",
    ),
    "a file given twice": (
        2 * f"#### file: src/dot.c ####\n```c\n{KERNEL}```\n",
        "src/dot.c is given twice as a whole",
    ),
    "a whole file without its name": (f"```c\n{UNROLLED}```\n", "below a line `#### file: fit.py ####` that names it"),
    "no edit": ("I would unroll it.\n", "there is no SEARCH/REPLACE block and no whole file in a code block below"),
}


@pytest.mark.parametrize("form", BAD)
def test_what_goes_to_no_file_is_said_with_the_files_that_there_are(form: str) -> None:
    body, words = BAD[form]
    assert words in fault_of(body)


def test_places_are_named_by_file_and_line() -> None:
    twins = join((("a.py", "x = 1\ny = 2\nx = 1\n"), ("b.py", "x = 1\n")))
    found = apply_edits(twins, parsed(edit("x = 1", "x = 2")).blocks)
    assert isinstance(found, tuple) and "at 3 places, from lines a.py:1, a.py:3, b.py:1" in str(found[0])


async def no_dry_run(text: str) -> str | None:
    return None


def converse(*answers: str) -> tuple[Conversation, list[str]]:
    """A conversation about two files of Python; what the model was asked after its first answer."""
    script = Script(list(answers))
    gates = Gates(check=lambda text: None, find_duplicate=lambda text: None, dry_run=no_dry_run)

    async def accept(idea: Idea) -> None:
        return

    subject = Subject("files", is_script=True, sign=-1)
    made = asyncio.run(propose(script, PROMPT, FILES, gates, accept, subject=subject))
    return made, [prompt.messages[-1].text for prompt in script.prompts[1:]]


def test_a_conversation_mends_an_edit_of_a_heading() -> None:
    bad = f"{HEAD}{edit('#### file: src/dot.c ####', '#### file: dot.c ####')}</idea>\n"
    good = f"{HEAD}{edit('    double sum = 0;', '    long double sum = 0;')}</idea>\n"
    conversation, (asked,) = converse(bad, good)
    assert "renames a line that names a file" in asked and "the files shown at the start" in asked
    (idea,) = conversation.ideas
    assert idea.text == FILES.replace("double sum", "long double sum") and idea.expected_effect == -0.01


def test_comments_alone_are_no_new_files() -> None:
    same = f"{HEAD}{edit('    double sum = 0;', '    double sum = 0;  // nothing yet')}</idea>\n"
    conversation, _ = converse(same, "I give up.", "I give up.")
    (rejection,) = conversation.outcomes
    assert isinstance(rejection, Rejection) and rejection.reason == "duplicate"


def test_a_provider_is_asked_about_a_script_and_its_answer_applied() -> None:
    view = script_view()
    answer = f"{HEAD}#### file: src/dot.c ####\n```c\n{UNROLLED}```\n</idea>\n"
    gates = Gates(check=lambda text: None, find_duplicate=lambda text: None, dry_run=no_dry_run)

    async def accept(idea: Idea) -> None:
        return

    with WireServer("anthropic", [Say(answer)]) as server:
        (idea,) = with_provider(server, lambda model: propose_within(Window(), model, view, gates, accept)).ideas
        assert "accuracy 0.9645" in server.requests[0].text and "val_bpb" not in server.requests[0].text
    assert idea.text == view.frontier.text.replace("i++", "i += 2") and idea.expected_effect == -0.01
