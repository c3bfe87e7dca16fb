"""What a prompt is made of: the search as a language model may see it. Records only; `past.py` fills them.

Held-out scores have no field here: a model that saw them would fit them.
"""

import math
from dataclasses import dataclass
from typing import Literal

from autoresearch_ray.candidate.difference import ConstantChange
from autoresearch_ray.guidance import Directives, Findings
from autoresearch_ray.propose.llm.prompt.rebase_text import RebaseView
from autoresearch_ray.records import Kind, Proposal, RejectedIdea, Standing, Status, StepKind, Verdict
from autoresearch_ray.score_words import ScoreWords, words_for_models
from autoresearch_ray.scoring import OURS, Scoring

Form = Literal["edits", "folder"]  # of an answer: edits in its text, or what a coding agent leaves in its folder


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """The benchmark of our contract, fixed for a run."""

    name: str
    data: str
    seq_len: int
    vocab_size: int
    budget_seconds: float
    device: str  # as people call it: "Tesla T4", "AMD EPYC"
    amp: str  # none, fp16 or bf16
    slots: int
    threads: int = 1  # CPU threads of a trial
    gpus: float = 0.0  # of a trial: 0.25 is a quarter of a GPU
    torch: str = ""  # its version
    train_tokens: int = 0  # of the text that is trained on; 0: not known
    bytes_per_token: float = 0.0  # of that text, on average
    document_tokens: int = 0  # of a document of that text, on average
    eval_tokens: int = 0  # that are scored
    startup_seconds: float = 0.0  # that a script may take to its first batch; 0: not known
    counted_bpb: tuple[float, ...] = ()  # what counts of 1, 2 ... tokens in a row reach on the validation text
    scoring: Scoring = OURS
    metric_words: str = ""  # what a metric of the owners' own is, in words


@dataclass(frozen=True, slots=True)
class ScriptView:
    """The benchmark of a script, fixed for a run."""

    name: str
    command: str
    editable: tuple[str, ...]  # paths
    scoring: Scoring
    read_from: str  # which number that is, in words
    budget_seconds: float  # that a run takes, about
    time_limit: float  # seconds after which it is ended
    device: str  # as people call it
    slots: int
    threads: int = 1  # CPU threads of a trial
    gpus: float = 0.0  # of a trial
    limits: tuple[tuple[str, str], ...] = ()  # (another metric, <= or >= and a number)
    seeding: tuple[str, str] = ("fixed", "")  # as of ScriptExperiment
    data: tuple[str, ...] = ()  # folders and files that it may read
    artefacts: tuple[str, ...] = ()  # that it leaves for a judge


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a candidate does within the budget; of a script steps, tokens and parameters may be 0."""

    steps: int
    tokens_per_second: float
    parameters: int
    peak_memory_mb: float
    curve: tuple[tuple[float, float], ...] = ()  # (part of the budget, bpb on training text)
    profile: tuple[tuple[int, float], ...] = ()  # (line of the script, its share of the training time)
    step_seconds: float = 0.0  # of one step; 0: not known
    learned: tuple[tuple[str, tuple[float, ...]], ...] = ()  # (name, numbers) of its smallest parameters
    seconds: float = 0.0  # that the run took; of a script


@dataclass(frozen=True, slots=True)
class StandingView:
    """The frontier or the best; NaN before it is measured."""

    text: str
    code_lines: int
    val_bpb: float = math.nan
    objective: float = math.nan
    usage: Usage | None = None
    runs: int = 0  # whose mean the score is; 0: an estimate


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A candidate that was tried, with all its runs."""

    trial_id: str  # of its first run
    kind: Kind
    proposer: str
    hypothesis: str
    change: str  # in words: MATRIX_LR 0.04 -> 0.0264; GPT.attend +4 -1
    lines: tuple[str, ...]  # of its diff, the first few, each with + or -
    constants: tuple[ConstantChange, ...]
    places: tuple[str, ...]  # functions and methods that it touched
    status: Status
    runs: int  # that gave a score
    val_bpb: float  # their mean, as decisions read it
    difference: float  # to its parent on the seeds that both ran on, below 0 is better; NaN if one has no score
    steps: int  # of training within the budget
    expected: float  # the difference that its proposer expected; NaN if it did not say
    verdict: Verdict | None  # None: not decided yet
    reason: str
    taken: bool  # its change is in the frontier or was in one before
    error: str  # the end of it, as the program wrote it: foreign text
    direction: str = ""  # that it was made in


@dataclass(frozen=True, slots=True)
class StepView:
    """A change of frontier or best."""

    index: int
    kind: StepKind
    trial_id: str
    hypothesis: str  # of a keep or a drop: those of the steps that it judged
    change: str  # of an advance: from the frontier before; of a keep or a drop: between best and frontier
    val_bpb: float
    gain: float = math.nan  # in J over the best before; of keeps and drops
    probability: float = math.nan  # that it is better than the best before


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
    complexity_price: float  # of the score, a code line
    line_limit: int  # of program and candidate together; of a script there is none
    advance_sd: float  # a result must beat the frontier by this many sd to be looked at again
    frontier: StandingView
    best: StandingView
    noise_sd: float  # of one run's J; NaN before the baseline was replicated
    noise_degrees: int
    candidates: tuple[CandidateView, ...]  # in the order they were started
    steps: tuple[StepView, ...]  # in order
    in_flight: tuple[FlightView, ...]
    rejected: tuple[RejectedIdea, ...]  # in order
    ideas: int  # to ask for
    rebase: RebaseView | None = None  # the one idea to bring onto the frontier, in the place of new ones
    form: Form = "edits"  # how the answer is given
    findings: Findings | None = None  # what all results say together
    directives: Directives | None = None  # where the search is to look; None before there are any
    direction: str = ""  # of the directives, that this asking is about; "" for anything
    earlier: str = ""  # what is told of an earlier run that this one starts from, as a section
    siblings: int = 0  # askings about the same at this moment
    focus: str = ""  # what one of them should be about, so that calls at the same time differ; "" for anything

    @property
    def words(self) -> ScoreWords:
        """How its scores are written."""
        return words_for_models(self.experiment.scoring, self.noise_sd)

    @property
    def subject(self) -> str:
        """What ideas change: the one file's name, or files."""
        if isinstance(self.experiment, ExperimentView):
            return "train.py"
        return self.experiment.editable[0] if len(self.experiment.editable) == 1 else "files"

    @property
    def lines_left(self) -> int:
        """Lines that an idea may add to the frontier, comments and blank lines included."""
        return self.line_limit - len(self.program.splitlines()) - len(self.frontier.text.splitlines())


@dataclass(frozen=True, slots=True)
class Moment:
    """What the past does not say: where the search stands when a prompt is made."""

    program: str
    experiment: ExperimentView | ScriptView
    complexity_price: float  # of the score, a code line
    advance_sd: float  # as of the decision's rules
    frontier: Standing
    best: Standing
    noise_sd: float  # of J; NaN before the baseline was replicated
    noise_degrees: int
    queued: tuple[Proposal, ...]
    ideas: int  # to ask for
    findings: Findings | None = None
