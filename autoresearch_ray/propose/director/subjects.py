"""What an idea is about, told by its words and by the functions that it touches.

The subjects are what calls at the same time are sent to, and what findings count ideas by. A tally of words is crude;
it need only be right often enough for rates to differ.
"""

import re

SUBJECTS: dict[str, str] = {  # subject: stems that speak of it; of equal ones the first counts
    "what counting, copying or other knowledge without gradients can add": (
        r"count|gram\b|grams\b|kneser|\bpriors?\b|statistic|copy|copied|induction|cache|repeats? its|already seen|"
        r"\bpairs of|triples|frequen"
    ),
    "attention": r"attenti|attend|heads?\b|quer|\bqk|\bkeys?\b|rope|rotary|window|causal",
    "the optimiser or its schedule": (
        r"optimi[sz]|muon|adam|\blrs?\b|learning rate|momentum|betas?\b|decay|warm-?up|warm-?down|cool-?down|schedul|"
        r"anneal|clip|nesterov|newton"
    ),
    "MLP, activation or normalisation": r"\bmlp|relu|gelu|swiglu|glu\b|activation|norm|\brms|feed-?forward|\bffn",
    "the speed of a step": r"faster|speed|\bms\b|compile|throughput|cheap|fuse|more steps|step time|per step|overhead",
    "initialisation, embeddings or the output layer": (
        r"initial|\binit|embed|logit|softcap|output layer|\btied?\b|hash|vocab|bias"
    ),
    "deleting what earns nothing": r"delet|remov|simplif|take out|takes out|no longer needed|without the|earns nothing",
    "how the weights of several steps or blocks are combined": (
        r"averag|\bema\b|\bswa\b|lookahead|residual|skip|blend|mix of|combin|share[sd]? (?:its |the )?weights|"
        r"weight sharing|loop"
    ),
    "batches, sequence lengths or the loss": (
        r"batch|half (?:of )?the rows|fewer rows|sequence|curriculum|\bloss\b|label smoothing|document"
    ),
}
OTHER = "something else"
_PATTERNS = {subject: re.compile(stems) for subject, stems in SUBJECTS.items()}


def subject_of(hypothesis: str, change: str = "") -> str:
    """The subject that most words of a hypothesis speak of; what the change names decides where none do."""
    return _most(hypothesis.lower()) or _most(change.lower().replace("_", " ")) or OTHER


def _most(words: str) -> str:
    counts = {subject: len(pattern.findall(words)) for subject, pattern in _PATTERNS.items()}
    most = max(counts.values())
    return next(subject for subject, count in counts.items() if count == most) if most else ""
