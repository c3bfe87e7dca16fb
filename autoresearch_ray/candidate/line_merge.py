"""Three-way merge of a file whose language is not known well: by lines, as git does it.

A change next to a line that the other side changed conflicts too: without a syntax tree it is not known whether the
two go together.
"""

from collections.abc import Sequence

from autoresearch_ray.candidate.regions import Region, apply, regions


def merge_lines(base: str, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """The text with both changes, and the conflicts, a line each; ours is kept where there are some."""
    if theirs in (base, ours):
        return ours, ()
    if base == ours:
        return theirs, ()
    lines, here, there = (text.splitlines(keepends=True) for text in (base, ours, theirs))
    merged, conflicts, at = list[str](), list[str](), 0
    for region in _join_neighbours(regions(lines, here, there)):
        low, high = region.low, region.high
        one, other = apply(lines, low, high, region.ours), apply(lines, low, high, region.theirs)
        if region.ours and region.theirs and one != other:
            seen = (one or other or lines[low:high])[0].strip()[:60]
            conflicts.append(f"line `{seen}` changed on both sides; ours kept")
        merged += [*lines[at:low], *(one if region.ours else other)]
        at = high
    return "".join([*merged, *lines[at:]]), tuple(conflicts)


def _join_neighbours(found: Sequence[Region]) -> list[Region]:
    """Regions that no line lies between are one."""
    joined = list[Region]()
    for region in found:
        if joined and region.low <= joined[-1].high:
            last = joined.pop()
            region = Region(last.low, region.high, (*last.ours, *region.ours), (*last.theirs, *region.theirs))
        joined.append(region)
    return joined
