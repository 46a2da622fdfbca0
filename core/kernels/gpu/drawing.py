"""Draws on a GPU (Triton): random words, and the sub-models that they draw."""

# No `from __future__ import annotations`: Triton reads the parameters' annotations. What is below is
# compiled by Triton, with types and tuples of its own, which the usual checks do not know.
# mypy: ignore-errors

import triton
import triton.language as tl

__all__ = ["philox", "pick"]


@triton.jit
def philox(quad_low, quad_high, draw, key_low, key_high):
    """The four words of the Philox calls of some quads and one draw, one a lane; see core.draws.

    tl.philox gives the same words. This multiplies once for both halves of a product, and it spends
    most of its time on that.
    """
    c0 = quad_low
    c1 = quad_high
    c2 = draw.to(tl.uint32)
    c3 = c2 * 0  # the stream of selection
    for _ in tl.static_range(10):
        product0 = c0.to(tl.uint64) * 0xD2511F53
        product1 = c2.to(tl.uint64) * 0xCD9E8D57
        c0 = (product1 >> 32).to(tl.uint32) ^ c1 ^ key_low.to(tl.uint32)
        c1 = product1.to(tl.uint32)
        c2 = (product0 >> 32).to(tl.uint32) ^ c3 ^ key_high.to(tl.uint32)
        c3 = product0.to(tl.uint32)
        key_low = (key_low + 0x9E3779B9) & 0xFFFFFFFF
        key_high = (key_high + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


@triton.jit
def pick(words, models, limits, guide, steps, EQUAL: tl.constexpr):
    """The sub-models that four tensors of random words draw.

    For unequal weights `guide` has for each first byte of a word how many thresholds are no larger than any
    such word, and a binary search of `steps` in `limits`, the thresholds less 1, finds the rest.
    """
    if EQUAL:
        count = models.to(tl.uint32)
        return (
            tl.umulhi(words[0], count),
            tl.umulhi(words[1], count),
            tl.umulhi(words[2], count),
            tl.umulhi(words[3], count),
        )
    else:
        b0 = tl.load(guide + (words[0] >> 24)).to(tl.uint32)
        b1 = tl.load(guide + (words[1] >> 24)).to(tl.uint32)
        b2 = tl.load(guide + (words[2] >> 24)).to(tl.uint32)
        b3 = tl.load(guide + (words[3] >> 24)).to(tl.uint32)
        width = (tl.full((), 1, tl.uint32) << steps.to(tl.uint32)) >> 1
        for _ in range(steps):
            b0 = _step(words[0], b0, width, limits)
            b1 = _step(words[1], b1, width, limits)
            b2 = _step(words[2], b2, width, limits)
            b3 = _step(words[3], b3, width, limits)
            width = width >> 1
        return b0, b1, b2, b3


@triton.jit
def _step(word, below, width, limits):
    """Of a binary search: `below` plus `width` where so many more limits are less than `word`."""
    limit = tl.load(limits + (below + width - 1)).to(tl.uint32, bitcast=True)
    return tl.where(word > limit, below + width, below)
