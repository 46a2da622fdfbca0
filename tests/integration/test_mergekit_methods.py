"""Every method of mergekit 0.1.5 beside ours, tensor by tensor: computed in float32, written in bfloat16.

`pytest -m slow -s tests/integration/test_mergekit_methods.py` prints the tables of docs/methods.md.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mergekit_cases import CASES, NAMES, RANDOM, Case, make_models, recipe
from mergekit_departures import LeftOut, cancelled, nothing
from safetensors.torch import load_file
from token_models import units_between

from core import load_recipe, plan_merge, run_merge

pytestmark = pytest.mark.slow

SEEDS = 200
WITHIN = 0.9999
TABLES = Path(__file__).parents[2] / "docs" / "methods.md"

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Agreement:
    """How two merges agree.

    Attributes:
        compared: elements.
        left_out, cancelled: those that are not compared, for the case's reason and because terms cancelled.
        equal, within: those compared that are equal, and that are at most one unit of bf16 apart.
        moved: those compared that are not the base's, or the first sub-model's where there is no base.
    """

    compared: int
    left_out: int
    cancelled: int
    equal: int
    within: int
    moved: int


@pytest.fixture(scope="module")
def folder(mergekit: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, and what mergekit made of them."""
    place = tmp_path_factory.mktemp("methods")
    make_models(place)
    cases = [
        {
            "name": case.name,
            "method": case.method,
            "models": list(case.models),
            "base": case.base,
            "parameters": dict(case.parameters),
            "dtype": case.dtype,
            "seeds": seeds,
            "tensors": tensors,
        }
        for chosen, seeds, tensors in ((CASES, 0, "plain."), (RANDOM, SEEDS, "drawn.0"))
        for case in chosen
    ]
    (place / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).with_name("mergekit_methods.py")
    subprocess.run([mergekit, script, place], check=True)
    return place


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[str, list[str]]]:
    """The tables' rows; printed at the end."""
    tables: dict[str, list[str]] = {_HEAD: [], _RANDOM_HEAD: []}
    yield tables
    print("", *_legend(), sep="\n")
    for head, lines in tables.items():
        # The rows of a method stand together.
        order = list(dict.fromkeys(line.split()[1] for line in lines))
        print("\n" + head, *sorted(lines, key=lambda line: order.index(line.split()[1])), sep="\n")


_HEAD = "| method | parameters | equal | within 1 unit | cancel | left out |\n|---|---|--:|--:|--:|--:|"
_RANDOM_HEAD = "| method | parameters | kept shares | L1 norm | expectation |\n|---|---|--:|--:|--:|"


REASONS = list(dict.fromkeys(case.left_out for case in CASES if case.left_out is not nothing))


def _letter(reason: LeftOut) -> str:
    return "abcdefghijklmnopq"[REASONS.index(reason)]


def _legend() -> list[str]:
    """What the letters in the table stand for."""
    said = [f"- {_letter(reason)}: {(reason.__doc__ or '').partition(chr(10))[0]}" for reason in REASONS]
    return [*said, "- r: tensors that mergekit refuses to merge"]


def _merged(case: Case, folder: Path, out: Path, **more: Any) -> dict[str, torch.Tensor]:
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe(case, folder, **more)))
    run_merge(plan_merge(load_recipe(path)), out)
    return load_file(out / "model.safetensors")


def _inputs(case: Case, folder: Path, name: str) -> list[torch.Tensor]:
    models = [*case.models, *(["base"] if case.base else [])]
    return [load_file(folder / model / "model.safetensors")[name] for model in models]


# -- methods that draw nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_within_a_unit_of_bfloat16_of_mergekit(
    case: Case, folder: Path, rows: dict[str, list[str]], tmp_path: Path
) -> None:
    theirs = load_file(folder / "mergekit" / f"{case.name}.safetensors")
    failed = json.loads((folder / "mergekit" / "failed.json").read_text())[case.name]
    assert set(failed) == {f"plain.{name}" for name in case.fails}
    sums = _compare(case, folder, _merged(case, folder, tmp_path / "as-they-are"), theirs)
    _check(case, sums)
    sums = _compare(case, folder, _merged(case, folder, tmp_path / "in-its-type", dtype=case.dtype), theirs)
    _check(case, sums)
    rows[_HEAD].append(_row(case, sums, bool(failed)))


def _compare(case: Case, folder: Path, ours: Tensors, theirs: Tensors) -> dict[str, int]:
    """The sums of all tensors' agreements, by their names."""
    assert {name for name in ours if name.startswith("plain.")} >= theirs.keys()
    found = [_agreement(case, _inputs(case, folder, name), ours[name], theirs[name]) for name in theirs]
    return {name: sum(getattr(one, name) for one in found) for name in Agreement.__dataclass_fields__}


def _check(case: Case, sums: Mapping[str, int]) -> None:
    compared, left_out = sums["compared"], sums["left_out"]
    assert sums["within"] >= WITHIN * compared, sums
    # What is left out is little, and what is compared was merged.
    if case.ours or "absolute" not in case.left_out.__name__:
        assert compared >= 0.5 * (compared + left_out)
    assert sums["cancelled"] <= 0.001 * (compared + left_out)
    if case.parameters.get("density") != 0.0:
        assert sums["moved"] >= 0.05 * compared


def _row(case: Case, sums: Mapping[str, int], failed: bool) -> str:
    compared = sums["compared"]
    every = compared + sums["left_out"] + sums["cancelled"]
    reasons = ([_letter(case.left_out)] if sums["left_out"] else []) + (["r"] if failed else [])
    return (
        f"{_first(case)} {_percent(sums['equal'], compared)} "
        f"| {_percent(sums['within'], compared)} | {_percent(sums['cancelled'], every)} "
        f"| {' '.join([_percent(sums['left_out'], every), *reasons])} |"
    )


def _agreement(case: Case, inputs: list[torch.Tensor], ours: torch.Tensor, theirs: torch.Tensor) -> Agreement:
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    parameters = {**case.parameters, **case.ours}
    numbers = [one.double().numpy() for one in inputs]
    left_out = case.left_out(numbers, parameters)
    cancels = cancelled(numbers, theirs.double().numpy()) & ~left_out
    compared = ~(left_out | cancels)
    units = units_between(ours, theirs).numpy()[compared]
    moved = (ours != inputs[-1 if case.base else 0]).numpy()[compared]
    return Agreement(
        compared=int(compared.sum()),
        left_out=int(left_out.sum()),
        cancelled=int(cancels.sum()),
        equal=int((units == 0).sum()),
        within=int((units <= 1).sum()),
        moved=int(moved.sum()),
    )


# -- methods that draw ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RANDOM, ids=lambda case: case.name)
def test_what_is_drawn_is_distributed_as_mergekit_s(
    case: Case, folder: Path, rows: dict[str, list[str]], tmp_path: Path
) -> None:
    """Shares kept of each rank in a row, lengths and every element's mean: within four standard errors."""
    theirs = load_file(folder / "mergekit" / f"{case.name}.safetensors")["drawn.0"].double().numpy()
    merges = [
        _merged(case, folder, tmp_path / f"{seed}", seed=seed, dtype="float32")
        for seed in range(SEEDS // NAMES)
    ]
    ours = np.stack([one[f"drawn.{at}"].double().numpy() for one in merges for at in range(NAMES)])
    assert len(ours) == len(theirs) == SEEDS
    *models, base = (one.double().numpy() for one in _inputs(case, folder, "drawn.0"))
    assert len({one.tobytes() for one in ours}) == SEEDS
    lengths = [np.abs(drawn - base).sum(axis=(1, 2)) for drawn in (ours, theirs)]
    errors = {
        "kept": _error_of_kept(ours, theirs, models[0], base) if len(models) == 1 else None,
        "length": _errors(*lengths).max(),
        "expectation": _errors(ours, theirs).max(),
    }
    shown = ["" if error is None else f"{error:.1f}" for error in errors.values()]
    rows[_RANDOM_HEAD].append(f"{_first(case)} {' | '.join(shown)} |")
    assert all(error is None or error <= 4 for error in errors.values()), errors


def _error_of_kept(ours: np.ndarray, theirs: np.ndarray, model: np.ndarray, base: np.ndarray) -> float:
    """How far the shares kept of the deltas of one rank are apart, in standard errors, at worst.

    Ranks count the elements of a row from the smallest magnitude; those of zero deltas cannot be seen.
    """
    sizes = np.abs(model - base)
    ranks = sizes.argsort(axis=1, kind="stable").argsort(axis=1)
    worst = 0.0
    for rank in np.unique(ranks[sizes > 0]):
        here = (ranks == rank) & (sizes > 0)
        kept = [(drawn != base)[:, here] for drawn in (ours, theirs)]
        share = (kept[0].mean() + kept[1].mean()) / 2
        error = math.sqrt(share * (1 - share) * 2 / kept[0].size)
        worst = max(worst, abs(kept[0].mean() - kept[1].mean()) / error)
    assert not (ours != base)[:, sizes == 0].any()
    return worst


def _errors(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far the means over the seeds are apart, in standard errors of their difference."""
    squares = sum(drawn.var(axis=0, ddof=1) / SEEDS for drawn in (ours, theirs))
    apart = np.abs(ours.mean(axis=0) - theirs.mean(axis=0))
    # Where nothing varies, as where no delta is, the means are the same number.
    result: np.ndarray = np.where(apart <= 1e-12, 0.0, apart / np.sqrt(np.maximum(squares, 1e-300)))
    return result


# -- the document --------------------------------------------------------------------------------------------


def test_the_document_has_a_row_for_every_case() -> None:
    lines = TABLES.read_text(encoding="utf-8").splitlines()
    for case in (*CASES, *RANDOM):
        assert any(line.startswith(_first(case)) for line in lines), _first(case)
    assert set(_legend()) <= set(lines)


def _first(case: Case) -> str:
    """The columns of a row that say which case it is."""
    said = f"`{case.said}`" if case.said else "defaults"
    return f"| `{case.method}` | {said} |"


def _percent(part: int, whole: int) -> str:
    """Cut after two digits, so that 100 is all."""
    if part in (0, whole):
        return "0" if part == 0 else "100"
    return f"{math.floor(1e4 * part / whole) / 100:.2f}"
