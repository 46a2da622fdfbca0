"""Tensor digests: XXH3-128 of the XXH3-128 digests of 256 KiB pieces.

Pieces can be digested in any order by any thread; the digest of the whole does not depend on how
the work was cut.
"""

from __future__ import annotations

import xxhash

__all__ = ["PIECE_BYTES", "TensorDigest"]

PIECE_BYTES = 256 * 1024


class TensorDigest:
    """The digest of one tensor of `size_bytes` while its pieces come in. Pieces may come from any thread."""

    def __init__(self, size_bytes: int) -> None:
        self._pieces = bytearray(16 * (-(-size_bytes // PIECE_BYTES)))

    def add(self, data: memoryview, offset: int) -> None:
        """Digest `data`, which begins at byte `offset` of the tensor, a multiple of PIECE_BYTES.

        It ends at another such multiple or at the tensor's end.
        """
        for start in range(0, len(data), PIECE_BYTES):
            at = 16 * ((offset + start) // PIECE_BYTES)
            self._pieces[at : at + 16] = xxhash.xxh3_128(data[start : start + PIECE_BYTES]).digest()

    def hexdigest(self) -> str:
        """The digest of the whole tensor, when every piece was added."""
        return xxhash.xxh3_128(bytes(self._pieces)).hexdigest()
