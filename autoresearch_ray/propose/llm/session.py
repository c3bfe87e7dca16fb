"""One conversation with a model: from a prompt to ideas that may take a slot.

    conversation = await propose(ask, prompt, source, gates, accept)

The answer's ideas are tried one by one: edits, rules, duplicates, dry run. A good one is handed to `accept` at once;
what failed goes back to the model with the reason, twice at most, and is then a rejection. Knows neither Ray nor
providers: retries of a failed call and what it costs are the ask's.
"""

from dataclasses import dataclass, field, replace

from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.common.errors import CandidateError, ProviderError
from autoresearch_ray.propose.llm.answer import ParsedIdea, parse_answer
from autoresearch_ray.propose.llm.calls import Answer, Ask, Message, Prompt
from autoresearch_ray.propose.llm.conversation import (
    OURS,
    Accept,
    Conversation,
    Exchange,
    Gates,
    Idea,
    Rejection,
    Subject,
)
from autoresearch_ray.propose.llm.edits import apply_edits
from autoresearch_ray.propose.llm.prompt.rebase_text import stands_as_merged, withdrawal
from autoresearch_ray.propose.llm.prompt.view import Form
from autoresearch_ray.propose.llm.repair import (
    CUT,
    EMPTY,
    THOUGHT,
    UNREADABLE,
    Failure,
    Reason,
    ask_for_change,
    repair_text,
)

REPAIRS = 2  # calls after the first
SAID = 500  # characters of an answer without ideas that are kept
ALIKE = (
    "This is how that one was described:\n{words}\nIf yours differs in what matters, give it once more as it is, and "
    "say in its hypothesis what differs. Else put another idea in its place."
)
SAME_AS_FRONTIER = "the frontier: names, comments, formatting and ranges are no change; change what it does"


@dataclass(slots=True)
class _Progress:
    """A conversation as it goes."""

    source: str
    gates: Gates
    accept: Accept
    form: Form
    repairs: int  # calls after the first, at most
    seen: dict[str, str]  # normal sha -> what it is: the frontier, and the ideas accepted here
    subject: Subject = OURS
    merged: ParsedIdea | None = None  # the merge that a rebase request offers as it is
    outcomes: list[Idea | Rejection] = field(default_factory=list)
    failures: dict[int, Failure] = field(default_factory=dict)  # ideas that may still be repaired, keyed by number
    told: set[str] = field(default_factory=set)  # ideas that it was told about: if it insists, its own is tried


async def propose(
    ask: Ask,
    prompt: Prompt,
    source: str,
    gates: Gates,
    accept: Accept,
    *,
    form: Form = "edits",
    repairs: int = REPAIRS,
    merged: ParsedIdea | None = None,
    subject: Subject = OURS,
) -> Conversation:
    """Ask for ideas on `source`, the frontier that the prompt shows, and settle each; `merged` may be taken as it is.

    A ProviderError ends the conversation and stands in it. What gates and `accept` raise beside CandidateError goes on
    to the caller, cancellation too.
    """
    progress = _Progress(source, gates, accept, form, repairs, {normal_sha(source): SAME_AS_FRONTIER}, subject, merged)
    exchanges: list[Exchange] = []
    error: ProviderError | None = None
    following: Prompt | None = prompt
    while following is not None and len(exchanges) <= repairs:
        try:
            answer = await ask(following)
        except ProviderError as failed:
            error = failed
            break
        exchanges.append(Exchange(following, answer))
        following = await _after(progress, following, answer, repaired=len(exchanges) - 1)
    _give_up(progress, exchanges, error)
    return Conversation(tuple(progress.outcomes), tuple(exchanges), error)


async def settle_ideas(ideas: tuple[ParsedIdea, ...], source: str, gates: Gates, accept: Accept) -> Conversation:
    """The outcomes of ideas that came without a model, and so without repairs. Errors as of `propose`."""
    progress = _Progress(source, gates, accept, "folder", 0, {normal_sha(source): SAME_AS_FRONTIER})
    await _settle(progress, ideas, repaired=0)
    _give_up(progress, [], None)
    return Conversation(tuple(progress.outcomes), ())


async def _after(progress: _Progress, prompt: Prompt, answer: Answer, repaired: int) -> Prompt | None:
    """Settle what an answer brought; what to ask next, None when nothing is left to mend."""
    if answer.stop == "refusal":
        progress.outcomes.append(Rejection(0, "answer", f"the model refused: {answer.text.strip()[:SAID]}", ""))
        return None
    script = progress.subject.read(progress.source)
    ideas = parse_answer(answer.text, cut=answer.stop == "length", script=script)
    if not ideas and progress.merged is not None and stands_as_merged(answer.text):
        ideas = (progress.merged,)
    given_up = None if ideas else withdrawal(answer.text)
    if given_up is not None:
        progress.outcomes.append(Rejection(0, "answer", given_up[:SAID], ""))
        return None
    if not ideas and answer.stop == "length":
        return _again(prompt, CUT.format(tokens=prompt.max_answer_tokens))
    if not ideas and progress.form == "folder":
        return None if repaired else _continue(prompt, answer, ask_for_change(progress.subject.name))
    if not ideas and not answer.text.strip():
        told = prompt.messages[-1].text.endswith(THOUGHT)
        return None if told else _again(prompt, THOUGHT if answer.thought else EMPTY)
    if not ideas and not repaired:
        return _continue(prompt, answer, UNREADABLE)
    await _settle(progress, ideas, repaired)
    if not progress.failures:
        return None
    accepted = [outcome.number for outcome in progress.outcomes if isinstance(outcome, Idea)]
    return _continue(
        prompt, answer, repair_text(list(progress.failures.values()), accepted, progress.form, progress.subject.name)
    )


async def _settle(progress: _Progress, ideas: tuple[ParsedIdea, ...], repaired: int) -> None:
    """Accept the good ones and note the others; what was noted before and comes no more is given up."""
    before, progress.failures = progress.failures, {}
    for number, idea in _number(ideas, list(before)):
        before.pop(number, None)
        judged = await _judge(progress, number, idea, repaired)
        if isinstance(judged, Failure):
            progress.failures[number] = judged
        elif judged is not None:
            progress.seen[judged.normal_sha] = f"idea {number} of this conversation; propose something else"
            await progress.accept(judged)
            progress.outcomes.append(judged)
    progress.outcomes += map(_rejection, before.values())


def _number(ideas: tuple[ParsedIdea, ...], waiting: list[int]) -> list[tuple[int, ParsedIdea]]:
    """Each idea under its own number; one without is the next that waits to be mended, else a new one."""
    said = {idea.number for idea in ideas if idea.number is not None}
    free = iter([number for number in waiting if number not in said])
    taken: set[int] = set()
    numbered = []
    for idea in ideas:
        number = idea.number if idea.number is not None and idea.number not in taken else next(free, None)
        if number is None:
            number = max(said | taken | set(waiting), default=0) + 1
        taken.add(number)
        numbered.append((number, idea))
    return numbered


async def _judge(progress: _Progress, number: int, idea: ParsedIdea, repaired: int) -> Idea | Failure | None:
    """The idea through all gates, or the first that it fails; None for a repair that repeats an accepted idea."""

    def fail(reason: Reason, detail: str) -> Failure:
        return Failure(number, idea.hypothesis, reason, detail)

    if idea.problem:
        return fail("answer", f"{idea.problem[0].upper()}{idea.problem[1:]}.")
    text = idea.whole_file if idea.whole_file is not None else apply_edits(progress.source, idea.blocks)
    if isinstance(text, tuple):
        return fail("edit", "\n".join(map(str, text)))
    try:
        progress.gates.check(text)
        sha = normal_sha(text)
    except CandidateError as error:
        return fail("rule", str(error))
    if repaired and any(sha == other.normal_sha for other in progress.outcomes if isinstance(other, Idea)):
        return None
    repeated = progress.seen.get(sha) or progress.gates.find_duplicate(text)
    if repeated is not None:
        return fail("duplicate", f"It does the same as {repeated}.")
    alike = progress.gates.alike(idea.hypothesis) if repaired < progress.repairs else None
    if alike is not None and alike.name not in progress.told:
        progress.told.add(alike.name)
        return fail("alike", ALIKE.format(words=alike.words))
    trace = await progress.gates.dry_run(text)
    if trace is not None:
        return fail("dry_run", trace)
    return Idea(number, text, sha, idea.hypothesis, idea.expected_effect, repaired)


def _continue(prompt: Prompt, answer: Answer, text: str) -> Prompt:
    turns = (Message("assistant", answer.text.strip()), Message("user", text))
    return replace(prompt, messages=(*prompt.messages, *turns))


def _again(prompt: Prompt, note: str) -> Prompt:
    """The same prompt with a note: an answer without text cannot be a turn of a conversation."""
    last = prompt.messages[-1]
    if last.text.endswith(note):
        return prompt
    return replace(prompt, messages=(*prompt.messages[:-1], Message("user", f"{last.text}\n\n{note}")))


def _give_up(progress: _Progress, exchanges: list[Exchange], error: ProviderError | None) -> None:
    """Reject the ideas that are still open. A conversation without any outcome gets one that says why."""
    progress.outcomes += [_rejection(failure) for failure in progress.failures.values()]
    if not progress.outcomes and exchanges and error is None:
        last = exchanges[-1].answer
        said = last.text.strip()[:SAID] or "no text"
        cut = "; it was cut at its token limit" if last.stop == "length" else ""
        thought = "; it thought and did not answer" if last.thought and not last.text.strip() else ""
        words = f"no idea in {len(exchanges)} answers{cut}{thought}: {said}"
        progress.outcomes.append(Rejection(0, "answer", words, ""))


def _rejection(failure: Failure) -> Rejection:
    return Rejection(failure.number, failure.reason, failure.detail, failure.hypothesis)
