"""Removing outputs and staging folders: what is ours, name by name, and nothing else.

What says which files are ours (a record, a journal) goes last, so that a removal that is cut off can be
finished.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from core import disk
from core.checkpoint.contents import is_by_product, read_listing, unlisted
from core.checkpoint.ownership import OWN_FOLDER
from core.checkpoint.record_file import RECORD_NAME
from core.disk import OpenFolder
from core.errors import OutputError, os_error_text
from core.text import shown

__all__ = ["remove_files", "remove_output", "remove_own_folder", "replaceable"]

_LAST_OF_OWN = ("journal", "owner.json", "lock")


def replaceable(out: Path) -> list[str]:
    """The files of the output `out`, all of which may be removed when another takes its place.

    Raises:
        OutputError: it is no output, or holds something that its record does not list.
    """
    if out.is_dir() and not any(out.iterdir()):
        return []
    try:
        listing = read_listing(out)
    except OutputError as error:
        raise OutputError(
            f"{out} is not the result of a merge, and will not be overwritten: {error.message}",
            hint="choose another output folder, or move that one away yourself",
            path=out,
        ) from error
    others = unlisted(out, listing)
    if others:
        more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
        raise OutputError(
            f"{out} holds {', '.join(map(shown, others[:3]))}{more}, which the merge did not write, "
            "and will not be overwritten",
            hint="move that away, or choose another output folder",
            path=out,
        )
    return sorted(listing.files)


def remove_output(path: Path, names: Iterable[str]) -> list[str]:
    """Remove an output, or the link to one. Returns what is left in it, which is not ours.

    Args:
        path: the folder.
        names: its files.

    Raises:
        OutputError: something cannot be removed.
    """
    try:
        if path.is_symlink():
            disk.system.remove(path)
            return []
        with OpenFolder(path) as folder:
            return remove_files(folder, names)
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {os_error_text(error)}", path=path) from error


def remove_files(folder: OpenFolder, names: Iterable[str], *, is_work: bool = False) -> list[str]:
    """Remove the files `names` of a folder, by-products, what is the program's own, and the folder.

    Args:
        folder: an output, or what was made of one.
        names: its files.
        is_work: whether it is a staging folder: its journal goes last, and not the record.

    Returns what is left in it; the folder stays then.

    Raises:
        OutputError: something cannot be removed.
    """
    ours = dict.fromkeys(name for name in names if is_work or name != RECORD_NAME)
    inner = {name.rpartition("/")[0] for name in ours if "/" in name}
    try:
        for name in ours:
            _remove(folder, name)
        _remove_by_products(folder)
        for name in sorted(inner, key=len, reverse=True):
            with contextlib.suppress(OSError):  # something else is in it
                disk.system.remove_folder(folder.name(*name.split("/")), within=folder.descriptor)
        left = [name for name in folder.names() if name not in (RECORD_NAME, OWN_FOLDER)]
        if left:
            return left
        remove_own_folder(folder)
        _remove(folder, RECORD_NAME)
        disk.system.remove_folder(folder.path)
    except OSError as error:
        raise OutputError(f"cannot remove {folder.path}: {os_error_text(error)}", path=folder.path) from error
    return []


def remove_own_folder(folder: OpenFolder) -> None:
    """Remove what is the program's own in a folder: its lock and its journal, whose holder calls this.

    Raises:
        OutputError: something cannot be removed.
    """
    try:
        names = folder.names(OWN_FOLDER)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot read {folder.path}: {os_error_text(error)}", path=folder.path) from error
    last = [name for name in _LAST_OF_OWN if name in names]
    try:
        for name in [*(name for name in names if name not in last), *last]:
            _remove(folder, f"{OWN_FOLDER}/{name}")
        disk.system.remove_folder(folder.name(OWN_FOLDER), within=folder.descriptor)
    except OSError as error:
        path = folder.path / OWN_FOLDER
        raise OutputError(f"cannot remove {path}: {os_error_text(error)}", path=path) from error


def _remove_by_products(folder: OpenFolder) -> None:
    """What hubs and desktops put into folders, and can make again."""
    for place, folders, files in os.walk(folder.path, topdown=False):
        inside = Path(place).relative_to(folder.path)
        for name in files:
            found = (inside / name).as_posix()
            if is_by_product(found) and not found.startswith(f"{OWN_FOLDER}/"):
                _remove(folder, found)
        for name in folders:
            found = (inside / name).as_posix()
            if found == ".cache" or (is_by_product(f"{found}/x") and found != OWN_FOLDER):
                with contextlib.suppress(OSError):  # something else is in it
                    disk.system.remove_folder(folder.name(*found.split("/")), within=folder.descriptor)


def _remove(folder: OpenFolder, name: str) -> None:
    parts = name.split("/")
    if not all(folder.has_folder(*parts[:depth]) for depth in range(1, len(parts))):
        return  # it is not there, or behind a link and somebody else's
    with contextlib.suppress(FileNotFoundError):
        disk.system.remove(folder.name(*parts), within=folder.descriptor)
