"""What came of directions, proposers and parts, on made-up trials."""

from autoresearch_ray.observe.guidance import direction_rows, part_rows, proposer_rows
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.guidance import Direction, Directives
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.trials import Proposal, Result, Trial

PRICE = 0.0001


def row(number: int, proposer: str, gain: float, sd: float, **more: object) -> TrialRow:
    name = f"t{number:05d}"
    proposal = Proposal(name, "code", proposer, f"sha-{number}", "parent", 1, f"idea {number}", **more)  # type: ignore[arg-type]
    result = Result(name, "ok", val_bpb=1.0, total_seconds=1800.0)
    decision = Decision(name, "discard", "", 1, 0.0, expected_gain=gain, expected_sd=sd)
    return TrialRow(Trial(name, proposal, "screen", 0, 0.0), result, decision)


def history(*rows: TrialRow, steps: tuple[Step, ...] = (), directives: tuple[Directives, ...] = ()) -> History:
    return History(
        {"experiment": {"complexity_price": None}, "rules": {"complexity_price": PRICE}},
        rows,
        steps,
        {},
        {},
        directives=directives,
    )


def test_a_part_is_worth_what_val_bpb_loses_without_it_and_can_go_where_that_is_less_than_its_lines() -> None:
    useful = row(1, "ablation", gain=-0.05 + 4 * PRICE, sd=0.01, lines_removed=4)  # val_bpb loses 0.05
    useless = row(2, "ablation", gain=20 * PRICE, sd=0.0005, lines_removed=20)  # val_bpb loses nothing
    unclear = row(3, "ablation", gain=-0.001, sd=0.01)
    told = part_rows(history(useful, useless, unclear, row(4, "tpe", 0.1, 0.01)))
    assert told == [
        ("idea 3", "0", "1", "+0.0010 (-0.0186 to +0.0206)", "not certain"),
        ("idea 2", "20", "1", "+0.0000 (-0.0010 to +0.0010)", "can go"),
        ("idea 1", "4", "1", "+0.0500 (+0.0304 to +0.0696)", "helps"),
    ]


def test_directions_and_proposers_have_what_their_trials_gained_and_cost() -> None:
    step = Step(1, "advance", "sha-1", "t00001", "t00001", "idea 1", "openai:x", 0.9, "", 0.0)
    directives = Directives(1, "person", (Direction("d1", "Counts"), Direction("d2", "Never asked")), (), "", 0, 0.0)
    rows = (
        row(1, "openai:x", 0.04, 0.01, direction="d1", dollars=0.25),
        row(2, "openai:x", -0.02, 0.01, direction="d1", dollars=0.5),
        row(3, "tpe", 0.01, 0.01),
    )
    told = history(*rows, steps=(step,), directives=(directives,))
    assert direction_rows(told) == [("d1", "Counts", "2", "1", "+0.0100", "1.00", "0.75")]
    assert proposer_rows(told) == [
        ("openai:x", "2", "1", "0", "+0.0100", "0.0400", "0.75"),
        ("tpe", "1", "0", "0", "+0.0100", "0.0000", "–"),
    ]
