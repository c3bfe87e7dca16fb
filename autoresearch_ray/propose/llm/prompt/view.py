"""What a prompt is made of: the search as a language model may see it. Records only; `past.py` fills them.

Held-out scores have no field here: a model that saw them would fit them.
"""

import math
from dataclasses import dataclass
from typing import Literal

from autoresearch_ray.candidate.difference import ConstantChange
from autoresearch_ray.propose.llm.prompt.rebase_text import RebaseView
from autoresearch_ray.records.decisions import Standing, StepKind, Verdict
from autoresearch_ray.records.guidance import Directives, Findings
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.records.trials import Kind, Proposal, Status
from autoresearch_ray.settings.score_words import ScoreWords, words_for_models
from autoresearch_ray.settings.scoring import OURS, Scoring

Form = Literal["edits", "folder"]  # the answer holds edits, or a coding agent leaves files in its folder


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """The benchmark of our contract, fixed for a run."""

    name: str
    data: str
    seq_len: int
    vocab_size: int
    budget_seconds: float
    device: str  # its usual name: "Tesla T4", "AMD EPYC"
    amp: str  # none, fp16 or bf16
    slots: int
    threads: int = 1  # CPU threads of a trial
    gpus: float = 0.0  # a trial's share: 0.25 is a quarter of a GPU
    torch: str = ""  # its version
    train_tokens: int = 0  # length of the training text; 0: not known
    bytes_per_token: float = 0.0  # average over the training text
    document_tokens: int = 0  # average length of a document of the training text
    eval_tokens: int = 0  # how many tokens are scored
    startup_seconds: float = 0.0  # limit for a script's time to its first batch; 0: not known
    counted_bpb: tuple[float, ...] = ()  # scores of 1-gram, 2-gram ... counts on the validation text
    scoring: Scoring = OURS
    metric_words: str = ""  # description of a metric that the run's owners wrote


@dataclass(frozen=True, slots=True)
class ScriptView:
    """The benchmark of a script, fixed for a run."""

    name: str
    command: str
    editable: tuple[str, ...]  # paths
    scoring: Scoring
    read_from: str  # where the number is read, in words
    budget_seconds: float  # a run's rough duration
    time_limit: float  # seconds after which it is ended
    device: str  # its usual name
    slots: int
    threads: int = 1  # CPU threads of a trial
    gpus: float = 0.0  # a trial's share
    limits: tuple[tuple[str, str], ...] = ()  # (another metric, <= or >= and a number)
    seeding: tuple[str, str] = ("fixed", "")  # see ScriptExperiment.seeding
    data: tuple[str, ...] = ()  # folders and files that it may read
    artefacts: tuple[str, ...] = ()  # files that the script leaves for a judge


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a candidate does within the budget; of a script steps, tokens and parameters may be 0."""

    steps: int
    tokens_per_second: float
    parameters: int
    peak_memory_mb: float
    curve: tuple[tuple[float, float], ...] = ()  # (part of the budget, bpb on training text)
    profile: tuple[tuple[int, float], ...] = ()  # (line of the script, its share of the training time)
    step_seconds: float = 0.0  # duration of one step; 0: not known
    learned: tuple[tuple[str, tuple[float, ...]], ...] = ()  # (name, numbers) of its smallest parameters
    seconds: float = 0.0  # duration of a script's run


@dataclass(frozen=True, slots=True)
class StandingView:
    """The frontier or the best; NaN before it is measured."""

    text: str
    code_lines: int
    val_bpb: float = math.nan
    objective: float = math.nan
    usage: Usage | None = None
    runs: int = 0  # the score is the mean over these runs; 0: an estimate


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A candidate that was tried, with all its runs."""

    trial_id: str  # the first run's trial
    kind: Kind
    proposer: str
    hypothesis: str
    change: str  # for example: MATRIX_LR 0.04 -> 0.0264; GPT.attend +4 -1
    lines: tuple[str, ...]  # the diff's first few lines, each with + or -
    constants: tuple[ConstantChange, ...]
    places: tuple[str, ...]  # functions and methods that it touched
    status: Status
    runs: int  # runs with a score
    val_bpb: float  # their mean, as decisions read it
    difference: float  # score minus its parent's on common seeds; below 0 is better; NaN without a score
    steps: int  # training steps within the budget
    expected: float  # the difference that its proposer expected; NaN if it did not say
    verdict: Verdict | None  # None: not decided yet
    reason: str
    taken: bool  # its change is in the frontier, or was in an earlier one
    error: str  # the error's end as the program wrote it: foreign text
    direction: str = ""  # the direction it was made for


@dataclass(frozen=True, slots=True)
class StepView:
    """A change of frontier or best."""

    index: int
    kind: StepKind
    trial_id: str
    hypothesis: str  # a keep or a drop has the hypotheses of the steps it judged
    change: str  # an advance: from the frontier before; a keep or drop: from best to frontier
    val_bpb: float
    gain: float = math.nan  # gain in J over the best before; only for keeps and drops
    probability: float = math.nan  # probability that it beats the best before


@dataclass(frozen=True, slots=True)
class FlightView:
    """A proposal that runs or waits for a slot."""

    proposer: str
    hypothesis: str
    change: str


@dataclass(frozen=True, slots=True)
class SearchView:
    """Everything that a prompt says."""

    program: str
    experiment: ExperimentView | ScriptView
    complexity_price: float  # price of one code line, in units of the score
    line_limit: int  # program and candidate together; a script has no limit
    advance_sd: float  # a result must beat the frontier by this many sd to be looked at again
    frontier: StandingView
    best: StandingView
    noise_sd: float  # sd of one run's J; NaN before the baseline was replicated
    noise_degrees: int
    candidates: tuple[CandidateView, ...]  # oldest first
    steps: tuple[StepView, ...]  # oldest first
    in_flight: tuple[FlightView, ...]
    rejected: tuple[RejectedIdea, ...]  # oldest first
    ideas: int  # how many ideas to ask for
    rebase: RebaseView | None = None  # the idea to rebase onto the frontier, instead of new ideas
    form: Form = "edits"  # how the answer is given
    findings: Findings | None = None  # conclusions from all results
    directives: Directives | None = None  # where the search should look; None before there are any
    direction: str = ""  # which of the directives this request is about; "" for any
    earlier: str = ""  # section about the earlier run that this run starts from
    siblings: int = 0  # askings about the same at this moment
    focus: str = ""  # subject for one idea, so that concurrent calls differ; "" for any

    @property
    def words(self) -> ScoreWords:
        """How its scores are written."""
        return words_for_models(self.experiment.scoring, self.noise_sd)

    @property
    def subject(self) -> str:
        """The name for what ideas change: the one file's, or "files"."""
        if isinstance(self.experiment, ExperimentView):
            return "train.py"
        return self.experiment.editable[0] if len(self.experiment.editable) == 1 else "files"

    @property
    def lines_left(self) -> int:
        """Lines that an idea may add to the frontier, comments and blank lines included."""
        return self.line_limit - len(self.program.splitlines()) - len(self.frontier.text.splitlines())


@dataclass(frozen=True, slots=True)
class Moment:
    """The search's state when a prompt is made, as far as the past does not contain it."""

    program: str
    experiment: ExperimentView | ScriptView
    complexity_price: float  # price of one code line, in units of the score
    advance_sd: float  # see Rules.worthwhile_sd
    frontier: Standing
    best: Standing
    noise_sd: float  # sd of J; NaN before the baseline was replicated
    noise_degrees: int
    queued: tuple[Proposal, ...]
    ideas: int  # how many ideas to ask for
    findings: Findings | None = None
