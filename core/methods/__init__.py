"""The merge methods, in one explicit list."""

from __future__ import annotations

from core.methods import linear, nearswap, parameter_selection, passthrough, ram, slerp, task_arithmetic
from core.methods.spec import Draws, MethodSpec, ParameterSpec, ParameterValue

__all__ = ["METHODS", "Draws", "MethodSpec", "ParameterSpec", "ParameterValue"]

METHODS: dict[str, MethodSpec] = {
    spec.name: spec
    for spec in (
        parameter_selection.SPEC,
        linear.SPEC,
        task_arithmetic.SPEC,
        ram.SPEC,
        ram.PLUS,
        slerp.SPEC,
        nearswap.SPEC,
        passthrough.SPEC,
    )
}
"""Every method by its name in recipes, in the order in which the window offers them."""
