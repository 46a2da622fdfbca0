"""What numba keeps of the kernels is compiled anew when anything that went into it changes."""

from __future__ import annotations

import ast
from hashlib import blake2b
from pathlib import Path

import pytest

CORE = Path(__file__).parents[3] / "core"

SOURCES = {path: path.read_text() for path in sorted(CORE.rglob("*.py"))}
INSTRUCTIONS = [path for path, source in SOURCES.items() if "from numba.extending import intrinsic" in source]
INSTRUCTIONS += [path for path, source in SOURCES.items() if "\n@instruction\n" in source]
COMPILED = [path for path, source in SOURCES.items() if "cache=True" in source]


def imported(path: Path) -> set[Path]:
    modules = {node.module for node in ast.walk(ast.parse(SOURCES[path])) if isinstance(node, ast.ImportFrom)}
    return {CORE.parent.joinpath(*module.split(".")).with_suffix(".py") for module in modules if module}


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: str(path.relative_to(CORE)))
def test_numba_notices_changes_of_what_loops_are_compiled_with(path) -> None:
    """It looks at the file of a loop alone, not at what the loop calls."""
    assert not imported(path).intersection(COMPILED), "compiled loops of another file are called"
    if imported(path).intersection(INSTRUCTIONS):
        digest = blake2b(digest_size=8)
        for instructions in sorted(set(INSTRUCTIONS)):
            digest.update(SOURCES[instructions].encode())
        line = f'_INSTRUCTIONS = "{digest.hexdigest()}"'
        assert f"\n{line}\n" in SOURCES[path], f"write {line} in {path.relative_to(CORE)}"
