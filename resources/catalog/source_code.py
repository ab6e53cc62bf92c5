"""What a result's code consists of: every module that is reached by imports, and the libraries that these import.

Code is compared by what it does. Comments, docstrings, layout and messages are left out, so that editing one makes no new version. A message is a
text written inside a `raise`, a call of a logger, `problem(...)` or `Problem(...)`, or under `expected=`, `found=`, `todo=` or `description=` of a
`Check` or `Claim`, or of the answer `check(...)` to a claim. Any other text counts.

Parsing a project takes most of a second, so what was read of a module is kept beside its compiled code, in `__pycache__`, under the digest of the
bytes that it was read from. An edit of the module, or of this one, is another digest.
"""

import ast
import functools
import importlib.util
import json
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from resources.catalog.digests import digest_of, digest_of_parts
from resources.settings import PROJECT

LOCK = "requirements.lock"

_MESSAGE_CALLS = frozenset({"problem", "Problem"})
_CHECK_CALLS = frozenset({"Check", "Claim", "check"})
_CHECK_MESSAGES = frozenset({"expected", "found", "todo", "description"})
_LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
# Distributions whose name is not that of the module they install.
_DISTRIBUTIONS = {
    "PIL": ("pillow",),
    "sklearn": ("scikit-learn",),
    "xgboost": ("xgboost-cpu", "xgboost"),
    "yaml": ("pyyaml",),
}


@dataclass(frozen=True)
class SourceCode:
    """The code behind a result."""

    digest: str
    files: tuple[str, ...]  # paths below the project, sorted
    libraries: frozenset[str]  # top-level modules of others, without the standard library


class _Module(NamedTuple):
    digest: str
    imports: tuple[str, ...]


@functools.cache
def trace_source(modules: tuple[str, ...], project: Path = PROJECT) -> SourceCode:
    """Follow the imports of `modules` through our own packages. Raise FileNotFoundError if one of `modules` does not exist."""
    found: dict[Path, _Module] = {}
    libraries: set[str] = set()
    waiting = {_require_file(module, project) for module in modules}
    while waiting:
        path = waiting.pop()
        found[path] = _module_at(path)
        for module in found[path].imports:
            top = module.partition(".")[0]
            if _is_ours(top, project):
                waiting.update(file for file in _files_of(module, project) if file not in found)
            elif top not in sys.stdlib_module_names:
                libraries.add(top)
    digests = {path.relative_to(project).as_posix(): module.digest for path, module in found.items()}
    names = tuple(sorted(digests))
    digest = digest_of_parts(part for name in names for part in (name, digests[name]))
    return SourceCode(digest, names, frozenset(libraries))


@functools.cache
def _is_ours(package: str, project: Path) -> bool:
    return (project / package).is_dir()


def _require_file(module: str, project: Path) -> Path:
    path = project / f"{module.replace('.', '/')}.py"
    if not path.is_file():
        raise FileNotFoundError(f"no module {module} below {project}")
    return path


@functools.cache
def _files_of(module: str, project: Path) -> tuple[Path, ...]:
    """Return the files that importing `module` runs: its own and its packages'. The last part may be a name inside a module."""
    parts = module.split(".")
    paths = [project.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return tuple(file for path in paths for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file())


def _module_at(path: Path) -> _Module:
    source = path.read_bytes()
    return _read_kept(path, digest_of(_rules() + source), source)


@functools.cache
def _rules() -> bytes:
    """Return this module's own source: another way to read modules keeps nothing of the old one."""
    return Path(__file__).read_bytes()


@functools.cache  # makers share most modules
def _read_kept(path: Path, key: str, source: bytes) -> _Module:
    """Read a module, or find what was read of the same bytes before."""
    kept = Path(importlib.util.cache_from_source(str(path))).with_suffix(".source.json")
    with suppress(OSError, ValueError):  # never kept, or damaged: read again
        check, _, text = kept.read_text("utf-8").partition("\n")
        found_key, digest, imports = json.loads(text)
        if check == digest_of(text.encode()) and found_key == key:
            return _Module(digest, tuple(imports))
    module = _read_module(source)
    _keep(kept, json.dumps([key, *module]))
    return module


def _keep(path: Path, text: str) -> None:
    """Keep what was read, where compiled modules are kept and only if they are."""
    if sys.dont_write_bytecode:
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):  # the project may be another user's
        path.parent.mkdir(exist_ok=True)
        partial.write_text(f"{digest_of(text.encode())}\n{text}", "utf-8")
        partial.replace(path)


def _read_module(source: bytes) -> _Module:
    tree = ast.parse(source)
    imports = tuple(sorted(set(_imports(tree))))
    return _Module(digest_of(_canonical(_MessageStripper().visit(tree)).encode()), imports)


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield the modules that a tree imports, at its top or inside functions; imports for type checkers alone are not run."""
    if isinstance(node, ast.If) and _last_name(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise ValueError(f"line {node.lineno}: a relative import is not followed; write the whole name")
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.Call) and _last_name(node.func) == "import_module":
        yield from (str(name.value) for name in node.args[:1] if isinstance(name, ast.Constant))
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def _last_name(node: ast.AST) -> str:
    """Return `c` for the expression `a.b.c`, and the empty text for what is no name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _MessageStripper(ast.NodeTransformer):
    """Removes docstrings and empties messages."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            _empty_arguments(node.exc)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = _last_name(node.func)
        if name in _MESSAGE_CALLS or (isinstance(node.func, ast.Attribute) and name in _LOG_METHODS):
            _empty_arguments(node)
        elif name in _CHECK_CALLS:
            for keyword in node.keywords:
                if keyword.arg in _CHECK_MESSAGES:
                    keyword.value = _TextEmptier().visit(keyword.value)
        return self.generic_visit(node)


def _empty_arguments(call: ast.Call) -> None:
    call.args = [_TextEmptier().visit(argument) for argument in call.args]
    for keyword in call.keywords:
        keyword.value = _TextEmptier().visit(keyword.value)


class _TextEmptier(ast.NodeTransformer):
    """Replaces every text of an expression, also one with values in it, by the empty text."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


def _canonical(node: Any) -> str:
    """Write a syntax tree as text. Unlike `ast.dump`, it leaves out every empty field, so that all releases of Python agree."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({','.join(f'{name}={_canonical(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    return repr(node)


def digest_files(names: Collection[str], project: Path = PROJECT) -> str:
    """Digest files whose every byte counts, such as templates."""
    return digest_of_parts(part for name in sorted(names) for part in (name, digest_of((project / name).read_bytes())))


@functools.cache
def locked_releases(libraries: frozenset[str], project: Path = PROJECT, lock: str = LOCK) -> str:
    """Return the locked releases of these libraries and of all that they need, as text.

    `libraries` are top-level modules. Raise LookupError if one of them is not in the lock.
    """
    pins, needs = _read_lock((project / lock).read_text("utf-8"))
    wanted: set[str] = set()
    waiting = [name for library in sorted(libraries) for name in _distributions(library, pins, lock)]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(needs.get(name, ()))
    return "\n".join(pin for name in sorted(wanted) for pin in pins[name])


def _distributions(library: str, pins: Collection[str], lock: str) -> list[str]:
    names = _DISTRIBUTIONS.get(library, (library.lower().replace("_", "-"),))
    found = [name for name in names if name in pins]
    if not found:
        raise LookupError(f"{library} is imported by what makes a version, and {lock} pins no {' or '.join(names)}")
    return found


def _read_lock(text: str) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Return each distribution's pins, one for each platform, and what it needs; the lock lists who needs it, below `# via`."""
    pins: dict[str, list[str]] = {}
    needs: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if line[:1].isalnum():
            name = line.partition("==")[0]
            pins.setdefault(name, []).append(line.rstrip("\\ "))
        elif line.startswith("    #"):
            parent = line.lstrip(" #").removeprefix("via").strip()
            if parent:
                needs.setdefault(parent, set()).add(name)
    return pins, needs
