"""The files of an output as its record lists them, and adding some to a finished one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from core import disk
from core.checkpoint.listed_files import FileRecord, listed_files
from core.checkpoint.record_file import RECORD_NAME, SCHEMA_VERSION, open_record, record_bytes
from core.errors import OutputError, os_error_text
from core.small_files import open_regular

__all__ = ["add_files", "file_record", "file_record_of"]

_BLOCK_BYTES = 1024**2


def file_record_of(name: str, data: bytes) -> FileRecord:
    """What the record says of a file with the content `data`."""
    return FileRecord(name, len(data), xxhash.xxh3_128(data).hexdigest())


def file_record(folder: Path, name: str) -> FileRecord:
    """What the record says of a file as it is; all of it is read. Raises OutputError."""
    path, size, digest = folder / name, 0, xxhash.xxh3_128()
    try:
        descriptor = open_regular(path, OutputError)
        if descriptor is None:
            raise OutputError(f"{path} is missing", path=path)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise OutputError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    return FileRecord(name, size, digest.hexdigest())


def add_files(folder: str | Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Add files to a finished output, and to what its record lists; on the disk when this returns.

    The record is replaced last and as a whole. What it says of the merge stays as it was.

    Args:
        folder: an output folder.
        contents: of each file, by its path from the folder on, with slashes.

    Returns the paths of the files.

    Raises:
        OutputError: there is no readable record, it lists no files (schema 1), a name is taken or no name of
            a file in that folder, or a file cannot be written.
    """
    folder = Path(folder)
    if not contents:
        return []
    with open_record(folder, OutputError) as record:
        head: dict[str, Any] = record.head
        tensors = list(record.tensors())
        if head["schema_version"] != SCHEMA_VERSION:
            raise OutputError(
                f"the record of {folder} lists no files, so that none can be added to it", path=folder
            )
        listed = listed_files(head["files"])
    try:
        added = listed_files([file_record_of(name, data).data() for name, data in contents.items()])
    except ValueError as error:
        raise OutputError(f"cannot add files to {folder}: {error}", path=folder) from error
    for name in contents:
        if os.path.lexists(folder / name) or any(file.name == name for file in listed):
            raise OutputError(f"{folder / name} exists already", path=folder / name)
    for name, data in contents.items():
        _make_folders(folder, name)
        disk.write_new_file(folder / name, data)
    for made in sorted({(folder / name).parent for name in contents}):
        disk.sync_folder(made)
    files = sorted((*listed, *added), key=lambda file: file.name)
    head["files"] = [file.data() for file in files]
    disk.replace_file(folder / RECORD_NAME, record_bytes(head, tensors))
    return [folder / name for name in contents]


def _make_folders(folder: Path, name: str) -> None:
    for parent in reversed([*(folder / name).relative_to(folder).parents][:-1]):
        try:
            if os.path.islink(folder / parent):  # which leads out of the folder
                raise OutputError(f"{folder / parent} is a link", path=folder / parent)
            disk.system.make_folder(folder / parent)
            disk.sync_folder((folder / parent).parent)
        except FileExistsError:
            continue
        except OSError as error:
            raise disk.write_error(error, folder / parent) from error
