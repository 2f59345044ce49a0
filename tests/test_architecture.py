"""The import law: layers point downwards only, without cycles, and pure layers touch nothing of the world.

Every import statement counts, also inside functions and under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("concento", "consensus", "state", "node", "gateway", "sim", "bench", "cli")

MAY_IMPORT = {
    "concento": set(),
    "consensus": {"concento"},
    "state": {"concento"},
    "node": {"concento", "consensus", "state"},
    "gateway": {"concento"},
    "sim": {"concento", "consensus", "state", "node", "gateway"},
    "bench": {"concento", "consensus", "state", "node", "gateway"},
    "cli": {"concento", "consensus", "state", "node", "gateway", "sim", "bench"},
}

PURE_LAYERS = ("concento", "consensus", "state")
FORBIDDEN_IN_PURE = {
    "aiohttp",
    "asyncio",
    "datetime",
    "logging",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uuid",
    "uvloop",
}

OWNERS = {
    "plyvel": ["state/store/leveldb.py"],
    "nacl": ["concento/keys.py"],
    "prometheus_client": ["node/metrics.py"],
    "click": ["cli/"],
    "rich": ["cli/"],
    "uvloop": ["node/app.py"],
    "fsspec": ["concento/client/"],
    "soundfile": ["concento/client/"],
    "tinytag": ["concento/client/"],
    "mnemonic": ["concento/client/", "cli/"],
}
"""A library is imported only below these paths, so that it can be replaced in one place."""


def source_files(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of a module of ours."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_client(path: Path) -> bool:
    return path.is_relative_to(ROOT / "concento" / "client")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, and for `from package import name` also package.name."""
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                raise AssertionError(f"{path}: a relative import")
            case _:
                pass


ALL_FILES = [path for layer in LAYERS for path in source_files(layer)]
PURE_FILES = [path for path in ALL_FILES if path.relative_to(ROOT).parts[0] in PURE_LAYERS and not is_client(path)]

AT_THE_BORDER = {
    "state/store/leveldb.py": "the store on disk, behind the seam of state/store/kv.py",
    "concento/strictjson.py": "reads the numbers of JSON, which typed records then refuse where they are no integers",
    "concento/encoding.py": "compiles record types one at a time: threads of a client may ask for one at once",
    "node/replica/files.py": "the files on disk, behind the seam that stands beside them",
}
"""Files of pure layers that meet the world: the real side of a seam, each with its reason."""

LOADS_LAZILY = ("cli/", "concento/client/__init__.py")
"""What a command line starts with must answer fast, so these may import inside functions."""


def test_there_is_something_to_check() -> None:
    names = [name_of(path) for path in ALL_FILES]
    assert "state.transition" in names
    assert "consensus.machine" in names
    assert {"concento.errors", "concento.limits"} <= set(imports_of(ROOT / "concento" / "transactions.py"))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_lies_below_it(layer: str) -> None:
    wrong = [
        f"{place(path)} imports {name}"
        for path in source_files(layer)
        for name in imports_of(path)
        if (top := name.split(".")[0]) in LAYERS and top != layer and top not in MAY_IMPORT[layer]
    ]
    assert not wrong


def test_the_vocabulary_does_not_know_its_client() -> None:
    wrong = [
        path.name
        for path in source_files("concento")
        if not is_client(path) and any(name.startswith("concento.client") for name in imports_of(path))
    ]
    assert not wrong


def test_no_module_imports_itself_over_others() -> None:
    modules = {name_of(path): path for path in ALL_FILES}
    graph = {
        module: [name for name in dict.fromkeys(imports_of(path)) if name in modules and name != module]
        for module, path in modules.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for name in graph[module]:
                visit(name, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", [path for path in ALL_FILES if not place(path).startswith(LOADS_LAZILY)], ids=name_of)
def test_imports_stand_at_the_top(path: Path) -> None:
    inside = [
        node.lineno
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inside, f"imports inside functions at lines {inside}"


@pytest.mark.parametrize("path", [path for path in PURE_FILES if place(path) not in AT_THE_BORDER], ids=name_of)
def test_pure_layers_touch_nothing_of_the_world(path: Path) -> None:
    wrong = sorted(FORBIDDEN_IN_PURE & {name.split(".")[0] for name in imports_of(path)})
    assert not wrong, f"imports {wrong}"
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Constant(value=float()):
                pytest.fail(f"line {node.lineno}: a float")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()) if not is_path(node):
                pytest.fail(f"line {node.lineno}: division makes a float; use //")
            case ast.Call(func=ast.Name(id="hash" | "float" | "open" | "print" | "input" | "id" as name)):
                pytest.fail(f"line {node.lineno}: {name}()")
            case ast.For(iter=ast.Set() | ast.SetComp()) | ast.comprehension(iter=ast.Set() | ast.SetComp()):
                pytest.fail("iteration over a set")
            case ast.For(iter=source) | ast.comprehension(iter=source) if is_set_call(source):
                pytest.fail("iteration over a set")
            case ast.Assert():
                pytest.fail(f"line {node.lineno}: assert is for tests; raise Rejected or Broken")
            case _:
                pass


def is_set_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")


def is_path(node: ast.BinOp | ast.AugAssign) -> bool:
    """Whether `/` joins a path: one of its sides is text."""
    sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    return any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides)


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_one_owner(library: str) -> None:
    wrong = [
        place(path)
        for path in ALL_FILES
        if any(name.split(".")[0] == library for name in imports_of(path))
        and not place(path).startswith(tuple(OWNERS[library]))
    ]
    assert not wrong


def test_the_replica_leaves_time_and_network_to_the_shell() -> None:
    wrong = [
        place(path)
        for path in source_files("node/replica")
        if place(path) not in AT_THE_BORDER
        and any(name.split(".")[0] in FORBIDDEN_IN_PURE for name in imports_of(path))
    ]
    assert not wrong


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_no_file_is_past_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600
