"""Llama-shaped checkpoints of any size, with deltas like those of real fine-tuning in bf16."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

__all__ = ["llama_shapes", "make_checkpoints"]

ZERO_SHARE = 2 / 3
"""Of the deltas: about what steps of 3e-5 on weights of 0.02 leave in bf16."""


def llama_shapes(parameters: int, hidden: int = 2048) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a Llama with about `parameters` parameters."""
    vocabulary, intermediate = 32_000, hidden * 11 // 4
    layer = 4 * hidden**2 + 3 * hidden * intermediate + 2 * hidden
    layers = max(1, round((parameters - 2 * vocabulary * hidden) / layer))
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for number in range(layers):
        prefix = f"model.layers.{number}."
        yield prefix + "input_layernorm.weight", (hidden,)
        for name in ("gate_proj", "up_proj"):
            yield f"{prefix}mlp.{name}.weight", (intermediate, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, intermediate)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        for name in "qkvo":
            yield f"{prefix}self_attn.{name}_proj.weight", (hidden, hidden)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocabulary, hidden)


def make_checkpoints(
    root: Path,
    parameters: int,
    models: int,
    *,
    shard_bytes: int = 10**9,
    hidden: int = 2048,
    device: str = "cpu",
) -> Path:
    """Write `base` and `model-1` .. `model-K` below `root`, and a recipe, whose path is returned.

    The same bytes on every device; a graphics card is the quickest.
    """
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    filled = 0
    for name, shape in llama_shapes(parameters, hidden):
        size = 2 * int(np.prod(shape))
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append((name, shape))
        filled += size
    folders = ["base", *(f"model-{number}" for number in range(1, models + 1))]
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "config.json").write_text(json.dumps(_config(parameters, hidden)))
        files = {
            name: f"model-{at + 1:05d}-of-{len(shards):05d}.safetensors"
            for at, shard in enumerate(shards)
            for name, _ in shard
        }
        (root / folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    for at, shard in enumerate(shards):
        base = {name: _weights(shape, hash_of(name), device) for name, shape in shard}
        for number, folder in enumerate(folders):
            steps = _steps(number, device) if number else None
            tensors = {
                name: (words if steps is None else words + _repeated(steps, words.shape))
                .view(torch.bfloat16)
                .cpu()
                for name, words in base.items()
            }
            file = root / folder / f"model-{at + 1:05d}-of-{len(shards):05d}.safetensors"
            save_file(tensors, file, metadata={"format": "pt"})
    recipe = root / "recipe.yaml"
    entries = "".join(f"  - model: {folder}\n" for folder in folders[1:])
    head = "merge_method: parameter_selection\nbase_model: base\nmodels:\n"
    recipe.write_text(f"{head}{entries}parameters: {{resamples: 4}}\nseed: 1\n")
    return recipe


def _config(parameters: int, hidden: int) -> dict[str, object]:
    layers = sum("q_proj" in name for name, _ in llama_shapes(parameters, hidden))
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "torch_dtype": "bfloat16",
        "vocab_size": 32_000,
        "hidden_size": hidden,
        "intermediate_size": hidden * 11 // 4,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "tie_word_embeddings": False,
    }


def hash_of(name: str) -> int:
    """A seed from a name, the same in every process."""
    return int.from_bytes(name.encode(), "little") % 2**63


def _weights(shape: tuple[int, ...], seed: int, device: str) -> torch.Tensor:
    """bf16 bits of values around 0.02, [shape] int16: one million of them, repeated."""
    values = np.random.default_rng(seed).normal(0, 0.02, 1 << 20).astype(np.float32)
    return _repeated(torch.from_numpy((values.view(np.uint32) >> 16).astype(np.int16)).to(device), shape)


def _steps(number: int, device: str) -> torch.Tensor:
    """What a third of the elements are moved by: one step of bf16. The pattern has a prime period. int16"""
    generator = np.random.default_rng(number)
    steps = generator.integers(0, 2, 1_048_573, dtype=np.int16) * 2 - 1
    steps[generator.random(steps.size) < ZERO_SHARE] = 0
    return torch.from_numpy(steps.astype(np.int16)).to(device)


def _repeated(pattern: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    size = math.prod(shape)
    return pattern.repeat(-(-size // len(pattern)))[:size].reshape(shape)
