"""Digests of what is written: of tensors, and of files.

A tensor's is the XXH3-128 of the XXH3-128 digests of its 256 KiB pieces, which can be digested in any
order by any thread: it does not depend on how the work was cut.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import xxhash

__all__ = ["PIECE_BYTES", "FileDigest", "TensorDigest", "piece_digests"]

PIECE_BYTES = 256 * 1024
_SIZE = 16


def piece_digests(data: memoryview) -> bytes:
    """The digests of the pieces of `data`, one behind the other, 16 bytes each.

    `data` begins at a multiple of PIECE_BYTES of its tensor, and ends at another or at the tensor's end.
    """
    return b"".join(
        xxhash.xxh3_128(data[start : start + PIECE_BYTES]).digest()
        for start in range(0, len(data), PIECE_BYTES)
    )


class TensorDigest:
    """The digest of one tensor of `size_bytes` while the digests of its pieces come in, in any order."""

    def __init__(self, size_bytes: int) -> None:
        self._pieces = bytearray(_SIZE * (-(-size_bytes // PIECE_BYTES)))

    def add(self, pieces: bytes, offset: int) -> None:
        """Take the digests of pieces that begin at byte `offset` of the tensor."""
        at = _SIZE * (offset // PIECE_BYTES)
        self._pieces[at : at + len(pieces)] = pieces

    def hexdigest(self) -> str:
        """The digest of the whole tensor, when every piece was added."""
        return xxhash.xxh3_128(bytes(self._pieces)).hexdigest()


class FileDigest:
    """The XXH3-128 digest of a file whose pieces are written in nearly their order, by any thread.

    A piece that is written when its turn is there is digested from memory. Others are read back when theirs
    comes. No thread waits for another.
    """

    _READ_BYTES = 1024**2

    def __init__(self, size_bytes: int, read_into: Callable[[memoryview, int], None]) -> None:
        """Args:
        size_bytes: of the file.
        read_into: fills a buffer from an offset of the file.
        """
        self._size, self._read_into = size_bytes, read_into
        self._turn = threading.Lock()
        """Held to look at or change what follows, and not while anything is digested."""
        self._position = 0
        self._written: dict[int, int] = {}
        """Pieces after the position that are in the file: where they end, by where they begin."""
        self._busy = False
        """Whether a thread is digesting, which alone moves the position."""
        self._digest = xxhash.xxh3_128()
        self._buffer = memoryview(b"")

    def add(self, data: bytes | memoryview, offset: int) -> None:
        """Take what was written at byte `offset`, while it is in the processor's cache."""
        with self._turn:
            if self._busy or offset != self._position:
                self._written[offset] = offset + len(data)
                return
            self._busy = True
        self._digest.update(data)
        self._go_on(offset + len(data))

    def add_written(self, offset: int, size_bytes: int) -> None:
        """Take what is in the file already."""
        with self._turn:
            self._written[offset] = offset + size_bytes

    def hexdigest(self) -> str:
        """The digest of the whole file, when everything is written and no thread adds any more."""
        self._written = {self._position: self._size} if self._position < self._size else {}
        self._busy = True
        self._go_on(self._position)
        return self._digest.hexdigest()

    def _go_on(self, position: int) -> None:
        """Digest what is in the file from `position` on, as far as it goes, and let others."""
        while True:
            with self._turn:
                self._position = position
                end = self._written.pop(position, None)
                if end is None:
                    self._busy = False
                    return
            if not self._buffer:
                self._buffer = memoryview(bytearray(self._READ_BYTES))
            while position < end:
                part = self._buffer[: min(len(self._buffer), end - position)]
                self._read_into(part, position)
                self._digest.update(part)
                position += len(part)
