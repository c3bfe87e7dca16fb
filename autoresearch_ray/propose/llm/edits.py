"""Search/replace blocks, applied to a candidate's text: only where they match exactly once, never by a guess.

A block is applied where its SEARCH lines occur, if that is once. Else they may match apart from white space
(indentation, blanks within and at the end of lines, blank lines). That must be at one place, with every line off by the
same indentation, which the replacement then gets too. Anything else is a fault that says what was found instead.

In a text with headings (`source_files.py`) a block may name its file, and then applies in that file alone. No block may
change a heading.
"""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autoresearch_ray.propose.llm.script_files import find_path
from autoresearch_ray.records.source_files import heading, is_heading, path_of

SHOWN_MATCHES = 4  # matches shown for a block that matches several
SHOWN_LINES = 12  # how many of the nearest lines are shown
LINE_CHARACTERS = 160
ALIKE = 0.6  # difflib's ratio from which a line counts as near


@dataclass(frozen=True, slots=True)
class Block:
    """One edit: these lines become those. Without line ends."""

    search: tuple[str, ...]
    replace: tuple[str, ...]
    path: str = ""  # file that it is meant for; "": it names none


@dataclass(frozen=True, slots=True)
class EditFault:
    """Why a block does not apply, and what to do; blocks count from 1."""

    block: int
    detail: str

    def __str__(self) -> str:
        return f"block {self.block}: {self.detail}"


@dataclass(frozen=True, slots=True)
class _Match:
    """Where a block applies: lines [start, end) become `lines`."""

    start: int
    end: int
    lines: tuple[str, ...]


def apply_edits(source: str, blocks: Sequence[Block]) -> str | tuple[EditFault, ...]:
    """The text with all blocks applied in order, or every fault. Line ends become \\n, the last line has one."""
    assert blocks, "no blocks to apply"
    original = source.replace("\r\n", "\n").split("\n")
    lines, faults = list(original), []
    for number, block in enumerate(blocks, 1):
        match = _match_in_file(lines, block)
        if isinstance(match, str):
            faults.append(EditFault(number, match + _hint(original, lines, block)))
        else:
            lines[match.start : match.end] = match.lines
    if faults:
        return tuple(faults)
    text = "\n".join(lines)
    return text if text.endswith("\n") else text + "\n"


def _match_in_file(lines: list[str], block: Block) -> _Match | str:
    """The one match of a block in the file that it names, else in all; headings stay as they are."""
    headings = {line.rstrip(): number for number, line in enumerate(lines) if is_heading(line)}
    if not headings:
        return _match(lines, block, "train.py")
    paths = tuple(map(path_of, headings))
    fault = _fault_in_headings(block, headings.keys(), paths)
    if fault:
        return fault
    if not block.path or any(map(is_heading, block.search)):
        return _match(lines, block, paths[0] if len(paths) == 1 else "these files")
    path = find_path(paths, block.path)
    if path is None:
        return f"it is for the file {block.path}; {_tell_files(paths)}"
    start = headings[heading(path).rstrip()] + 1
    end = min((number for number in headings.values() if number >= start), default=len(lines))
    match = _match(lines[start:end], block, path)
    if isinstance(match, str):
        return match
    return _Match(start + match.start, start + match.end, match.lines)


def _fault_in_headings(block: Block, headings: Collection[str], paths: Sequence[str]) -> str:
    """The fault of a block that would change a line that names a file; "" if it does not."""
    sought, left = ([line.rstrip() for line in part if is_heading(line)] for part in (block.search, block.replace))
    unknown = [line for line in sought if line not in headings]
    if unknown:
        return f"its SEARCH part has the line `{unknown[0]}`, which names no file here; {_tell_files(paths)}"
    if sought != left:
        return (
            "it takes out, adds or renames a line that names a file; such lines belong to no file, and no file can be "
            f"added, removed or renamed: leave them out of SEARCH and REPLACE; {_tell_files(paths)}"
        )
    return ""


def _tell_files(paths: Sequence[str]) -> str:
    return f"expected {'one of ' * (len(paths) > 1)}{', '.join(paths)}"


def _match(lines: list[str], block: Block, where: str) -> _Match | str:
    """The one match of a block, or what is wrong; `where` is what the lines are called."""
    if not any(line.strip() for line in block.search):
        return (
            "its SEARCH part is empty; put the line before or after the place there, and repeat it in REPLACE with the "
            "new lines"
        )
    exact = _exact(lines, block.search)
    if len(exact) == 1:
        return _Match(exact[0], exact[0] + len(block.search), block.replace)
    if exact:
        return _several(lines, exact, block.search)
    return _loose(lines, block, where)


def _exact(lines: list[str], wanted: Sequence[str]) -> list[int]:
    first, size = wanted[0], len(wanted)
    return [
        start
        for start in range(len(lines) - size + 1)
        if lines[start] == first and tuple(lines[start : start + size]) == tuple(wanted)
    ]


def _loose(lines: list[str], block: Block, where: str) -> _Match | str:
    """The match of all but white space; blank lines on either side do not count."""
    wanted = [line for line in block.search if line.strip()]
    filled = [number for number, line in enumerate(lines) if line.strip()]
    found = _exact([_bare(lines[number]) for number in filled], [_bare(line) for line in wanted])
    if not found:
        return _nowhere(lines, wanted, where)
    if len(found) > 1:
        return _several(lines, [filled[start] for start in found], block.search)
    numbers = filled[found[0] : found[0] + len(wanted)]
    shift = _shift([lines[number] for number in numbers], wanted)
    replacement = None if shift is None else _reindent(_trim(block), *shift)
    if replacement is None:
        return (
            f"its SEARCH part is lines {_name_line(lines, numbers[0])} to {_name_line(lines, numbers[-1])} but for an "
            f"indentation that is not off by the same everywhere; copy the lines with their indentation"
        )
    return _Match(numbers[0], numbers[-1] + 1, replacement)


def _bare(line: str) -> str:
    return " ".join(line.split())


def _shift(there: list[str], wanted: list[str]) -> tuple[str, str] | None:
    """(indentation to take off, indentation to put on) that makes the wanted lines those that are there."""
    shifts = set()
    for line, other in zip(there, wanted, strict=True):
        here, its = _indentation(line), _indentation(other)
        if here.endswith(its):
            shifts.add(("", here[: len(here) - len(its)]))
        elif its.endswith(here):
            shifts.add((its[: len(its) - len(here)], ""))
        else:
            return None
    return shifts.pop() if len(shifts) == 1 else None


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _trim(block: Block) -> list[str]:
    """The replacement without the blank lines at its ends, as far as the SEARCH part has some there too."""
    lines = list(block.replace)
    if not block.search[0].strip():
        while lines and not lines[0].strip():
            lines.pop(0)
    if not block.search[-1].strip():
        while lines and not lines[-1].strip():
            lines.pop()
    return lines


def _reindent(lines: list[str], off: str, on: str) -> tuple[str, ...] | None:
    """The lines with another indentation; None if one of them does not have what is to come off."""
    if any(line.strip() and not line.startswith(off) for line in lines):
        return None
    return tuple(on + line[len(off) :] if line.strip() else "" for line in lines)


def _several(there: list[str], starts: list[int], search: Sequence[str]) -> str:
    matches = ", ".join(_name_line(there, start) for start in starts[:SHOWN_MATCHES])
    more = f" and {len(starts) - SHOWN_MATCHES} more" if len(starts) > SHOWN_MATCHES else ""
    lines = "line" if len(search) == 1 else f"{len(search)} lines"
    return (
        f"its SEARCH part ({lines}) stands at {len(starts)} places, from lines {matches}{more}; expected one; put more "
        f"of the lines around the right place into SEARCH and REPLACE"
    )


def _name_line(lines: list[str], number: int) -> str:
    """A line's number from 1; with its file where there are several."""
    start = next((above for above in range(number, -1, -1) if is_heading(lines[above])), None)
    return str(number + 1) if start is None else f"{path_of(lines[start])}:{number - start}"


def _nowhere(lines: list[str], wanted: list[str], where: str) -> str:
    size = "line" if len(wanted) == 1 else f"{len(wanted)} lines"
    head = f"its SEARCH part ({size}) is nowhere in {where}"
    nearest = _nearest(lines, wanted)
    if nearest is None:
        return (
            f"{head}, and nothing is near to it (its first line is {_short(wanted[0])}); copy the lines as they stand"
        )
    start, end = nearest
    shown = "\n".join(
        f"{_name_line(lines, n):>5}  {lines[n][:LINE_CHARACTERS]}" for n in range(start, min(end, start + SHOWN_LINES))
    )
    return f"{head}; {_first_difference(lines[start:end], wanted)}copy the lines as they stand. The nearest:\n{shown}"


def _nearest(lines: list[str], wanted: list[str]) -> tuple[int, int] | None:
    """[start, end) of the lines that are most like the wanted ones: by their longest equal run, else by one line."""
    here, there = [_bare(line) for line in wanted], [_bare(line) for line in lines]
    run = difflib.SequenceMatcher(None, there, here, autojunk=False).find_longest_match()
    if run.size and any(len(line) > 3 for line in here[run.b : run.b + run.size]):
        start = max(0, run.a - run.b)
    else:
        longest = max(range(len(here)), key=lambda n: len(here[n]))
        close = difflib.get_close_matches(here[longest], there, 1, ALIKE)
        if not close:
            return None
        start = max(0, there.index(close[0]) - longest)
    return start, min(len(lines), start + len(wanted))


def _first_difference(there: list[str], wanted: list[str]) -> str:
    for line, other in zip(there, wanted, strict=False):
        if _bare(line) != _bare(other):
            return f"SEARCH has {_short(other)} where the file has {_short(line)}; "
    return ""


def _short(line: str) -> str:
    return f"`{line.strip()[:LINE_CHARACTERS]}`"


def _hint(original: list[str], lines: list[str], block: Block) -> str:
    """A hint at a fault's cause: the edit is there already, or a block before it took its lines."""
    if block.replace and len(_exact(lines, block.replace)) == 1:
        return "\nIts REPLACE part stands in the file already: leave this block out, or say what else was meant."
    if lines != original and not isinstance(_match_in_file(original, block), str):
        return "\nA block before it changed these lines: blocks apply in order, so merge the two into one."
    return ""
