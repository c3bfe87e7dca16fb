"""The rule about code that was left out: no comment and no `...` may stand where code stood.

A model that writes a whole file likes to abridge it: `# ... rest unchanged ...`. What it leaves out is deleted then,
and the fewer lines are even rewarded. A comment on a line of its own is looked at by its words: dots around them, or a
phrase that says where the code is. Three dots in a sentence, a shape or a list are honest. (Of 230,000 such comments of
the standard library, PyTorch and RLlib about 30 are refused.)
"""

import ast
import re
import tokenize
from collections.abc import Iterator

from autoresearch_ray.candidate.rules.name_flow import Reading, refusal
from autoresearch_ray.candidate.syntax import tokens
from autoresearch_ray.common.errors import CandidateError

REMEDY = "what is left out is deleted; write the code out"
ABSTRACT = {"abc.abstractmethod", "typing.overload", "typing.Protocol"}
FRAME = " \t#[](){}<>*=~_/|\"'`-"  # around a comment's words
DOTS = r"(?:\.{3,}|…)"
CODE = (
    "(?:code|functions?|methods?|class(?:es)?|file|script|program|body|logic|implementations?|definitions?|helpers?"
    "|imports?|lines|loop)"
)
UNCHANGED = (
    "(?:unchanged|(?:the )?same|identical|untouched|unmodified|as[ -]is|as (?:before|above|in the original|it was)"
    "|goes here|omitted|elided)"
)
WHERE = "(?:(?: as)? (?:before|above)| here| for (?:brevity|clarity))?"
BE = "(?:(?:is|are|stays?|remains?|kept|left|goes|exactly|all) )*"
ELIDES = re.compile(  # matches a whole comment
    f"(?:and )?(?:the )?(?:rest|remainder)(?: of .{{1,40}}?)? {BE}{UNCHANGED}{WHERE}"
    f"|(?:and )?(?:the )?(?:rest|remainder) of (?:the |this |your |my )?(?:\\w+ )?{CODE}{WHERE}"
    f"|(?:.{{1,40}} )?{CODE} {BE}{UNCHANGED}{WHERE}"
    "|(?:the )?(?:existing|remaining|unchanged|same) (?:\\w+ ){0,3}(?:code|logic|implementation|body|lines)" + WHERE
    + f"|(?:everything|all) (?:else|other .{{1,40}}?) {BE}{UNCHANGED}{WHERE}"
    "|unchanged|no changes?(?: (?:here|needed|below|above))?|(?:exactly )?(?:the )?same as before|as before"
    "|(?:omitted|elided|snip|snipped)|.{1,60} for brevity"
    f"|(?:your|add|insert|put) (?:.{{1,40}} )?(?:code|logic|implementation) (?:goes )?here|{CODE} goes here"
    "|todo:? implement(?: this| me)?(?: here)?"
)  # fmt: skip
ELIDES_WITH_DOTS = re.compile(
    "(?:and )?(?:the )?(?:rest|remainder)(?: of .{1,40})?"
    "|(?:the )?(?:remaining|existing|unchanged|same|previous|original|other|keep|kept)(?: [\\w ]{1,30})?"
    f"|(?:.{{1,40}} )?{UNCHANGED}"
)


def check_comments(source: str) -> None:
    """No comment stands for code that was left out. To be asked first: without the code the text may be no Python."""
    for line, words in find_elisions(source):
        raise CandidateError(f"elisions: line {line}: the comment `{words[:60]}` stands for code; {REMEDY}")


def check_elisions(reading: Reading) -> None:
    """No statement `...` or text stands for code that was left out."""
    for node in reading.nodes:
        match node:
            case ast.Expr(value=ast.Constant(value=value)) if value is ... and not _is_abstract(reading, node):
                raise refusal("elisions", node, f"the statement `...` stands for code; {REMEDY}, or say `pass`")
            case ast.Expr(value=ast.Constant(value=str(text))) if elides(text):
                raise refusal("elisions", node, f"the text `{_bare(text)[:60]}` stands for code; {REMEDY}")


def find_elisions(source: str) -> Iterator[tuple[int, str]]:
    """Line and words of the comments that stand for code."""
    for begin, block in _comments(source):
        found = list(enumerate(block, begin))
        if len(block) > 1:  # dots below words stand for code, dots between words for words
            found = [(line, text) for line, text in found[:-1] if _bare(text)] + found[-1:]
            found.append((begin, " ".join(map(_words, block))))
        yield from ((line, text) for line, text in found if elides(text))


def _comments(source: str) -> Iterator[tuple[int, list[str]]]:
    """Comments, those of lines that follow each other together; beside code only those with dots around their words."""
    block: list[str] = []
    begin = 0
    try:
        every = [token for token in tokens(source) if token.type == tokenize.COMMENT]
    except CandidateError:  # the parser has better words for it
        return
    for token in every:
        (line, column), text = token.start, token.string
        if token.line[:column].strip() not in ("", "pass", "..."):
            if _bare(text) and all(_dots(text)):
                yield line, [text]
            continue
        if line != begin + len(block):
            if block:
                yield begin, block
            begin, block = line, []
        block.append(text)
    if block:
        yield begin, block


def _bare(text: str) -> str:
    """A comment's words without what is around them, dots too."""
    return _words(text).strip(FRAME + ".…")


def _words(text: str) -> str:
    return " ".join(text.split()).strip(FRAME).rstrip(":;!,")


def _dots(text: str) -> tuple[bool, bool]:
    """Whether the words begin and end in three dots."""
    words = _words(text)
    return re.match(rf"{DOTS}(?![,.])", words) is not None, re.search(rf"{DOTS}$", words) is not None


def elides(text: str) -> bool:
    """Whether the words say that code was left out."""
    dots, bare = _dots(text), _bare(text).lower()
    return all(dots) or bool(ELIDES.fullmatch(bare) or (any(dots) and ELIDES_WITH_DOTS.fullmatch(bare)))


def _is_abstract(reading: Reading, statement: ast.Expr) -> bool:
    """Whether it is the body of a method that has none: abstract, an overload, or a protocol's."""
    function = reading.scopes.parent[statement]
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    holder = reading.scopes.parent[function]
    named = [*function.decorator_list, *(holder.bases if isinstance(holder, ast.ClassDef) else [])]
    return any(ABSTRACT & reading.paths(name) for name in named)
