"""Tensor digests: XXH3-128 of the XXH3-128 digests of 256 KiB pieces.

Pieces can be digested in any order by any thread; the digest of the whole does not depend on how
the work was cut.
"""

from __future__ import annotations

import xxhash

__all__ = ["PIECE_BYTES", "TensorDigest", "piece_digests"]

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
