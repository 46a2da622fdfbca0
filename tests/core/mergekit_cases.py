"""Models whose deltas are of every kind, and merges of them that mergekit can do too.

A case says what both are asked for. Where a parameter of ours gives mergekit's old number, `ours` has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mergekit_departures as departures
import numpy as np
import torch
from safetensors.torch import save_file

__all__ = ["CASES", "MODELS", "NAMES", "RANDOM", "Case", "make_models", "recipe"]

MODELS = ("a", "b", "c")
NAMES = 20
"""Tensors of the same numbers under names of their own, and so with draws of their own."""


@dataclass(frozen=True)
class Case:
    """One merge.

    Attributes:
        method: its name, in both programs.
        parameters: what both are told; lists hold one value a sub-model.
        ours: what only we are told.
        models: the sub-models, of MODELS.
        base: whether there is a base.
        left_out: what says which elements are not compared: from the inputs of a tensor (float64, the base
            last where there is one) and the parameters to a mask.
        fails: tensors that mergekit cannot merge.
        dtype: in which mergekit computes.
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ours: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] = MODELS
    base: bool = True
    left_out: departures.LeftOut = departures.nothing
    fails: Sequence[str] = ()
    dtype: str = "float32"

    @property
    def said(self) -> str:
        """The parameters in one line, as they stand in a recipe."""
        told = {**self.parameters, **self.ours}
        words = [f"{name}: {_shown(value)}" for name, value in told.items()]
        words += [] if self.base or self.method in _WITHOUT_BASE else ["no base"]
        words += [] if self.dtype == "float32" else [f"dtype: {self.dtype}"]
        words += ["K = 2"] if len(self.models) == 2 and "weight" not in told else []
        return ", ".join(words)

    @property
    def name(self) -> str:
        """A file's name."""
        kept = (letter if letter.isalnum() or letter in ".-" else "_" for letter in self.said)
        return f"{self.method}-{''.join(kept)}-{''.join(self.models)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


_WITHOUT_BASE = ("linear", "karcher", "passthrough")


def _linear() -> Iterator[Case]:
    yield Case("linear", {"weight": [1.0, 1.0, 1.0]}, base=False)
    yield Case("linear", {"weight": [0.3, 0.7, -0.2]}, base=False)
    yield Case("linear", {"weight": [0.3, 0.7, 0.5], "normalize": False}, base=False)
    yield Case("passthrough", {"scale": [0.3]}, models=("a",), base=False)
    for t in (0.1, 0.5, 1.2):
        yield Case("slerp", {"t": t}, models=("a",))
    for t in (0.0001, 0.001, 0.01):
        yield Case("nearswap", {"t": t}, models=("a",))
    yield Case("arcee_fusion", models=("a",), left_out=departures.near_the_fusion_threshold)
    yield Case("arcee_fusion", models=("a",), dtype="float64")


def _task_vectors() -> Iterator[Case]:
    yield Case("task_arithmetic", {"weight": [1.0, 1.0, 1.0]})
    yield Case("task_arithmetic", {"weight": [0.3, 0.7, -0.2], "lambda": 0.6})
    yield Case("task_arithmetic", {"weight": [0.3, 0.7, 0.5], "normalize": True})
    borders = {
        "ties": departures.border_of_magnitudes,
        "breadcrumbs": departures.borders_of_outliers,
        "breadcrumbs_ties": departures.borders_of_elected_outliers,
    }
    for method, border in borders.items():
        for density in (0.1, 0.5, 0.9):
            yield Case(method, {"weight": [1.0, 1.0, 1.0], "density": density}, left_out=border)
        more = {"weight": [0.4, 1.0, 0.7], "density": [0.2, 1.0, 0.5]}
        yield Case(method, {**more, "lambda": 1.3}, left_out=border)
        yield Case(method, {**more, "normalize": method != "ties"}, left_out=border)
        yield Case(method, {**more, "rescale": True}, left_out=border)
        yield Case(method, {"weight": [1.0, -1.0, 0.5], "density": 0.0}, left_out=border)
        if method != "ties":
            yield Case(method, {"weight": [1.0, 1.0, 1.0], "density": 0.5, "gamma": 0.2}, left_out=border)
    for method in ("dare_linear", "dare_ties", "della_linear", "della"):
        left_out = departures.nothing if "linear" in method else departures.undecided
        yield Case(method, {"weight": [0.3, 0.7, 0.5], "density": 1.0}, left_out=left_out)


def _thresholds() -> Iterator[Case]:
    yield Case("sce", left_out=departures.sce_absolute)
    yield Case("sce", ours={"epsilon": 1e-6})
    for topk in (0.1, 0.5):
        yield Case("sce", {"select_topk": topk}, {"epsilon": 1e-6}, left_out=departures.border_of_variances)
    for method in ("ram", "ramplus_tl"):
        yield Case(method, left_out=departures.ram_absolute)
        yield Case(method, ours={"epsilon": 1e-5})
        yield Case(method, {"epsilon": 1e-3})
    yield Case("ramplus_tl", {"r": 0.5, "alpha": 0.05}, {"epsilon": 1e-5})
    yield Case("ramplus_tl", {"r": 0.5, "alpha": 2.0}, {"epsilon": 1e-5}, models=("b", "c"))
    for wise in (False, True):
        yield Case("model_stock", {"filter_wise": wise}, left_out=departures.stock_absolute)
        yield Case("model_stock", {"filter_wise": wise}, {"epsilon": 1e-6})
    yield Case("model_stock", ours={"epsilon": 1e-6}, models=("a", "c"))


def _spheres() -> Iterator[Case]:
    pair = {"models": ("a", "b"), "left_out": departures.nearly_opposite}
    for base in (True, False):
        yield Case("nuslerp", {"weight": [1.0, 1.0]}, base=base, **pair)
        yield Case("nuslerp", {"weight": [0.3, 0.5]}, base=base, **pair)
        for wise in (False, True):
            yield Case(
                "nuslerp",
                {"weight": [1.0, 3.0], "nuslerp_flatten": False, "nuslerp_row_wise": wise},
                base=base,
                **pair,
            )
        fails = ("untouched", "zero") if base else ("zero",)
        yield Case("multislerp", {"weight": [1.0, 1.0, 1.0]}, base=base, fails=fails)
        yield Case("multislerp", {"weight": [0.3, 0.7, 0.4]}, base=base, fails=fails)
        more = {"weight": [0.3, 0.7, 0.4], "normalize_weights": False}
        yield Case("multislerp", more, base=base, fails=fails)
        yield Case("multislerp", {"weight": [1.0, 1.0]}, base=base, models=("a", "b"))
    yield Case("karcher", base=False)
    yield Case("karcher", {"max_iter": 100, "tol": 1e-7}, base=False)
    yield Case("karcher", {"max_iter": 1}, base=False, models=("a", "b"))


CASES = (*_linear(), *_task_vectors(), *_thresholds(), *_spheres())

RANDOM = (
    Case("dare_linear", {"weight": [1.0], "density": 0.3}, models=("a",)),
    Case("dare_linear", {"weight": [1.0], "density": 0.9, "rescale": False}, models=("a",)),
    Case("dare_linear", {"weight": [0.3, 0.7, 0.5], "density": [0.2, 0.5, 0.8]}),
    Case("dare_ties", {"weight": [1.0, 1.0, 1.0], "density": 0.5}),
    Case("dare_ties", {"weight": [0.3, 0.7, 0.5], "density": [0.2, 0.5, 0.8], "lambda": 0.7}),
    Case("della_linear", {"weight": [1.0], "density": 0.5, "epsilon": 0.3}, models=("a",)),
    Case("della_linear", {"weight": [1.0], "density": 0.3, "rescale": False}, models=("a",)),
    Case("della", {"weight": [1.0, 1.0, 1.0], "density": 0.5}),
    Case("della", {"weight": [0.3, 0.7, 0.5], "density": [0.3, 0.5, 0.8], "epsilon": 0.1}),
)
"""What draws: compared by kept shares, lengths and expectations, on the tensors that begin with "drawn"."""


def recipe(case: Case, folder: Path, *, seed: int = 0, dtype: str | None = None) -> dict[str, Any]:
    """The recipe of a case, on the models in `folder`, which are merged as bfloat16 without `dtype`."""
    entries: list[dict[str, Any]] = [{"model": str(folder / model)} for model in case.models]
    shared = {}
    for name, value in {**case.parameters, **case.ours}.items():
        if isinstance(value, list):
            for entry, one in zip(entries, value, strict=True):
                entry.setdefault("parameters", {})[name] = one
        else:
            shared[name] = value
    return {
        "merge_method": case.method,
        **({"base_model": str(folder / "base")} if case.base else {}),
        "models": entries,
        "parameters": shared,
        **({"dtype": dtype} if dtype else {}),
        "out_dtype": "bfloat16",
        "seed": seed,
    }


# -- the models ----------------------------------------------------------------------------------------------


def make_models(folder: Path) -> None:
    """A base and MODELS, bf16, with the same tensors in all: `plain` ones for CASES, `drawn` for RANDOM."""
    made: dict[str, dict[str, torch.Tensor]] = {name: {} for name in ("base", *MODELS)}
    for number, (name, (shape, kind)) in enumerate(_TENSORS.items()):
        rng = np.random.default_rng(number)
        for model, values in zip(made, kind(rng, shape), strict=True):
            made[model][f"plain.{name}"] = torch.from_numpy(values.astype(np.float32)).bfloat16()
    drawn = list(_distinct(np.random.default_rng(99), (24, 40)))
    for number in range(NAMES):
        for model, values in zip(made, drawn, strict=True):
            made[model][f"drawn.{number}"] = torch.from_numpy(values.astype(np.float32)).bfloat16()
    for model, tensors in made.items():
        (folder / model).mkdir(parents=True)
        save_file(tensors, folder / model / "model.safetensors", metadata={"format": "pt"})
        (folder / model / "config.json").write_text(json.dumps({"model_type": "llama"}))


def _rounded(values: np.ndarray) -> np.ndarray:
    return torch.from_numpy(values.astype(np.float32)).bfloat16().double().numpy()


def _sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """68 % of the deltas are zero, the others a few units of bf16."""
    base = _rounded(rng.normal(0, 0.02, shape))
    yield base
    for _ in MODELS:
        steps = rng.integers(1, 4, shape) * rng.choice((-1, 1), shape) * (rng.random(shape) >= 0.68)
        yield _rounded(base + steps * np.exp2(np.floor(np.log2(np.abs(base) + 1e-30)) - 7))


def _dense(share: float, size: float = 0.02) -> Callable[..., Iterator[np.ndarray]]:
    """Deltas about `share` times as large as the base's values."""

    def kind(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        base = _rounded(rng.normal(0, size, shape))
        yield base
        for _ in MODELS:
            yield base + share * np.abs(base) * rng.normal(0, 1, shape)

    return kind


def _cancelling(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The deltas of the first two add up to exactly nothing, in bf16 as well."""
    base, delta = rng.integers(-120, 121, shape) / 4096, rng.integers(-120, 121, shape) / 4096
    yield base
    yield base + delta
    yield base - delta
    yield base + 0.02 * rng.normal(0, 1, shape)


def _untouched(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    base = rng.normal(0, 0.02, shape)
    for _ in range(1 + len(MODELS)):
        yield base


def _zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    for _ in range(1 + len(MODELS)):
        yield np.zeros(shape)


def _one_changed(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The first sub-model is the base."""
    base, *tuned = _dense(0.5)(rng, shape)
    yield from (base, base, *tuned[1:])


def _distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """68 % of the deltas are zero, and those of a row that are not have magnitudes of their own."""
    base = rng.integers(64, 128, shape) * 2.0**-11
    yield base
    for _ in MODELS:
        steps = np.stack([rng.permutation(np.arange(1, shape[1] + 1)) for _ in range(shape[0])])
        yield base + np.where(rng.random(shape) < 0.68, 0, steps) * rng.choice((-1, 1), shape) * 2.0**-11


_TENSORS: Mapping[str, tuple[tuple[int, ...], Callable[..., Iterator[np.ndarray]]]] = {
    "sparse": ((96, 160), _sparse),
    "small": ((96, 160), _dense(0.01)),
    "large": ((96, 160), _dense(1.0)),
    "wide": ((64, 160), _dense(0.3, size=2.0)),
    "cancelling": ((48, 160), _cancelling),
    "untouched": ((16, 160), _untouched),
    "zero": ((16, 160), _zero),
    "one_changed": ((48, 160), _one_changed),
    "short": ((64,), _dense(0.01, size=0.002)),
    "vector": ((320,), _dense(0.01)),
    "column": ((320, 1), _dense(0.3)),
    "convolution": ((8, 4, 3, 20), _dense(0.1)),
}
