"""The merge methods, in one explicit list."""

from __future__ import annotations

from core.methods import linear, parameter_selection, passthrough, slerp
from core.methods.presets import PRESETS, TASK_VECTORS
from core.methods.spec import GROUPS, Draws, MethodSpec, ParameterSpec, ParameterValue

__all__ = ["GROUPS", "METHODS", "Draws", "MethodSpec", "ParameterSpec", "ParameterValue"]

METHODS: dict[str, MethodSpec] = {
    spec.name: spec
    for spec in (
        parameter_selection.SPEC,
        linear.SPEC,
        *PRESETS,
        TASK_VECTORS,
        slerp.SPEC,
        passthrough.SPEC,
    )
}
"""Every method by its name in recipes, in the order in which the window offers them."""
