"""Adapters of peft made by hand, and what they make of their base, worked out without the engine.

The sum over the rank goes term by term, each product and sum an array operation in float32: there is no
matrix product.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

__all__ = [
    "KINDS",
    "PREFIX",
    "TOKENS",
    "WIDTH",
    "add_low_rank",
    "as_folder",
    "make_adapter",
    "make_base",
    "merged",
    "read",
    "write_adapter",
]

WIDTH, INNER, TOKENS = 72, 200, 48
"""Sizes that no block of anything divides."""

LAYERS = 2
PREFIX = "base_model.model."

KINDS = (
    "plain",
    "rslora on everything",
    "dora",
    "bias",
    "modules_to_save",
    "patterns",
    "conv1d",
    "embedding",
    "bias of B",
    "old names",
)


def modules(conv: bool) -> dict[str, tuple[int, int]]:
    """The linear layers: inputs and outputs."""
    if conv:
        inner = {"attn.c_attn": (WIDTH, 3 * WIDTH), "attn.c_proj": (WIDTH, WIDTH), "mlp.c_fc": (WIDTH, INNER)}
        return {
            f"transformer.h.{layer}.{name}": size for layer in range(LAYERS) for name, size in inner.items()
        }
    inner = {
        "self_attn.q_proj": (WIDTH, WIDTH),
        "mlp.up_proj": (WIDTH, INNER),
        "mlp.down_proj": (INNER, WIDTH),
    }
    return {f"model.layers.{layer}.{name}": size for layer in range(LAYERS) for name, size in inner.items()}


def table(conv: bool) -> str:
    return "transformer.wte" if conv else "model.embed_tokens"


def make_base(
    folder: Path, *, conv: bool = False, dtype: torch.dtype = torch.bfloat16, seed: int = 0
) -> Path:
    """A model with an embedding, linear layers with biases, a norm and a head of its own."""
    random = torch.Generator().manual_seed(seed)
    tensors = {
        f"{table(conv)}.weight": torch.randn(TOKENS, WIDTH, generator=random, dtype=torch.float64) * 0.02
    }
    for name, (inputs, outputs) in modules(conv).items():
        shape = (inputs, outputs) if conv else (outputs, inputs)
        tensors[f"{name}.weight"] = torch.randn(*shape, generator=random, dtype=torch.float64) * 0.02
        tensors[f"{name}.bias"] = torch.randn(outputs, generator=random, dtype=torch.float64) * 0.02
    tensors["norm.weight"] = torch.ones(WIDTH)
    tensors["lm_head.weight"] = torch.randn(TOKENS, WIDTH, generator=random, dtype=torch.float64) * 0.02
    config = {"model_type": "gpt2" if conv else "llama", "tie_word_embeddings": False, "vocab_size": TOKENS}
    return as_folder(folder, {name: tensor.to(dtype) for name, tensor in tensors.items()}, config)


def as_folder(folder: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True)
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def read(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def write_adapter(
    folder: Path, tensors: Mapping[str, torch.Tensor], *, pickled: bool = False, **config: Any
) -> Path:
    folder.mkdir(parents=True)
    if pickled:
        torch.save(dict(tensors), folder / "adapter_model.bin")
    else:
        save_file(
            {name: one.contiguous() for name, one in tensors.items()}, folder / "adapter_model.safetensors"
        )
    said = {"peft_type": "LORA", "base_model_name_or_path": "../base", **config}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder


def make_adapter(folder: Path, kind: str, *, seed: int = 1, dtype: torch.dtype = torch.float32) -> Path:
    """An adapter of one of KINDS for `make_base`, which is a Conv1D one for "conv1d"."""
    random = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=random) * 0.06).to(dtype)

    conv = kind == "conv1d"
    layers = modules(conv)
    config: dict[str, Any] = {"r": 11, "lora_alpha": 16, "target_modules": ["q_proj"], "bias": "none"}
    chosen = {name: size for name, size in layers.items() if kind != "plain" or "up_proj" not in name}
    tensors: dict[str, torch.Tensor] = {}
    for name, (inputs, outputs) in chosen.items():
        rank = 11
        if kind == "patterns":
            rank = 3 if name.endswith("q_proj") else 20 if name.startswith("model.layers.1.mlp.up") else 11
        of = ".default" if kind == "old names" else ""
        tensors[f"{PREFIX}{name}.lora_A{of}.weight"] = some(rank, inputs)
        tensors[f"{PREFIX}{name}.lora_B{of}.weight"] = some(outputs, rank)
        if kind == "dora":
            tensors[f"{PREFIX}{name}.lora_magnitude_vector"] = some(outputs).abs() + 0.1
        if kind == "bias":
            tensors[f"{PREFIX}{name}.base_layer.bias"] = some(outputs)
        if kind == "bias of B":
            tensors[f"{PREFIX}{name}.lora_B.bias"] = some(outputs)
    if kind == "rslora on everything":
        config |= {"use_rslora": True}
        tensors[f"{PREFIX}lm_head.lora_A.weight"] = some(11, WIDTH)
        tensors[f"{PREFIX}lm_head.lora_B.weight"] = some(TOKENS, 11)
    if kind in ("embedding", "rslora on everything"):
        tensors[f"{PREFIX}{table(conv)}.lora_embedding_A"] = some(11, TOKENS)
        tensors[f"{PREFIX}{table(conv)}.lora_embedding_B"] = some(WIDTH, 11)
    if kind == "bias":
        config |= {"bias": "all"}
        tensors[f"{PREFIX}norm.weight"] = some(WIDTH)
    if kind == "bias of B":
        config |= {"lora_bias": True}
    if kind == "modules_to_save":
        config |= {"modules_to_save": ["lm_head", "embed_tokens"]}
        tensors[f"{PREFIX}lm_head.weight"] = some(TOKENS, WIDTH)
        tensors[f"{PREFIX}{table(conv)}.modules_to_save.default.weight"] = some(TOKENS, WIDTH)
    if kind == "patterns":
        config |= {
            "rank_pattern": {"q_proj": 3, r"layers\.1\.mlp\.up_proj": 20},
            "alpha_pattern": {"q_proj": 5.5},
        }
    if kind == "dora":
        config |= {"use_dora": True}
    if kind == "conv1d":
        config |= {"fan_in_fan_out": True}
    return write_adapter(folder, tensors, **config)


# -- what it makes of the base


def add_low_rank(
    base: torch.Tensor, parts: list[tuple[torch.Tensor, torch.Tensor, float]], kind: Any = np.float32
) -> np.ndarray:
    """fl(base + Δ), Δ = Δ_1 + Δ_2 + …, of (A, B, s): each step rounded to the type `kind`."""
    wide = torch.float32 if kind is np.float32 else torch.float64
    total = None
    for a, b, scale in parts:
        left, right = b.to(wide).numpy(), a.to(wide).numpy()
        acc = np.zeros((left.shape[0], right.shape[1]), kind)
        for term in range(right.shape[0]):
            acc = acc + left[:, term, None] * right[term][None]
        delta = acc * kind(scale)
        total = delta if total is None else total + delta
    return base.to(wide).numpy() + total


def ordered_square_sum(row: np.ndarray) -> float:
    """docs/design.md, 2.1, sums across elements: blocks of 4,096, 64 lanes, pairwise."""
    total = np.float64(0)
    for start in range(0, len(row), 4096):
        block = row[start : start + 4096].astype(np.float64)
        lanes = np.zeros(64)
        for at in range(0, len(block), 64):
            part = block[at : at + 64]
            lanes[: len(part)] += part * part
        while len(lanes) > 1:
            lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
        total += lanes[0]
    return float(total)


def merged(base: Path, *adapters: Path) -> dict[str, torch.Tensor]:
    """The base's tensors with adapters on them, in the base's types; what none touches is the base's."""
    tensors, parts, lengths = read(base), {}, {}
    before = dict(tensors)
    for folder in adapters:
        config = json.loads((folder / "adapter_config.json").read_text())
        file = folder / "adapter_model.safetensors"
        found = load_file(file) if file.exists() else torch.load(folder / "adapter_model.bin")
        given = {name.removeprefix(PREFIX).replace(".default", ""): one for name, one in found.items()}
        for name, one in given.items():
            if ".lora_" not in name:
                plain = name.replace(".modules_to_save", "").replace(".base_layer", "")
                before[plain] = tensors[plain] = one.to(tensors[plain].dtype)
        for name in given:
            module, kind = name.partition(".lora_")[::2]
            turned = config.get("fan_in_fan_out", False)
            if kind == "A.weight":
                a, b = given[f"{module}.lora_A.weight"], given[f"{module}.lora_B.weight"]
            elif kind == "embedding_A":
                a, b, turned = given[f"{module}.lora_embedding_A"], given[f"{module}.lora_embedding_B"], True
            else:
                continue
            scale = scale_of(config, module, a.shape[0])
            weight = f"{module}.weight"
            parts.setdefault(weight, []).append((b.T, a.T, scale) if turned else (a, b, scale))
            if f"{module}.lora_magnitude_vector" in given:
                lengths[weight] = given[f"{module}.lora_magnitude_vector"]
            if f"{module}.lora_B.bias" in given:
                row = given[f"{module}.lora_B.bias"][None]
                parts.setdefault(f"{module}.bias", []).append((row, torch.ones(1, 1), scale))
    for name, of_tensor in parts.items():
        own = before[name]
        kind = np.float64 if own.dtype == torch.float64 else np.float32
        rows = own[None] if own.ndim == 1 else own
        values = add_low_rank(rows, of_tensor, kind)
        if name in lengths:
            norms = np.array([np.sqrt(ordered_square_sum(row)) for row in values]).astype(kind)
            values = (lengths[name].numpy().astype(kind) / norms)[:, None] * values
        tensors[name] = torch.from_numpy(values).reshape(own.shape).to(own.dtype)
    return tensors


def scale_of(config: Mapping[str, Any], module: str, rank: int) -> float:
    alpha = config["lora_alpha"]
    if config.get("alpha_pattern") and module.endswith("q_proj"):
        alpha = config["alpha_pattern"]["q_proj"]
    return float(alpha / (rank**0.5 if config.get("use_rslora") else rank))
