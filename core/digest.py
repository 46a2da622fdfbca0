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

    What comes a little early waits for what goes before it; the rest is read again at the end.
    """

    _MOST_WAITING_BYTES = 16 * 1024**2
    _READ_BYTES = 1024**2

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digest = xxhash.xxh3_128()
        self._position = 0
        self._waiting: dict[int, bytes] = {}
        self._waiting_bytes = 0

    def add(self, data: bytes | memoryview, offset: int) -> None:
        """Take what is written at byte `offset`, while it is in the processor's cache."""
        with self._lock:
            if offset == self._position:
                self._take(data)
                while self._waiting and (early := self._waiting.pop(self._position, None)) is not None:
                    self._waiting_bytes -= len(early)
                    self._take(early)
            elif offset > self._position and self._waiting_bytes < self._MOST_WAITING_BYTES:
                self._waiting[offset] = bytes(data)
                self._waiting_bytes += len(data)

    def hexdigest(self, size_bytes: int, read_into: Callable[[memoryview, int], None]) -> str:
        """The digest of the whole file.

        Args:
            size_bytes: of the file.
            read_into: fills a buffer from an offset of the file, for what was not added in time.
        """
        buffer = memoryview(bytearray(self._READ_BYTES))
        with self._lock:
            self._waiting.clear()
            while self._position < size_bytes:
                part = buffer[: min(len(buffer), size_bytes - self._position)]
                read_into(part, self._position)
                self._take(part)
            return self._digest.hexdigest()

    def _take(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._position += len(data)
