"""Which advances of the frontier a win proves, and which a failed proof takes back.

    unproven = Unproven()
    for step in steps:
        judged, unproven = unproven.judged_by(step), unproven.after(step)

A keep says it itself (`Step.proves`, written by `note_proven` when the step is made). In runs that began before it did,
it follows from the order of the steps, by the rule that their commits were made by.
"""

from dataclasses import dataclass, replace

from autoresearch_ray.records.decisions import Step

DISAPPOINTED = "P(better than the frontier)"  # how the reason begins where earlier versions say it by that alone


def disappointed(drop: Step) -> bool:
    """Whether the frontier went back to an earlier candidate because that looks better, and not for a failed proof."""
    return drop.reason.startswith(DISAPPOINTED) if drop.disappointed is None else drop.disappointed


@dataclass(frozen=True, slots=True)
class Unproven:
    """The advances that no keep has proven and no drop has taken back yet, oldest first."""

    advances: tuple[Step, ...] = ()

    def note_proven(self, step: Step) -> Step:
        """A step as it is stored: a keep names the advances up to its candidate, none if it came beside them."""
        if step.kind != "keep":
            return step
        ends = [number for number, advance in enumerate(self.advances, 1) if advance.source_sha == step.source_sha]
        return replace(step, proves=tuple(advance.index for advance in self.advances[: max(ends, default=0)]))

    def judged_by(self, step: Step) -> tuple[Step, ...]:
        """The advances that a keep proves or a drop takes back; one that came during the proof outlives a keep."""
        if step.kind not in ("keep", "drop"):
            return ()
        if step.proves is not None:
            return tuple(advance for advance in self.advances if advance.index in step.proves)
        shas = [advance.source_sha for advance in self.advances]
        count = shas.index(step.source_sha) + 1 if step.source_sha in shas else 0
        return self.advances[count:] if step.kind == "drop" else self.advances[: count or None]

    def after(self, step: Step) -> "Unproven":
        """What is unproven after one more step."""
        if step.kind == "advance":
            return Unproven((*self.advances, step))
        judged = {advance.index for advance in self.judged_by(step)}
        return Unproven(tuple(advance for advance in self.advances if advance.index not in judged))
