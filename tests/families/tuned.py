"""A base and its fine-tunes on disk, as transformers saves them, and their merge by hand in plain torch."""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from family import Family

from core import parse_recipe, plan_merge, run_merge

__all__ = ["MODELS", "WEIGHTS", "Made", "average", "fine_tune", "load", "merge", "outputs", "shared"]

Made = Callable[[Family], Path]
"""Gives the folder in which a family's models are."""

MODELS = ("base", "run-1", "run-2")
WEIGHTS = "model.safetensors"
STEPS = 2
RATE = 1.5e-5
"""On weights of 0.02 it leaves most deltas of bf16 at exactly zero, as fine-tuning does."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers says of its own code and of missing kernels."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def fine_tune(family: Family, folder: Path) -> None:
    """Write a base and two fine-tunes of it, all in bf16, into folders of their own."""
    with _quiet(), torch.random.fork_rng():
        torch.manual_seed(1)
        base = family.new().bfloat16()
        base.save_pretrained(folder / MODELS[0])
        for seed, name in enumerate(MODELS[1:]):
            torch.manual_seed(seed)
            tuned = _trained(family, copy.deepcopy(base).float())
            tuned.bfloat16().save_pretrained(folder / name)


def _trained(family: Family, model: Any) -> Any:
    """`model` after some steps towards outputs that are drawn at random; its batch norms stay as they are."""
    steps = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    targets = [torch.randn_like(output) for output in family.run(model)]
    for _ in range(STEPS):
        errors = [
            (output - target).pow(2).mean()
            for output, target in zip(family.run(model), targets, strict=True)
            if output.requires_grad
        ]
        steps.zero_grad()
        torch.stack(errors).sum().backward()
        steps.step()
    return model


def merge(folder: Path, method: str, out: Path, **parameters: Any) -> Path:
    """Merge the models in `folder` into `out`, and return that."""
    recipe = {
        "merge_method": method,
        "base_model": MODELS[0],
        "models": [{"model": name} for name in MODELS[1:]],
        "parameters": parameters,
        "seed": 7,
    }
    run_merge(plan_merge(parse_recipe(recipe, folder)), out, threads=1)
    return out


def load(family: Family, folder: Path) -> Any:
    """The model in `folder`, in bf16, of the class that its config names, every tensor from its file."""
    with _quiet():
        model, said = family.load(folder, torch.bfloat16)
    assert not any(said[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys")), said
    assert type(model).__name__ in json.loads((folder / "config.json").read_text())["architectures"]
    return model


def outputs(family: Family, model: Any) -> list[torch.Tensor]:
    """What `model` computes, in float32."""
    with torch.no_grad(), _quiet():
        return family.run(model.float())


def average(models: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of state dicts in bf16: the sum in float32, its quotient, one rounding.

    Some classes hold a few parameters in float32 whatever was asked for; their files are in bf16. What is
    not floating point is the first one's.
    """
    merged = {}
    for name, first in models[0].items():
        if first.is_floating_point():
            total = torch.zeros_like(first, dtype=torch.float32)
            for model in models:
                total += model[name].float()
            merged[name] = (total / len(models)).bfloat16().to(first.dtype)
        else:
            merged[name] = first
    return merged


def shared(model: Any) -> list[tuple[str, ...]]:
    """The names in the state dict of `model` that are one tensor."""
    places: dict[tuple[int, torch.Size, tuple[int, ...]], list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor.numel():
            places.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), []).append(name)
    return [tuple(names) for names in places.values() if len(names) > 1]
