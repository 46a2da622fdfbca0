"""The merge methods, in one explicit list."""

from __future__ import annotations

from core.methods import (
    arcee_fusion,
    karcher,
    linear,
    model_stock,
    multislerp,
    nearswap,
    nuslerp,
    parameter_selection,
    passthrough,
    ram,
    sce,
    slerp,
)
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
        sce.SPEC,
        ram.SPEC,
        ram.PLUS,
        slerp.SPEC,
        nuslerp.SPEC,
        multislerp.SPEC,
        karcher.SPEC,
        model_stock.SPEC,
        nearswap.SPEC,
        arcee_fusion.SPEC,
        passthrough.SPEC,
    )
}
"""Every method by its name in recipes, in the order in which the window offers them."""
