"""Quantised checkpoints: what is read as numbers, what is left out, and what is refused by its name."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stored_models import Tensors, store

from core.errors import CheckpointError
from core.sources.dequantised import Dequantised
from core.sources.quantised import QUANTISATION_FILES, Unpacked, read_quantised, without_quantisation

P = "model.layers.0.mlp.up_proj"
PLAIN: Tensors = {"model.embed_tokens.weight": ("BF16", (8, 4)), "model.norm.weight": ("BF16", (4,))}


def fp8(config: Any = None) -> dict[str, Any]:
    return {"model_type": "llama", "quantization_config": config or {"quant_method": "fp8"}}


# -- what is read

READ: dict[str, tuple[Tensors, Any, str, tuple[int, int, tuple[int, int]]]] = {
    "DeepSeek": (
        {f"{P}.weight": ("F8_E4M3", (300, 200)), f"{P}.weight_scale_inv": ("F32", (3, 2))},
        fp8({"quant_method": "fp8", "weight_block_size": [128, 128]}),
        f"{P}.weight",
        (300, 200, (128, 128)),
    ),
    "blocks by the shapes": (
        {
            f"{P}.weight": ("F8_E4M3", (300, 200)),
            f"{P}.weight_scale_inv": ("BF16", (3, 2)),
            "b.weight": ("F8_E4M3", (256, 512)),
            "b.weight_scale_inv": ("BF16", (2, 4)),
        },
        None,
        f"{P}.weight",
        (300, 200, (128, 128)),
    ),
    "blocks of E8M0 in a part of the config": (
        {f"{P}.weight": ("F8_E4M3", (64, 64)), f"{P}.scale": ("F8_E8M0", (64, 2))},
        {"model_type": "x", "text_config": fp8({"weight_block_size": [1, 32]})},
        f"{P}.weight",
        (64, 64, (1, 32)),
    ),
    "E8M0 as bytes": (
        {f"{P}.weight": ("F8_E4M3", (64, 64)), f"{P}.weight_scale": ("U8", (64, 2))},
        None,
        f"{P}.weight",
        (64, 64, (1, 32)),
    ),
    "a number for all": (
        {f"{P}.weight": ("F8_E5M2", (3, 5)), f"{P}.weight_scale": ("F32", ())},
        fp8(),
        f"{P}.weight",
        (1, 15, (1, 15)),
    ),
    "ComfyUI": (
        {
            f"{P}.weight": ("F8_E4M3", (3, 5)),
            f"{P}.scale_weight": ("F32", (1,)),
            f"{P}.scale_input": ("F32", (1,)),
            "scaled_fp8": ("F8_E4M3", (2,)),
        },
        None,
        f"{P}.weight",
        (1, 15, (1, 15)),
    ),
    "rows of compressed-tensors": (
        {
            f"{P}.weight": ("F8_E4M3", (3, 5)),
            f"{P}.weight_scale": ("BF16", (3, 1)),
            f"{P}.weight_zero_point": ("I8", (3, 1)),
            f"{P}.input_scale": ("BF16", (1,)),
            "model.layers.0.self_attn.k_scale": ("BF16", (1,)),
        },
        fp8(
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"0": {"weights": {"strategy": "channel", "symmetric": True}}},
            }
        ),
        f"{P}.weight",
        (3, 5, (1, 5)),
    ),
    "groups of compressed-tensors": (
        {f"{P}.weight": ("F8_E4M3", (3, 70)), f"{P}.weight_scale": ("BF16", (3, 3))},
        fp8({"config_groups": {"0": {"weights": {"group_size": 32}}}}),
        f"{P}.weight",
        (3, 70, (1, 32)),
    ),
    "FBGEMM": (
        {
            f"{P}.weight": ("F8_E4M3", (3, 5)),
            f"{P}.weight_scale": ("F32", (3, 1)),
            f"{P}.input_scale_ub": ("F32", (1,)),
        },
        fp8({"quant_method": "fbgemm_fp8"}),
        f"{P}.weight",
        (3, 5, (1, 5)),
    ),
    "Mistral": (
        {
            f"{P}.weight": ("F8_E4M3", (3, 5)),
            f"{P}.qscale_weight": ("F32", (1,)),
            f"{P}.qscale_act": ("F32", (1,)),
        },
        None,
        f"{P}.weight",
        (1, 15, (1, 15)),
    ),
    "experts in blocks": (
        {
            "experts.gate_up_proj": ("F8_E4M3", (2, 300, 200)),
            "experts.gate_up_proj_scale_inv": ("F32", (2, 3, 2)),
        },
        fp8({"weight_block_size": [128, 128]}),
        "experts.gate_up_proj",
        (300, 200, (128, 128)),
    ),
    "experts of one scale each": (
        {"experts.up": ("F8_E4M3", (2, 3, 5)), "experts.up_scale": ("F32", (2,))},
        fp8(),
        "experts.up",
        (2, 15, (1, 15)),
    ),
    "experts by rows": (
        {"experts.up": ("F8_E4M3", (2, 3, 5)), "experts.up_scale": ("F32", (2, 3, 1))},
        fp8(),
        "experts.up",
        (6, 5, (1, 5)),
    ),
    "experts by columns": (
        {"experts.up": ("F8_E4M3", (2, 3, 5)), "experts.up_scale": ("F32", (2, 1, 5))},
        fp8(),
        "experts.up",
        (3, 5, (3, 1)),
    ),
}


@pytest.mark.parametrize("case", READ)
def test_fp8_with_scales_is_read_as_numbers(case: str, tmp_path: Path) -> None:
    tensors, config, name, (rows, columns, block) = READ[case]
    model = store(tmp_path / "a", {**PLAIN, **tensors}, config)
    found = read_quantised(model)
    source = found.sources[name]
    assert isinstance(source, Dequantised)
    assert (source.rows, source.columns, source.block) == (rows, columns, block)
    assert source.codes == model.tensors[name]
    assert source.dtype.name == "BF16"
    assert {*found.sources, *found.left_out} == tensors.keys()
    assert found.left_out[source.scale.name] == f"scale of {name}"
    assert len(found.notes) == 1
    assert "FP8" in found.notes[0]
    assert "not quantised" in found.notes[0]


NOT_READ: dict[str, tuple[Tensors, Any, str]] = {
    "no size of blocks fits": (
        {f"{P}.weight": ("F8_E4M3", (300, 200)), f"{P}.weight_scale_inv": ("F32", (7, 2))},
        fp8({"weight_block_size": [128, 128]}),
        "[300, 200] and its scales 'model.layers.0.mlp.up_proj.weight_scale_inv' [7, 2]: that is not one "
        "scale for each block of 128 × 128",
    ),
    "several sizes fit": (
        {f"{P}.weight": ("F8_E4M3", (192, 192)), f"{P}.weight_scale_inv": ("F32", (2, 2))},
        None,
        "blocks of several sizes",
    ),
    "no rows": (
        {f"{P}.weight": ("F8_E4M3", (192, 192)), f"{P}.weight_scale": ("F32", (7,))},
        fp8(),
        "neither its rows nor blocks",
    ),
    "zero points that may be something": (
        {
            f"{P}.weight": ("F8_E4M3", (3, 5)),
            f"{P}.weight_scale": ("F32", (3, 1)),
            f"{P}.weight_zero_point": ("F8_E4M3", (3, 1)),
        },
        fp8(),
        "has 'model.layers.0.mlp.up_proj.weight_zero_point' beside it",
    ),
    "scales of integers": (
        {f"{P}.weight": ("F8_E4M3", (3, 5)), f"{P}.weight_scale": ("I32", (3, 1))},
        fp8(),
        "stored as I32",
    ),
}


@pytest.mark.parametrize("case", NOT_READ)
def test_scales_that_could_be_taken_wrong_are_refused(case: str, tmp_path: Path) -> None:
    tensors, config, said = NOT_READ[case]
    with pytest.raises(CheckpointError) as caught:
        read_quantised(store(tmp_path / "a", {**PLAIN, **tensors}, config))
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.tensor in tensors


def test_a_size_in_the_config_decides_what_shapes_leave_open(tmp_path: Path) -> None:
    tensors: Tensors = {f"{P}.weight": ("F8_E4M3", (192, 192)), f"{P}.weight_scale_inv": ("F32", (2, 2))}
    for size in (96, 128):
        model = store(tmp_path / str(size), tensors, fp8({"weight_block_size": [size, size]}))
        source = read_quantised(model).sources[f"{P}.weight"]
        assert isinstance(source, Dequantised)
        assert source.block == (size, size)


# -- what is plain


def test_plain_models_are_left_alone(tmp_path: Path) -> None:
    """With every kind of integer and mask that models have as buffers."""
    buffers: Tensors = {
        "embeddings.position_ids": ("I64", (1, 512)),
        "attn.relative_position_index": ("I64", (16, 16)),
        "attn.logit_scale": ("F32", (4, 1, 1)),
        "bn.num_batches_tracked": ("I64", ()),
        "bn.running_mean": ("F32", (4,)),
        "attn.bias": ("BOOL", (1, 1, 8, 8)),
        "attn.mask": ("U8", (1, 1, 8, 8)),
        "attn.scale": ("F32", (1,)),
        "rng_state": ("U8", (5056,)),
        "table": ("I32", (4, 4)),
        "quantizer.scale": ("BF16", (4,)),
    }
    assert read_quantised(store(tmp_path / "a", {**PLAIN, **buffers})) == Unpacked()


def test_fp8_without_scales_is_plain(tmp_path: Path) -> None:
    tensors: Tensors = {**PLAIN, f"{P}.weight": ("F8_E4M3", (3, 5))}
    assert read_quantised(store(tmp_path / "a", tensors)) == Unpacked()
    found = read_quantised(store(tmp_path / "b", tensors, fp8()))
    assert not found.sources
    assert not found.left_out
    (note,) = found.notes
    assert note == (
        "b says that it is quantised by 'fp8', but its 1 FP8 tensors have no scales: they are taken as they "
        "are, and the result does not say that it is quantised"
    )


@pytest.mark.parametrize("file", ["config", *(name.removesuffix(".json") for name in QUANTISATION_FILES)])
def test_a_config_that_is_left_over_is_said(file: str, tmp_path: Path) -> None:
    said = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    files: dict[str, Any] = {file: {"quantization_config": said} if file == "config" else said}
    found = read_quantised(store(tmp_path / "b", PLAIN, files.pop("config", None), **files))
    assert found.notes == (
        "b says that it is quantised by 'bitsandbytes', but its weights are plain numbers: the result "
        "does not say that it is quantised",
    )
    assert not found.sources
    assert not found.left_out


def test_scales_that_were_left_over_are_left_out(tmp_path: Path) -> None:
    tensors: Tensors = {**PLAIN, f"{P}.weight": ("BF16", (3, 5)), f"{P}.weight_scale_inv": ("F32", (1, 1))}
    found = read_quantised(store(tmp_path / "a", tensors))
    assert found.left_out == {
        f"{P}.weight_scale_inv": f"scale of {P}.weight, which is stored as plain numbers"
    }
    # Nothing says that this one is of no use to its weight.
    tensors = {**PLAIN, f"{P}.weight": ("BF16", (3, 5)), f"{P}.weight_scale": ("F32", (1, 1))}
    assert not read_quantised(store(tmp_path / "b", tensors)).left_out


def test_the_config_of_the_result_does_not_say_that_it_is_quantised() -> None:
    config = {
        "model_type": "x",
        "quantization_config": {"quant_method": "fp8"},
        "quantization": {"group_size": 64, "bits": 4},
        "text_config": {"hidden_size": 4, "compression_config": {"format": "float-quantized"}},
        "quantizer": "kept",
    }
    expected = {"model_type": "x", "text_config": {"hidden_size": 4}, "quantizer": "kept"}
    assert without_quantisation(config) == expected


# -- what is refused

W = f"{P}.weight"
REFUSED: dict[str, tuple[Tensors, Any, str]] = {
    "bitsandbytes NF4": (
        {
            W: ("U8", (64, 1)),
            f"{W}.absmax": ("U8", (2,)),
            f"{W}.quant_map": ("F32", (16,)),
            f"{W}.nested_absmax": ("F32", (1,)),
            f"{W}.nested_quant_map": ("F32", (256,)),
            f"{W}.quant_state.bitsandbytes__nf4": ("U8", (80,)),
        },
        fp8({"quant_method": "bitsandbytes"}),
        "bitsandbytes (4 bits)",
    ),
    "bitsandbytes FP4, without a config": (
        {
            W: ("U8", (64, 1)),
            f"{W}.absmax": ("F32", (2,)),
            f"{W}.quant_map": ("F32", (16,)),
            f"{W}.quant_state.bitsandbytes__fp4": ("U8", (80,)),
        },
        None,
        "bitsandbytes (4 bits)",
    ),
    "bitsandbytes int8": (
        {W: ("I8", (8, 8)), f"{P}.SCB": ("F32", (8,)), f"{P}.weight_format": ("U8", ())},
        fp8({"quant_method": "bitsandbytes"}),
        "bitsandbytes (8 bits)",
    ),
    "GPTQ": (
        {
            f"{P}.qweight": ("I32", (8, 64)),
            f"{P}.qzeros": ("I32", (1, 8)),
            f"{P}.scales": ("F16", (1, 64)),
            f"{P}.g_idx": ("I32", (64,)),
        },
        fp8({"quant_method": "gptq"}),
        "GPTQ",
    ),
    "AutoRound": (
        {f"{P}.qweight": ("I32", (8, 64)), f"{P}.qzeros": ("I32", (1, 8)), f"{P}.scales": ("F16", (1, 64))},
        fp8({"quant_method": "auto-round"}),
        "AutoRound",
    ),
    "AWQ": (
        {f"{P}.qweight": ("I32", (64, 8)), f"{P}.qzeros": ("I32", (1, 8)), f"{P}.scales": ("F16", (1, 64))},
        None,
        "AWQ",
    ),
    "HQQ": (
        {
            f"{P}.W_q": ("U8", (32, 64)),
            f"{P}.scale": ("F16", (64, 1)),
            f"{P}.zero": ("F16", (64, 1)),
            f"{P}.nbits": ("I64", ()),
        },
        None,
        "HQQ",
    ),
    "EETQ": ({W: ("I8", (8, 8)), f"{P}.weight_scales": ("F16", (8,))}, None, "EETQ"),
    "quanto": (
        {f"{W}._data": ("I8", (8, 8)), f"{W}._scale": ("F32", (8, 1)), f"{P}.input_scale": ("F32", ())},
        None,
        "quanto",
    ),
    "quanto's FP8": ({f"{W}._data": ("F8_E4M3", (8, 8)), f"{W}._scale": ("F32", (8, 1))}, None, "quanto"),
    "quanto, 4 bits": (
        {
            f"{W}._data._data": ("U8", (4, 8)),
            f"{W}._scale": ("F32", (8, 1)),
            f"{W}._shift": ("F32", (8, 1)),
        },
        None,
        "quanto",
    ),
    "AQLM": (
        {
            f"{P}.codes": ("I16", (8, 1, 1)),
            f"{P}.codebooks": ("F16", (1, 65536, 1, 8)),
            f"{P}.scales": ("F16", (8, 1, 1, 1)),
        },
        None,
        "AQLM",
    ),
    "VPTQ": (
        {
            f"{P}.indices": ("I16", (1, 8, 8)),
            f"{P}.centroids.weight": ("F16", (1, 64)),
            f"{P}.perm": ("I16", (8,)),
        },
        None,
        "VPTQ",
    ),
    "SpQR": (
        {
            f"{P}.dense_weights": ("I64", (8,)),
            f"{P}.row_offsets": ("I32", (9,)),
            f"{P}.col_vals": ("I32", (3,)),
        },
        None,
        "SpQR",
    ),
    "ExLlamaV2": ({f"{P}.q_weight": ("I32", (8, 8)), f"{P}.q_scale": ("I32", (1, 8))}, None, "ExLlamaV2"),
    "compressed-tensors, packed": (
        {
            f"{W}_packed": ("I32", (8, 8)),
            f"{W}_scale": ("BF16", (8, 1)),
            f"{W}_shape": ("I64", (2,)),
        },
        fp8({"quant_method": "compressed-tensors", "format": "pack-quantized"}),
        "compressed-tensors (packed integers)",
    ),
    "compressed-tensors, int8": (
        {W: ("I8", (8, 8)), f"{W}_scale": ("BF16", (8, 1))},
        fp8({"quant_method": "compressed-tensors", "format": "int-quantized"}),
        "int8 with scales",
    ),
    "NVFP4 of compressed-tensors": (
        {
            f"{W}_packed": ("U8", (8, 8)),
            f"{W}_scale": ("F8_E4M3", (8, 1)),
            f"{W}_global_scale": ("F32", (1,)),
        },
        fp8({"quant_method": "compressed-tensors"}),
        "NVFP4",
    ),
    "NVFP4 of ModelOpt": (
        {
            W: ("U8", (8, 8)),
            f"{W}_scale": ("F8_E4M3", (8, 1)),
            f"{W}_scale_2": ("F32", ()),
            f"{P}.input_scale": ("F32", ()),
        },
        fp8({"quant_method": "modelopt"}),
        "NVFP4",
    ),
    "MXFP4 of gpt-oss": (
        {
            "model.layers.0.mlp.experts.gate_up_proj_blocks": ("U8", (2, 8, 1, 16)),
            "model.layers.0.mlp.experts.gate_up_proj_scales": ("U8", (2, 8, 1)),
            "model.layers.0.mlp.experts.gate_up_proj_bias": ("BF16", (2, 8)),
        },
        fp8({"quant_method": "mxfp4"}),
        "MXFP4",
    ),
    "MLX": (
        {W: ("U32", (8, 8)), f"{P}.scales": ("BF16", (8, 1)), f"{P}.biases": ("BF16", (8, 1))},
        {"model_type": "llama", "quantization": {"group_size": 64, "bits": 4}},
        "MLX",
    ),
    "torchao": ({f"{P}._weight_qdata": ("I8", (8, 8)), f"{P}._weight_scale": ("F32", (8,))}, None, "torchao"),
    "torchao, the newer names": (
        {f"{W}:qdata": ("I8", (8, 8)), f"{W}:scale": ("F32", (8,))},
        None,
        "torchao",
    ),
    "BitNet": ({W: ("U8", (2, 8)), f"{W}_scale": ("BF16", (1,))}, fp8({"quant_method": "bitnet"}), "BitNet"),
    "DeepSeek's FP4": (
        {W: ("I8", (8, 8)), f"{P}.scale": ("F8_E8M0", (8, 1))},
        None,
        "FP4, two numbers a byte",
    ),
    "GGUF": ({"blk.0.attn_q.weight": ("U8", (8, 144))}, None, "GGUF"),
    "Gemma's": (
        {"e.embedding_quantized": ("I8", (8, 8)), "e.embedding_scale": ("F32", (8, 1))},
        None,
        "holds 1 integer weight beside scales",
    ),
    "nobody's": (
        {f"{P}.{at}.wq": ("U16", (8, 8)) for at in range(224)}
        | {f"{P}.{at}.wq_scales": ("F32", (8,)) for at in range(224)},
        None,
        "holds 224 integer weights beside scales",
    ),
    "nobody's, that its config names": (
        {W: ("I8", (8, 8)), f"{P}.a": ("F32", ())},
        fp8({"quant_method": "brand-new"}),
        "is quantised ('brand-new')",
    ),
    "int8 and nothing beside it": ({W: ("I8", (8, 8))}, None, "holds 1 integer weight,"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_packed_weights_are_refused_by_their_packer(case: str, tmp_path: Path) -> None:
    tensors, config, said = REFUSED[case]
    with pytest.raises(CheckpointError) as caught:
        read_quantised(store(tmp_path / "a", {**PLAIN, **tensors}, config))
    error = caught.value
    assert said in error.message
    assert error.tensor in tensors
    assert error.path == tmp_path / "a"
    assert (error.hint or "").startswith("merge the checkpoint that it was made from")


@pytest.mark.parametrize("case", ["bitsandbytes NF4", "MXFP4 of gpt-oss", "compressed-tensors, packed"])
def test_the_command_in_a_hint_is_one(case: str, tmp_path: Path) -> None:
    tensors, config, _ = REFUSED[case]
    folder = tmp_path / "it's $HOME"
    with pytest.raises(CheckpointError) as caught:
        read_quantised(store(folder, tensors, {**config, "architectures": ["GptOssForCausalLM"]}))
    command = (caught.value.hint or "").partition("merge what that makes: ")[2]
    stub = tmp_path / "transformers.py"
    stub.write_text(
        "import sys\n"
        "class Model:\n"
        "    def dequantize(self): return self\n"
        "    def save_pretrained(self, place, **more): print(place)\n"
        "class GptOssForCausalLM:\n"
        "    from_pretrained = staticmethod(lambda place, **more: print(place, *more) or Model())\n"
        "Mxfp4Config = CompressedTensorsConfig = dict\n"
    )
    assert shlex.split(command)[0] == "python"
    made = subprocess.run(
        ["sh", "-c", command.replace("python", shlex.quote(sys.executable), 1)],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    first, second = made.stdout.splitlines()
    assert first.startswith(str(folder)), made.stderr
    assert second == f"{folder}-plain"


def test_a_class_that_is_no_name_does_not_come_into_a_command(tmp_path: Path) -> None:
    tensors, config, _ = REFUSED["bitsandbytes NF4"]
    with pytest.raises(CheckpointError) as caught:
        read_quantised(store(tmp_path / "a", tensors, {**config, "architectures": ["x;$(touch)"]}))
    assert "touch" not in (caught.value.hint or "")
    assert "AutoModelForCausalLM" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "said", ["fp8", 3, [], {"quant_method": 7}, {"weight_block_size": "128"}, {"config_groups": [1]}]
)
def test_a_config_of_nonsense_says_nothing(said: Any, tmp_path: Path) -> None:
    tensors: Tensors = {W: ("F8_E4M3", (256, 512)), f"{W}_scale_inv": ("F32", (2, 4))}
    found = read_quantised(store(tmp_path / "a", tensors, {"quantization_config": said}))
    source = found.sources[W]
    assert isinstance(source, Dequantised)
    assert source.block == (128, 128)
