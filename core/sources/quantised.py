"""Checkpoints that are quantised: what of them can be read as numbers, and what is refused by its name.

FP8 weights with a scale for the tensor, for each row or for each block are read as bfloat16. FP8 weights
that have no scale are plain numbers. All else is told by core.sources.packers, and refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import Checkpoint
from core.errors import CheckpointError
from core.small_files import parse_json, read_if_there
from core.sources.dequantised import Dequantised
from core.sources.packers import refuse_packed
from core.sources.scale_layout import Blocks, lay_out_scales
from core.sources.source import Source
from core.text import shown

__all__ = ["QUANTISATION_FILES", "Unpacked", "read_quantised", "without_quantisation"]

QUANTISATION_FILES = (
    "hf_quant_config.json",
    "quantize_config.json",
    "quant_config.json",
    "quantization_config.json",
)
"""Files beside the weights that say how they are quantised, which the result is not."""

_MAX_FILE_BYTES, _MAX_FILE_PARTS = 4_000_000, 200_000
"""As of a config.json."""

_KEYS = ("quantization_config", "compression_config", "quantization")
"""In config.json, or in a part of it. The last one is MLX's."""

_CODES = frozenset({"F8_E4M3", "F8_E5M2"})
_SCALES = frozenset({"F32", "BF16", "F16", "F8_E8M0", "U8"})
"""U8 holds the bits of E8M0: transformers' finegrained_fp8.py reads it so too."""

_OF_TENSOR = ("_scale_inv", "_scale")
_OF_MODULE = ("scale", "scale_inv", "scale_weight", "qscale_weight")
"""What a scale is called after the name of its weights, and after their module where they are `weight`."""

_OF_ACTIVATIONS = (
    "input_scale",
    "input_scale_ub",
    "activation_scale",
    "scale_input",
    "qscale_act",
    "output_scale",
    "k_scale",
    "v_scale",
    "q_scale",
    "prob_scale",
)
"""What scales of activations are called: of no use to weights that are numbers."""

_MARKERS = ("scaled_fp8",)


@dataclass(frozen=True)
class Unpacked:
    """How a checkpoint that is quantised is read; all empty for one that is not.

    Attributes:
        sources: what delivers the tensors that are dequantised, by name, in BF16. Their shapes are those of
            what is stored.
        left_out: tensors that are no weights, and what they are ("scale of model.layers.0.mlp.up.weight").
        notes: sentences for the plan's warnings.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_quantised(checkpoint: Checkpoint) -> Unpacked:
    """How the weights of `checkpoint` are to be read, by its headers and its configs alone.

    Raises:
        CheckpointError: it is quantised in a way that cannot be read as numbers.
    """
    tensors = checkpoint.tensors
    settings, method = _settings(checkpoint)
    kinds = {tensor.dtype.name for tensor in tensors.values()}
    has_scales = any(name.endswith("_scale_inv") for name in tensors)
    if settings is None and not has_scales and not any(_is_narrow(kind) for kind in kinds):
        return Unpacked()
    pairs: dict[str, StoredTensor] = {}
    left_out: dict[str, str] = {}
    bare = 0
    for name, tensor in tensors.items() if kinds & _CODES else ():
        if tensor.dtype.name in _CODES and not _is_scale(name):
            scale = _scale_of(name, tensors)
            if scale is None:
                bare += 1
                continue
            _check_pair(checkpoint, tensor, scale, settings)
            pairs[name] = scale
            left_out[scale.name] = f"scale of {name}"
    if pairs or has_scales or settings is not None:
        left_out |= _companions(tensors, pairs, left_out, quantised=settings is not None)
    rest = {name: t for name, t in tensors.items() if name not in left_out} if left_out else tensors
    refuse_packed(checkpoint.folder, rest, method, _model_class(checkpoint))
    sources = _sources(checkpoint, pairs, settings)
    notes = _notes(checkpoint.name, pairs, sources, bare, settings, method)
    return Unpacked(sources, left_out, notes)


def without_quantisation(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json that does not say any more that the weights are quantised, nor do the parts of it."""
    return {
        key: without_quantisation(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if not (key in _KEYS and isinstance(value, dict))
    }


# -- what configs say


def _settings(checkpoint: Checkpoint) -> tuple[Mapping[str, Any] | None, str | None]:
    """What the configs say of how the weights are quantised, and what they call it; None for nothing."""
    for found, where in _said(checkpoint):
        method = found.get("quant_method")
        if not isinstance(method, str):
            producer = found.get("producer")
            method = producer.get("name") if isinstance(producer, dict) else None
        if not isinstance(method, str):
            method = {"quantization": "mlx", "quantize_config.json": "gptq", "quant_config.json": "awq"}.get(
                where
            )
        return found, method
    return None, None


def _said(checkpoint: Checkpoint) -> Iterator[tuple[Mapping[str, Any], str]]:
    yield from _in_config(checkpoint.config or {})
    for name in QUANTISATION_FILES:
        path = checkpoint.folder / name
        data = read_if_there(path, _MAX_FILE_BYTES, CheckpointError)
        if data is None:
            continue
        try:
            value = parse_json(data, _MAX_FILE_PARTS)
        except ValueError as error:
            raise CheckpointError(
                f"{path} {error}", hint="copy or download the file again", path=path
            ) from error
        if isinstance(value, dict):
            yield value, name


def _in_config(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for key in _KEYS:
        if isinstance(config.get(key), dict):
            yield config[key], key
    for value in config.values():
        if isinstance(value, dict):
            yield from _in_config(value)


def _model_class(checkpoint: Checkpoint) -> str | None:
    classes = (checkpoint.config or {}).get("architectures")
    return classes[0] if isinstance(classes, list) and classes and isinstance(classes[0], str) else None


def _sized_blocks(settings: Mapping[str, Any] | None) -> list[tuple[int, int]]:
    """Rows and columns of the blocks that the configs speak of."""
    if settings is None:
        return []
    groups = settings.get("config_groups")
    said = [settings.get("weight_block_size")]
    for group in groups.values() if isinstance(groups, dict) else ():
        weights = group.get("weights") if isinstance(group, dict) else None
        if isinstance(weights, dict):
            said += [weights.get("block_structure"), [1, weights.get("group_size")]]
    return [
        (size[0], size[1])
        for size in said
        if isinstance(size, list) and len(size) == 2 and all(type(n) is int and 0 < n < 2**31 for n in size)
    ]


# -- codes and scales


def _is_narrow(kind: str) -> bool:
    return kind in _CODES or kind[0] in "IU"


def _is_scale(name: str) -> bool:
    return name.endswith(("_scale", "_scale_inv", ".scale", "_scale_2")) or name in _MARKERS


def _scale_of(name: str, tensors: Mapping[str, StoredTensor]) -> StoredTensor | None:
    for ending in _OF_TENSOR:
        if f"{name}{ending}" in tensors:
            return tensors[f"{name}{ending}"]
    module, dot, leaf = name.rpartition(".")
    if leaf == "weight":
        for ending in _OF_MODULE:
            if f"{module}{dot}{ending}" in tensors:
                return tensors[f"{module}{dot}{ending}"]
    return None


def _check_pair(
    checkpoint: Checkpoint, codes: StoredTensor, scale: StoredTensor, settings: Mapping[str, Any] | None
) -> None:
    """Refuse FP8 weights that are more than a product of codes and one scale."""
    tensors = checkpoint.tensors
    more = next(
        (
            tensors[name]
            for name in (f"{codes.name}_scale_2", f"{codes.name}_global_scale", f"{codes.name}_zero_point")
            if name in tensors
        ),
        None,
    )
    if more is not None and more.name.endswith("_zero_point") and _is_symmetric(settings):
        more = None
    if scale.dtype.name not in _SCALES or more is not None:
        other = more or scale
        raise CheckpointError(
            f"{checkpoint.folder} is quantised in a way that is not known here: {codes.name!r} is stored as "
            f"{codes.dtype} and has {other.name!r} beside it, stored as {other.dtype}",
            hint="merge the checkpoint that it was made from, which has the weights as plain numbers",
            path=checkpoint.folder,
            tensor=other.name,
        )


def _is_symmetric(settings: Mapping[str, Any] | None) -> bool:
    """Whether the configs say that zero points are zeros."""
    groups = (settings or {}).get("config_groups")
    weights = [
        group.get("weights")
        for group in (groups.values() if isinstance(groups, dict) else ())
        if isinstance(group, dict)
    ]
    return bool(weights) and all(isinstance(one, dict) and one.get("symmetric") is True for one in weights)


def _sources(
    checkpoint: Checkpoint, pairs: Mapping[str, StoredTensor], settings: Mapping[str, Any] | None
) -> dict[str, Source]:
    tensors = checkpoint.tensors
    shapes = {name: (tensors[name].shape, scale.shape) for name, scale in pairs.items()}
    layouts = lay_out_scales(shapes, _sized_blocks(settings))
    for name, layout in layouts.items():
        if isinstance(layout, str):
            codes, scale = tensors[name], pairs[name]
            raise CheckpointError(
                f"tensor {name!r} of {checkpoint.folder} has the shape {list(codes.shape)} and its scales "
                f"{scale.name!r} {list(scale.shape)}: {layout}",
                hint="set weight_block_size in quantization_config of its config.json to the size of the "
                "blocks that were used, or merge the checkpoint that it was made from",
                path=checkpoint.folder,
                tensor=scale.name,
            )
    return {
        name: Dequantised(tensors[name], pairs[name], layout.rows, layout.columns, layout.block)
        for name, layout in layouts.items()
        if isinstance(layout, Blocks)
    }


def _companions(
    tensors: Mapping[str, StoredTensor],
    pairs: Mapping[str, StoredTensor],
    known: Mapping[str, str],
    *,
    quantised: bool,
) -> dict[str, str]:
    """Tensors that say how to use codes, of a checkpoint that is not quantised once it is read."""
    found = {}
    for name in tensors:
        if name in known or name in pairs:
            continue
        module, _, leaf = name.rpartition(".")
        if leaf in _OF_ACTIVATIONS and (pairs or quantised):
            found[name] = f"scale of the activations of {module}"
        elif name in _MARKERS:
            found[name] = "says that weights are stored in FP8"
        elif name.endswith("_zero_point") and name.removesuffix("_zero_point") in pairs:
            found[name] = f"zero point of {name.removesuffix('_zero_point')}"
        else:
            for ending in _OF_TENSOR:
                weights = tensors.get(name.removesuffix(ending)) if name.endswith(ending) else None
                if (
                    weights is not None
                    and (ending == "_scale_inv" or quantised)
                    and weights.dtype.itemsize > 1
                ):
                    found[name] = f"scale of {weights.name}, which is stored as plain numbers"
    return found


def _notes(
    model: str,
    pairs: Mapping[str, StoredTensor],
    sources: Mapping[str, Source],
    bare: int,
    settings: Mapping[str, Any] | None,
    method: str | None,
) -> tuple[str, ...]:
    said = f"{model} says that it is quantised{f' by {shown(method)}' if method else ''}"
    if pairs:
        kinds = {source.scaled_by for source in sources.values() if isinstance(source, Dequantised)}
        kind = kinds.pop() if len(kinds) == 1 else "several kinds of"
        notes = [
            f"{model} is stored in FP8 with {kind} scales ({len(pairs):,} tensors): it is read as bfloat16, "
            "and the result is not quantised"
        ]
        if bare:
            notes.append(f"{bare:,} FP8 tensors of {model} have no scale, and are taken as they are")
        return tuple(notes)
    if settings is None:
        return ()
    if bare:
        return (
            f"{said}, but its {bare:,} FP8 tensors have no scales: they are taken as they are, and the "
            "result does not say that it is quantised",
        )
    return (f"{said}, but its weights are plain numbers: the result does not say that it is quantised",)
