"""Ranges that an experiment's YAML gives (`knobs:`), written into the comments of a run's first text.

write_ranges(text, {"LR": "log(0.001, 1)"})    # LR = 0.1  # of Adam  ->  LR = 0.1  # of Adam; search log(0.001, 1)
"""

import tokenize
from collections.abc import Mapping

from autoresearch_ray.candidate import plain_knobs
from autoresearch_ray.candidate.knobs import constants, file_constants, file_knobs, qualify
from autoresearch_ray.candidate.languages import is_python, language_of
from autoresearch_ray.candidate.plain_knobs import check_range
from autoresearch_ray.candidate.python_knobs import constant_lines
from autoresearch_ray.candidate.ranges import Range
from autoresearch_ray.candidate.syntax import tokens
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.common.paths import CANDIDATE_FILE
from autoresearch_ray.records.source_files import has_headings, join, split


def write_ranges(text: str, knobs: Mapping[str, str]) -> str:
    """The text with these ranges (by constant) in the comments of its constants.

    CandidateError where a name is no constant, or is a knob already, a value lies outside or a range is wrong.
    """
    if not has_headings(text):
        values = constants(text)
        for name in knobs:
            if name not in values:
                raise CandidateError(
                    f"{name} is not a module-level constant assigned once to a literal: it has no range"
                )
        return _write(CANDIDATE_FILE, text, knobs)
    by_file: dict[str, dict[str, str]] = {}
    for name, wanted in knobs.items():
        path, own = qualify(text, name)
        by_file.setdefault(path, {})[own] = wanted
    files = dict(split(text))
    for path, wanted_there in by_file.items():
        try:
            files[path] = _write(path, files[path], wanted_there)
        except CandidateError as error:
            raise CandidateError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return join(tuple(files.items()))


def _write(path: str, text: str, knobs: Mapping[str, str]) -> str:
    """One file with these ranges, by names within it."""
    before = {knob.name: knob for knob in file_knobs(path, text)}
    values = file_constants(path, text)
    if knobs and not is_python(path) and not language_of(path).trailing:
        raise CandidateError(f"a file of this kind has no comments behind values; give {', '.join(knobs)} no range")
    for name, wanted in knobs.items():
        if name in before:
            raise CandidateError(f"{name} has the range {before[name].range} in its comment already; say it once")
        given = check_range(name, wanted, values[name])
        text = _append(path, text, name, wanted.strip())
        if _range_of(path, text, name) != given:
            raise CandidateError(f"{name} cannot get the range `{wanted}`; expected a constant on a line of its own")
    return text


def _range_of(path: str, text: str, name: str) -> Range | None:
    """The range of this knob; None where it has none, or another constant got it."""
    try:
        return next((knob.range for knob in file_knobs(path, text) if knob.name == name), None)
    except CandidateError:
        return None


def _append(path: str, text: str, name: str, wanted: str) -> str:
    """The text with the range at the end of the line on which the constant ends."""
    if is_python(path):
        number = constant_lines(text)[name]
        found = next((t for t in tokens(text) if t.type == tokenize.COMMENT and t.start[0] == number), None)
        comment, mark, is_block = found.string if found is not None else "", "#", False
    else:
        constant = plain_knobs.find_constants(path, text)[name]
        number, comment, language = constant.line.number, constant.line.comment, language_of(path)
        mark, is_block = language.marks[0], comment.startswith("/*")
    lines = text.split("\n")
    line = lines[number - 1].rstrip()
    if not comment:
        line = f"{line}  {mark} search {wanted}"
    elif is_block:
        line = f"{line.removesuffix('*/').rstrip()}; search {wanted} */"
    else:
        line = f"{line}; search {wanted}"
    lines[number - 1] = line
    return "\n".join(lines)
