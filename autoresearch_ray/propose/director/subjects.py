"""What an idea is about, told by its words and by the functions that it touches.

The subjects are what calls at the same time are sent to, and what findings count ideas by. A tally of words is crude;
it need only be right often enough for rates to differ.
"""

import re
from collections.abc import Mapping

from autoresearch_ray.propose.llm.prompt.view import ExperimentView, ScriptView

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
SCRIPT_SUBJECTS: dict[str, str] = {  # the same, of any program
    "the method or the model": r"algorithm|method|model|network|layer|tree|forest|ensembl|kernel|heuristic|approximat",
    "how it is fitted or searched": (
        r"optimi[sz]|learning rate|\blrs?\b|momentum|decay|schedul|step size|gradient|epoch|iterat|converg|search|"
        r"anneal|warm-?up|restart"
    ),
    "data, features or representation": (
        r"\bdata|feature|represent|encod|normali[sz]|\bscal(?:e|ed|ing)|augment|sampl|transform|batch|input|structure"
    ),
    "the speed or the order of the work": (
        r"faster|speed|\bms\b|vectori|parallel|thread|cache|compile|throughput|cheap|overhead|inline|unroll|simd|block|"
        r"\border|branch"
    ),
    "memory": r"memory|alloc|copy|copies|buffer|in place|layout|align",
    "numerics or precision": r"precision|float|double|round|overflow|numeric|stabl|epsilon|integer",
    "regularisation, robustness or averaging": (
        r"regulari|dropout|averag|smooth|robust|noise|overfit|penalt|prior|shrink|early stop|clip"
    ),
    "deleting what earns nothing": r"delet|remov|simplif|take out|takes out|no longer needed|without the|earns nothing",
}
OTHER = "something else"


def subjects_of(experiment: ExperimentView | ScriptView) -> Mapping[str, str]:
    """The subjects of ideas on this experiment."""
    return SUBJECTS if isinstance(experiment, ExperimentView) else SCRIPT_SUBJECTS


def subject_of(hypothesis: str, change: str = "", subjects: Mapping[str, str] = SUBJECTS) -> str:
    """The subject that most words of a hypothesis speak of; what the change names decides where none do."""
    return _most(hypothesis.lower(), subjects) or _most(change.lower().replace("_", " "), subjects) or OTHER


def _most(words: str, subjects: Mapping[str, str]) -> str:
    counts = {subject: len(re.findall(stems, words)) for subject, stems in subjects.items()}
    most = max(counts.values())
    return next(subject for subject, count in counts.items() if count == most) if most else ""
