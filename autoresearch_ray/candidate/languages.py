"""What is a comment and what a string in a file that is not Python, by the end of its path.

    language_of("src/kernel.cu").scan(text)    # the comments and strings, or None where one cannot be sure

A comment that is taken for code costs little: two equal programs count as two. A string that is taken for a comment
makes two programs one. So in doubt `scan` says None and the whole text counts as code: a language whose strings are not
known here (`pattern` None), a comment that is never closed, a backslash that joins lines behind a comment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal

KEPT_FILES = 256  # texts whose comments are remembered, some 15 kB each
DOUBLE = r'"(?:\\[\s\S]|[^"\\\n])*"'
SINGLE = r"'(?:\\[\s\S]|[^'\\\n])+'"
REST = r"""["'][^\n]*"""  # an apostrophe in prose, or an unclosed string: both reach to the line's end
SLASHES = r"(?P<comment>//[^\n]*)|(?P<block>/\*[\s\S]*?\*/)"
NUMBER = r"(?P<skip>\d(?:[\w.]|'\w)*)"  # 1'000 in C++

C = (
    rf"""{SLASHES}|(?P<string>(?:u8|[uUL])?R"(?P<end>[^()\\\s]{{0,16}})\([\s\S]*?\)(?P=end)"|{DOUBLE}|{SINGLE}|{REST})"""
    rf"|{NUMBER}|(?P<doubt>/\*)"
)
GO_DIRECTIVE = re.compile(
    r"""^//(?:go:|export\b|line\b|\s*\+build)|import\s+"C\"""", re.MULTILINE
)  # comments that count
GO = rf"{SLASHES}|(?P<string>`[^`]*`|{DOUBLE}|{SINGLE}|{REST})|(?P<doubt>/\*|`)"
REGEX = r"(?:^|[(,=:\[!&|?{};+*%<>~^\n-]|\breturn\b)[ \t]*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*"
JAVASCRIPT = rf"{SLASHES}|(?P<string>{REGEX}|`(?:\\[\s\S]|[^`\\])*`|{DOUBLE}|{SINGLE}|{REST})|(?P<doubt>/\*|`)"
RUST = (
    rf"""{SLASHES}|(?P<string>[bc]?r(?P<end>#*)"[\s\S]*?"(?P=end)|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^\n]{{1,10}}?|[^'\\\n])')"""
    rf"""|(?P<skip>'[A-Za-z_]\w*)|(?P<doubt>/\*|["'])"""
)
SHELL = (
    r"""(?P<skip>\A#![^\n]*|\\[\s\S]|<<<|\$\#)|(?P<comment>(?:(?<=[\s;&|()])|^)#[^\n]*)"""
    r"""|(?P<string><<-?[ \t]*['"\\]?(?P<end>\w+)['"]?[^\n]*\n[\s\S]*?^\t*(?P=end)[ \t]*$"""
    r"""|\$'(?:\\[\s\S]|[^'\\])*'|'[^']*'|"(?:\\[\s\S]|[^"\\])*"|\$\{[^}\n]*\})"""
    r"""|(?P<doubt><<|["'`]|\$\{)"""
)
YAML = (
    r"""(?P<string>^(?P<end>\ *)(?:-\ +)*[^\n\#"']*[:-][ \t]+[|>][-+\d]{0,2}[ \t]*\n"""
    r"""(?:(?:(?P=end)\ [^\n]*|[ \t]*)\n)*"""
    r"""|(?:^[ \t]*|[:?-][ \t]+|[\[{,][ \t]*)(?:"(?:\\.|[^"\\\n])*"|'(?:[^'\n]|'')*'))"""
    r"""|(?P<comment>(?:(?<=[ \t])|^)\#[^\n]*)"""
    r"""|(?P<doubt>(?:^[ \t]*|[:?-][ \t]+|[\[{,][ \t]*)["']|[|>][-+\d]{0,2}[ \t]*(?:\#[^\n]*)?$)"""
)
TOML = (
    r'''(?P<string>"""(?:\\[\s\S]|[^\\])*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:\\.|[^"\\\n])*"|'[^'\n]*')'''
    r"""|(?P<comment>\#[^\n]*)|(?P<doubt>["'])"""
)

Kind = Literal["comment", "block", "string"]
KINDS: tuple[Kind, ...] = ("comment", "block", "string")
Piece = tuple[Kind, int, int]  # kind, start, end


@dataclass(frozen=True, slots=True)
class Language:
    """The comments of a language, and how it writes a constant."""

    marks: tuple[str, ...] = ()  # marks of a comment that ends with its line
    block: bool = False  # /* comments */ too
    pattern: re.Pattern[str] | None = None  # matches comments and strings
    trailing: bool = True  # whether a comment may stand behind a value
    free_form: bool = False  # whether blanks count in strings alone
    breaks: bool = False  # whether a comment over several lines counts as the end of a line
    nests: bool = False  # whether a comment within a comment ends by itself
    colons: bool = False  # `NAME: literal` is a constant
    types: Literal["", "colon", "word"] = ""  # a type between name and value: `lr: f64 = 0.1`, `lr float64 = 0.1`
    words: bool = False  # whether a word without quotes is a value

    def scan(self, text: str) -> tuple[Piece, ...] | None:
        """The text's comments and strings in order; None in doubt."""
        return _scan(self, text)


def _language(pattern: str, *marks: str, **more: bool | str) -> Language:
    return Language(marks, pattern=re.compile(pattern, re.MULTILINE), **more)  # type: ignore[arg-type]  # its fields


_C = _language(C, "//", block=True, free_form=True)
_SCRIPT = _language(JAVASCRIPT, "//", block=True, free_form=True, breaks=True)
_TYPED = _language(JAVASCRIPT, "//", block=True, free_form=True, breaks=True, types="colon")
_GO = _language(GO, "//", block=True, free_form=True, breaks=True, types="word")
_RUST = _language(RUST, "//", block=True, free_form=True, nests=True, types="colon")
_SHELL = _language(SHELL, "#", words=True)
_YAML = _language(YAML, "#", colons=True, words=True)
_TOML = _language(TOML, "#")
_INI = _language(r"(?P<comment>^[#;][^\n]*)", "#", ";", trailing=False, words=True, colons=True)
_JSON = Language(trailing=False, colons=True)
_BRACES = Language(("//",), block=True)  # others: their comments are known, their strings are not
_TYPED_BRACES = Language(("//",), block=True, types="colon")
_HASH, _DASHES, _SEMICOLON = Language(("#",)), Language(("--",)), Language((";",))
UNKNOWN = Language(("#", "//", "--", ";"), block=True, words=True, trailing=False)

_SUFFIXES = (
    (_C, ".c .h .cc .cpp .cxx .c++ .hh .hpp .hxx .cu .cuh .cl"),
    (_SCRIPT, ".js .mjs .cjs"),
    (_TYPED, ".ts .mts .cts"),
    (_GO, ".go"),
    (_RUST, ".rs"),
    (_SHELL, ".sh .bash .ksh"),
    (_YAML, ".yaml .yml"),
    (_TOML, ".toml"),
    (_INI, ".ini .cfg"),
    (_JSON, ".json"),
    (_BRACES, ".java .cs .jsx .m .mm .php .glsl .metal .zig .dart .jsonc .json5"),
    (_TYPED_BRACES, ".tsx .kt .kts .swift .scala"),
    (_HASH, ".pyx .pxd .rb .pl .pm .r .R .jl .nim .tcl .cmake .mk .ex .exs .awk .fish .zsh"),
    (_DASHES, ".lua .sql .hs .adb .ads .vhd .vhdl .elm"),
    (_SEMICOLON, ".lisp .el .clj .scm .rkt .asm"),
)
BY_SUFFIX: Mapping[str, Language] = {suffix: language for language, every in _SUFFIXES for suffix in every.split()}
BY_NAME: Mapping[str, Language] = dict.fromkeys(("Makefile", "Dockerfile", "CMakeLists.txt"), _HASH)


def is_python(path: str) -> bool:
    """Whether the file is read as Python."""
    return path.endswith((".py", ".pyw"))


@lru_cache(maxsize=1024)
def language_of(path: str) -> Language:
    """The language of a file that is not Python."""
    file = PurePosixPath(path)
    return BY_NAME.get(file.name) or BY_SUFFIX.get(file.suffix, UNKNOWN)


@lru_cache(maxsize=KEPT_FILES)
def _scan(language: Language, text: str) -> tuple[Piece, ...] | None:
    if language.pattern is None or (language is _GO and GO_DIRECTIVE.search(text)):
        return None
    found: list[Piece] = []
    for match in language.pattern.finditer(text):
        groups = match.groupdict()
        if groups.get("skip") is not None:
            continue
        if groups.get("doubt") is not None or _is_odd(language, groups):
            return None
        kind = next(kind for kind in KINDS if groups.get(kind) is not None)
        if kind != "string" and _joins_lines(text, *match.span()):
            return None
        found.append((kind, *match.span()))
    return tuple(found)


def _is_odd(language: Language, groups: Mapping[str, str | None]) -> bool:
    """Whether a comment or a string may end elsewhere than it seems to."""
    block, string = groups.get("block"), groups.get("string")
    if block is not None:
        return language.nests and "/*" in block[2:]
    if string is None:
        return False
    if string.startswith("`"):
        return language is not _GO and string.count("${") > string.count("}")
    if language is _SHELL:
        nested = string.startswith('"') and ("$(" in string or "`" in string)
        return nested or (string.startswith("${") and ("'" in string or '"' in string))
    return False


def _joins_lines(text: str, start: int, end: int) -> bool:
    """Whether the line of a comment goes on behind its end, with the comment or without it."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return text.endswith("\\", start, end) or before.rstrip(" \t").endswith("\\")
