"""Whether a parameter has an effect is as methods say: a form leaves out those that have none."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from whole_tensor import by_engine, fine_tunes, torch_only

from core.methods import METHODS, MethodSpec

SHAPE = (12, 32)
WITH_CONDITIONS = [
    method for method in METHODS.values() if any(spec.matters is not None for spec in method.parameters)
]
OTHERS = {"density": 0.6, "gamma": 0.2, "epsilon": 0.05, "resamples": 0}
"""Other values than the defaults, of parameters that are numbers."""


def plain_values(method: MethodSpec) -> list[dict[str, Any]]:
    """Every combination of the choices and flags of `method`."""
    chosen = [spec for spec in method.parameters if not spec.is_number]
    every = [spec.choices or (False, True) for spec in chosen]
    names = [spec.name for spec in chosen]
    return [dict(zip(names, values, strict=True)) for values in product(*every)]


def merged(method: MethodSpec, values: dict[str, Any]) -> np.ndarray:
    models = 2 if method.most_models == 2 else 3
    inputs = fine_tunes("BF16", SHAPE[0] * SHAPE[1], models, 1.0, seed=2)
    given = {
        spec.name: [values.get(spec.name, spec.default)] * models
        if spec.scope == "model"
        else values.get(spec.name, spec.default)
        for spec in method.parameters
    }
    return by_engine(
        method.name, inputs, "BF16", "BF16", given, shape=SHAPE, key=(5, 6), space=torch_only()
    ).words


@pytest.mark.parametrize("method", WITH_CONDITIONS, ids=lambda method: method.name)
def test_what_has_no_effect_changes_nothing_and_what_has_one_does(method: MethodSpec) -> None:
    changing: set[str] = set()
    start = {"density": 0.4}
    every = plain_values(method)
    for choices in every[:: 1 + len(every) // 20]:
        usual = merged(method, start | choices)
        silent: dict[str, Any] = {}
        for spec in method.parameters:
            if spec.matters is None:
                continue
            now = choices.get(spec.name, spec.default)
            other = OTHERS.get(spec.name, not now)
            if spec.kind == "choice":
                other = next(choice for choice in spec.choices if choice != now)
            if not spec.has_effect(choices):
                silent[spec.name] = other
            elif not np.array_equal(usual, merged(method, start | choices | {spec.name: other})):
                changing.add(spec.name)
        if silent:
            np.testing.assert_array_equal(merged(method, start | choices | silent), usual, str(choices))
    assert changing == {spec.name for spec in method.parameters if spec.matters is not None}
