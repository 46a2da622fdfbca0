"""Sources: what fills a buffer is the plan's business, and nothing downstream knows its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from method_checks import make_models, recipe_data

from core import plan_merge, run_merge, verify_output
from core.checkpoint.headers import StoredTensor
from core.dtypes import DTYPES, DType
from core.methods import METHODS
from core.plan.merge_plan import MergePlan
from core.recipe.parsing import parse_recipe
from core.sources.source import FileRange, ReadStored


@dataclass(frozen=True)
class Flipped:
    """A tensor with the signs of its numbers flipped: made while it is read, from twice the bytes.

    With `row` it delivers whole rows only.
    """

    tensor: StoredTensor
    row: int = 1

    @property
    def dtype(self) -> DType:
        return self.tensor.dtype

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        return (self.tensor,)

    @property
    def bytes_to_read(self) -> int:
        return 2 * self.tensor.size_bytes

    def bytes_of(self, elements: int) -> int:
        return 2 * elements * self.dtype.itemsize

    @property
    def scratch(self) -> int:
        return 0

    @property
    def kept_bytes(self) -> int:
        return 0

    @property
    def terms(self) -> int:
        return 0

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        assert first_element % self.row == len(buffer) // self.dtype.itemsize % self.row == 0
        for _ in range(2):
            read(self.tensor, first_element, buffer)
        words = np.frombuffer(buffer, f"<u{self.dtype.itemsize}")
        words ^= np.array(1 << (8 * self.dtype.itemsize - 1), words.dtype)


def with_source(plan: MergePlan, tensor: str, model: int, row: int) -> MergePlan:
    tensors = []
    for planned in plan.tensors:
        if planned.output.name == tensor:
            models = list(planned.models)
            models[model] = Flipped(models[model].stored[0], row)
            planned = replace(planned, models=tuple(models))
        tensors.append(planned)
    return replace(plan, tensors=tuple(tensors))


def flip_in_file(folder: Path, plan: MergePlan, tensor: str, model: int) -> None:
    """The same as a change of the model's own file."""
    stored = next(t for t in plan.tensors if t.output.name == tensor).models[model].stored[0]
    with stored.path.open("r+b") as file:
        file.seek(stored.offset)
        words = np.frombuffer(bytearray(file.read(stored.size_bytes)), "<u2")
        words ^= np.uint16(0x8000)
        file.seek(stored.offset)
        file.write(words.tobytes())


@pytest.mark.parametrize(
    ("row", "methods"),
    [
        (1, ("linear", "slerp")),
        (13, tuple(METHODS)),
        (1024, ("linear", "slerp")),
        pytest.param(1, tuple(METHODS), marks=pytest.mark.slow),
        pytest.param(1024, tuple(METHODS), marks=pytest.mark.slow),
    ],
    ids=["1", "13", "1024", "1, all", "1024, all"],
)
def test_every_method_takes_a_source_that_is_made_while_it_is_read(
    row: int, methods: Sequence[str], tmp_path: Path
) -> None:
    make_models(tmp_path, 2, rows=140)
    name = "model.layers.0.mlp.weight"
    for method in map(METHODS.__getitem__, methods):
        count = min(2, method.most_models or 2)
        recipe = parse_recipe(recipe_data(method, count, {}), tmp_path)
        plan = plan_merge(recipe)
        flipped = with_source(plan, name, 0, row)
        source = next(t for t in plan.tensors if t.output.name == name).models[0]
        more = next(t for t in plan.tensors if t.output.name == name).passes * source.bytes_to_read
        assert flipped.bytes_to_read == plan.bytes_to_read + more
        made = run_merge(flipped, tmp_path / f"{method.name}-made", threads=2, chunk_bytes=1)
        assert made.bytes_read == flipped.bytes_to_read
        flip_in_file(tmp_path, plan, name, 0)
        stored = run_merge(plan_merge(recipe), tmp_path / f"{method.name}-stored")
        flip_in_file(tmp_path, plan, name, 0)
        assert made.tensors == stored.tensors
        verify_output(tmp_path / f"{method.name}-made")


def test_a_file_range_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(64)))
    stored = StoredTensor("x", DTYPES["F32"], (4, 2), path, 16, 32)
    source = FileRange(stored)
    asked: list[Any] = []
    source.fill(lambda *arguments: asked.append(arguments), 3, memoryview(bytearray(8)))
    assert asked[0][:2] == (stored, 3)
    assert (source.bytes_to_read, source.bytes_of(3), source.stored) == (32, 12, (stored,))
