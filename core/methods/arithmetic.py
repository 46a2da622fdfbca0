"""Plain torch arithmetic that the methods share: the computing type, draws, ordered sums.

Written to be read. This is the reference on every device; the kernels must match it to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from core.draws import BLOCK
from core.kernels.interface import MapJob
from core.torch_values import canonical, convert, torch_dtype

__all__ = [
    "dot_products",
    "draw_words",
    "from_computing",
    "ordered_sums",
    "pick_models",
    "row_sums",
    "scalar",
    "to_computing",
]

_LANES = 64


def to_computing(values: Tensor, job: MapJob) -> Tensor:
    """`values` of the merge dtype in the type in which `job` computes: exact."""
    return values.to(torch_dtype(job.computing))


def scalar(value: float, job: MapJob, like: Tensor) -> Tensor:
    """The float64 `value` rounded once to the computing type, on the device of `like`. Shape []."""
    return torch.tensor(value, dtype=torch.float64).to(torch_dtype(job.computing)).to(like.device)


def from_computing(values: Tensor, job: MapJob) -> Tensor:
    """`values` of the computing type rounded once to the output dtype, every NaN canonical."""
    if job.out_dtype == job.computing:
        return canonical(values, job.out_dtype)
    return convert(values, job.out_dtype)


def ordered_sums(values: Tensor) -> Tensor:
    """The sums of the blocks of `values`, each in the one order that all machines keep to.

    Lane l of 64 adds elements l, l + 64, … of a block in order, beginning with +0; then the lanes are added
    pairwise: 32, 16, …, 1.

    Args:
        values: [..., elements] float64.

    Returns:
        [blocks, ...] float64, of blocks of BLOCK elements.
    """
    *shape, elements = values.shape
    # Short rows are padded to no more than they need: adding zeros changes no lane, none of which is -0.
    lane_count = min(_LANES, 1 << max(elements - 1, 0).bit_length())
    block = min(BLOCK, -(-max(elements, 1) // lane_count) * lane_count)
    blocks = -(-elements // BLOCK)
    if blocks * block != elements:
        values = torch.nn.functional.pad(values, (0, blocks * block - elements))
    steps = values.reshape(*shape, blocks, block // lane_count, lane_count)
    lanes = torch.zeros_like(steps[..., 0, :])
    for step in range(block // lane_count):
        lanes += steps[..., step, :]
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes.squeeze(-1).movedim(-1, 0)


def row_sums(values: Tensor) -> Tensor:
    """The ordered sum of each row: of its own blocks, added in order.

    Args:
        values: [rows, elements] float64.

    Returns:
        [rows] float64.
    """
    blocks = ordered_sums(values)
    total = blocks[0]
    for block in blocks[1:]:
        total = total + block
    return total


def dot_products(rows: Sequence[Tensor]) -> NDArray[Any]:
    """The ordered sums of the products of every row with itself and those after it.

    Args:
        rows: I tensors [elements] of the merge dtype.

    Returns:
        [blocks, I * (I + 1) / 2] float64; the products are rounded to float64, exact unless the type is F64.
    """
    wide = [row.to(torch.float64) for row in rows]
    sums = [ordered_sums(wide[i] * wide[j]) for i in range(len(wide)) for j in range(i, len(wide))]
    result: NDArray[Any] = torch.stack(sums, dim=1).cpu().numpy()
    return result


def draw_words(
    first_element: int, elements: int, draw: int, key: tuple[int, int], stream: int, device: torch.device
) -> Tensor:
    """The random 32-bit words of a run of elements, as int64. Shape [elements].

    Source: core.draws, which does the same for one element at a time.
    """
    blocks = torch.arange(first_element // BLOCK, -(-(first_element + elements) // BLOCK), device=device)
    quad = ((blocks << 10).unsqueeze(1) | torch.arange(1024, device=device)).flatten()
    counter = [
        quad & 0xFFFFFFFF,
        quad >> 32,
        torch.full_like(quad, draw),
        torch.full_like(quad, stream),
    ]
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _multiply(0xD2511F53, counter[0])
        high1, low1 = _multiply(0xCD9E8D57, counter[2])
        counter = [high1 ^ counter[1] ^ k0, low1, high0 ^ counter[3] ^ k1, low0]
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    lanes = torch.stack([words.view(-1, 1024) for words in counter], dim=1).flatten()
    begin = first_element % BLOCK
    return lanes[begin : begin + elements]


def pick_models(words: Tensor, thresholds: Sequence[int]) -> Tensor:
    """The drawn sub-model of each word: the number of thresholds that are <= the word. int64."""
    picks = torch.zeros_like(words)
    for threshold in thresholds:
        picks += words >= threshold
    return picks


def _multiply(constant: int, values: Tensor) -> tuple[Tensor, Tensor]:
    """High and low words of constant * values; the product wraps as int64 and keeps its 64 bits."""
    product = values * constant
    return (product >> 32) & 0xFFFFFFFF, product & 0xFFFFFFFF
