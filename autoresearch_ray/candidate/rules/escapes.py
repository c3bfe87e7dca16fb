"""The rules about ways around the others: builtins, introspection, computed names, strings, hooks into Python."""

import ast
import re

from autoresearch_ray.candidate.rules.modules import MODULES, words
from autoresearch_ray.candidate.rules.name_flow import BY_NAME, Reading, Use, refusal

BUILTINS = {
    "open": "there are no files: keep in memory what training needs",
    "input": "nobody is there to answer; remove it",
    "breakpoint": "nobody is there to answer; remove it",
    "help": "nobody is there to read; remove it",
    "exit": "return the model from train(task)",
    "quit": "return the model from train(task)",
    "eval": "write the expression itself",
    "exec": "write the statements themselves",
    "compile": "write the code itself; torch.compile compiles models",
    "globals": "name the constant itself",
    "locals": "name the variable itself",
    "vars": "name the attribute itself",
    "dir": "name the attribute itself",
    "memoryview": "compute with tensors",
}
OWN = words("__class__ __dict__")  # special attributes that may be named of `self` alone
OUTER = words("__getattr__ __getstate__ __setattr__ __setstate__")  # allowed on `super()` too
READABLE = words(
    "__init__ __post_init__ __new__ __call__ __len__ __getitem__ __iter__ __next__ __repr__ __name__ __qualname__ "
    "__doc__ __version__"
)
DEFINABLE = words(
    "__init__ __post_init__ __new__ __call__ __len__ __getitem__ __iter__ __next__ __repr__ __getattr__ __getstate__ "
    "__setstate__ __str__ __bool__ __int__ __float__ __hash__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __contains__ "
    "__setitem__ __delitem__ __reversed__ __enter__ __exit__ __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ "
    "__mul__ __rmul__ __imul__ __truediv__ __rtruediv__ __floordiv__ __mod__ __pow__ __matmul__ __rmatmul__ __neg__ "
    "__abs__ __slots__ __match_args__ __constants__ __all__ __version__"
)
FRAMES = words(
    "f_back f_builtins f_code f_globals f_locals f_trace tb_frame tb_next gi_code gi_frame gi_yieldfrom cr_code "
    "cr_frame ag_code ag_frame func_code func_globals co_code co_consts co_names cell_contents mro"
)
WRITERS = {
    "tofile": "there are no files",
    "from_file": "there are no files",
    "dump": "there are no files",
    "share_memory": "a trial is one process",
    "share_memory_": "a trial is one process",
    "ctypes": "memory is reached through tensors alone",
    "cffi": "memory is reached through tensors alone",
}
INTERNAL = {"_orig_mod", "_parameters", "_buffers", "_modules", "_asdict", "_replace", "_fields", "_make"}
SPECIAL = re.compile(r"__\w+__")
TENSORS = {"torch.Tensor", "torch.FloatTensor", "torch.LongTensor"}


def check_builtins(reading: Reading) -> None:
    """No builtin that reads files, evaluates text or lists names."""
    for node in reading.nodes:
        if isinstance(node, ast.Global) and (hidden := set(node.names) & {*BUILTINS, *BY_NAME}):
            raise refusal("builtins", node, f"`global {min(hidden)}` hides a builtin; use another name")
        if not isinstance(node, ast.Name):
            continue
        name, scope = node.id, reading.scopes.of(node, node.id)
        if isinstance(node.ctx, ast.Load) and SPECIAL.fullmatch(name) and name not in ("__name__", "__class__"):
            raise refusal("builtins", node, f"{name} belongs to the interpreter; remove it")
        if scope is not None and scope.kind != "class":  # a class body falls back to the builtin
            continue
        if name in BUILTINS:
            raise refusal("builtins", node, f"{name} is refused; {BUILTINS[name]}")
        parent = reading.scopes.parent[node]
        if name in BY_NAME and not (isinstance(parent, ast.Call) and parent.func is node):
            raise refusal("builtins", node, f"{name} is used as a value; call it with a literal name")


def check_attributes(reading: Reading) -> None:
    """No introspection: special attributes, frames and code, other objects' private parts."""
    for use in reading.uses():
        name = use.name
        if SPECIAL.fullmatch(name):
            _check_special(reading, use)
        elif name in FRAMES:
            raise refusal("attributes", use.node, f".{name} looks into the interpreter; remove it")
        elif name in WRITERS and use.base is not None and not reading.is_self(use.base):
            raise refusal("attributes", use.node, f".{name} is refused: {WRITERS[name]}; rename it if it is your own")
        elif name.startswith("_") and not _own_private(reading, use):
            raise refusal(
                "attributes", use.node, f".{name} is private to another object; if it is your own, drop the underscore"
            )


def check_computed_names(reading: Reading) -> None:
    """`getattr` and its like take a literal name, or an f-string that begins with a letter on `self`."""
    for node in reading.nodes:
        match node:
            case ast.Call(func=ast.Name(id=function), args=[base, name, *_]) if function in BY_NAME:
                own = reading.is_self(base)
            case ast.Call(func=ast.Name(id=function)) if function in BY_NAME:
                raise refusal("names", node, f"{function} without its arguments in place; write {function}(x, 'name')")
            case _:
                continue
        if not (isinstance(name, ast.Constant) or (own and _begins_with_letter(name))):
            raise refusal(
                "names", node, f"{function} with a computed name; use a dictionary of what there is: {{'gelu': F.gelu}}"
            )
        if function in ("setattr", "delattr") and not own:
            raise refusal("names", node, f"{function} on another object; write x.name = value, or x.add_module(...)")


def check_strings(reading: Reading) -> None:
    """No text that names what belongs to the interpreter."""
    for text in reading.strings():
        found = SPECIAL.search(str(text.value))
        if found:
            raise refusal("strings", text, f"a string with {found[0]}, which belongs to the interpreter; remove it")


def check_definitions(reading: Reading) -> None:
    """Classes are plain: no hooks into how Python or torch treat objects, no metaclasses, no kinds of tensor."""
    for node in reading.nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) if (
                SPECIAL.fullmatch(name) and name not in DEFINABLE
            ):
                raise refusal("definitions", node, f"{name} changes how objects are treated; use an ordinary method")
            case ast.Name(id=name, ctx=ast.Store()) if SPECIAL.fullmatch(name) and name not in DEFINABLE:
                raise refusal("definitions", node, f"{name} belongs to the interpreter; remove it")
            case ast.keyword(arg="metaclass", value=value) if "abc.ABCMeta" not in reading.paths(value):
                raise refusal("definitions", node, "a metaclass runs when its classes are made; use an ordinary class")
            case ast.Call(func=function, args=[_, _, *_]) if "builtins.type" in reading.paths(function):
                raise refusal("definitions", node, "type with three arguments makes a class; write `class`")
            case ast.ClassDef(bases=bases) if any(TENSORS & reading.paths(base) for base in bases):
                raise refusal("definitions", node, "a kind of tensor changes what torch does; use an nn.Module")


def _check_special(reading: Reading, use: Use) -> None:
    allowed = use.name in READABLE
    if use.name in OWN:
        allowed = reading.is_self(use.base)
    elif use.name in OUTER:
        allowed = _is_super(reading, use.base) or (use.name == "__setattr__" and _sets_self(reading, use))
    if not allowed or use.stored:
        raise refusal("attributes", use.node, f".{use.name} looks into the interpreter; remove it")


def _sets_self(reading: Reading, use: Use) -> bool:
    """Whether it is `object.__setattr__(self, ...)`, as frozen dataclasses need it."""
    parent = reading.scopes.parent.get(use.node)
    first = parent.args[0] if isinstance(parent, ast.Call) and parent.args else None
    return "builtins.object" in reading.paths(use.base) and reading.is_self(first)


def _is_super(reading: Reading, node: ast.AST | None) -> bool:
    """`super()`, or `super(Own, self)`."""
    match node:
        case ast.Call(func=ast.Name(id="super"), args=[] | [_] as given):
            return not given
        case ast.Call(func=ast.Name(id="super"), args=[_, own]):
            return reading.is_self(own)
    return False


def _own_private(reading: Reading, use: Use) -> bool:
    paths = reading.paths(use.base)
    if paths and paths <= MODULES.keys():
        return True  # a part of a module: `parts` looks at it
    return (
        use.name in INTERNAL
        or reading.is_self(use.base)
        or _is_super(reading, use.base)
        or reading.is_own_class(use.base)
    )


def _begins_with_letter(name: ast.expr) -> bool:
    match name:
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text[:1].isalpha()
        case ast.BinOp(left=left, op=ast.Add()):
            return (isinstance(left, ast.Constant) and str(left.value)[:1].isalpha()) or _begins_with_letter(left)
    return False
