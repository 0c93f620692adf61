"""The house keeps its floors: a room imports from lower floors only, and peers never import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import asynccache

ROOT = Path(asynccache.__file__).parent

FLOORS = {
    "cli": 8, "testing": 8,
    "proxy": 7, "simulator": 7,
    "calls": 6, "client": 6, "arguments": 6, "prompt": 6, "completion_stream": 6, "answer_cost": 6,
    "retry": 5, "transport": 5, "cache_control": 5, "usage": 5, "pricing": 5, "chunks": 5, "aggregate": 5, "inline_urls": 5, "tracing": 5,
    "providers": 4,
    "sse": 3, "pipeline": 3,
    "stream": 2,
    "events": 1, "clocks": 1,
    "request": 0, "reply": 0, "mapped": 0, "errors": 0, "secret": 0, "logs": 0, "looks": 0, "shapes": 0,
}  # fmt: skip
# Floors whose rooms are parts of one idea and may know each other.
SHARED_FLOORS = {0, 6}
# Parts of a stage, in files of their own.
ROOM_OF = dict.fromkeys(("cache_injection", "cache_marks", "cache_plan"), "cache_control") | {
    "tracing_content": "tracing",
    "body": "transport",
}


def room_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "asynccache" or len(parts) < 2:
        return None
    return ROOM_OF.get(parts[1], parts[1])


def imports_of(path: Path) -> set[str]:
    """Every module of ours that *path* imports when it runs; imports for type checkers only do not count."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                visit(other)
            return
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            if node.module == "asynccache":
                found.update(f"asynccache.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def test_every_room_stands_on_a_floor() -> None:
    """A new module or folder names its floor here."""
    rooms = {p.stem if p.is_file() else p.name for p in ROOT.iterdir() if p.suffix == ".py" or p.is_dir()}
    rooms -= {"__init__", "__main__", "__pycache__"}
    assert {ROOM_OF.get(room, room) for room in rooms} <= set(FLOORS)


def test_imports_go_down_only() -> None:
    """No module imports from its own floor's other rooms or from above."""
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(("asynccache", *path.relative_to(ROOT).with_suffix("").parts))
        own = room_of(module)
        if own in {None, "__init__", "__main__"}:
            continue
        for name in imports_of(path):
            other = room_of(name)
            if other is None or other == own or other not in FLOORS:
                continue
            allowed = FLOORS[other] < FLOORS[own] or (
                FLOORS[other] == FLOORS[own] and FLOORS[own] in SHARED_FLOORS
            )
            if not allowed:
                wrong.append(f"{module} ({FLOORS[own]}) imports {name} ({FLOORS[other]})")
    assert not wrong, "\n".join(wrong)


def test_simulator_shares_no_code_with_the_client() -> None:
    """Two mistakes must not cancel out: the simulator has its own idea of every wire."""
    for path in (ROOT / "simulator").rglob("*.py"):
        rooms = {room_of(name) for name in imports_of(path)}
        assert not rooms & {"providers", "chunks", "usage", "pricing", "aggregate", "sse"}, path


def test_sizes() -> None:
    """No module is longer than 500 lines, no function longer than 60 (its docstring apart)."""
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text()
        lines = text.count("\n")
        if lines > 500:
            wrong.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                doc = node.body[0]
                documented = ast.get_docstring(node) is not None
                length = (node.end_lineno or 0) - node.lineno + 1
                length -= (doc.end_lineno or 0) - doc.lineno + 1 if documented else 0
                if length > 60:
                    wrong.append(f"{path.relative_to(ROOT)}: {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)


def test_face_is_complete_and_sorted() -> None:
    """Every public name is there, and `__all__` is sorted."""
    assert sorted(asynccache.__all__) == asynccache.__all__
    for name in asynccache.__all__:
        assert getattr(asynccache, name) is not None
    assert set(asynccache.__all__) <= set(dir(asynccache))


def test_import_is_light() -> None:
    """`import asynccache` brings neither asyncio nor aiohttp nor any network module."""
    code = "import sys, asynccache; print([m for m in ('asyncio', 'aiohttp', 'anyio', 'ssl', 'socket', 'msgspec') if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert run.stdout.strip() == "[]"


def test_root_links_point_into_the_package() -> None:
    """The folders at the top are links for readers; only `asynccache` is installed."""
    for name in ("providers", "usage", "pricing"):
        link = ROOT.parent / name
        assert not link.exists() or link.resolve() == (ROOT / name).resolve()
