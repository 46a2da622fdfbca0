"""FP8 with scales as numbers: bit for bit as plain torch makes them, in whatever pieces they are wanted."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_models import Tensors, store

from core import plan_merge, run_merge, verify_output
from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import Checkpoint
from core.deltas.findings import Findings
from core.deltas.preview import measure_plan, preview_plan
from core.deltas.tensor_view import view_tensor
from core.plan.merge_plan import MergePlan
from core.recipe.parsing import parse_recipe
from core.sources.dequantised import Dequantised
from core.sources.files import OpenInputs
from core.sources.quantised import read_quantised

CODES = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
SCALES = {
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F8_E8M0": torch.float8_e8m0fnu,
    "U8": torch.float8_e8m0fnu,
}
LAYOUTS = {
    # Shape of the codes, shape of the scales, by how much a scale is repeated in each dimension.
    "tensor": ((7, 300), (), None),
    "row": ((7, 300), (7, 1), (1, 300)),
    "row, one dimension": ((7, 300), (7,), None),
    "block": ((70, 75), (3, 3), (32, 32)),
    "block, other sizes": ((10, 301), (4, 3), (3, 128)),
    "group": ((5, 70), (5, 3), (1, 32)),
    "column": ((7, 30), (1, 30), (7, 1)),
    "expert": ((3, 5, 7), (3, 1, 1), (1, 5, 7)),
    "rows of experts": ((3, 5, 7), (3, 5, 1), (1, 1, 7)),
    "blocks of experts": ((3, 20, 37), (3, 2, 3), (1, 16, 16)),
    "convolution": ((4, 3, 2, 2), (4, 1, 1, 1), (1, 3, 2, 2)),
    "vector": ((300,), (1,), (300,)),
}


def expanded(scales: torch.Tensor, shape: tuple[int, ...], repeats: tuple[int, ...] | None) -> torch.Tensor:
    """The scale of every element, in float32: the definition."""
    values = scales.float()
    if repeats is None:
        return values.reshape(-1, *(1 for _ in shape[1:])).expand(shape)
    for axis, repeat in enumerate(repeats):
        values = values.repeat_interleave(repeat, axis)
    return values[tuple(slice(size) for size in shape)]


def words(tensor: torch.Tensor) -> np.ndarray:
    """Of a bfloat16 tensor, its NaNs all alike."""
    found = tensor.contiguous().view(torch.int16).numpy().view(np.uint16).copy()
    found[tensor.isnan().numpy()] = 0x7FC0
    return found


def quantised(
    folder: Path, code: str, scale: str, layout: str, seed: int = 0
) -> tuple[Checkpoint, Dequantised, np.ndarray]:
    """A model of one tensor of all codes, the source that reads it, and the words that it should give."""
    shape, scales_shape, repeats = LAYOUTS[layout]
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(np.prod(shape)) % 256).astype(np.uint8)
    if SCALES[scale].itemsize == 1:
        scale_bytes = random.integers(0, 256, scales_shape, dtype=np.uint8).reshape(-1)
        scale_bytes[:1] = random.choice([0, 1, 100, 127, 254, 255])
    else:
        exponents = random.integers(-130, 100, scales_shape) if random.random() < 0.5 else -8
        numbers = torch.from_numpy(np.asarray(random.normal(size=scales_shape) * np.exp2(exponents)))
        scale_bytes = numbers.to(SCALES[scale]).reshape(-1).view(torch.uint8).numpy()
    tensors: Tensors = {
        "up.weight": (code, shape, codes.tobytes()),
        "up.weight_scale_inv": (scale, scales_shape, scale_bytes.tobytes()),
    }
    size = repeats[-2:] if repeats and len(repeats) > 1 else (128, 128)
    config = {"model_type": "x", "quantization_config": {"weight_block_size": list(size)}}
    model = store(folder, tensors, config)
    source = read_quantised(model).sources["up.weight"]
    assert isinstance(source, Dequantised)
    values = torch.from_numpy(codes).view(CODES[code]).reshape(shape).float()
    scales = torch.from_numpy(scale_bytes.copy()).view(SCALES[scale]).reshape(scales_shape)
    with np.errstate(all="ignore"):
        expected = (values * expanded(scales, shape, repeats)).to(torch.bfloat16)
    return model, source, words(expected).reshape(-1)


def filled(model: Checkpoint, source: Dequantised, first: int, elements: int) -> np.ndarray:
    inputs = OpenInputs({shard.path: shard for shard in model.shards})
    buffer = np.full(elements, 0xAAAA, np.uint16)
    inputs.read([source], first, [memoryview(buffer.view(np.uint8))])
    inputs.close()
    return buffer


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("code", CODES)
def test_it_gives_what_torch_gives(code: str, layout: str, tmp_path: Path) -> None:
    kinds: dict[str, np.ndarray] = {}
    for at, scale in enumerate(SCALES):
        for seed in range(3):
            model, source, expected = quantised(tmp_path / f"{at}-{seed}", code, scale, layout, seed)
            found = filled(model, source, 0, len(expected))
            np.testing.assert_array_equal(found, expected, strict=True)
            kinds[f"{scale} {seed}"] = expected
    every = np.concatenate(list(kinds.values()))
    magnitudes = every & 0x7FFF
    if layout != "block":
        return
    assert (every == 0x7FC0).any()
    assert (every == 0x7F80).any()
    assert ((magnitudes > 0) & (magnitudes < 0x80)).any(), "subnormals are among them"


@pytest.mark.parametrize("layout", ["row", "block", "expert", "blocks of experts"])
def test_any_run_of_elements_can_be_asked_for(layout: str, tmp_path: Path) -> None:
    model, source, expected = quantised(tmp_path / "a", "F8_E4M3", "F32", layout)
    total = len(expected)
    inputs = OpenInputs({shard.path: shard for shard in model.shards})
    edges = sorted({0, 1, 2, 36, 37, 38, 74, 75, 76, total // 2, total - 1, total} & set(range(total + 1)))
    edges += np.random.default_rng(0).integers(0, total, 12).tolist()
    tried = 0
    for first, end in itertools.product(edges, edges):
        if first < end:
            buffer = np.empty(end - first, np.uint16)
            inputs.read([source], first, [memoryview(buffer.view(np.uint8))])
            np.testing.assert_array_equal(buffer, expected[first:end])
            tried += 1
    inputs.close()
    assert tried > 100


def test_it_reads_what_it_needs_and_says_how_much(tmp_path: Path) -> None:
    _, source, expected = quantised(tmp_path / "a", "F8_E4M3", "F32", "block")
    asked: list[tuple[str, int, int]] = []

    def read(stored: StoredTensor, first: int, buffer: memoryview) -> None:
        asked.append((stored.name, first, len(buffer)))
        buffer[:] = bytes(len(buffer))

    # Rows 33 to 34 of 70, in blocks of 32: the second row of three blocks.
    source.fill(read, 33 * 75, memoryview(bytearray(2 * 75 * 2)))
    assert sorted(asked) == [("up.weight", 33 * 75, 150), ("up.weight_scale_inv", 3, 12)]
    assert source.bytes_to_read == 70 * 75 + 9 * 4
    assert source.bytes_of(70 * 75) == source.bytes_to_read
    parts = [source.bytes_of(size) for size in (1000, 4000, 250)]
    assert source.bytes_to_read - 3 <= sum(parts) <= source.bytes_to_read
    assert {source: 1}[replace(source)] == 1
    assert len(expected) == 70 * 75


@pytest.mark.parametrize("name", ["F32", "F8_E8M0"])
def test_it_gives_what_the_inference_of_an_fp8_model_computes_with(name: str, tmp_path: Path) -> None:
    """The rule of DeepSeek's kernel, weight_dequant of its inference code, written out element by element."""
    model, source, expected = quantised(tmp_path / "a", "F8_E4M3", name, "block", seed=1)
    codes = filled_bytes(model, "up.weight")
    scales = filled_bytes(model, "up.weight_scale_inv")
    values = torch.from_numpy(codes).view(torch.float8_e4m3fn).float().reshape(70, 75)
    grid = torch.from_numpy(scales).view(SCALES[name]).float().reshape(3, 3)
    for row, column in itertools.product(range(0, 70, 3), range(0, 75, 2)):
        product = (values[row, column] * grid[row // 32, column // 32]).to(torch.bfloat16)
        assert words(product.reshape(1))[0] == expected[75 * row + column]
    np.testing.assert_array_equal(filled(model, source, 0, 70 * 75), expected)


def filled_bytes(model: Checkpoint, name: str) -> np.ndarray:
    stored = model.tensors[name]
    data = stored.path.read_bytes()[stored.offset : stored.offset + stored.size_bytes]
    return np.frombuffer(bytearray(data), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["F32", "U8"])
def test_transformers_loads_the_same_numbers(scale: str, tmp_path: Path) -> None:
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    shape, grid = (64, 96), (2, 3)
    random = np.random.default_rng(0)
    codes = (np.arange(64 * 96) % 256).astype(np.uint8)
    scales = (
        random.integers(100, 140, 6, dtype=np.uint8)
        if scale == "U8"
        else random.normal(size=6).astype(np.float32)
    )
    tensors: Tensors = {
        "up.weight": ("F8_E4M3", shape, codes.tobytes()),
        "up.weight_scale_inv": (scale, grid, scales.tobytes()),
    }
    model = store(tmp_path / "a", tensors)
    source = read_quantised(model).sources["up.weight"]
    assert isinstance(source, Dequantised)
    theirs = Fp8Dequantize(None)._dequantize_one(
        torch.from_numpy(codes).view(torch.float8_e4m3fn).reshape(shape),
        torch.from_numpy(scales).reshape(grid),
        torch.bfloat16,
    )
    np.testing.assert_array_equal(filled(model, source, 0, 64 * 96), words(theirs).reshape(-1))


# -- in merges and in looks at models

SHAPE, GRID, BLOCK = (640, 700), (5, 6), (128, 128)
"""More than three pieces of 256 KiB of output, in blocks of which the last are cut."""
NAME = "model.layers.0.mlp.up_proj.weight"


def trio(folder: Path) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """A base and two models in FP8 with scales, and the same with the numbers themselves."""
    random = np.random.default_rng(5)
    packed, plain = [], []
    codes = random.integers(0, 256, SHAPE, dtype=np.uint8)
    codes[codes & 0x7F == 0x7F] = 0
    scales = np.exp2(random.integers(-9, -5, GRID)).astype(np.float32)
    for name in ("base", "a", "b"):
        mine, mine_scales = codes.copy(), scales
        if name != "base":
            changed = random.random(SHAPE) < 0.3
            mine[changed] = random.permutation(codes[changed])
            mine_scales = scales * random.choice([1, 1, 0.7], GRID).astype(np.float32)
        values = torch.from_numpy(mine).view(torch.float8_e4m3fn).float()
        numbers = (values * expanded(torch.from_numpy(mine_scales), SHAPE, BLOCK)).to(torch.bfloat16)
        norm = random.integers(0x3C00, 0x3F00, 4).astype(np.uint16).tobytes()
        rest: Tensors = {"model.norm.weight": ("BF16", (4,), norm)}
        said = {"model_type": "llama", "quantization_config": {"weight_block_size": list(BLOCK)}}
        stored: Tensors = {
            NAME: ("F8_E4M3", SHAPE, mine.tobytes()),
            f"{NAME}_scale_inv": ("F32", GRID, mine_scales.tobytes()),
        }
        packed.append(store(folder / "packed" / name, {**rest, **stored}, said))
        plain.append(
            store(folder / "plain" / name, {**rest, NAME: ("BF16", SHAPE, words(numbers).tobytes())})
        )
    return packed, plain


def plans(folder: Path, method: str) -> tuple[MergePlan, MergePlan]:
    """The same merge of plain numbers, and of those that are dequantised while they are read."""
    (base, *models), _ = trio(folder)
    plan = plan_merge(
        parse_recipe(
            {
                "merge_method": method,
                "base_model": str(folder / "plain" / "base"),
                "models": [{"model": str(folder / "plain" / name)} for name in ("a", "b")],
                **({"parameters": {"resamples": 2}} if method == "parameter_selection" else {}),
            },
            folder,
        )
    )
    tensors = []
    for tensor in plan.tensors:
        if tensor.output.name == NAME:
            *mine, of_base = (read_quantised(model).sources[NAME] for model in (*models, base))
            tensor = replace(tensor, models=tuple(mine), base=of_base)
        tensors.append(tensor)
    return plan, replace(
        plan,
        tensors=tuple(tensors),
        models=tuple(
            replace(a, shards=(*a.shards, *b.shards)) for a, b in zip(plan.models, models, strict=True)
        ),
        base=plan.base and replace(plan.base, shards=(*plan.base.shards, *base.shards)),
    )


@pytest.mark.parametrize("method", ["linear", "parameter_selection"])
def test_a_merge_of_fp8_is_the_merge_of_its_numbers(method: str, tmp_path: Path) -> None:
    plain, packed = plans(tmp_path, method)
    expected = run_merge(plain, tmp_path / "plain-out")
    for threads, chunk_bytes in ((1, 1), (2, 1), (2, 6 * 1024**2)):
        out = tmp_path / f"out-{threads}-{chunk_bytes}"
        record = run_merge(packed, out, threads=threads, chunk_bytes=chunk_bytes)
        assert record.tensors == expected.tensors
        read = [source.stored[0].dtype.name for t in packed.tensors for source in t.inputs]
        assert read.count("F8_E4M3") == (3 if method == "parameter_selection" else 2)
        assert packed.bytes_to_read - 30 <= record.bytes_read <= packed.bytes_to_read < plain.bytes_to_read
        verify_output(out)


def test_looking_at_fp8_is_looking_at_its_numbers(tmp_path: Path) -> None:
    plain, packed = plans(tmp_path, "parameter_selection")
    for rounds in (1, 3):
        *_, ours = preview_plan(packed, rounds=rounds, threads=1)
        *_, theirs = preview_plan(plain, rounds=rounds, threads=1)
        same_findings(ours, theirs)
    same_findings(measure_plan(packed), measure_plan(plain))
    view, expected = view_tensor(packed, NAME), view_tensor(plain, NAME)
    np.testing.assert_array_equal(view.changed, expected.changed)
    assert view.changed.any()


def same_findings(ours: Findings, theirs: Findings) -> None:
    assert ours.inspected.keys() == theirs.inspected.keys()
    for cell, statistics in ours.inspected.items():
        np.testing.assert_array_equal(statistics.totals, theirs.inspected[cell].totals)
        assert statistics.elements == theirs.inspected[cell].elements > 0
