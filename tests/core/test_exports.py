"""What a script may use of the engine, and what importing it costs."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import core

ROOT = Path(__file__).parents[2]


def test_all_is_what_is_exported() -> None:
    exported = {
        name
        for name, value in vars(core).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert set(core.__all__) == exported
    assert len(set(core.__all__)) == len(core.__all__)


def test_all_is_sorted() -> None:
    """Constants, classes, functions, as ruff sorts them."""
    kinds = [0 if name.isupper() else 1 if name[0].isupper() else 2 for name in core.__all__]
    assert list(core.__all__) == [name for _, name in sorted(zip(kinds, core.__all__, strict=True))]


@pytest.mark.parametrize("name", [name for name in core.__all__ if not name.isupper()])
def test_each_is_documented(name: str) -> None:
    text = inspect.getdoc(getattr(core, name)) or ""
    assert text[:1].isupper()
    assert not text.startswith(f"{name}(")  # which is what a dataclass says of itself


def test_importing_it_imports_nothing_heavy() -> None:
    script = """
import sys
import core
heavy = [name for name in ("torch", "numba", "triton", "transformers", "PySide6") if name in sys.modules]
assert not heavy, heavy
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=False, timeout=60)
    assert done.returncode == 0


@pytest.mark.parametrize("package", ["core", "gui"])
def test_the_types_are_shipped(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"][package]
