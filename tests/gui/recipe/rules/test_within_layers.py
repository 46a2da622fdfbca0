"""Names within layers: what is typed hits just these tensors, and is one row again when it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from core import load_recipe
from core.recipe.rules import is_hit
from gui.document.merge_setup import MergeSetup, Rule
from gui.document.opening import setup_of_recipe
from gui.recipe.rules.rows import Layers, RuleRow, TensorNames, rows_of, rules_of
from gui.recipe.rules.table_model import Column
from gui.recipe.rules.text import Refused, where_from_text, where_text
from gui.window.window import MainWindow

PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm")
NAMES = (
    "model.embed_tokens.weight",
    *(f"model.layers.{layer}.{part}.weight" for layer in range(12) for part in PARTS),
    *(f"model.layers.{layer}.mlp.experts.{at}.weight" for layer in (5, 7) for at in range(3)),
    "model.norm.weight",
)
TENSORS = TensorNames(NAMES)
TOWERS = TensorNames(
    [
        *(f"vision.blocks.{at}.mlp.weight" for at in range(4)),
        *(f"text.layers.{at}.mlp.weight" for at in range(6)),
    ]
)


HOW = "Write “layer 3”, “layers 4-7” or “mlp, layers 4-7”; other layers are another rule."


def hit(first: int, last: int, *parts: str) -> set[str]:
    """What should be hit, found in another way."""
    heads = tuple(f"model.layers.{layer}." for layer in range(first, last + 1))
    return {name for name in NAMES if name.startswith(heads) and any(part in name for part in parts)}


@pytest.mark.parametrize(
    ("typed", "expected", "shown"),
    [
        ("mlp, layers 4-7", hit(4, 7, "mlp"), "mlp, layers 4-7"),
        ("layers 4-7, mlp", hit(4, 7, "mlp"), "mlp, layers 4-7"),
        ("layer 3 down_proj", hit(3, 3, "down_proj"), "down_proj, layer 3"),
        ("down_proj in layer 3", hit(3, 3, "down_proj"), "down_proj, layer 3"),
        ("q_proj, o_proj, Layers 0 to 11", hit(0, 11, "q_proj", "o_proj"), "q_proj, o_proj, layers 0-11"),
        ("experts; layers 3-9", hit(3, 9, "experts"), "experts, layers 3-9"),
        ("experts.1, layers 3-9", hit(3, 9, "experts.1"), "experts.1, layers 3-9"),
        ("proj, layers 1-2", hit(1, 2, "proj"), "proj, layers 1-2"),
        ("model, layer 2", hit(2, 2, ""), "model, layer 2"),
        ('"self_attn.q_proj", layer 2', hit(2, 2, "self_attn.q_proj"), "self_attn.q_proj, layer 2"),
    ],
)
def test_names_within_layers_hit_just_these(typed: str, expected: set[str], shown: str) -> None:
    where = where_from_text(typed, TENSORS)
    assert isinstance(where, Layers)
    assert {name for name in NAMES if any(is_hit(text, name) for text in where.filters)} == expected
    assert where_text(where, TENSORS) == shown
    assert where_from_text(shown, TENSORS) == where


@pytest.mark.parametrize(
    ("typed", "tensors", "reason"),
    [
        ("mpl, layers 4-7", TENSORS, "No tensor in layers 4-7 has “mpl” in its name."),
        ("mlp, mpl, layers 4-7", TENSORS, "No tensor in layers 4-7 has “mpl” in its name."),
        ("mlp, layers 4-12", TENSORS, "There is no layer 12: they are numbered from 0 to 11."),
        ("mlp, layers 7-4", TENSORS, "The first layer of a range comes before the last."),
        ("mlp, layers", TENSORS, HOW),
        ("mlp, layer x", TENSORS, HOW),
        (",", TENSORS, HOW),
        (
            "mlp, layers 1-2, layers 5-6",
            TENSORS,
            "A rule is for one range of layers: add another rule for the others.",
        ),
        ("q_proj, o_proj", TENSORS, "Without layers a rule is for one name: add another rule for o_proj."),
        (
            "mlp, layers 1-2",
            TOWERS,
            "Say of what, such as “layer 3 of vision.blocks”: there is vision.blocks and text.layers.",
        ),
        (
            "mlp, layers 1-2",
            TensorNames(),
            "Which layers there are is known as soon as the models are chosen and read.",
        ),
    ],
)
def test_mistakes_are_answered_with_a_sentence(typed: str, tensors: TensorNames, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        where_from_text(typed, tensors)
    assert str(refused.value) == reason


def test_a_stack_may_be_named_before_or_behind() -> None:
    for typed in ("mlp, layers 1-2 of text.layers", "layers 1-2 of text.layers, mlp"):
        where = where_from_text(typed, TOWERS)
        assert TOWERS.hit_by(where.filters) == ("text.layers.1.mlp.weight", "text.layers.2.mlp.weight")
        assert where_text(where, TOWERS) == "mlp, layers 1-2 of text.layers"


PIECES = st.sampled_from(
    ["mlp", "proj", "q_proj", "up_proj", "experts", "experts.0", "e", "mlp.", "_", "weight"]
)


@given(st.lists(PIECES, min_size=1, max_size=3, unique=True), st.integers(0, 11), st.integers(0, 11))
def test_a_row_is_one_row_again_and_means_the_same(names: list[str], one: int, other: int) -> None:
    first, last = sorted((one, other))
    within = Layers("model.layers", first, last).with_names(names, TENSORS)
    expected = hit(first, last, *names)
    assert set(TENSORS.hit_by(within.filters)) == expected
    if not expected:
        return
    row = RuleRow("resamples", None, within, (8,))
    rows = (replace(row, where="mlp"), row, replace(row, value=(2,)))
    again = rows_of(rules_of(rows), TENSORS)
    assert rules_of(again) == rules_of(rows)
    assert [set(TENSORS.hit_by(one.filters)) for one in again] == [
        set(TENSORS.hit_by(["mlp"])),
        expected,
        expected,
    ]


def test_it_is_typed_saved_and_opened(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> None:
    assert window.load_recipe(models / "recipe.yaml")
    qtbot.waitUntil(lambda: bool(window.recipe.rules.model.tensors))
    window.activateWindow()
    qtbot.mouseClick(window.recipe.rules_fold.button, Qt.MouseButton.LeftButton)
    rules = window.recipe.rules
    qtbot.waitUntil(lambda: not rules.add_button.visibleRegion().isEmpty())
    qtbot.mouseClick(rules.add_button, Qt.MouseButton.LeftButton)
    edit = rules.table.findChild(QLineEdit)
    assert edit is not None
    assert edit.placeholderText() == "mlp, layers 4-7"
    qtbot.keyClicks(edit, "mlp, layers 1-2")
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    cells = [rules.model.index(0, column) for column in (Column.WHERE, Column.TENSORS)]
    qtbot.waitUntil(lambda: [cell.data() for cell in cells] == ["mlp, layers 1-2", "2"])
    assert rules.message_label.text() == ""
    saved = tmp_path / "saved.yaml"
    assert window.recipes.save_to(saved)
    setup = setup_of_recipe(load_recipe(saved), MergeSetup("", None, (), 0))
    assert [rule.filter for rule in setup.rules] == ["model.layers.1.mlp", "model.layers.2.mlp"]
    window.new_recipe()
    assert window.load_recipe(saved)
    qtbot.waitUntil(lambda: bool(rules.model.rows) and window.preflight.checked)
    cells = [rules.model.index(0, column) for column in (Column.WHERE, Column.TENSORS)]
    qtbot.waitUntil(lambda: [cell.data() for cell in cells] == ["mlp, layers 1-2", "2"])
    assert len(rules.model.rows) == 1
    assert window.preflight.reason is None


def test_rules_that_are_no_range_are_told_from_one_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second layer of a large model: each layer is looked through a few times, not for each guess."""
    names = [f"model.layers.{layer}.mlp.experts.{at}.w" for layer in range(60) for at in range(80)]
    tensors = TensorNames(
        [*names, *(f"model.layers.{layer}.attn.{p}_proj" for layer in range(60) for p in "qk")]
    )
    looked: list[str] = []
    in_layer = TensorNames.in_layer

    def counted(self: TensorNames, head: str) -> Sequence[str]:
        looked.append(head)
        return in_layer(self, head)

    monkeypatch.setattr(TensorNames, "in_layer", counted)
    rules = [
        Rule("weight", None, f"model.layers.{at}.attn.{p}_proj", (0.5,))
        for at in range(0, 60, 2)
        for p in "qk"
    ]
    rows = rows_of(rules, tensors)
    assert rules_of(rows) == tuple(rules)
    assert len(looked) <= 60 * 6
