"""Tensors that may share memory are compared, byte by byte, when a merge starts."""

from __future__ import annotations

from core.cancel import CancelToken
from core.checkpoint.files import ReadFile
from core.checkpoint.headers import StoredTensor
from core.plan.merge_plan import MergePlan
from core.plan.planning import plan_merge

__all__ = ["settle_ties"]

_PIECE_BYTES = 4 * 1024**2


def settle_ties(plan: MergePlan, token: CancelToken) -> MergePlan:
    """The plan when the pairs that are to be looked at were.

    Raises:
        CheckpointError: a file cannot be read.
        Cancelled: after `token.cancel()`.
        IncompatibleError: what plan_merge may raise, when a pair is not equal.
    """
    if not plan.to_look_at:
        return plan
    looked = {pair: _are_equal(*pair, token) for pair in plan.to_look_at}
    return plan_merge(plan.asked, shard_size_bytes=plan.shard_size_bytes, looked=looked)


def _are_equal(one: StoredTensor, other: StoredTensor, token: CancelToken) -> bool:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    if (one.path, one.offset) == (other.path, other.offset):
        return True
    with ReadFile(one.path) as left, ReadFile(other.path) as right:
        rows = bytearray(_PIECE_BYTES), bytearray(_PIECE_BYTES)
        for begin in range(0, one.size_bytes, _PIECE_BYTES):
            token.raise_if_cancelled()
            size = min(_PIECE_BYTES, one.size_bytes - begin)
            pieces = memoryview(rows[0])[:size], memoryview(rows[1])[:size]
            left.read_into(pieces[0], one.offset + begin)
            right.read_into(pieces[1], other.offset + begin)
            if pieces[0] != pieces[1]:
                return False
    return True
