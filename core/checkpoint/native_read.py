"""Reading many rows of files in one call that never waits for the interpreter's lock."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import numba_cache  # noqa: F401  before numba is imported  # isort: skip
from numba import njit, types

__all__ = ["read_rows"]

Array = NDArray[Any]

_pread: Any = types.ExternalFunction(
    "pread",
    types.intp(types.int32, types.intp, types.uintp, types.int64),
)


@njit("int64(int64[:, ::1])", nogil=True, cache=True)
def read_rows(rows: Array) -> Any:
    """Read files at offsets without ever waiting for the interpreter's lock; POSIX systems only.

    Args:
        rows: [rows, 4] int64: a file descriptor, the address to read to, the bytes, the offset.

    Returns:
        How many rows were filled; the next one met an error, an interruption or the file's end.
    """
    for at in range(rows.shape[0]):
        descriptor, address, size, offset = rows[at, 0], rows[at, 1], rows[at, 2], rows[at, 3]
        while size > 0:
            count = _pread(np.int32(descriptor), address, np.uint64(size), offset)
            if count <= 0:
                return at
            address += count
            size -= count
            offset += count
    return rows.shape[0]
