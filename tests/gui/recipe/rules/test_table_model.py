"""The table of rules as a Qt item model."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPersistentModelIndex
from pytestqt.modeltest import ModelTester

from core.methods import METHODS
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.recipe.rules.rows import RuleRow
from gui.recipe.rules.table_model import Column, RulesModel

SELECTION = METHODS["parameter_selection"]
BASE, ONE, TWO, THREE = (Path(f"/models/{name}") for name in ("base", "run-1", "run-2", "run-3"))
SETUP = MergeSetup(
    "parameter_selection",
    BASE,
    tuple(ModelChoice(folder) for folder in (ONE, TWO, THREE)),
    2,
    {"resamples": 4},
    seed=7,
)
NAMES = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight")


def test_the_table_keeps_the_rules_of_item_models(qtmodeltester: ModelTester) -> None:
    model = RulesModel(SELECTION, lambda: {"resamples": 4})
    qtmodeltester.check(model)
    model.set_models(SETUP)
    model.set_tensors(NAMES)
    for _ in range(4):
        model.add()
    model.set_row(3, RuleRow("weight", None, "mlp", (1.0,)))
    model.set_row(2, RuleRow("weight", None, "embed", (1.0,)))
    kept = [QPersistentModelIndex(model.index(row, Column.WHERE)) for row in range(4)]
    model.set_row(3, RuleRow("weight", TWO, "mlp", (1.0,)))
    assert [index.row() for index in kept] == [0, 1, 3, 2]
    model.move(0, 3)
    model.move(3, 1)
    model.remove(1)
    qtmodeltester.check(model)
    model.set_method(METHODS["linear"])
    model.set_rules(())
    qtmodeltester.check(model)
