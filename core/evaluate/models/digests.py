"""Digests of models, by which scores are known again: of every file of weights, config and tokenizer.

What a file's digest was is kept beside the scores, with what the system said of the file then, so that a
model of gigabytes is read once and not at every evaluation.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from hashlib import blake2b
from pathlib import Path
from typing import Any

import xxhash

from core.adapter_paths import split_adapters
from core.cancel import CancelToken
from core.checkpoint.companion_names import Kind
from core.checkpoint.files import FileState
from core.checkpoint.finding import (
    ADAPTER_CONFIG_NAME,
    ADAPTER_NAMES,
    find_weights,
    has_adapter,
    names_in,
    resolve_folder,
)
from core.checkpoint.folder_files import FolderFiles
from core.checkpoint.model import CONFIG_NAME
from core.disk import replace_file
from core.errors import CheckpointError, InputChangedError, MergeError, merge_errors_only, os_error_text
from core.recipe.file import load_recipe
from core.recipe.references import read_path
from core.recipe.writing import folders_of, recipe_as_dict
from core.small_files import open_regular, parse_json, read_if_there

__all__ = ["FileDigests", "is_recipe", "known_digest", "model_digest", "reference_digest"]

_KIND = "paramosaic digests"
_RECIPE_ENDINGS = (".yaml", ".yml")
_TAKEN = (Kind.TOKENIZER, Kind.TEMPLATE, Kind.GENERATION)
"""The small files that have a say in losses and answers, beside the config."""

_READ_BYTES = 4 * 1024**2
_MOST_KNOWN = 20_000
_MOST_BYTES, _MOST_PARTS = 16_000_000, 400_000

_TICK_S, _COARSE_TICK_S = 0.02, 2.0
"""How far apart two writes must be for a file system to say so: most count in milliseconds or less, some in
seconds. A file is read when it is older than that, so that a later write of it cannot be missed."""

_log = logging.getLogger(__name__)


class FileDigests:
    """The XXH3-128 of files, each read once for as long as it stays the same file of the same bytes.

    Any number of threads and processes may use it at once. Where what is known cannot be kept, the files are
    read again next time; that is all.
    """

    def __init__(self, path: Path | None) -> None:
        """Args: path: where to keep them; None for this process only."""
        self._path = path
        self._turn = threading.Lock()
        self._known: dict[str, tuple[FileState, str]] = {}
        self._new: set[str] = set()
        self._read_as: tuple[int, int] | None = None
        """Of the file when it was last read."""

    def of(self, path: Path, cancel: CancelToken | None = None) -> str:
        """The digest of a file, as 32 hexadecimal digits.

        Raises:
            CheckpointError: it cannot be read, or changes meanwhile.
            Cancelled: `cancel` says so.
        """
        found = self.known(path)
        if found is not None:
            return found
        before = _old_enough(path)
        digest = _digest(path, cancel)
        if _state(path) != before:
            raise InputChangedError(
                f"{path} changed while it was being read", hint="wait until it is written", path=path
            )
        with self._turn:
            name = str(path.absolute())
            self._known[name] = before, digest
            self._new.add(name)
        return digest

    def known(self, path: Path) -> str | None:
        """The same without reading the file; None where it was not read before, or is another one now."""
        with self._turn:
            self._look()
            found = self._known.get(str(path.absolute()))
        try:
            return found[1] if found is not None and _state(path) == found[0] else None
        except CheckpointError:
            return None

    def keep(self) -> None:
        """Write down what is new."""
        with self._turn:
            if self._path is None or not self._new:
                return
            ours = {name: self._known[name] for name in self._new}
            self._look()
            self._known |= ours
            for name in list(self._known)[: max(0, len(self._known) - _MOST_KNOWN)]:
                del self._known[name]
            files = {name: [*astuple(state), digest] for name, (state, digest) in self._known.items()}
            content = json.dumps({"kind": _KIND, "version": 1, "files": files}).encode() + b"\n"
            try:
                with merge_errors_only():
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    replace_file(self._path, content)
            except MergeError as error:
                _log.warning("the digests of models are not kept: %s", error)
                return
            self._new.clear()

    def _look(self) -> None:
        """Read what another process may have written meanwhile."""
        if self._path is None:
            return
        try:
            status = os.stat(self._path)
        except OSError:
            return
        if (status.st_mtime_ns, status.st_ino) == self._read_as:
            return
        self._read_as = status.st_mtime_ns, status.st_ino
        try:
            content = read_if_there(self._path, _MOST_BYTES, MergeError)
            data = parse_json(content or b"", _MOST_PARTS)
            files: Mapping[str, Any] = data["files"] if data["kind"] == _KIND else {}
            known = {name: (FileState(*map(int, entry[:5])), str(entry[5])) for name, entry in files.items()}
        except (MergeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            _log.warning("%s cannot be read, so that models are digested again: %s", self._path, error)
            return
        self._known = known | {name: self._known[name] for name in self._new}


def reference_digest(reference: str, digests: FileDigests, *, cancel: CancelToken | None = None) -> str:
    """The digest of a model as an evaluation names it: what loading it would read.

    Args:
        reference: a folder, a model in the Hub's cache, BASE+ADAPTER, or a recipe. That of a recipe is of
            what the recipe says, with the digest of each model in the place of its folder: the engine
            promises the same bytes for those.
        digests: of files; what is new is kept when this returns.
        cancel: looked at while files are read.

    Returns:
        32 hexadecimal digits: BLAKE2b over the names and XXH3-128 digests of the files.

    Raises:
        MergeError: there is no such model or recipe, or it cannot be read.
    """
    try:
        place = read_path(reference, Path(os.getcwd()), "the model")
        if is_recipe(place):
            recipe = load_recipe(place)
            names = {folder: model_digest(folder, digests, cancel=cancel) for folder in folders_of(recipe)}
            return _combined(["recipe", recipe_as_dict(recipe, names)])
        return model_digest(place, digests, cancel=cancel)
    finally:
        digests.keep()


def model_digest(
    place: str | Path, digests: FileDigests | None = None, *, cancel: CancelToken | None = None
) -> str:
    """The digest of the model in a folder (or of its file of weights), or of one with adapters on it.

    It is that of the bytes of its weights, its config, its tokenizer, chat template and generation config
    under their names: neither of its card, nor of the record of the run that wrote it, nor of where it lies.

    Raises:
        CheckpointError: there is no model, or it cannot be read.
        Cancelled: `cancel` says so.
    """
    digests = FileDigests(None) if digests is None else digests
    parts = [
        [[name, digests.of(path, cancel)] for name, path in _files(part)]
        for part in split_adapters(Path(place))
    ]
    return _combined(["model", *parts])


def known_digest(place: str | Path, digests: FileDigests) -> str | None:
    """The same where every file of it was read before; None where one was not, or where there is no model.

    Reads no weights, and so takes no time that anybody notices.
    """
    parts = []
    try:
        for part in split_adapters(Path(place)):
            found = [[name, digests.known(path)] for name, path in _files(part)]
            if any(digest is None for _, digest in found):
                return None
            parts.append(found)
    except MergeError:
        return None
    return _combined(["model", *parts])


def is_recipe(reference: str | Path) -> bool:
    """Whether a model is named by the recipe that makes it."""
    return Path(reference).suffix.lower() in _RECIPE_ENDINGS and not os.path.isdir(reference)


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    """The files that are loaded from `place`, with their names in its folder."""
    folder = resolve_folder(place)
    names = names_in(folder)
    taken: dict[str, None] = {}
    if folder == place and has_adapter(names):
        taken |= dict.fromkeys(name for name in (ADAPTER_CONFIG_NAME, *ADAPTER_NAMES[:1]) if name in names)
        if ADAPTER_NAMES[0] not in names:
            taken |= dict.fromkeys(name for name in ADAPTER_NAMES[1:] if name in names)
    else:
        weights = find_weights(place if place.is_file() else folder)
        taken |= dict.fromkeys(weights.files)
        if weights.index_path is not None:
            taken[weights.index_path.name] = None
    if CONFIG_NAME in names:
        taken[CONFIG_NAME] = None
    taken |= dict.fromkeys(FolderFiles.of(folder).of_kind(*_TAKEN))
    for name in sorted(taken):
        yield name, folder / name


def _combined(parts: list[Any]) -> str:
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _state(path: Path) -> FileState:
    try:
        return FileState.of(os.stat(path))
    except (OSError, ValueError) as error:
        text = os_error_text(error) if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"cannot read {path}: {text}", path=path) from error


def _old_enough(path: Path) -> FileState:
    """The state of a file, once a write from now on would change it."""
    while True:
        state = _state(path)
        coarse = state.modified_ns % 1_000_000_000 == 0
        left = (_COARSE_TICK_S if coarse else _TICK_S) - (time.time() - state.modified_ns / 1e9)
        if not 0 < left <= _COARSE_TICK_S:  # written long ago, or by a clock that is ahead of ours
            return state
        time.sleep(left)


def _digest(path: Path, cancel: CancelToken | None) -> str:
    descriptor = open_regular(path, CheckpointError)
    if descriptor is None:
        raise CheckpointError(f"cannot read {path}: No such file or directory", path=path)
    digest, buffer = xxhash.xxh3_128(), bytearray(_READ_BYTES)
    try:
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(memoryview(buffer)[:count])
                if cancel is not None:
                    cancel.raise_if_cancelled("evaluation")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    return digest.hexdigest()
