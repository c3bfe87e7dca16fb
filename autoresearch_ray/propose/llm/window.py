"""How much fits a model: prompt and answer share its window, which may be smaller than what is asked for.

    window = Window(tokens=settings.context_tokens or 0)
    conversation = await propose_within(window, ask, view, gates, accept)

A call that a server refuses as too long is repeated for a shorter answer, and if that is not enough with less history.
What was learned counts for all later calls. A refused call costs nothing, and after each the next one is smaller.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

from autoresearch_ray.common.errors import SettingsError, TooLongError
from autoresearch_ray.propose.llm.answer import ParsedIdea
from autoresearch_ray.propose.llm.calls import Answer, Ask, Prompt
from autoresearch_ray.propose.llm.conversation import Accept, Conversation, Gates, Subject
from autoresearch_ray.propose.llm.prompt.prompt import ANSWER_LEAST, ANSWER_TOKENS, RESERVE, build_prompt
from autoresearch_ray.propose.llm.prompt.tokens import token_count
from autoresearch_ray.propose.llm.prompt.view import ScriptView, SearchView
from autoresearch_ray.propose.llm.session import propose

SHRINK = 0.85  # next size over the refused one, where the server names no limit or counts higher
MISCOUNT = 2.0  # most tokens that a server counts for one of ours
READ_SHARE = 0.4  # a server that counts a smaller share has cut the prompt: tokenizers differ less
CUT = (
    "its server read {read} tokens of a prompt of about {size}, so that it does not know the contract; give it a "
    "larger context (Ollama: OLLAMA_CONTEXT_LENGTH)"
)
HOPEFUL = 0.75  # share to try before the window counts as too small: our count is an estimate


@dataclass(slots=True)
class Window:
    """The knowledge about one model's window."""

    tokens: int = 0  # prompt and answer together, as the server counts; 0: not known
    answer_tokens: int = ANSWER_TOKENS
    ratio: float = 1.0  # tokens that the server counts for one of ours
    remark: str = ""  # note for a person

    def count(self, text: str) -> int:
        """The tokens of a text, as the server counts as far as that is known."""
        return int(self.ratio * token_count(text)) + 1

    def prompt(self, view: SearchView) -> Prompt:
        """The prompt for the next ideas, with as much history as there is room for. SettingsError if there is none."""
        build = partial(build_prompt, view, answer_tokens=self.answer_tokens, window_tokens=self.tokens)
        try:
            return build(count=self.count)
        except SettingsError:
            if not self.tokens or self.ratio != 1:
                raise
            self.ratio = HOPEFUL
            return build(count=self.count)

    def size(self, prompt: Prompt) -> int:
        """The tokens of a whole prompt."""
        return sum(map(self.count, (prompt.system, prompt.context, *(message.text for message in prompt.messages))))

    def fit(self, prompt: Prompt) -> Prompt:
        """The prompt with an answer as long as there is room for; TooLongError if that is too short for an idea."""
        most = min(prompt.max_answer_tokens, self.answer_tokens)
        tokens_left = self.tokens - RESERVE - self.size(prompt) if self.tokens else most
        if tokens_left < ANSWER_LEAST:
            raise TooLongError(f"a prompt of {self.size(prompt)} tokens leaves no room in a window of {self.tokens}")
        return replace(prompt, max_answer_tokens=min(most, tokens_left))

    def learn(self, error: TooLongError, refused: Prompt) -> bool:
        """Make what is asked for smaller; whether a shorter answer is enough for this prompt."""
        if error.answer_tokens is not None:
            self.answer_tokens = min(error.answer_tokens, int(SHRINK * refused.max_answer_tokens))
            return self.answer_tokens >= ANSWER_LEAST
        if error.prompt_tokens is not None:
            self.ratio *= error.prompt_tokens / self.size(refused)
            self.ratio = min(max(self.ratio, 1 / MISCOUNT), MISCOUNT)
        asked = self.size(refused) + refused.max_answer_tokens
        named = error.window_tokens
        tokens = named if named is not None and named < asked else int(SHRINK * asked)
        self.tokens = tokens if not self.tokens or tokens < self.tokens else int(SHRINK * self.tokens)
        return self.tokens - self.size(refused) >= ANSWER_LEAST

    def check_read(self, answer: Answer, prompt: Prompt) -> None:
        """Remark where the server counted so little that it must have cut the prompt, as Ollama does in silence."""
        size = self.size(prompt)
        cut = not answer.estimated and 0 < answer.input_tokens < READ_SHARE * size  # some count nothing, as 0
        self.remark = CUT.format(read=answer.input_tokens, size=size) if cut else ""


class Fitting:
    """An Ask that asks another one for as long an answer as fits."""

    def __init__(self, ask: Ask, window: Window) -> None:
        self._ask, self._window = ask, window

    async def __call__(self, prompt: Prompt) -> Answer:
        """The answer; TooLongError where the prompt itself has to be shorter."""
        while True:
            fitted = self._window.fit(prompt)
            try:
                answer = await self._ask(fitted)
            except TooLongError as error:
                if not self._window.learn(error, fitted):
                    raise
            else:
                self._window.check_read(answer, fitted)
                return answer


async def propose_within(window: Window, ask: Ask, view: SearchView, gates: Gates, accept: Accept) -> Conversation:
    """`propose` with a prompt that is shortened until it fits. SettingsError if it cannot be."""
    while True:
        before = replace(window)
        conversation = await propose(
            *(Fitting(ask, window), window.prompt(view), view.frontier.text, gates, accept),
            form=view.form,
            merged=_offer_merge(view),
            subject=subject_of(view),
        )
        error = conversation.error
        if not isinstance(error, TooLongError):
            return conversation
        if conversation.exchanges:  # no tokens left for a repair: accepted ideas stand
            return replace(conversation, error=None)
        if error.answer_tokens is not None or window == before:  # the answer would be too short for an idea
            return conversation


def subject_of(view: SearchView) -> Subject:
    """What ideas on this view change, and which way its metric counts."""
    return Subject(view.subject, isinstance(view.experiment, ScriptView), view.experiment.scoring.sign)


def _offer_merge(view: SearchView) -> ParsedIdea | None:
    """The merge that a rebase request offers as it is; None without one."""
    if view.rebase is None or not view.rebase.merged:
        return None
    return ParsedIdea(1, view.rebase.hypothesis, math.nan, (), view.rebase.merged, "")
