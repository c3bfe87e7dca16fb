"""The numbers by which a run decides; they are stored with it. docs/decisions.md says what each is for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the decision; J and bpb unless said otherwise."""

    complexity_price: float = 0.00005  # bpb a code line: upstream's 0.001 for 20 lines; 0 for another score
    baseline_trials: int = 3  # before anything is decided
    worthwhile_sd: float = 0.4  # a step of the frontier that is worth another run of a contender
    contender_probability: float = 0.3  # of a worthwhile step, above which a contender is run again
    most_runs: int = 3  # of a contender
    advance_probability: float = 0.75  # that a candidate is better, above which the frontier moves to it
    advance_once_probability: float = 0.9  # the same for one that was run once
    return_probability: float = 0.5  # that an ancestor is better, above which the frontier moves back to it
    merge_probability: float = 0.75  # that a change is an improvement, above which it is merged with the frontier
    refuse_probability: float = 0.5  # that a merge is an improvement, below which it counts against its parts
    most_refusals: int = 1  # such merges, after which a change is merged no more
    lead_sd: float = 1.0  # an expected lead over the best that starts a proof
    cheap_pairs: int = 3  # that a proof may need which is begun before the end
    last_chance: float = 0.05  # probability to pass that starts one at the end of the run
    overtime_chance: float = 0.25  # probability to pass, above which a proof goes on after the run's trials
    keep_probability: float = 0.99
    drop_probability: float = 0.05  # of a proof to pass, below which it ends
    min_pairs: int = 2  # of a proof
    max_pairs: int = 8
    removal_margin: float = 0.0  # bpb that all removals since the last gain may cost; 0: none is proven
    min_removal_pairs: int = 10  # of the proof of a removal
    max_removal_pairs: int = 20
    plateau_trials: int = 30  # without a move of the frontier, after which removals are proven beside proposals
    needs_holdout: bool = True  # a win must hold on the held-out score too; a script may have none
    reserve_trials: int = 2  # kept for a proof before the run ends
    early_stop_below: float = 0.02  # probability of a worthwhile step, below which a screen may end early
    early_stop_pairs: int = 12  # finished pairs of learning curves that must be known before
