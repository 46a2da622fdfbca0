"""What the command line says after a merge."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from stored_models import store

from core import plan_merge, run_merge
from core.cli.output import merge_summary
from core.recipe.parsing import parse_recipe


@pytest.mark.parametrize(
    ("more", "method", "left_out"),
    [
        (
            {"merge_method": "ties", "parameters": {"density": 0.5}},
            "ties, K = 2, density = 0.5, λ = 1",
            "of the sub-models' parameters 50.0 % dropped, 25.0 % elected against",
        ),
        (
            {"merge_method": "breadcrumbs", "parameters": {"density": 0.75, "gamma": 0.25, "lambda": 2}},
            "breadcrumbs, K = 2, density = 0.75, γ = 0.25, λ = 2",
            "of the sub-models' parameters 25.0 % dropped",
        ),
        ({"merge_method": "task_arithmetic"}, "task_arithmetic, K = 2, λ = 1", None),
    ],
)
def test_what_was_left_out(tmp_path: Path, more: dict[str, Any], method: str, left_out: str | None) -> None:
    """Two sub-models with the same changes of opposite signs: the second one's are elected against."""
    for name, sign in (("base", 0), ("a", 1), ("b", -1)):
        values = struct.pack("<64f", *(sign * (1.0 + at) for at in range(64)))
        store(tmp_path / name, {"w": ("F32", (8, 8), values), "steps": ("I64", (1,), bytes(8))})
    data = {**more, "base_model": "base", "models": [{"model": "a"}, {"model": "b"}]}
    plan = plan_merge(parse_recipe(data, tmp_path))
    record = run_merge(plan, tmp_path / "out", threads=1)
    lines = merge_summary(plan, record, tmp_path / "out").splitlines()
    assert lines[1] == f"method      {method}"
    assert [line for line in lines if line.startswith("left out")] == (
        [] if left_out is None else [f"left out    {left_out}"]
    )
