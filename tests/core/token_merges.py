"""Bases and fine-tunes whose vocabularies differ in the ways that are met, and merges of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from token_models import EMBEDDING, HEAD, HEAD_BIAS, Model, average, select

from core import plan_merge, run_merge
from core.recipe.parsing import parse_recipe
from core.run.record import RunRecord

__all__ = [
    "SEED",
    "VOCABULARY",
    "WORDS",
    "cases",
    "check_average",
    "check_selection",
    "merge",
    "recipe",
    "union_of",
]

SEED = 7
WORDS = [f"w{number}" for number in range(200)]
VOCABULARY = (EMBEDDING, HEAD, HEAD_BIAS)


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
    """Merge into a folder of `tmp_path`, where the models are too unless `place` says where."""
    out = tmp_path / how.pop("to", "out")
    plan = plan_merge(parse_recipe(dict(data), how.pop("place", tmp_path)))
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


def check_selection(
    merged: Mapping[str, Any],
    record: RunRecord,
    tokens: Sequence[str | None],
    base: Model,
    models: Sequence[Model],
    resamples: int = 2,
    weights: Sequence[float] | None = None,
) -> None:
    """Every row, and every count, of a selection; `weights` are equal without it."""
    shares = weights or [1.0] * len(models)
    records = {tensor.name: tensor for tensor in record.tensors}
    for name in VOCABULARY:
        assert len(merged[name]) == len(tokens)
        selected, zero = np.zeros(len(models), np.int64), np.zeros(len(models), np.int64)
        changed_by, after = np.zeros(len(models) + 1, np.int64), np.zeros(resamples + 1, np.int64)
        for number, token in enumerate(tokens):
            rows = {at: model.row(name, token, number) for at, model in enumerate(models)}
            there = {at: row for at, row in rows.items() if row is not None}
            of_base = base.row(name, token, number)
            if not there:
                wanted = np.zeros_like(merged[name][number]) if of_base is None else of_base
                changed_by[0] += wanted.size
            else:
                first = number * int(np.prod(merged[name].shape[1:]))
                of_those = [shares[at] for at in there]
                drawn = select(list(there.values()), of_base, first, name, SEED, resamples, of_those)
                wanted, chosen, left = drawn
                after += left
                for position, at in enumerate(there):
                    selected[at] += np.count_nonzero(chosen == position)
                    zero[at] += 0 if of_base is None else np.count_nonzero(there[at] == of_base)
                changed = sum(
                    np.ones(np.shape(row)) if of_base is None else (row != of_base) for row in there.values()
                )
                changed_by += np.bincount(np.atleast_1d(changed).astype(int), minlength=len(changed_by))
            np.testing.assert_array_equal(merged[name][number], wanted, f"{name}, {token}, row {number}")
        found = records[name]
        assert (found.selected, found.zero_delta) == (tuple(selected), tuple(zero)), name
        assert (found.changed_by, found.zero_after_draw) == (tuple(changed_by), tuple(after)), name


def check_average(
    merged: Mapping[str, Any],
    tokens: Sequence[str | None],
    base: Model | None,
    models: Sequence[Model],
    weights: Sequence[float],
) -> None:
    """Every row of a normalised `linear`."""
    for name in VOCABULARY:
        assert len(merged[name]) == len(tokens)
        for number, token in enumerate(tokens):
            rows = [model.row(name, token, number) for model in models]
            there = [(row, weight) for row, weight in zip(rows, weights, strict=True) if row is not None]
            if there:
                wanted = average([row for row, _ in there], [weight for _, weight in there])
            else:
                of_base = base.row(name, token, number) if base is not None else None
                wanted = np.zeros_like(merged[name][number]) if of_base is None else of_base
            np.testing.assert_array_equal(merged[name][number], wanted, f"{name}, {token}, row {number}")
