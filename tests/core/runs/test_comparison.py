"""What counts as a difference, tensor by tensor, and what is not read to know it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core import Progress, parse_recipe, plan_merge, run_merge
from core.runs import comparison
from core.runs.comparison import compare_runs

TYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]


def output_of(folder: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    """A run whose output holds exactly `tensors`: a selection from a single sub-model copies its bits."""
    copies = {name: tensor.clone() for name, tensor in tensors.items()}  # save_file wants them apart
    for name in ("base", "model"):
        (folder / name).mkdir(parents=True)
        save_file(copies, folder / name / "model.safetensors")
    data = {"merge_method": "parameter_selection", "base_model": "base", "models": [{"model": "model"}]}
    run_merge(plan_merge(parse_recipe(data, folder)), folder / "out", device="cpu")
    return folder / "out"


def differing(left: torch.Tensor, right: torch.Tensor) -> int:
    """Elements that differ: as bytes where the types are equal, as numbers where they are not."""
    if left.dtype == right.dtype:
        one, other = (tensor.view(torch.uint8).reshape(-1, left.itemsize) for tensor in (left, right))
        return int((one != other).any(dim=1).sum())
    one, other = left.double(), right.double()
    return int(((one != other) & ~(one.isnan() & other.isnan())).sum())


def words_of(dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Numbers that several types hold, those that few do, and any bits at all."""
    generator = np.random.default_rng(seed)
    held = [0.0, -0.0, 1.0, -1.5, 448.0, 2.0**-9, 2.0**-16, float("inf"), -float("inf"), float("nan")]
    numbers = torch.from_numpy(np.concatenate([np.tile(held, 20), generator.standard_normal(100)]))
    numbers[generator.random(300) < 0.2] = -0.0
    any_bits = torch.from_numpy(generator.integers(0, 256, 300 * dtype.itemsize, np.uint8)).view(dtype)
    return torch.cat([tensor.view(torch.uint8) for tensor in (numbers.to(dtype), any_bits)]).view(dtype)


def test_bits_of_one_type_and_numbers_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_CHUNK_ELEMENTS", 77)
    words = {(dtype, seed): words_of(dtype, seed) for dtype in TYPES for seed in (1, 2)}
    outputs = {key: output_of(tmp_path / f"{key[0]}-{key[1]}", {"w": words[key]}) for key in words}
    for left in words:
        for right in words:
            expected = differing(words[left], words[right])
            assert compare_runs(outputs[left], outputs[right]).differ == expected, (left, right)
            assert (0 < expected < 600) == (left != right)


def test_zeros_and_nans(tmp_path: Path) -> None:
    nan, other_nan = torch.tensor([0x7FC0, 0x7FC1], dtype=torch.int16).view(torch.bfloat16)
    one, minus, zero = torch.tensor([1.0, -0.0, 0.0], dtype=torch.bfloat16)
    left = output_of(tmp_path / "left", {"w": torch.stack([nan, nan, minus, zero, one])})
    right = output_of(tmp_path / "right", {"w": torch.stack([nan, other_nan, zero, zero, nan])})
    wide = output_of(tmp_path / "wide", {"w": torch.stack([nan, other_nan, zero, zero, nan]).float()})
    assert compare_runs(left, right).differ == 3
    assert compare_runs(left, wide).differ == 1


def test_the_same_bits_of_another_type_are_other_numbers(tmp_path: Path) -> None:
    words = torch.tensor([1.0, 3.0, 0.0, -0.0], dtype=torch.bfloat16)
    left = output_of(tmp_path / "left", {"w": words})
    right = output_of(tmp_path / "right", {"w": words.view(torch.float16)})
    assert compare_runs(left, right).differ == 2


def test_tensors_that_are_in_one_output_only(tmp_path: Path) -> None:
    same = torch.arange(6.0)
    left = output_of(tmp_path / "left", {"same": same, "z": torch.ones(2, 3)})
    right = output_of(tmp_path / "right", {"a": torch.ones(4), "same": same + 1})
    found = compare_runs(left, right)
    assert [(tensor.name, tensor.elements, tensor.differ, tensor.why) for tensor in found.tensors] == [
        ("same", 6, 6, ""),
        ("z", 6, None, "only in left/out"),
        ("a", 4, None, "only in right/out"),
    ]
    assert (found.differ, found.elements) == (6, 6)


def test_other_shapes_and_other_types_that_are_no_floats(tmp_path: Path) -> None:
    numbers = torch.arange(6)
    left = {"shape": torch.ones(2, 3), "int": numbers, "both": numbers, "float": torch.ones(6)}
    right = {"shape": torch.ones(3, 2), "int": numbers.int(), "both": numbers * 2, "float": numbers}
    found = compare_runs(output_of(tmp_path / "left", left), output_of(tmp_path / "right", right))
    assert {tensor.name: (tensor.differ, tensor.why) for tensor in found.tensors} == {
        "shape": (None, "of shape [2, 3] and [3, 2]"),
        "int": (None, "stored as I64 and I32"),
        "both": (5, ""),
        "float": (None, "stored as F32 and I64"),
    }
    assert found.elements == 6


def test_only_what_differs_is_read(tmp_path: Path) -> None:
    tensors = {
        "first": torch.ones(1000),
        "second": torch.ones(10),
        "none": torch.ones(0),
        "last": torch.ones(7),
    }
    left = output_of(tmp_path / "left", tensors)
    right = output_of(tmp_path / "right", tensors | {"second": torch.zeros(10)})
    seen: list[Progress] = []
    assert compare_runs(left, right, progress=seen.append).differ == 10
    assert seen[-1].bytes_done == seen[-1].bytes_total == 2 * 4 * 10
    assert seen[-1].tensors_done == seen[-1].tensors_total == 4
    assert seen[-1].tensor == "second"
    compare_runs(left, left, progress=seen.append)
    assert (seen[-1].bytes_total, seen[-1].fraction, seen[-1].tensors_done) == (0, 1.0, 4)
