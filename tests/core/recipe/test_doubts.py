"""What a recipe is warned of that gives values without effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.recipe.doubts import recipe_warnings
from core.recipe.parsing import parse_recipe


@pytest.mark.parametrize(
    ("method", "parameters", "more", "said"),
    [
        ("task_vectors", {"density": 0.5}, {}, ["density changes nothing"]),
        ("task_vectors", {"resamples": 3}, {}, ["resamples changes nothing"]),
        ("task_vectors", {"density": 0.5, "sparsify": "random"}, {}, []),
        ("ties", {"rescale_by": "density"}, {}, ["rescale_by changes nothing"]),
        ("ties", {"rescale_by": "density", "rescale": True}, {}, []),
        ("ties", {"rescale_by": "norm"}, {}, []),  # as it is by default, which the window writes
        ("task_vectors", {"density": 1.0, "resamples": 1}, {}, []),
        ("ties", {}, {"zero_tolerance": 1e-3}, ["zero_tolerance changes nothing: ties"]),
        ("task_vectors", {"combine": "selection"}, {"zero_tolerance": 1e-3}, []),
        ("parameter_selection", {}, {"zero_tolerance": 1e-3}, []),
    ],
)
def test_values_without_effect(
    tmp_path: Path, method: str, parameters: dict[str, Any], more: dict[str, Any], said: list[str]
) -> None:
    for name in ("base", "one", "two"):
        (tmp_path / name).mkdir()
    models = [{"model": "one"}, {"model": "two"}]
    data = {"merge_method": method, "base_model": "base", "models": models, "parameters": parameters}
    warnings = recipe_warnings(parse_recipe(data | more, tmp_path))
    assert len(warnings) == len(said)
    assert all(warning.startswith(begin) for warning, begin in zip(warnings, said, strict=True))
