"""One small file of an output: new bytes, or a copy of a file of the models, which lies in their folder.

A folder that was downloaded may hold links: what is copied lies in the folder itself, or where the Hub's
cache or git-annex keeps its files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash

from core.errors import CheckpointError, os_error_text
from core.small_files import open_regular

__all__ = ["MAX_BYTES", "Companion", "own_path", "real_file"]

MAX_BYTES = 256_000_000
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Companion:
    """A small file of the output: its bytes, or the file that it is a copy of.

    Attributes:
        size_bytes: of the file.
        data: its content, where it is written anew.
        path: what is copied, where it is a copy; no link.
    """

    size_bytes: int
    data: bytes | None = None
    path: Path | None = None
    _identity: tuple[int, ...] = ()

    @classmethod
    def of_bytes(cls, data: bytes) -> Companion:
        """A file with that content."""
        return cls(len(data), data)

    @classmethod
    def of_file(cls, path: Path) -> Companion:
        """A copy of the regular file `path`.

        Raises:
            CheckpointError: it is something else, is too large, or cannot be opened.
        """
        descriptor = _open(path)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if status.st_size > MAX_BYTES:
            raise CheckpointError(
                f"{path} has {status.st_size:,} bytes, too many for what its name says",
                hint="copy or download the file again",
                path=path,
            )
        return cls(status.st_size, None, path, _identity(status))

    def chunks(self) -> Iterator[bytes]:
        """The content, a MiB at a time.

        Raises:
            CheckpointError: the file that is copied cannot be read, or is not what it was.
        """
        if self.path is None:
            data = memoryview(self.data or b"")
            for first in range(0, len(data), _PIECE_BYTES):
                yield bytes(data[first : first + _PIECE_BYTES])
            return
        descriptor = _open(self.path)
        try:
            self._check_unchanged(descriptor)
            left = self.size_bytes
            while left and (piece := os.read(descriptor, min(left, _PIECE_BYTES))):
                left -= len(piece)
                yield piece
            self._check_unchanged(descriptor)
            if left:
                raise self._changed()
        except OSError as error:
            raise CheckpointError(
                f"cannot read {self.path}: {os_error_text(error)}", path=self.path
            ) from error
        finally:
            os.close(descriptor)

    def digest(self) -> str:
        """Hex XXH3-128 of the content. Raises as `chunks`."""
        digest = xxhash.xxh3_128()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def _check_unchanged(self, descriptor: int) -> None:
        if _identity(os.fstat(descriptor)) != self._identity:
            raise self._changed()

    def _changed(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path} was changed while it was to be copied",
            hint="start again when nothing writes to it any more",
            path=self.path,
        )


# -- where a file that is copied may lie


def real_file(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, all links followed.

    Raises:
        CheckpointError: it is no regular file, or none of the model's own.
    """
    os.close(_open(folder / name))  # which says what is wrong with a link that leads nowhere
    return own_path(folder, name)


def own_path(folder: Path, name: str) -> Path:
    """Where `name` of `folder` is, all links followed.

    Raises:
        CheckpointError: that is neither in the folder, nor in its Hub cache, nor in its git-annex.
    """
    path = folder / name
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if not any(real.is_relative_to(place) for place in (home, *_stores(home))):
        raise CheckpointError(
            f"{path} is a link to {real}, which lies outside the model's folder, and is not copied",
            hint="put the file itself in the place of the link, if it belongs to the model",
            path=path,
        )
    return real


def _stores(folder: Path) -> Iterator[Path]:
    """Where tools keep the files of the model in `folder` and leave links to them.

    Compared with paths that have no links in them, so that a link in the place of such a store is none.
    """
    for place in (folder, *folder.parents):
        parent = place.parent
        if parent.name == "snapshots" and parent.parent.name.startswith("models--"):
            yield parent.parent / "blobs"
        if os.path.lexists(place / ".git"):
            git = Path(os.path.realpath(place / ".git"))
            # In a submodule git-annex makes .git a link into the repository that it is part of.
            if not os.path.islink(place / ".git") or "/.git/modules/" in git.as_posix():
                yield git / "annex" / "objects"
            return


def _open(path: Path) -> int:
    descriptor = open_regular(path, CheckpointError)
    if descriptor is None:
        raise CheckpointError(f"{path} is not there any more", path=path)
    return descriptor


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
