"""Bases and fine-tunes whose vocabularies differ in the ways that are met, and merges of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from token_models import Model

from core import plan_merge, run_merge
from core.recipe.recipe import parse_recipe
from core.run.record import RunRecord

__all__ = ["SEED", "WORDS", "cases", "merge", "recipe", "union_of"]

SEED = 7
WORDS = [f"w{number}" for number in range(200)]


def recipe(models: Sequence[Model], base: Model | None, method: str, **more: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "merge_method": method,
        "models": [{"model": model.folder.name} for model in models],
        "seed": SEED,
    }
    if base is not None:
        data["base_model"] = base.folder.name
    return data | more


def merge(tmp_path: Path, data: Mapping[str, Any], **how: Any) -> tuple[dict[str, Any], RunRecord, Path]:
    out = tmp_path / how.pop("to", "out")
    plan = plan_merge(parse_recipe(dict(data), tmp_path))
    record = run_merge(plan, out, device="cpu", threads=how.pop("threads", 1), **how)
    return load_file(out / "model.safetensors"), record, out


def union_of(base: Model, models: Sequence[Model]) -> list[str | None]:
    """The tokens of the result by row, from the design: the base's, then each model's by id, then padding."""
    tokens = list(base.tokens)
    while tokens and tokens[-1] is None:
        tokens.pop()
    for model in models:
        tokens += [token for token in model.tokens if token is not None and token not in tokens]
    most = max(len(tokens), *(len(model.tokens) for model in (base, *models)))
    return tokens + [None] * (most - len(tokens))


def cases(folder: Path, kind: str) -> tuple[Model, list[Model]]:
    """A base and its fine-tunes."""
    mixed = list(np.random.default_rng(3).permutation(WORDS))
    of = {
        # The paper's: one fine-tune added a token.
        "one more": (200, (WORDS, [([*WORDS, "<pad>"], 201), (WORDS, 200)])),
        # Two added tokens in another order, and padded.
        "own": (200, (WORDS, [([*WORDS, "<a>", "<b>"], 256), ([*WORDS, "<b>", "<c>", "<a>"], 203)])),
        # The base has padding where others have tokens.
        "in padding": (256, (WORDS, [([*WORDS, "<a>"], 256), ([*WORDS, "<b>"], 256)])),
        # The same tokens in another order.
        "order": (200, (WORDS, [(mixed, 200), (WORDS, 200)])),
        # Rows cut off, and a vocabulary that lacks tokens in its midst.
        "down": (256, (WORDS, [(WORDS, 190), ([*WORDS[:70], *WORDS[100:]], 170)])),
        "padded": (200, (WORDS, [(WORDS, 256), (WORDS, 320)])),
    }[kind]
    rows, (tokens, others) = of
    base = Model.make(folder / "base", tokens, rows, seed=0)
    models = [
        Model.make(folder / f"m{at}", theirs, size, seed=at + 1, near=base)
        for at, (theirs, size) in enumerate(others)
    ]
    return base, models
