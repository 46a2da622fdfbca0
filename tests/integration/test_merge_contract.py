"""Whole merges of files on disk against the oracle: tensors, record, digests, output folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import torch
import xxhash
from oracle import Stored
from safetensors import safe_open
from safetensors.torch import save_file

from core import (
    CheckpointError,
    IncompatibleError,
    RunRecord,
    TensorRecord,
    parse_recipe,
    plan_merge,
    read_record,
    run_merge,
    verify_output,
)

Tensors = dict[str, torch.Tensor]

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
COUNTS = ("zero_delta", "changed_by", "zero_after_draw", "selected", "nonfinite")
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False}

# -- models on disk ------------------------------------------------------------------------------------------


def tensor_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def stored(tensor: torch.Tensor) -> Stored:
    dtype = DTYPE_NAMES[tensor.dtype]
    return Stored(dtype, oracle.words_from_bytes(tensor_bytes(tensor), dtype))


def write_model(
    folder: Path, tensors: Tensors, config: Mapping[str, Any] | None = CONFIG, *, shards: int = 1
) -> Path:
    folder.mkdir(parents=True)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        weight_map = {}
        for number in range(shards):
            file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
            part = {name: tensor for i, (name, tensor) in enumerate(tensors.items()) if i % shards == number}
            save_file(part, folder / file, metadata={"format": "pt"})
            weight_map |= dict.fromkeys(part, file)
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def base_tensors(dtype: torch.dtype = torch.bfloat16, seed: int = 0) -> Tensors:
    """Shapes of every kind: a matrix, a vector, a single number, nothing at all."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * 0.02).to(dtype)

    return {
        EMBEDDING: random(50, 16),
        "model.layers.0.self_attn.q_proj.weight": random(33, 37),
        "model.layers.0.mlp.up_proj.weight": random(65, 101),
        "model.norm.weight": random(16),
        "model.layers.0.scale": random(),
        "model.layers.0.unused": random(0, 16),
        HEAD: random(50, 16),
    }


def fine_tuned(base: Tensors, seed: int, share: float = 0.3, dtype: torch.dtype | None = None) -> Tensors:
    """Most parameters as in the base, a `share` of them a little off."""
    generator = torch.Generator().manual_seed(1000 + seed)
    result = {}
    for name, tensor in base.items():
        if not tensor.is_floating_point():
            result[name] = tensor.clone()
            continue
        values = tensor.to(dtype or tensor.dtype)
        moved = torch.rand(tensor.shape, generator=generator) < share
        factor = 1 + torch.randn(tensor.shape, generator=generator) * 0.1
        result[name] = torch.where(moved, (values.to(torch.float64) * factor).to(values.dtype), values)
    return result


def read_tensors(folder: Path) -> Tensors:
    """Every tensor of an output, as the safetensors library reads it."""
    result: Tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            assert file.metadata() == {"format": "pt"}
            for name in file.keys():  # noqa: SIM118
                assert name not in result
                result[name] = file.get_tensor(name)
    return result


def merge(
    out: Path,
    recipe: Mapping[str, Any],
    *,
    shard_size_bytes: int = 5_000_000_000,
    **options: Any,
) -> RunRecord:
    """Merge through the public functions, on the CPU."""
    plan = plan_merge(parse_recipe(dict(recipe), out.parent), shard_size_bytes=shard_size_bytes)
    record = run_merge(plan, out, **({"device": "cpu", "threads": 1} | options))
    assert read_record(out) == record
    verify_output(out)
    return record


def entries(models: Sequence[Path], weights: Sequence[float] | None = None) -> list[dict[str, Any]]:
    if weights is None:
        return [{"model": str(model)} for model in models]
    return [
        {"model": str(model), "parameters": {"weight": weight}}
        for model, weight in zip(models, weights, strict=True)
    ]


def by_name(record: RunRecord) -> dict[str, TensorRecord]:
    return {tensor.name: tensor for tensor in record.tensors}


def check_selection(
    out: Path,
    record: RunRecord,
    base: Tensors,
    models: Sequence[Tensors],
    *,
    seed: int = 0,
    resamples: int = 1,
    weights: Sequence[float] | None = None,
    dtype: str | None = None,
    out_dtype: str | None = None,
    zero_tolerance: float | None = None,
    draws_as: Mapping[str, str] | None = None,
) -> None:
    """Every float tensor of an output, its record and its digest, against the oracle."""
    merged, records = read_tensors(out), by_name(record)
    assert list(merged.keys() - base.keys()) == []
    for name, tensor in base.items():
        if not tensor.is_floating_point():
            continue
        inputs = [stored(model[name]) for model in models]
        merge_dtype = dtype or oracle.common_dtype([entry.dtype for entry in inputs])
        written = out_dtype or merge_dtype
        expected = oracle.select(
            stored(tensor),
            inputs,
            merge_dtype=merge_dtype,
            out_dtype=written,
            weights=weights or [1.0] * len(models),
            resamples=resamples,
            key=oracle.key_for(seed, (draws_as or {}).get(name, name)),
            zero_tolerance=zero_tolerance,
        )
        data = oracle.bytes_from_words(expected.words, written)
        assert DTYPE_NAMES[merged[name].dtype] == written, name
        assert merged[name].shape == tensor.shape, name
        assert tensor_bytes(merged[name]) == data, name
        drawn_as = (draws_as or {}).get(name)
        assert records[name] == TensorRecord(
            name=name,
            shape=tuple(tensor.shape),
            dtype=written,
            action="merged",
            elements=tensor.numel(),
            digest=oracle.tensor_digest(data),
            tied_to=(drawn_as, "config.json says so") if drawn_as else None,
            **{count: tuple(getattr(expected, count)) for count in COUNTS},
        )


def check_average(
    out: Path,
    record: RunRecord,
    models: Sequence[Tensors],
    *,
    weights: Sequence[float] | None = None,
    dtype: str | None = None,
    out_dtype: str | None = None,
) -> None:
    merged, records = read_tensors(out), by_name(record)
    for name, tensor in models[0].items():
        if not tensor.is_floating_point():
            continue
        inputs = [stored(model[name]) for model in models]
        merge_dtype = dtype or oracle.common_dtype([entry.dtype for entry in inputs])
        written = out_dtype or merge_dtype
        words = oracle.average(
            inputs, merge_dtype=merge_dtype, out_dtype=written, weights=weights or [1.0] * len(models)
        )
        data = oracle.bytes_from_words(words, written)
        assert DTYPE_NAMES[merged[name].dtype] == written, name
        assert tensor_bytes(merged[name]) == data, name
        assert records[name] == TensorRecord(
            name=name,
            shape=tuple(tensor.shape),
            dtype=written,
            action="merged",
            elements=tensor.numel(),
            zero_delta=None,
            changed_by=None,
            zero_after_draw=None,
            selected=None,
            nonfinite=(*(model.count_nonfinite() for model in inputs), None),
            digest=oracle.tensor_digest(data),
        )


# -- selection -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resamples", [0, 1, 4])
@pytest.mark.parametrize("weights", [None, [0.0, 2.0, 0.5]])
def test_a_selection_equals_the_oracle_tensor_by_tensor(tmp_path, resamples, weights) -> None:
    base = base_tensors()
    models = [fine_tuned(base, seed) for seed in range(3)]
    folders = [write_model(tmp_path / f"run-{i}", model, shards=i + 1) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base, shards=2)),
        "models": entries(folders, weights),
        "parameters": {"resamples": resamples},
        "seed": 2**64 - 1,
    }
    record = merge(tmp_path / "out", recipe)
    check_selection(
        tmp_path / "out", record, base, models, seed=2**64 - 1, resamples=resamples, weights=weights
    )


def test_a_sub_model_of_weight_zero_counts_in_k_but_is_never_selected(tmp_path) -> None:
    base = base_tensors()
    models = [fine_tuned(base, seed, share=0.9) for seed in range(3)]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders, [1.0, 0.0, 1.0]),
        "parameters": {"resamples": 2},
    }
    record = merge(tmp_path / "out", recipe)
    check_selection(tmp_path / "out", record, base, models, resamples=2, weights=[1.0, 0.0, 1.0])
    tensor = by_name(record)["model.layers.0.mlp.up_proj.weight"]
    assert tensor.selected[1] == 0
    assert tensor.zero_delta[1] < 0.2 * tensor.elements
    assert len(tensor.changed_by) == 4
    assert tensor.changed_by[3] > 0


@pytest.mark.parametrize(
    ("dtype", "out_dtype"), [(None, None), ("float32", None), (None, "float32"), ("float64", "float16")]
)
def test_a_float16_base_under_bfloat16_sub_models_is_compared_in_the_merge_dtype(
    tmp_path, dtype, out_dtype
) -> None:
    base = base_tensors(torch.float16)
    models = [fine_tuned(base, seed, dtype=torch.bfloat16) for seed in range(3)]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
        "parameters": {"resamples": 3},
        "seed": 5,
    }
    names = {"float64": "F64", "float32": "F32", "float16": "F16", None: None}
    recipe |= {"dtype": dtype} if dtype else {}
    recipe |= {"out_dtype": out_dtype} if out_dtype else {}
    record = merge(tmp_path / "out", recipe)
    check_selection(
        tmp_path / "out",
        record,
        base,
        models,
        seed=5,
        resamples=3,
        dtype=names[dtype],
        out_dtype=names[out_dtype],
    )
    tensor = by_name(record)["model.layers.0.mlp.up_proj.weight"]
    if dtype is None:  # rounding the base to bfloat16 gives what training began with
        assert min(tensor.zero_delta) > 0.6 * tensor.elements
    else:  # compared more finely, the rounding itself looks like a change
        assert max(tensor.zero_delta) < 0.3 * tensor.elements


def test_sub_models_of_different_types_meet_in_the_promoted_one(tmp_path) -> None:
    base = base_tensors(torch.float32)
    kinds = [torch.bfloat16, torch.float16]
    models = [fine_tuned(base, seed, dtype=kind) for seed, kind in enumerate(kinds)]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
    }
    record = merge(tmp_path / "out", recipe)
    check_selection(tmp_path / "out", record, base, models)
    assert {tensor.dtype for tensor in record.tensors} == {"F32"}


def test_differing_8_bit_floats_need_a_dtype(tmp_path) -> None:
    base = {"w": torch.randn(40, 40)}
    models = [{"w": base["w"].to(torch.float8_e4m3fn)}, {"w": base["w"].to(torch.float8_e5m2)}]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
    }
    with pytest.raises(IncompatibleError, match="8-bit"):
        merge(tmp_path / "out", recipe)
    record = merge(tmp_path / "out", recipe | {"dtype": "bfloat16"})
    check_selection(tmp_path / "out", record, base, models, dtype="BF16")


@pytest.mark.parametrize("tolerance", [0.0, 1e-3, 1e-2])
def test_small_deltas_count_as_zero_where_the_recipe_says_so(tmp_path, tolerance) -> None:
    base = base_tensors(torch.float32)
    models = [fine_tuned(base, seed, share=0.8) for seed in range(2)]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
        "parameters": {"resamples": 2},
        "zero_tolerance": tolerance,
    }
    record = merge(tmp_path / "out", recipe)
    check_selection(tmp_path / "out", record, base, models, resamples=2, zero_tolerance=tolerance)


def test_a_base_that_is_listed_is_no_sub_model_of_a_selection_but_is_one_of_an_average(tmp_path) -> None:
    base = base_tensors()
    models = [fine_tuned(base, seed) for seed in range(2)]
    base_folder = write_model(tmp_path / "base", base)
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    listed = entries([folders[0], tmp_path / "run-0" / ".." / "base", folders[1]], [1.0, 8.0, 2.0])
    recipe = {"base_model": str(base_folder), "models": listed}
    record = merge(tmp_path / "selected", recipe | {"merge_method": "parameter_selection"})
    check_selection(tmp_path / "selected", record, base, models, weights=[1.0, 2.0])
    record = merge(tmp_path / "averaged", recipe | {"merge_method": "linear"})
    check_average(tmp_path / "averaged", record, [models[0], base, models[1]], weights=[1.0, 8.0, 2.0])


def test_tied_embeddings_stay_equal_where_every_config_ties_them(tmp_path) -> None:
    base = base_tensors()
    base[HEAD] = base[EMBEDDING].clone()
    models = [fine_tuned(base, seed, share=0.5) for seed in range(3)]
    for model in models:
        model[HEAD] = model[EMBEDDING].clone()
    tied = CONFIG | {"tie_word_embeddings": True}
    folders = [write_model(tmp_path / f"run-{i}", model, tied) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base, tied)),
        "models": entries(folders),
        "seed": 3,
    }
    record = merge(tmp_path / "out", recipe)
    check_selection(tmp_path / "out", record, base, models, seed=3, draws_as={HEAD: EMBEDDING})
    merged = read_tensors(tmp_path / "out")
    assert tensor_bytes(merged[HEAD]) == tensor_bytes(merged[EMBEDDING])
    assert by_name(record)[HEAD].digest == by_name(record)[EMBEDDING].digest


def test_heads_draw_for_themselves_where_one_config_does_not_tie_them(tmp_path) -> None:
    base = base_tensors()
    base[HEAD] = base[EMBEDDING].clone()
    models = [fine_tuned(base, seed, share=0.5) for seed in range(2)]
    tied = CONFIG | {"tie_word_embeddings": True}
    folders = [write_model(tmp_path / "run-0", models[0], tied), write_model(tmp_path / "run-1", models[1])]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base, tied)),
        "models": entries(folders),
    }
    record = merge(tmp_path / "out", recipe)
    check_selection(tmp_path / "out", record, base, models)


# -- average -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, [0.5, -0.2, 3.0]])
@pytest.mark.parametrize(("dtype", "out_dtype"), [(None, None), ("float32", "bfloat16"), ("float64", None)])
def test_an_average_without_a_base_equals_the_oracle(tmp_path, weights, dtype, out_dtype) -> None:
    models = [fine_tuned(base_tensors(), seed, share=1.0) for seed in range(3)]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {"merge_method": "linear", "models": entries(folders, weights)}
    recipe |= {"dtype": dtype} if dtype else {}
    recipe |= {"out_dtype": out_dtype} if out_dtype else {}
    record = merge(tmp_path / "out", recipe)
    names = {"float64": "F64", "float32": "F32", "bfloat16": "BF16", None: None}
    check_average(
        tmp_path / "out", record, models, weights=weights, dtype=names[dtype], out_dtype=names[out_dtype]
    )
    assert record.bytes_read == sum(len(tensor_bytes(t)) for model in models for t in model.values())


def test_an_average_reads_the_base_for_nothing_but_copies(tmp_path) -> None:
    base = base_tensors() | {"position_ids": torch.arange(9)}
    models = [fine_tuned(base, seed) for seed in range(2)]
    models[0]["position_ids"] = torch.arange(9) + 1
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {"merge_method": "linear", "models": entries(folders)}
    recipe["base_model"] = str(write_model(tmp_path / "base", base))
    record = merge(tmp_path / "out", recipe)
    check_average(tmp_path / "out", record, models)
    assert torch.equal(read_tensors(tmp_path / "out")["position_ids"], base["position_ids"])
    assert by_name(record)["position_ids"].differs_in == ("run-0",)
    expected = sum(len(tensor_bytes(t)) for model in models for t in model.values())
    assert record.bytes_read == expected + len(tensor_bytes(base["position_ids"]))


# -- copies, NaN and Inf -------------------------------------------------------------------------------------


def test_tensors_that_are_no_floats_are_copied_from_the_base(tmp_path) -> None:
    extra = {"buffer": torch.tensor([[1, -2], [3, 2**40]]), "mask": torch.tensor([True, False, True])}
    base = base_tensors() | extra
    models = [fine_tuned(base, seed) for seed in range(3)]
    models[1]["buffer"] = extra["buffer"] + 1
    models[2]["buffer"] = extra["buffer"] - 1
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
        "dtype": "float32",
    }
    record = merge(tmp_path / "out", recipe)
    check_selection(tmp_path / "out", record, base, models, dtype="F32")
    merged, records = read_tensors(tmp_path / "out"), by_name(record)
    for name, dtype, differs in [("buffer", "I64", ("run-1", "run-2")), ("mask", "BOOL", ())]:
        assert torch.equal(merged[name], base[name])
        assert merged[name].dtype == base[name].dtype
        assert records[name] == TensorRecord(
            name=name,
            shape=tuple(base[name].shape),
            dtype=dtype,
            action="copied",
            elements=base[name].numel(),
            zero_delta=None,
            changed_by=None,
            zero_after_draw=None,
            selected=None,
            nonfinite=(0, 0, 0, 0),
            digest=oracle.tensor_digest(tensor_bytes(base[name])),
            differs_in=differs,
        )


def test_without_a_base_copies_come_from_the_first_sub_model(tmp_path) -> None:
    models = [{"w": torch.randn(8), "n": torch.tensor([i, 7], dtype=torch.int32)} for i in range(2)]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    record = merge(tmp_path / "out", {"merge_method": "linear", "models": entries(folders)})
    assert read_tensors(tmp_path / "out")["n"].tolist() == [0, 7]
    assert by_name(record)["n"].differs_in == ("run-1",)


def spoiled(tmp_path: Path) -> tuple[dict[str, Any], Tensors, list[Tensors]]:
    base = {"w": torch.zeros(300, dtype=torch.bfloat16)}
    models = [fine_tuned(base, seed) for seed in range(2)]
    words = models[0]["w"].view(torch.int16)
    words[3:8] = torch.tensor([0x7F80, 0x7FA5, -1, -128, 0x7FC0], dtype=torch.int16)
    words[8:12] = -0x8000  # −0, no delta
    words[12:14] = 1  # a subnormal, a delta
    words[14] = 0x7E96  # 1e38, which is Inf in float16
    base["w"].view(torch.int16)[5:10] = torch.tensor([-1, 0x7F80, 0x7FA5, 0x7F80, 0x7F80], dtype=torch.int16)
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
        "parameters": {"resamples": 4},
    }
    return recipe, base, models


def test_nan_and_inf_pass_and_are_counted_as_stored(tmp_path) -> None:
    recipe, base, models = spoiled(tmp_path)
    record = merge(tmp_path / "out", recipe)
    check_selection(tmp_path / "out", record, base, models, resamples=4)
    assert by_name(record)["w"].nonfinite == (5, 0, 5)
    # 1e38 becomes Inf here, but what is stored is a number.
    record = merge(tmp_path / "half", recipe | {"dtype": "float16"})
    check_selection(tmp_path / "half", record, base, models, resamples=4, dtype="F16")
    assert by_name(record)["w"].nonfinite == (5, 0, 5)


def test_nan_and_inf_stop_the_merge_where_the_recipe_says_so(tmp_path) -> None:
    recipe, _, models = spoiled(tmp_path)
    with pytest.raises(CheckpointError, match="'w'"):
        merge(tmp_path / "out", recipe | {"nonfinite": "error"})
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
    # An average does not read the base, so that only sub-models can stop it.
    sound = {"merge_method": "linear", "base_model": recipe["base_model"], "models": recipe["models"][1:]}
    record = merge(tmp_path / "out", sound | {"nonfinite": "error"})
    check_average(tmp_path / "out", record, models[1:])


def test_differing_shapes_are_an_error_that_names_tensor_models_and_shapes(tmp_path) -> None:
    base = {"w": torch.zeros(4, 6)}
    folder = write_model(tmp_path / "run-0", {"w": torch.zeros(4, 7)})
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries([folder]),
    }
    with pytest.raises(IncompatibleError) as caught:
        merge(tmp_path / "out", recipe)
    for part in ("'w'", str(folder), str(tmp_path / "base"), "4×7", "4×6"):
        assert part in str(caught.value)


# -- the same bytes, however the work is done ----------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> dict[str, Any]:
    """A model whose larger tensors have several digest pieces and chunks, and its recipe without a method."""
    folder = tmp_path_factory.mktemp("large")
    generator = torch.Generator().manual_seed(3)
    shapes = {
        EMBEDDING: (700, 256),
        "model.layers.0.w": (401, 1001),
        "model.layers.1.w": (77, 3),
        HEAD: (256,),
    }
    base = {
        name: (torch.randn(shape, generator=generator) * 0.02).to(torch.bfloat16)
        for name, shape in shapes.items()
    }
    base["model.layers.1.w"] = base["model.layers.1.w"].float()
    base["ids"] = torch.arange(200_000)
    models = [fine_tuned(base, seed) for seed in range(3)]
    folders = [write_model(folder / f"run-{i}", model, shards=i + 1) for i, model in enumerate(models)]
    recipe = {
        "base_model": str(write_model(folder / "base", base)),
        "models": entries(folders, [1.0, 0.5, 1.5]),
        "seed": 11,
    }
    return {"recipe": recipe, "base": base, "models": models}


WAYS = {
    "two threads": {"threads": 2},
    "three threads, small chunks": {"threads": 3, "chunk_bytes": 1},
    "chunks of 1 MiB": {"chunk_bytes": 2**20},
    "chunks of 3,000,000 bytes": {"chunk_bytes": 3_000_000},
    "little memory": {"memory_budget_bytes": 2**22, "threads": 2},
    "no memory to speak of": {"memory_budget_bytes": 1, "threads": 2},
    "small shards": {"shard_size_bytes": 300_000, "threads": 2},
    "a shard for each tensor": {"shard_size_bytes": 1},
    "shards of 1.3 MB": {"shard_size_bytes": 1_300_000},
}


@pytest.fixture(scope="module")
def plainly_merged(large, tmp_path_factory) -> dict[str, tuple[Path, RunRecord]]:
    """One thread, one chunk a tensor, one file: by method."""
    result = {}
    for method in ("parameter_selection", "linear"):
        out = tmp_path_factory.mktemp("plain") / method
        result[method] = out, merge(out, large["recipe"] | {"merge_method": method}, chunk_bytes=2**30)
    return result


def test_a_large_tensor_equals_the_oracle(large, plainly_merged) -> None:
    """In every lane, on both sides of chunk and piece boundaries, and at the end."""
    out, record = plainly_merged["parameter_selection"]
    name = "model.layers.0.w"
    data = tensor_bytes(read_tensors(out)[name])
    inputs = [stored(model[name]) for model in large["models"]]
    base = stored(large["base"][name])
    total = len(base.words)
    for first in (0, 1024, 2048, 3072, 4096 - 150, 131072 - 150, 262144 - 150, total - 300):
        part = slice(first, first + 300)
        expected = oracle.select(
            Stored("BF16", base.words[part]),
            [Stored("BF16", model.words[part]) for model in inputs],
            merge_dtype="BF16",
            out_dtype="BF16",
            weights=[1.0, 0.5, 1.5],
            resamples=1,
            key=oracle.key_for(11, name),
            first_element=first,
        )
        assert oracle.words_from_bytes(data[2 * first : 2 * first + 600], "BF16") == expected.words
    assert by_name(record)[name].digest == oracle.tensor_digest(data)
    assert len(data) > 3 * 2**18


@pytest.mark.parametrize("method", ["parameter_selection", "linear"])
@pytest.mark.parametrize("way", WAYS)
def test_threads_chunks_and_shards_change_no_byte(large, plainly_merged, tmp_path, way, method) -> None:
    plain_out, plain = plainly_merged[method]
    out = tmp_path / "out"
    record = merge(out, large["recipe"] | {"merge_method": method}, **WAYS[way])
    assert record.tensors == plain.tensors
    assert record.bytes_read == plain.bytes_read
    tensors, expected = read_tensors(out), read_tensors(plain_out)
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensor_bytes(tensors[name]) == tensor_bytes(tensor)


def test_another_seed_gives_another_selection_and_the_same_average(large, plainly_merged, tmp_path) -> None:
    for method, differs in (("parameter_selection", True), ("linear", False)):
        record = merge(tmp_path / method, large["recipe"] | {"merge_method": method, "seed": 12})
        plain = by_name(plainly_merged[method][1])
        for tensor in record.tensors:
            assert (tensor.digest != plain[tensor.name].digest) == (differs and tensor.action == "merged")


@pytest.mark.parametrize("shard_size", [1, 300_000, 1_300_000])
def test_several_shards_have_an_index_that_is_right(large, tmp_path, shard_size) -> None:
    out = tmp_path / "out"
    record = merge(out, large["recipe"] | {"merge_method": "linear"}, shard_size_bytes=shard_size)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in out.glob("*.safetensors"))
    count = len(files)
    assert count > 1
    assert files == [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]
    found, total = {}, 0
    for file in files:
        size = 0
        with safe_open(out / file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                found[name] = file
                size += len(tensor_bytes(opened.get_tensor(name)))
            assert size <= shard_size or len(list(opened.keys())) == 1
        total += size
    assert index["weight_map"] == found
    assert index["metadata"]["total_size"] == total
    assert found.keys() == {tensor.name for tensor in record.tensors}


def test_one_shard_is_one_file_without_an_index(plainly_merged) -> None:
    out, _ = plainly_merged["linear"]
    assert [path.name for path in out.glob("*.safetensors")] == ["model.safetensors"]
    assert not (out / "model.safetensors.index.json").exists()


# -- the record and the folder -------------------------------------------------------------------------------


def header_digest(path: Path) -> str:
    data = path.read_bytes()
    return xxhash.xxh3_128(data[: 8 + int.from_bytes(data[:8], "little")]).hexdigest()


def test_every_field_of_the_record(large, tmp_path) -> None:
    recipe = large["recipe"] | {"merge_method": "parameter_selection", "parameters": {"resamples": 4}}
    record = merge(tmp_path / "out", recipe)
    data = json.loads((tmp_path / "out" / "paramosaic.json").read_text())
    assert data["schema_version"] == 2
    assert data["device"] == "cpu"
    assert 0 < data["seconds"] < 600
    assert data["software"]["numpy"] == np.__version__
    assert {"python", "numba", "torch", "safetensors"} <= data["software"].keys()
    every = [large["base"], *large["models"]]
    assert data["bytes_read"] == sum(len(tensor_bytes(t)) for model in every for t in model.values())

    # The recipe merges again: names in the place of folders, and nothing lost.
    assert data["recipe"]["base_model"] == "base"
    assert [entry["model"] for entry in data["recipe"]["models"]] == ["run-0", "run-1", "run-2"]
    assert [entry["parameters"] for entry in data["recipe"]["models"]] == [
        {"weight": 1.0},
        {"weight": 0.5},
        {"weight": 1.5},
    ]
    folder = Path(recipe["base_model"]).parent
    again = plan_merge(parse_recipe(data["recipe"], folder))
    assert run_merge(again, tmp_path / "again", device="cpu").tensors == record.tensors

    names = ["base", "run-0", "run-1", "run-2"]
    assert sorted(entry["name"] for entry in data["inputs"]) == names
    for entry in data["inputs"]:
        files = {file["name"]: file for file in entry["files"]}
        paths = list((folder / entry["name"]).glob("*.safetensors"))
        assert files.keys() == {path.name for path in paths}
        for path in paths:
            assert files[path.name]["size"] == path.stat().st_size
            assert files[path.name]["header_digest"] == header_digest(path)

    merged = read_tensors(tmp_path / "out")
    assert {tensor["name"] for tensor in data["tensors"]} == merged.keys() == large["base"].keys()
    for tensor in data["tensors"]:
        found = merged[tensor["name"]]
        copied = not found.is_floating_point()
        assert tensor["shape"] == list(found.shape)
        assert tensor["elements"] == found.numel()
        assert tensor["dtype"] == ("I64" if copied else DTYPE_NAMES[found.dtype])
        assert tensor["action"] == ("copied" if copied else "merged")
        assert tensor["digest"] == oracle.tensor_digest(tensor_bytes(found))
        assert len(tensor["nonfinite"]) == 4
        lengths = {"zero_delta": 3, "changed_by": 4, "zero_after_draw": 5, "selected": 3}
        for count, length in lengths.items():
            assert tensor[count] is None if copied else len(tensor[count]) == length
        if not copied:
            assert sum(tensor["changed_by"]) == sum(tensor["selected"]) == found.numel()


def test_the_folder_says_what_was_written_and_where_nothing_came_from(tmp_path) -> None:
    """Absolute paths in the first sub-model's files do not come along; its tokens and template do."""
    private = str(tmp_path / "private")
    base = base_tensors()
    models = [fine_tuned(base, seed) for seed in range(2)]
    config = CONFIG | {
        "_name_or_path": f"{private}/run-0",
        "vocab_size": 9999,
        "torch_dtype": "float64",
        "hidden_size": 16,
    }
    folders = [
        write_model(tmp_path / "private" / "run-0", models[0], config),
        write_model(tmp_path / "private" / "run-1", models[1], config, shards=2),
    ]
    tokenizer = {"name_or_path": f"{private}/run-0", "model_max_length": 512, "tokenizer_class": "X"}
    (folders[0] / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folders[0] / "tokenizer.json").write_bytes(b'{"version": "1.0",  "model": {}}')
    (folders[0] / "special_tokens_map.json").write_text('{"eos_token": "</s>"}')
    (folders[0] / "chat_template.jinja").write_text("{{ messages }}")
    (folders[0] / "generation_config.json").write_text(
        json.dumps({"_name_or_path": str(folders[0]), "max_length": 20})
    )
    (folders[1] / "chat_template.jinja").write_text("the second sub-model's")
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "private" / "base", base)),
        "models": entries(folders),
        "out_dtype": "float16",
    }
    out = tmp_path / "out"
    merge(out, recipe, shard_size_bytes=4000)

    written = json.loads((out / "config.json").read_text())
    assert written["vocab_size"] == 50
    assert {written[key] for key in ("dtype", "torch_dtype") if key in written} == {"float16"}
    assert written["hidden_size"] == 16
    assert (out / "tokenizer.json").read_bytes() == (folders[0] / "tokenizer.json").read_bytes()
    assert (out / "chat_template.jinja").read_text() == "{{ messages }}"
    assert json.loads((out / "special_tokens_map.json").read_text()) == {"eos_token": "</s>"}
    assert json.loads((out / "generation_config.json").read_text())["max_length"] == 20
    assert json.loads((out / "tokenizer_config.json").read_text())["model_max_length"] == 512
    card = (out / "README.md").read_text()
    assert "merge_method: parameter_selection" in card
    assert "run-0" in card

    check_private(out, tmp_path)
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("place", ["a list", "a key", "a nested value"])
def test_input_folders_stay_private_wherever_a_config_names_them(tmp_path, place) -> None:
    models = [{"w": torch.randn(6)} for _ in range(2)]
    folders = [write_model(tmp_path / f"run-{i}", model) for i, model in enumerate(models)]
    named = str(folders[1])
    extra: dict[str, Any] = {
        "a list": {"merged_from": [named, "other"]},
        "a key": {"shares": {named: 0.5}},
        "a nested value": {"origin": {"checkpoint": f"{named}/model.safetensors"}},
    }[place]
    (folders[0] / "config.json").write_text(json.dumps(CONFIG | extra))
    merge(tmp_path / "out", {"merge_method": "linear", "models": entries(folders)})
    check_private(tmp_path / "out", tmp_path)


@pytest.mark.parametrize("way", ["../models/run-{}", "link/run-{}", "../models/./run-{}"])
def test_input_folders_stay_private_whichever_way_the_recipe_names_them(tmp_path, way) -> None:
    models = [{"w": torch.randn(6)} for _ in range(2)]
    folders = [write_model(tmp_path / "models" / f"run-{i}", model) for i, model in enumerate(models)]
    config = CONFIG | {"origin": {"checkpoint": str(folders[1])}}
    (folders[0] / "config.json").write_text(json.dumps(config))
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "link").symlink_to(tmp_path / "models")
    recipe = {"merge_method": "linear", "models": [{"model": way.format(i)} for i in range(2)]}
    plan = plan_merge(parse_recipe(recipe, tmp_path / "recipes"))
    run_merge(plan, tmp_path / "out", device="cpu")
    check_private(tmp_path / "out", tmp_path)


def check_private(out: Path, private: Path) -> None:
    for path in files_under(out):
        assert str(private).encode() not in path.read_bytes(), path.name


def test_tokenizer_source_gives_config_tokens_and_template(tmp_path) -> None:
    base = base_tensors()
    folders = [write_model(tmp_path / f"run-{i}", fine_tuned(base, i)) for i in range(2)]
    for number, folder in enumerate(folders):
        (folder / "chat_template.jinja").write_text(f"template {number}")
        (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": 1, "mark": number}))
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
        "tokenizer_source": str(folders[1]),
    }
    merge(tmp_path / "out", recipe)
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "template 1"
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (written["mark"], written["vocab_size"]) == (1, 50)


def test_a_template_that_the_recipe_says_is_nobodys(tmp_path) -> None:
    base = base_tensors()
    folders = [write_model(tmp_path / f"run-{i}", fine_tuned(base, i)) for i in range(2)]
    for number, folder in enumerate(folders):
        (folder / "chat_template.jinja").write_text(f"template {number}")
    recipe = {"merge_method": "linear", "models": entries(folders), "parameters": {"weight": 1}}
    for more in ({}, {"chat_template": "chatml"}):
        plan = plan_merge(parse_recipe({**recipe, **more}, tmp_path))
        record = run_merge(plan, tmp_path / f"out-{len(more)}", device="cpu")
        for warnings in (plan.warnings, record.warnings):
            told = [warning for warning in warnings if "the chat template comes from" in warning]
            assert bool(told) == (not more)


def test_input_folders_are_left_as_they_were(tmp_path) -> None:
    base = base_tensors()
    inputs = [write_model(tmp_path / "in" / "base", base)]
    inputs += [write_model(tmp_path / "in" / f"run-{i}", fine_tuned(base, i)) for i in range(2)]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files_under(tmp_path / "in")}
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(inputs[0]),
        "models": entries(inputs[1:]),
    }
    merge(tmp_path / "out", recipe)
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files_under(tmp_path / "in")
    } == before


def files_under(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


# -- what resampling does ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 8])
def test_zero_deltas_fall_as_the_counts_say(tmp_path, count) -> None:
    """After draw d, Σ_m H_m (1 − m/K)^(d+1) elements are expected on a zero delta."""
    generator = torch.Generator().manual_seed(count)
    base = {"w": (torch.randn(400, 500, generator=generator) * 0.02).to(torch.bfloat16)}
    folders = []
    for i in range(count):
        step = torch.randn(base["w"].shape, generator=generator) * 3e-5  # as fine-tuning makes them
        model = {"w": (base["w"].float() + step).to(torch.bfloat16)}
        folders.append(write_model(tmp_path / f"run-{i}", model))
    recipe = {
        "merge_method": "parameter_selection",
        "base_model": str(write_model(tmp_path / "base", base)),
        "models": entries(folders),
        "parameters": {"resamples": 9},
        "seed": 1,
    }
    tensor = merge(tmp_path / "out", recipe).tensors[0]
    assert 0.5 < sum(tensor.zero_delta) / (count * tensor.elements) < 0.9
    for draw, observed in enumerate(tensor.zero_after_draw):
        stays = [(1 - m / count) ** (draw + 1) for m in range(count + 1)]
        expected = sum(n * p for n, p in zip(tensor.changed_by, stays, strict=True))
        variance = sum(n * p * (1 - p) for n, p in zip(tensor.changed_by, stays, strict=True))
        assert abs(observed - expected) < 4 * math.sqrt(variance)
