"""What plans take the arithmetic for: how much memory and time a job needs, by what computes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core import table
from core.dtypes import DTYPES
from core.kernels.interface import MapJob
from core.methods import METHODS
from core.methods.folds import found_by
from core.methods.reference import Reference

MODELS, ROW = 2, 8
HALF = [0.5] * MODELS

JOBS: list[tuple[str, dict[str, Any]]] = [
    ("ties", {"density": HALF, "rescale": True}),
    ("della", {"density": HALF}),
    ("della", {"density": HALF, "rescale_by": "density"}),
    ("dare_linear", {"density": HALF, "rescale_by": "density"}),
    ("task_vectors", {"combine": "selection"}),
    ("task_vectors", {"combine": "mean", "elect": "count"}),
    ("sce", {}),
    ("sce", {"select_topk": 0.5}),
    ("model_stock", {}),
    ("model_stock", {"filter_wise": True}),
    ("nuslerp", {}),
    ("nuslerp", {"nuslerp_flatten": False}),
    ("nuslerp", {"nuslerp_flatten": False, "nuslerp_row_wise": True}),
    ("karcher", {}),
    ("multislerp", {}),
    ("ramplus_tl", {}),
]


def matrix_job(name: str, values: dict[str, Any]) -> MapJob:
    job = table.trial_job(METHODS[name], DTYPES["BF16"], MODELS, values)
    row = ROW if METHODS[name].goes_by_rows(job.parameters) else 1
    return replace(job, row=row, columns=ROW, elements=64 * ROW)


@pytest.mark.parametrize(("name", "values"), JOBS)
def test_a_plan_knows_what_torch_computes(
    name: str, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch takes many times the memory of kernels an element: chunks and workers are counted by that."""
    called = []
    for what in ("fold", "merge"):
        original = getattr(Reference, what)

        def spied(*arguments: Any, original: Any = original) -> Any:
            called.append(original)
            return original(*arguments)

        monkeypatch.setattr(Reference, what, spied)
    job, space = matrix_job(name, values), table.workspace()
    for at, buffer in enumerate(space.begin(job.input_dtypes, job.elements)):
        buffer[:] = bytes((at + 1 + number % 7 if number % 2 else 0) for number in range(len(buffer)))
    job = found_by(METHODS[name].folds_of(job), job, lambda job, number: [space.fold(job, number, 0)])
    space.run(job, 0)
    of_torch = table.scratch_bytes(job) > 8 * job.computing.itemsize
    assert of_torch == bool(called)
    assert not of_torch or table.scratch_bytes(job) >= 24 * len(job.input_dtypes)
