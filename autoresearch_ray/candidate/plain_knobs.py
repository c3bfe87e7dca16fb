"""Knobs and constants of a file that is not Python, line by line.

    #define BLOCK 64                // rows a block; search log_int(8, 256)
    static const int HEADS = 4;     /* search int(1, 8) */
    lr: 0.1                         # search log(0.001, 1)

A knob is a line that ends in a range, with one literal right before its comment and a name before that. A constant is a
knob, or a line that is nothing but `NAME = literal` (`NAME: literal` in YAML and JSON, `#define NAME literal` in C),
with the words of a declaration, where no other line of the file is one for that name.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from autoresearch_ray.candidate.languages import KEPT_FILES, Language, language_of
from autoresearch_ray.candidate.ranges import KINDS, Knob, Range, Value, parse_range, same
from autoresearch_ray.common.errors import CandidateError

NAME = r"(?P<name>(?<![\w$])(?!(?:const|var|let|static|export|return|final|mut)\b)[A-Za-z_](?:[\w-]*\w)?)[\"']?"
LITERAL = (
    r"(?:(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?P<unit>_?[iuf](?:8|16|32|64|size)|[fFlLuU]{0,3})"
    r"(?![\w.+-])|(?P<flag>[Tt]rue|[Ff]alse)\b|(?P<quoted>\"[^\"'\\\n]*\"|'[^\"'\\\n]*')"
)
WORD = r"|(?P<word>[A-Za-z_][\w.+/-]*)"
TAIL = r")(?P<tail>[)}\]]?[\s;,)}\]]*)$"
HEAD = r"(?P<head>[\w\s<>:*&.\"'\[\]-]*?)"  # the words of a declaration
DEFINE = re.compile(rf"^(?P<head>\s*#\s*define\s+){NAME}(?P<between>\s+[(]?){LITERAL}{TAIL}")
TYPES = {
    "": "",
    "colon": r"(?P<type>\s*:\s*[\w<>&' \[\];]+?(?=\s*=))?",
    "word": r"(?P<type>[ \t]+[\w.\[\]*]+(?=\s*=))?",
}
RANGE = re.compile(rf"\bsearch\s+(?:{'|'.join(KINDS)})\s*\(.*\)\s*$")
BARE_WORD = re.compile(r"(?!(?:true|false|yes|no|on|off|null|none)$)[A-Za-z_][\w.+/-]*", re.IGNORECASE)
LOWER_FLAG = re.compile(r"(?<![\w\"'])(true|false)(?![\w\"'])")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: its code, and the comment behind it."""

    number: int
    start: int  # its offset in the file
    code: str
    comment: str  # with its comment marks; "" for none


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant, and where its literal is in the file."""

    name: str
    value: Value
    line: Line
    start: int
    literal: str
    unit: str  # suffix of a number, as in 0.1f
    range: str | None  # the range's text in the comment


def read_knobs(path: str, text: str) -> tuple[Knob, ...]:
    """The knobs in their order; CandidateError names the line that is wrong and the remedy."""
    return tuple(
        _knob(constant, constant.range)
        for constant in find_constants(path, text).values()
        if constant.range is not None
    )


def constants(path: str, text: str) -> Mapping[str, Value]:
    """The constants with their values."""
    return {name: constant.value for name, constant in find_constants(path, text).items()}


def set_constants(path: str, text: str, values: Mapping[str, object]) -> str:
    """The text with other literals; comments keep their column. CandidateError if a name is no constant of it."""
    found = find_constants(path, text)
    for name in values:
        if name not in found:
            raise CandidateError(f"{name} is not a constant that stands once, as NAME = literal: cannot set it")
    changed = [found[name] for name, value in values.items() if not same(found[name].value, value)]
    for constant in sorted(changed, key=lambda constant: constant.start, reverse=True):
        end = constant.start + len(constant.literal)
        literal, line = _spell(values[constant.name], constant, language_of(path)), constant.line
        if line.comment:
            tail = text[end : line.start + len(line.code)]
            blanks = len(tail) - len(tail.rstrip())
            kept = max(2, blanks - len(literal) + len(constant.literal))
            text = f"{text[: constant.start]}{literal}{tail.rstrip()}{' ' * kept}{text[line.start + len(line.code) :]}"
        else:
            text = text[: constant.start] + literal + text[end:]
    return text


@lru_cache(maxsize=KEPT_FILES)
def find_constants(path: str, text: str) -> Mapping[str, Constant]:
    """Every constant by its name."""
    language = language_of(path)
    knobs: dict[str, Constant] = {}
    others = list[Constant]()
    for line in code_lines(path, text):
        wanted = range_in(line.comment) if line.code.strip() else None
        constant = _match(language, line, wanted)
        if wanted is None:
            others += [constant] if constant is not None else []
        elif constant is None:
            raise CandidateError(
                f"line {line.number}: a search range beside something that is not a constant; expected a name and one "
                f"literal right before the comment, or a comment without `search`"
            )
        elif constant.name in knobs:
            raise CandidateError(
                f"line {line.number}: knob {constant.name} is on line {knobs[constant.name].line.number} too; expected "
                f"one of this name in a file"
            )
        else:
            knobs[constant.name] = constant
    counts = Counter(constant.name for constant in others)
    once = {constant.name: constant for constant in others if counts[constant.name] == 1 and constant.name not in knobs}
    return dict(sorted((knobs | once).items(), key=lambda item: item[1].start))


def constant_of_line(path: str, line: str) -> tuple[str, str] | None:
    """Name and literal, if the line would be a knob or constant. The rest of the file is not needed."""
    language = language_of(path)
    code, comment = _split(language, line)
    if not comment:
        ends = [line.find(f" {mark}") for mark in (*language.marks, "/*")]
        code = line[: min((end for end in ends if end > 0), default=len(line))]
    constant = _match(language, Line(1, 0, code, comment), range_in(comment) if comment else None)
    return (constant.name, constant.literal) if constant is not None else None


def range_in(comment: str) -> str | None:
    """The range that a comment ends in, as it is spelled; None where it gives none."""
    match = RANGE.search(bare_comment(comment))
    return match[0].removeprefix("search").strip() if match is not None else None


def bare_comment(comment: str) -> str:
    """The words of a comment without its marks."""
    return re.sub(r"^(?:/[/*]+|#+|--+|;+)\s*|\s*\*+/\s*$", "", comment).strip()


def check_range(name: str, text: str, value: object) -> Range:
    """The range that `text` spells, which must hold the value. CandidateError."""
    try:
        found = parse_range(LOWER_FLAG.sub(lambda match: match[0].title(), text))
    except ValueError as error:
        raise CandidateError(f"knob {name} has the range `search {text}`; {error}") from None
    if not found.contains(value):
        raise CandidateError(
            f"knob {name} = {value!r} is outside its range {found}; widen the range or change the value"
        )
    return found


@lru_cache(maxsize=KEPT_FILES)
def code_lines(path: str, text: str) -> tuple[Line, ...]:
    """The lines that stand in no comment or string of several lines."""
    language = language_of(path)
    pieces = language.scan(text)
    if pieces is None or not language.trailing:
        return tuple(_guess_lines(language, text))
    comments = {start + len(text[start:end].rstrip()): start for kind, start, end in pieces if kind != "string"}
    found, at, upto = list[Line](), 0, 0
    ahead = iter([*pieces, ("string", len(text) + 1, len(text) + 1)])
    piece = next(ahead)
    for number, line in enumerate(text.split("\n"), 1):
        end = at + len(line.rstrip())
        inside = at < upto
        while piece[1] < at + len(line) + 1 and piece[1] <= len(text):
            upto = piece[2]
            piece = next(ahead)
        start = comments.get(end, -1)
        if not inside and upto <= at + len(line):
            begin = start if start >= at else at + len(line)
            found.append(Line(number, at, text[at:begin], text[begin:end] if start >= at else ""))
        at += len(line) + 1
    return tuple(found)


def _guess_lines(language: Language, text: str) -> Iterator[Line]:
    at = 0
    for number, line in enumerate(text.split("\n"), 1):
        yield Line(number, at, *_split(language, line))
        at += len(line) + 1


def _split(language: Language, line: str) -> tuple[str, str]:
    """Code and comment of a line whose surroundings are not known: only a comment that gives a range is one."""
    if "search" not in line or RANGE.search(bare_comment(line)) is None:
        return line, ""
    marks = [*language.marks, *(["/*"] if language.block else [])]
    at = max((line.rfind(mark, 0, line.rfind("search")) for mark in marks), default=-1)
    if line.startswith(";", at):  # as in `// rows; search int(1, 8)`
        first = line.find(" ;") + 1 or at
        at = max((line.rfind(mark, 0, at) for mark in marks if mark != ";" and mark in line[:at]), default=first)
    return (line, "") if at <= 0 else (line[:at], line[at:])


@lru_cache(maxsize=64)
def _patterns(language: Language, is_knob: bool) -> tuple[re.Pattern[str], ...]:
    literal = LITERAL + (WORD if language.words else "") + TAIL
    name = NAME + TYPES[language.types]
    equals = r"\s*(?::=|=|:)\s*" if language.colons or is_knob else r"\s*:?=\s*"
    head, loose = (r"(?P<head>[^\n]*?)", r"|\s+|\s*[({]\s*") if is_knob else (HEAD, "")
    return DEFINE, re.compile(rf"^{head}{name}(?P<between>(?:{equals}{loose})[({{]?\s*){literal}")


def _match(language: Language, line: Line, wanted: str | None) -> Constant | None:
    if not any(sign in line.code for sign in "=:#") and wanted is None:
        return None
    for pattern in _patterns(language, wanted is not None):
        match = pattern.match(line.code)
        if match is not None:
            groups = match.groupdict()
            kind = next(kind for kind in ("number", "flag", "quoted", "word") if groups.get(kind) is not None)
            literal = groups[kind] + (groups["unit"] or "" if kind == "number" else "")
            value = _value(kind, groups[kind], groups["unit"] or "")
            return Constant(
                match["name"], value, line, line.start + match.start(kind), literal, groups["unit"] or "", wanted
            )
    return None


def _value(kind: str, literal: str, unit: str) -> Value:
    if kind == "flag":
        return literal.lower() == "true"
    if kind == "quoted":
        return literal[1:-1]
    if kind == "word":
        return literal
    is_whole = re.fullmatch(r"[+-]?\d+", literal) is not None and "f" not in unit.lower()
    return int(literal) if is_whole else float(literal)


def _knob(constant: Constant, wanted: str | None) -> Knob:
    assert wanted is not None, constant
    try:
        return Knob(
            constant.name, constant.value, check_range(constant.name, wanted, constant.value), constant.line.number
        )
    except CandidateError as error:
        raise CandidateError(f"line {constant.line.number}: {error}") from None


def _spell(value: object, constant: Constant, language: Language) -> str:
    """The literal in the way of the one that it replaces."""
    if isinstance(value, bool):
        text = str(value)
        return text if constant.literal[:1] in "TF" else text.lower()
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise CandidateError(f"{value} has no literal; expected a finite number")
        is_float = "f" in constant.unit.lower()
        text = repr(float(value) if is_float else value)
        if "e" in text and "." not in text:
            text = text.replace("e", ".0e")  # 1e-05 is text in YAML 1.1
        return text + (constant.unit if is_float or isinstance(value, int) else "")
    if not isinstance(value, str) or re.search(r"[\"'\\\n\0]", value):
        raise CandidateError(f"{value!r} has no literal here; expected a number, a truth value or a plain string")
    quote = constant.literal[:1]
    if quote in ("'", '"'):
        return f"{quote}{value}{quote}"
    return value if language.words and BARE_WORD.fullmatch(value) else f'"{value}"'
