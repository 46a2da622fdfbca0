"""Paramosaic's engine: recipe -> plan -> merge -> record. No Qt, usable from a script.

from core import load_recipe, plan_merge, read_record, run_merge

plan = plan_merge(load_recipe("recipe.yaml"))
record = run_merge(plan, "merged", progress=lambda progress: print(f"{progress.fraction:.0%}"))
"""

from __future__ import annotations

import logging

from core.cancel import CancelToken
from core.checkpoint.output import Leftover, discard, leftover_of
from core.deltas.findings import Findings, Part, findings_of_record
from core.deltas.inspection import Inspection, TensorInspection, inspect_models, plan_inspection
from core.deltas.preview import measure_plan, preview_plan
from core.deltas.statistics import DeltaStatistics, Estimate, roll_up
from core.errors import (
    Cancelled,
    CheckpointError,
    DeviceError,
    IncompatibleError,
    InputChangedError,
    MergeError,
    OutputError,
    RecipeError,
    RunningError,
    UnfinishedError,
    VerificationError,
)
from core.methods import METHODS, MethodSpec, ParameterSpec
from core.plan.merge_plan import MergePlan
from core.plan.planning import plan_merge
from core.progress import Progress
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.writing import recipe_as_dict
from core.run.merge import run_merge
from core.run.record import RunRecord, TensorRecord, read_record
from core.run.verify import VerificationReport, verify_output

__all__ = [
    "METHODS",
    "CancelToken",
    "Cancelled",
    "CheckpointError",
    "DeltaStatistics",
    "DeviceError",
    "Estimate",
    "Findings",
    "IncompatibleError",
    "InputChangedError",
    "Inspection",
    "Leftover",
    "MergeError",
    "MergePlan",
    "MethodSpec",
    "OutputError",
    "ParameterSpec",
    "Part",
    "Progress",
    "Recipe",
    "RecipeError",
    "RunRecord",
    "RunningError",
    "TensorInspection",
    "TensorRecord",
    "UnfinishedError",
    "VerificationError",
    "VerificationReport",
    "discard",
    "findings_of_record",
    "inspect_models",
    "leftover_of",
    "load_recipe",
    "measure_plan",
    "parse_recipe",
    "plan_inspection",
    "plan_merge",
    "preview_plan",
    "read_record",
    "recipe_as_dict",
    "roll_up",
    "run_merge",
    "verify_output",
]

# A script that sets up no logging hears nothing of it.
logging.getLogger(__name__).addHandler(logging.NullHandler())
