"""Figures of a package's code, so that two states of it can be compared.

    python experiments/benchmarks/figures.py [PACKAGE_DIR ...]

It prints one Markdown table with a column for each package; without arguments, for the repository's own. It only parses
the sources. Run it where the packages' dependencies are installed, for the environment says which distribution an
imported module comes from. It measures form alone: no tests, no coverage, no complexity.

The first table: version 0.1.0, and its layout of 2026-11-27.

    figure                                                       0.1.0       0.2.0
    modules                                                        169         190
    lines of code in all                                         21797       22297
    files at the top level                                          37          15
    most files in one folder                                        37          17
    functions                                                     1603        1629
    functions that begin with a participle                 182 (11.4%) 175 (10.7%)
    private helpers with one caller and at most 2 lines             51          54
    lines of a function, median                                      6           6
    lines of a function, 90th percentile                            16          17
    functions over 50 lines                                          0           0
    files over 300 lines                                             1           1
    broad excepts                                                   12          12
    `type: ignore`                                                  20          15
    `noqa`                                                          10          10
    functions with Any in their signature                           81          89
    functions with dict[str, Any] in their signature                37          38
    undeclared imports                                               3           0
"""

import ast
import importlib.metadata
import math
import re
import statistics
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OWN_PACKAGE = Path(__file__).resolve().parents[2] / "autoresearch_ray"
LONG_FUNCTION = 50  # lines
LONG_FILE = 300  # lines
SHORT_BODY = 2  # lines

# Left out: base forms (cut, put, read, set, split), and words that are more often something else (left, led).
IRREGULAR_PARTICIPLES = """begun bent bought bound broken brought built caught chosen done drawn driven forgotten found
    frozen given gone grown heard held hidden kept known laid lent lost made meant met paid proven said seen sent shown
    sold spent stolen stuck taken taught thrown told torn understood won worn woven written"""
OTHER_WORDS_IN_ED = """bed bleed breed embed exceed feed heed hundred indeed need proceed red seed shed speed succeed
    wed weed"""
ANY_DICT = r"\b[dD]ict\[str,\s*(\w+\.)?Any\]"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableError(Exception):
    """A path that is no package, or a file that does not parse."""


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path  # begins with the package's name
    lines: int
    nodes: list[ast.AST]  # the whole syntax tree
    comments: list[str]


def read_module(file: Path, package: Path) -> Module:
    """Parse one file; raises UnreadableError."""
    try:
        with tokenize.open(file) as source:
            lines = source.readlines()
        nodes = list(ast.walk(ast.parse("".join(lines))))
        tokens = list(tokenize.generate_tokens(iter(lines).__next__))
    except (OSError, SyntaxError, ValueError, tokenize.TokenError) as error:
        raise UnreadableError(f"{file}: not readable as Python: {error}") from error
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return Module(file.relative_to(package.parent), len(lines), nodes, comments)


def read_package(package: Path) -> list[Module]:
    """Parse every .py file below the folder; raises UnreadableError."""
    modules = [read_module(file, package) for file in sorted(package.rglob("*.py"))]
    if not modules:
        raise UnreadableError(f"{package}: not a folder with .py files, expected the folder of a Python package")
    return modules


def count_lines(statements: Sequence[ast.stmt]) -> int:
    """Count from the first statement to the end of the last; a function begins at its `def`, not at its decorators."""
    return (statements[-1].end_lineno or statements[-1].lineno) - statements[0].lineno + 1 if statements else 0


def is_property(function: Function) -> bool:
    """Whether it is a property's getter, setter or deleter."""
    names = {ast.unparse(decorator).split("(")[0].split(".")[-1] for decorator in function.decorator_list}
    return not names.isdisjoint({"property", "cached_property", "setter", "deleter"})


def begins_with_participle(function: Function) -> bool:
    """Whether a past participle stands where a verb should; it may, in a property and in what returns a bool."""
    word = function.name.lstrip("_").split("_")[0]
    dunder = function.name.startswith("__") and function.name.endswith("__")
    boolean = function.returns is not None and ast.unparse(function.returns).strip("'") == "bool"
    if dunder or boolean or is_property(function) or word in OTHER_WORDS_IN_ED.split():
        return False
    stem = re.sub(r"^(un|re|out|over|with)", "", word)
    return word.endswith("ed") or not {word, stem}.isdisjoint(IRREGULAR_PARTICIPLES.split())


def is_small_private(function: Function) -> bool:
    """Whether it is a private helper with a body of one or two lines, the docstring left out."""
    private = function.name.startswith("_") and not function.name.startswith("__")
    body = function.body if ast.get_docstring(function, clean=False) is None else function.body[1:]
    return private and not is_property(function) and count_lines(body) <= SHORT_BODY


def count_uses(nodes: list[ast.AST]) -> Counter[str]:
    """Count how often each name is read, as a variable or after a dot."""
    variables = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return Counter(variables + [node.attr for node in nodes if isinstance(node, ast.Attribute)])


def write_signature(function: Function) -> str:
    """Write out the annotations of the arguments and of the result."""
    arguments = [node.annotation for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    return "\n".join(ast.unparse(annotation) for annotation in [*arguments, function.returns] if annotation)


def is_broad(node: ast.AST) -> bool:
    """Whether it is an `except` for every Exception, alone or in a tuple."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def list_imports(nodes: list[ast.AST]) -> set[str]:
    """List the top-level modules imported anywhere, within functions too; relative imports stay in the package."""
    imports = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imports += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in imports}


def normalise(name: str) -> str:
    """Write a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_dependencies(pyproject: Path) -> set[str]:
    """Read the names in [project].dependencies; optional ones are left out. Raises UnreadableError."""
    try:
        requirements = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    except (OSError, ValueError, KeyError) as error:
        raise UnreadableError(f"{pyproject}: cannot read [project].dependencies: {error!r}") from error
    return {normalise(re.split(r"[^\w.-]", requirement.strip())[0]) for requirement in requirements}


def list_undeclared(package: Path, nodes: list[ast.AST]) -> list[str]:
    """List the third-party modules none of whose distributions the pyproject.toml beside the package requires."""
    required = read_dependencies(package.parent / "pyproject.toml")
    installed = importlib.metadata.packages_distributions()  # a namespace (`google`) has several distributions
    foreign = list_imports(nodes) - sys.stdlib_module_names - {package.name}
    return sorted(name for name in foreign if required.isdisjoint(map(normalise, installed.get(name, [name]))))


def write_names(names: list[str]) -> str:
    """Write their count, then the names."""
    return f"{len(names)}: {', '.join(names)}" if names else "0"


def count_matches(pattern: str, texts: list[str]) -> str:
    """Count the texts in which the pattern occurs."""
    return str(sum(bool(re.search(pattern, text)) for text in texts))


def measure_functions(functions: list[Function], uses: Counter[str]) -> dict[str, str]:
    """Measure the functions' names and lengths."""
    participles = sum(map(begins_with_participle, functions))
    helpers = [function for function in functions if is_small_private(function) and uses[function.name] == 1]
    lengths = sorted(count_lines([function]) for function in functions) or [0]
    return {
        "functions": str(len(functions)),
        "functions that begin with a participle": f"{participles} ({participles / len(lengths):.1%})",
        f"private helpers with one caller and at most {SHORT_BODY} lines": str(len(helpers)),
        "lines of a function, median": f"{statistics.median(lengths):g}",
        "lines of a function, 90th percentile": str(lengths[math.ceil(0.9 * len(lengths)) - 1]),
        f"functions over {LONG_FUNCTION} lines": str(sum(length > LONG_FUNCTION for length in lengths)),
    }


def measure(package: Path) -> dict[str, str]:
    """Measure one package: its column, by row; raises UnreadableError."""
    modules = read_package(package)
    nodes = [node for module in modules for node in module.nodes]
    comments = [comment for module in modules for comment in module.comments]
    functions = [node for node in nodes if isinstance(node, Function)]
    signatures = list(map(write_signature, functions))
    long_files = [f"{m.path.relative_to(package.name)} ({m.lines})" for m in modules if m.lines > LONG_FILE]
    folders = Counter(module.path.parent for module in modules)
    fullest = max(folders, key=folders.__getitem__)
    return {
        "modules": str(len(modules)),
        "lines of code in all": str(sum(module.lines for module in modules)),
        "files at the top level": str(folders[Path(package.name)]),
        "most files in one folder": f"{folders[fullest]} ({fullest})",
        **measure_functions(functions, count_uses(nodes)),
        f"files over {LONG_FILE} lines": write_names(long_files),
        "broad excepts": str(sum(map(is_broad, nodes))),
        "`type: ignore`": count_matches(r"#\s*type:\s*ignore\b", comments),
        "`noqa`": count_matches(r"(?i)#\s*(ruff:\s*|flake8:\s*)?noqa\b", comments),
        "functions with Any in their signature": count_matches(r"\bAny\b", signatures),
        "functions with dict[str, Any] in their signature": count_matches(ANY_DICT, signatures),
        "undeclared imports": write_names(list_undeclared(package, nodes)),
    }


def main() -> int:
    """Print the table; the exit status is 2 if a package cannot be read."""
    packages = sys.argv[1:] or [str(OWN_PACKAGE)]
    try:
        columns = [measure(Path(package).resolve()) for package in packages]
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return 2
    table = [["figure", *packages], ["---"] * (len(packages) + 1)]
    table += [[row, *(column[row] for column in columns)] for row in columns[0]]
    print("\n".join(f"| {' | '.join(cells)} |" for cells in table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
