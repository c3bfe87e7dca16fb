"""Every error that a caller may want to tell apart.

    AutoresearchError            base: one clear line, exit status 2 at the command line
    ├── SettingsError            a request or an experiment file is wrong
    ├── DataError                a corpus or a cache cannot be used
    ├── CandidateError           a candidate's text breaks its contract
    ├── StoreError               the state store refused or failed
    │   ├── CompactedError       the asked revision was compacted away
    │   ├── FutureRevisionError  the asked revision does not exist yet
    │   ├── LeaseNotFoundError   the lease has lapsed or never was
    │   └── DamagedStoreError    the file is not a store that can be opened
    └── LineageError             git refused, or the history is not what the store says

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


class StoreError(AutoresearchError):
    """The state store refused or failed."""


class CompactedError(StoreError):
    """The asked revision was compacted away."""


class FutureRevisionError(StoreError):
    """The asked revision does not exist yet."""


class LeaseNotFoundError(StoreError):
    """The lease has lapsed or never was."""


class DamagedStoreError(StoreError):
    """The file is not a store that can be opened."""


class LineageError(AutoresearchError):
    """Git refused, or the history is not what the store says."""
