"""The rules about what comes from other modules: which are imported, which parts are used, and how."""

import ast

from autoresearch_ray.candidate.rules.modules import MODULES, SETTING_MODULES, SETTINGS, advice, allowed, importable
from autoresearch_ray.candidate.rules.name_flow import BY_NAME, Reading, refusal

ALLOWED = ", ".join(sorted({name.split(".")[0] for name in MODULES} - {"__future__"}))


def check_imports(reading: Reading) -> None:
    """Only listed modules and parts are imported, by name."""
    for node in reading.nodes:
        match node:
            case ast.ImportFrom(level=level) if level:
                raise refusal("imports", node, "a relative import; a candidate is one file; remove it")
            case ast.ImportFrom(module=str(module), names=aliases):
                modules, wanted = [module], [module, *(f"{module}.{alias.name}" for alias in aliases)]
            case ast.Import(names=aliases):
                modules = wanted = [alias.name for alias in aliases]
            case _:
                continue
        for path in wanted:
            if path.endswith(".*"):
                raise refusal("imports", node, f"`from {path[:-2]} import *` hides what is used; import it by name")
            if not allowed(path):
                raise refusal(
                    "imports", node, f"{path} is not among what a candidate may use ({ALLOWED}); {advice(path)}"
                )
        for path in modules:
            if not importable(path):
                holder, _, name = path.rpartition(".")
                raise refusal("imports", node, f"{path} is no module to import; write `from {holder} import {name}`")


def check_parts(reading: Reading) -> None:
    """Only listed parts of an import are used: not its own imports, its files or its processes."""
    for use in reading.uses():
        for base in reading.paths(use.base):
            path = f"{base}.{use.name}"
            if base.split(".")[0] not in ("builtins", "task") and not base.endswith("]") and not allowed(path):
                raise refusal("parts", use.node, f"{path} is not among what a candidate may use; {advice(path)}")
    for node in reading.nodes:
        if isinstance(node, ast.Call) and "torch.compile" in reading.paths(node.func):
            _check_compile_options(node)


def check_module_values(reading: Reading) -> None:
    """A module is used by its parts alone, so that what is used of it can be read."""
    for node in reading.nodes:
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        modules = reading.paths(node) & (MODULES.keys() | SETTING_MODULES)
        if modules and not _is_base(node, reading.scopes.parent[node]):
            raise refusal(
                "modules", node, f"the module {min(modules)} is used as a value; name what is used of it: module.part"
            )


def _is_base(node: ast.expr, parent: ast.AST) -> bool:
    match parent:
        case ast.Attribute():
            return True
        case ast.Call(func=ast.Name(id=function), args=[first, *_]) if function in BY_NAME:
            return first is node  # `names` looks at it
    return False


def _check_compile_options(call: ast.Call) -> None:
    """`options` of torch.compile can name programs to run: only known settings, by their names."""
    for keyword in call.keywords:
        if keyword.arg != "options":
            continue
        names = keyword.value.keys if isinstance(keyword.value, ast.Dict) else [None]
        for name in names:
            seen = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else None
            if f"torch._inductor.config.{seen}" not in SETTINGS:
                raise refusal(
                    "parts", keyword, f"option {seen!r} of torch.compile is not among those allowed; use `mode`"
                )
