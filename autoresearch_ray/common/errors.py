"""Every error that a caller may want to tell apart.

    AutoresearchError            base: one clear line, exit status 2 at the command line
    ├── SettingsError            a request or an experiment file is wrong
    ├── DataError                a corpus or a cache cannot be used
    ├── CandidateError           a candidate's text breaks its contract
    ├── DirectivesError          a text is no directives
    ├── RecordError              a stored text is not the record that was expected (a ValueError too)
    ├── StoreError               the state store refused or failed
    │   ├── CompactedError       the asked revision was compacted away
    │   ├── FutureRevisionError  the asked revision does not exist yet
    │   ├── LeaseNotFoundError   the lease has lapsed or never was
    │   ├── FencedError          the writer's lease has lapsed, somebody else may have its place
    │   └── DamagedStoreError    the file is not a store that can be opened
    ├── StorageError             the place of --storage refused or failed
    ├── WeightsError             a best's trained model is not there, is not what was kept, or fails
    ├── LineageError             git refused, or the history is not what the store says
    └── ProviderError            a language model's provider gave no usable answer
        ├── RateLimitedError     too many requests or tokens; later is fine
        ├── OverloadedError      the provider fails or cannot be reached (500, 502, 503, 529, connection lost)
        ├── ProviderTimeoutError no byte for too long, also in mid-stream, or no end of the answer
        ├── BadAnswerError       an answer that is empty, cut off or not what the protocol says
        ├── TooLongError         prompt and answer are more than the model takes; with less of them it can be asked
        └── ProviderRefusedError wrong key, unknown model, no credit, a request it will never take: do not ask again

Losing a race, being rejected or running out of budget are outcomes, not errors.
"""


class AutoresearchError(Exception):
    """Base of all; its message says what was seen, what was expected and what to do."""


class SettingsError(AutoresearchError):
    """A request or an experiment file is wrong."""


class DataError(AutoresearchError):
    """A corpus or a cache cannot be used."""


class CandidateError(AutoresearchError):
    """A candidate's text breaks its contract."""


class DirectivesError(AutoresearchError):
    """A text is no directives."""


class RecordError(AutoresearchError, ValueError):
    """A stored text is not the record that was expected."""


class StoreError(AutoresearchError):
    """The state store refused or failed."""


class CompactedError(StoreError):
    """The asked revision was compacted away."""


class FutureRevisionError(StoreError):
    """The asked revision does not exist yet."""


class LeaseNotFoundError(StoreError):
    """The lease has lapsed or never was."""


class FencedError(StoreError):
    """The writer's lease has lapsed; somebody else may have its place."""


class DamagedStoreError(StoreError):
    """The file is not a store that can be opened."""


class StorageError(AutoresearchError):
    """The place of --storage refused or failed."""


class WeightsError(AutoresearchError):
    """A best's trained model is not there, is not what was kept, or fails."""


class LineageError(AutoresearchError):
    """Git refused, or the history is not what the store says."""


class ProviderError(AutoresearchError):
    """A language model's provider gave no usable answer.

    `retry_after_seconds` is the wait that the provider asked for, if it did. `billed` is what it will charge for, as
    (input, cached, written, output) tokens: all zeros when it refused before any work, None when nobody knows.
    """

    def __init__(
        self,
        message: str,
        retry_after_seconds: float | None = None,
        billed: tuple[int, int, int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.billed = billed


class RateLimitedError(ProviderError):
    """Too many requests or tokens; later is fine."""


class OverloadedError(ProviderError):
    """The provider fails or cannot be reached (500, 502, 503, 529, connection lost)."""


class ProviderTimeoutError(ProviderError):
    """No byte for too long, also in mid-stream, or no end of the answer."""


class BadAnswerError(ProviderError):
    """An answer that is empty, cut off or not what the protocol says."""


class TooLongError(ProviderError):
    """Prompt and answer are more than the model takes; with less of them it can be asked.

    `window_tokens` is what it takes of both together, `answer_tokens` of an answer, and `prompt_tokens` how many the
    prompt has in its own count; None where it did not say.
    """

    def __init__(
        self,
        message: str,
        retry_after_seconds: float | None = None,
        billed: tuple[int, int, int, int] | None = None,
        window_tokens: int | None = None,
        answer_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds, billed)
        self.window_tokens, self.answer_tokens, self.prompt_tokens = window_tokens, answer_tokens, prompt_tokens


class ProviderRefusedError(ProviderError):
    """Wrong key, unknown model, no credit, a request it will never take: do not ask this provider again."""
