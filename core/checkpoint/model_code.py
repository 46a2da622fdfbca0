"""The Python files that a model brings along: found by name and by their imports, never run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.small_files import is_there, read_small

__all__ = ["code_files", "named_modules"]

_MOST_FILES = 200
_MOST_BYTES = 4_000_000
_RELATIVE = re.compile(
    rb"^[ \t]*(?:from[ \t]+(\.+)([\w.]*)[ \t]+import[ \t]+(\([^()]{0,10000}\)|[^\n;]*)"
    rb"|import[ \t]+(\.)([\w.]+))",
    re.MULTILINE,
)
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def named_modules(config: Mapping[str, Any]) -> list[str]:
    """The modules ("modeling_x") that `auto_map` and the like name, but for those of another repository."""
    found: list[str] = []
    maps = [config.get("auto_map")]
    pipelines = config.get("custom_pipelines")
    if isinstance(pipelines, Mapping):
        maps += [{"impl": one.get("impl")} for one in pipelines.values() if isinstance(one, Mapping)]
    for one in maps:
        for value in one.values() if isinstance(one, Mapping) else ():
            found += (
                reference.rpartition(".")[0]
                for reference in (value if isinstance(value, list) else [value])
                if isinstance(reference, str) and "--" not in reference and "." in reference
            )
    return [module for module in dict.fromkeys(found) if _NAME.fullmatch(module)]


def code_files(folder: Path, modules: Iterable[str]) -> tuple[list[str], list[str]]:
    """The files of `folder` that make up `modules`: these and what they import from beside them.

    Returns their names, with slashes, and the names of those that are asked for and not there.

    Raises:
        CheckpointError: one cannot be read, or there are too many.
    """
    wanted = [module.split(".") for module in modules]
    asked = len(wanted)
    files: dict[str, None] = {}
    missing: list[str] = []
    for number, parts in enumerate(wanted):  # grows while it is gone through
        name = _file_of(folder, parts)
        if name is None:
            if number < asked:
                missing.append("/".join(parts) + ".py")
            continue
        if name in files:
            continue
        files[name] = None
        if len(files) > _MOST_FILES or len(wanted) > 50 * _MOST_FILES:
            raise CheckpointError(
                f"the code of {folder} has more than {_MOST_FILES:,} files", path=folder / name
            )
        for depth in range(1, name.count("/") + 1):
            package = "/".join([*name.split("/")[:depth], "__init__.py"])
            if is_there(folder / package, CheckpointError):
                wanted.append([*name.split("/")[:depth]])
        package_parts = name.removesuffix(".py").split("/")[:-1]
        wanted += _imported(read_small(folder / name, _MOST_BYTES, CheckpointError), package_parts)
    return list(files), missing


def _file_of(folder: Path, parts: list[str]) -> str | None:
    if not parts:
        return None
    for name in ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"])):
        if os.path.lexists(folder / name):
            return name
    return None


def _imported(source: bytes, package: list[str]) -> list[list[str]]:
    """The modules that a file in `package` imports relatively."""
    found: dict[tuple[str, ...], None] = {}
    for dots, module, names, dot, whole in _RELATIVE.findall(source):
        up = len(dots or dot) - 1
        if up > len(package):
            continue
        start = package[: len(package) - up]
        parts = [*start, *(part for part in (module or whole).decode("ascii", "ignore").split(".") if part)]
        if parts:
            found[tuple(parts)] = None
        for name in re.findall(rb"(?:^|,)\s*([A-Za-z_]\w*)", names.strip(b"() \t\r\n")):
            found[*parts, name.decode("ascii", "ignore")] = None  # which may be a module or what is in one
        if len(found) > 10 * _MOST_FILES:
            break
    return [list(parts) for parts in found]
