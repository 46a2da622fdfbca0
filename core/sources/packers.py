"""Packed weights that are no numbers one by one: by whose layout they were written, told by their tensors.

The layouts are those of the packers' own modules as transformers 5 registers them
(transformers/integrations, transformers/quantizers), and of the exllama, AutoGPTQ, AutoAWQ, MLX,
compressed-tensors, ModelOpt and torchao writers.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from core.checkpoint.headers import StoredTensor
from core.errors import CheckpointError
from core.text import shown

__all__ = ["SCALE_SIGNS", "refuse_packed"]

Leaves = Mapping[str, StoredTensor]
"""The tensors of one module by the last part of their names."""

_INTEGERS = frozenset({"I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"})
_NARROW = _INTEGERS - {"I64", "U64"}
"""Tables of indices and positions are of 64 bits, packed weights hardly ever are."""

SCALE_SIGNS = ("scale", "zero", "absmax", "scb", "codebook", "biases", "quant", "_max", "g_idx")
"""What the name of a tensor that is needed to unpack another has in it."""

_Command = Callable[[Path, str], str]
"""What writes the weights back as numbers: of the folder and the name of transformers' class for it."""

_ORIGINAL = "merge the checkpoint that it was made from, which has the weights as plain numbers"


def _by_transformers(load: str, after: str = "") -> _Command:
    def command(folder: Path, model_class: str) -> str:
        code = (
            f"import sys, transformers as t; m = t.{model_class}.from_pretrained(sys.argv[1]{load}){after}; "
            # Else transformers 5 goes back to the packer's names for what it writes, if it can at all.
            "m.save_pretrained(sys.argv[2], save_original_format=False)"
        )
        return f'python -c "{code}" {shlex.quote(str(folder))} {shlex.quote(f"{folder}-plain")}'

    return command


def _by_mlx(folder: Path, model_class: str) -> str:
    places = f"--hf-path {shlex.quote(str(folder))} --mlx-path {shlex.quote(f'{folder}-plain')}"
    return f"mlx_lm.convert {places} --dequantize"


@dataclass(frozen=True)
class _Packer:
    """How one layout is told, and what to do about it.

    Attributes:
        name: as a sentence has it.
        is_it: whether the tensors of a module are of this layout.
        method: what configs call it, where `command` relies on that.
        command: what writes the weights back as numbers; None where nothing is known to.
    """

    name: str
    is_it: Callable[[Leaves], bool]
    method: str = ""
    command: _Command | None = None


def _has(*leaves: str) -> Callable[[Leaves], bool]:
    return lambda found: all(leaf in found for leaf in leaves)


def _type(found: Leaves, leaf: str) -> str:
    return found[leaf].dtype.name if leaf in found else ""


def _is_awq(found: Leaves) -> bool:
    """AWQ packs the columns of the scales' matrix, GPTQ its rows."""
    codes, scales = found.get("qweight"), found.get("scales")
    return (
        codes is not None
        and scales is not None
        and "qzeros" in found
        and "g_idx" not in found
        and codes.shape[-1:] != scales.shape[-1:]
    )


def _is_quanto(found: Leaves) -> bool:
    return "weight._scale" in found and any(leaf.startswith("weight._data") for leaf in found)


_PACKERS = (
    _Packer(
        "bitsandbytes (4 bits)",
        lambda found: "weight.absmax" in found and any(leaf.startswith("weight.quant_") for leaf in found),
        "bitsandbytes",
        _by_transformers("", ".dequantize()"),
    ),
    _Packer("bitsandbytes (8 bits)", _has("SCB"), "bitsandbytes", _by_transformers("", ".dequantize()")),
    _Packer("ExLlamaV3", _has("trellis")),
    _Packer("ExLlamaV2", _has("q_weight")),
    _Packer("FP-Quant", _has("qweight", "forward_hadamard_matrix")),
    _Packer("AWQ", _is_awq),
    _Packer("GPTQ", _has("qweight", "qzeros")),
    _Packer("GPTQ", _has("qweight", "scales")),
    _Packer("Marlin", _has("B", "s")),
    _Packer("HQQ", _has("W_q")),
    _Packer("EETQ", lambda found: "weight_scales" in found and _type(found, "weight") == "I8"),
    _Packer("AQLM", _has("codes", "codebooks")),
    _Packer("VPTQ", lambda found: "indices" in found and any("centroids" in leaf for leaf in found)),
    _Packer("SpQR", _has("dense_weights")),
    _Packer("HIGGS", _has("tables2", "scales")),
    _Packer("QuIP#", _has("Qidxs")),
    _Packer("quanto", _is_quanto),
    _Packer(
        "torchao",
        lambda found: any(leaf.endswith(("_qdata", ":qdata", ":_data", ":tensor_impl")) for leaf in found),
    ),
    _Packer("NVFP4", _has("weight_packed", "weight_global_scale")),
    _Packer(
        "NVFP4",
        lambda found: _type(found, "weight") == "U8" and _type(found, "weight_scale") == "F8_E4M3",
    ),
    _Packer(
        "MXFP4",
        lambda found: any(
            leaf.endswith("_blocks") and f"{leaf.removesuffix('_blocks')}_scales" in found for leaf in found
        ),
        "mxfp4",
        _by_transformers(", quantization_config=t.Mxfp4Config(dequantize=True)"),
    ),
    _Packer("MXFP4", lambda found: _type(found, "weight_packed") == "U8" and "weight_scale" in found),
    _Packer(
        "compressed-tensors (packed integers)",
        _has("weight_packed"),
        "compressed-tensors",
        _by_transformers(", quantization_config=t.CompressedTensorsConfig(run_compressed=False)"),
    ),
    _Packer("compressed-tensors (sparse)", _has("compressed", "bitmask")),
    _Packer("MLX", lambda found: _type(found, "weight") == "U32" and "scales" in found, "mlx", _by_mlx),
    _Packer("GGUF", lambda found: "weight" in found and found["weight"].name.startswith("blk.")),
    _Packer("BitNet", lambda found: _type(found, "weight") == "U8" and _is_single(found, "weight_scale")),
    _Packer(
        "FP4, two numbers a byte",
        lambda found: (
            _type(found, "weight") in ("I8", "U8")
            and any(_type(found, leaf) == "F8_E8M0" for leaf in ("weight_scale_inv", "weight_scale", "scale"))
        ),
    ),
    _Packer(
        "int8 with scales",
        lambda found: (
            _type(found, "weight") == "I8" and any(leaf.startswith("weight_scale") for leaf in found)
        ),
        "compressed-tensors",
        _by_transformers(", quantization_config=t.CompressedTensorsConfig(run_compressed=False)"),
    ),
)
"""The first one that fits is it."""

_METHODS = {
    "auto-round": "AutoRound",
    "autoround": "AutoRound",
    "awq": "AWQ",
    "bitnet": "BitNet",
    "gemma": "Gemma's own",
    "gptq": "GPTQ",
    "modelopt": "ModelOpt",
    "quark": "Quark",
    "sinq": "SINQ",
    "torchao": "torchao",
}
"""What configs call packers whose tensors look like another's, or like nobody's."""

_OTHERS_LAYOUT = ("auto-round", "autoround", "awq", "gptq")
"""That may use one another's tensors."""


def _is_single(found: Leaves, leaf: str) -> bool:
    return leaf in found and prod(found[leaf].shape) == 1


def refuse_packed(
    folder: Path, tensors: Mapping[str, StoredTensor], method: str | None, architecture: str | None
) -> None:
    """Refuse weights that would be merged code by code.

    Args:
        folder: of the model.
        tensors: all that it stores, by name.
        method: what its configs call the way in which it is quantised; None where they say nothing.
        architecture: the class that its config names; None for none.

    Raises:
        CheckpointError: it has such.
    """
    modules: dict[str, dict[str, StoredTensor]] = {}
    for name, tensor in tensors.items():
        if tensor.dtype.name in _INTEGERS or "._data" in name:
            modules[_split(name)[0]] = {}
    if not modules:
        return
    for name, tensor in tensors.items():
        module, leaf = _split(name)
        if module in modules:
            modules[module][leaf] = tensor
        else:
            outer, inner = _split(module)
            if outer in modules:
                modules[outer][f"{inner}.{leaf}"] = tensor
    for packer in _PACKERS:
        found = [leaves for leaves in modules.values() if packer.is_it(leaves)]
        if found:
            name = packer.name
            if packer.name in ("GPTQ", "AWQ") and method in _OTHERS_LAYOUT:
                name = _METHODS[method]
            hint = _ORIGINAL
            if packer.command is not None and method == packer.method:
                known = architecture is not None and architecture.isascii() and architecture.isidentifier()
                model_class = architecture if known and architecture else "AutoModelForCausalLM"
                hint += (
                    ", or write its weights back as such, with its packer installed, and merge what that "
                    f"makes: {packer.command(folder, model_class)}"
                )
            raise _refusal(folder, name, len(found), _first(found[0]), hint)
    _refuse_unknown(folder, modules, method)


def _split(name: str) -> tuple[str, str]:
    """The module of a tensor, and what it is called there: "weight.absmax" for what belongs to its weight."""
    module, found, rest = name.partition(".weight.")
    if found:
        return module, f"weight.{rest}"
    module, _, leaf = name.rpartition(".")
    return module, leaf


def _refuse_unknown(folder: Path, modules: Mapping[str, Leaves], method: str | None) -> None:
    """Refuse integers of whatever packer, where something beside them says that they are no numbers."""
    packed: list[tuple[StoredTensor, str | None]] = []
    for leaves in modules.values():
        for leaf, tensor in leaves.items():
            if tensor.dtype.name not in _NARROW or len(tensor.shape) < 2 or not tensor.size_bytes:
                continue
            scale = next((other for other in leaves if _unpacks(other, leaf)), None)
            if scale is not None or leaf == "weight" or (method is not None and "weight" in leaf):
                packed.append((tensor, leaves[scale].name if scale is not None else None))
    if not packed:
        return
    tensor, scale = next((pair for pair in packed if pair[1] is not None), packed[0])
    if method is not None:
        raise _refusal(folder, _METHODS.get(method, shown(method)), len(packed), tensor, _ORIGINAL)
    beside, scales = (f" beside {scale!r}", " beside scales") if scale is not None else ("", "")
    raise CheckpointError(
        f"{folder} holds {_count(len(packed), 'integer weight')}{scales}, as {tensor.name!r} stored as "
        f"{tensor.dtype}{beside}: they are packed in a way that is not known here, and cannot be merged as "
        "numbers",
        hint=_ORIGINAL,
        path=folder,
        tensor=tensor.name,
    )


def _unpacks(other: str, leaf: str) -> bool:
    """Whether a tensor called `other` looks like what is needed to unpack `leaf` of the same module."""
    plain, prefix = other.lower(), leaf.lower()
    if other == leaf or not any(sign in plain for sign in SCALE_SIGNS):
        return False
    stem = prefix.removesuffix("_quantized").removesuffix("_packed").removesuffix("_codes")
    return plain.startswith(stem) or any(sign in prefix for sign in ("weight", "codes", "packed", "quant"))


def _first(leaves: Leaves) -> StoredTensor:
    """The weights among the tensors of a module: what takes most of the room."""
    whole = [tensor for tensor in leaves.values() if not tensor.dtype.is_float] or list(leaves.values())
    return max(whole, key=lambda tensor: tensor.size_bytes)


def _refusal(folder: Path, packer: str, modules: int, tensor: StoredTensor, hint: str) -> CheckpointError:
    return CheckpointError(
        f"{folder} is quantised ({packer}): {_count(modules, 'weight')}, as {tensor.name!r} stored as "
        f"{tensor.dtype}, {'is' if modules == 1 else 'are'} packed and cannot be merged as numbers",
        hint=hint,
        path=folder,
        tensor=tensor.name,
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
