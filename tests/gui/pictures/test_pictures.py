"""The pictures show what a plain computation over the weights says, and select together."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyqtgraph as pg
import pytest
import torch
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file

from core import RunRecord, TensorRecord, load_recipe, plan_merge, read_record, run_merge
from core.deltas.findings import Findings, MergeName, MergeTally
from core.deltas.layer_grid import LayerGrid
from core.deltas.preview import measure_plan, nothing_found
from gui.pictures.agreement import AgreementPicture
from gui.pictures.export import copy_numbers
from gui.pictures.heat_map import HeatMap
from gui.pictures.magnitude import MagnitudePicture
from gui.pictures.picture import Picture
from gui.pictures.provenance import ProvenancePicture
from gui.pictures.resampling import ResamplingPicture
from gui.pictures.selection import Selected, Selection
from gui.pictures.shown import Shown
from gui.pictures.texts import pair_text
from gui.pictures.zero_deltas import ZeroDeltasPicture

Tensors = dict[str, torch.Tensor]

QUERY = "model.layers.{}.self_attn.q_proj.weight"
UP = "model.layers.{}.mlp.up_proj.weight"
EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"
RUNS = ("run-1", "run-2", "run-3")


@pytest.fixture(scope="module")
def deltas(models: Path) -> dict[str, Tensors]:
    """Of each sub-model, in float64."""
    base = load_file(models / "base" / "model.safetensors")
    found = {}
    for run in RUNS:
        tensors = load_file(models / run / "model.safetensors")
        found[run] = {name: tensors[name].double() - value.double() for name, value in base.items()}
    return found


@pytest.fixture(scope="module")
def record(models: Path, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    out = tmp_path_factory.mktemp("merged") / "out"
    run_merge(plan_merge(load_recipe(models / "recipe.yaml")), out)
    return read_record(out)


@pytest.fixture(scope="module")
def measured(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


@pytest.fixture(scope="module")
def findings(models: Path, measured: Findings, record: RunRecord) -> Findings:
    """Everything measured, and merged with n = 4."""
    tally = MergeTally(MergeName.of_record(record), measured.grid, equal_weights=True)
    for tensor in record.tensors:
        tally.add(tensor)
    return tally.added_to(measured)


@pytest.fixture
def shown(qtbot: QtBot, findings: Findings) -> Callable[[type[Picture]], Picture]:
    def show(kind: type[Picture], what: Findings | None = findings) -> Picture:
        picture = kind(Selection())
        qtbot.addWidget(picture)
        picture.resize(820, 480)
        picture.show_numbers(Shown(what))
        with qtbot.waitExposed(picture):
            picture.show()
        return picture

    return show


def point_at(plot: pg.PlotWidget, x: float, y: float) -> QPoint:
    """Where a point of the plot is on its viewport."""
    scene = plot.getPlotItem().getViewBox().mapViewToScene(QPointF(x, y))
    return plot.mapFromScene(scene)


def click(plot: pg.PlotWidget, x: float, y: float) -> None:
    QTest.mouseClick(
        plot.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point_at(plot, x, y)
    )


def point(plot: pg.PlotWidget, x: float, y: float) -> None:
    QTest.mouseMove(plot.viewport(), point_at(plot, x, y))


def rows_of(picture: Picture, table: int = 0) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(picture.tables()[table].text())))


# -- zero deltas ---------------------------------------------------------------------------------------------


def zero_share(deltas: dict[str, Tensors], run: str, name: str) -> float:
    return float((deltas[run][name] == 0).double().mean())


def test_the_map_shows_the_share_of_zero_deltas(shown, deltas) -> None:
    picture = shown(ZeroDeltasPicture)
    values = picture.plot.values
    assert values.shape == (5, 4)  # in, three layers, out; embeddings, attention q, mlp up, norms
    for layer in range(3):
        for row, name in ((1, QUERY), (2, UP)):
            expected = np.mean([zero_share(deltas, run, name.format(layer)) for run in RUNS])
            assert values[layer + 1, row] == pytest.approx(100 * expected)
    assert values[0, 0] == pytest.approx(100 * np.mean([zero_share(deltas, run, EMBEDDING) for run in RUNS]))
    assert np.isnan(values[1, 0])
    assert np.isnan(values[0, 1])


def test_one_sub_model_and_the_spread_can_be_chosen(qtbot: QtBot, shown, deltas) -> None:
    picture = shown(ZeroDeltasPicture)
    field = picture.show_field
    assert [field.itemText(at) for at in range(field.count())] == ["Mean of all", "Spread", *RUNS]
    field.setCurrentIndex(3)
    field.activated.emit(3)
    assert picture.selection.value.model == 1
    name = QUERY.format(2)
    assert picture.plot.values[3, 1] == pytest.approx(100 * zero_share(deltas, "run-2", name))
    assert "run-2" in picture.explanation.text()
    field.setCurrentIndex(1)
    field.activated.emit(1)
    shares = [zero_share(deltas, run, name) for run in RUNS]
    assert picture.plot.values[3, 1] == pytest.approx(100 * (max(shares) - min(shares)))
    picture.selection.select(model=2)  # from another picture
    assert field.currentText() == "run-3"
    picture.selection.clear()
    assert field.currentText() == "Spread"


def test_a_cell_is_selected_by_click_and_gone_on_from_by_key(shown) -> None:
    picture = shown(ZeroDeltasPicture)
    click(picture.plot, 2, 1)
    assert picture.selection.value == Selected(column=2, kind=1)
    assert picture.read_out.text().startswith("Layer 1 · attention q: ")
    QTest.keyClick(picture.plot, Qt.Key.Key_Down)
    assert picture.selection.value == Selected(column=2, kind=2)
    QTest.keyClick(picture.plot, Qt.Key.Key_Left)
    assert picture.selection.value == Selected(column=1, kind=2)
    QTest.keyClick(picture.plot, Qt.Key.Key_Left)  # nothing is there in the row: to the embeddings beside it
    assert picture.selection.value == Selected(column=0, kind=0)
    QTest.keyClick(picture.plot, Qt.Key.Key_Left)  # nor anywhere: it stays
    assert picture.selection.value == Selected(column=0, kind=0)
    QTest.keyClick(picture.plot, Qt.Key.Key_Right)
    assert picture.selection.value == Selected(column=1, kind=1)
    QTest.keyClick(picture.plot, Qt.Key.Key_Down)
    QTest.keyClick(picture.plot, Qt.Key.Key_End)
    assert picture.selection.value == Selected(column=3, kind=2)
    QTest.keyClick(picture.plot, Qt.Key.Key_Home)
    assert picture.selection.value == Selected(column=1, kind=2)
    QTest.keyClick(picture.plot, Qt.Key.Key_Escape)
    assert picture.selection.value == Selected()


def test_the_cell_under_the_pointer_is_read_out(qtbot: QtBot, shown, deltas) -> None:
    picture = shown(ZeroDeltasPicture)
    total = sum(float((tau == 0).sum()) for run in RUNS for tau in deltas[run].values())
    parameters = sum(tau.numel() for tau in deltas["run-1"].values())
    assert f"All modules: {100 * total / parameters / 3:.1f} % zero deltas" in picture.read_out.text()
    point(picture.plot, 3, 2)
    share = np.mean([zero_share(deltas, run, UP.format(2)) for run in RUNS])
    qtbot.waitUntil(lambda: f"Layer 2 · mlp up: {100 * share:.1f} %" in picture.read_out.text())
    assert "768 parameters" in picture.read_out.text()


def test_estimates_come_with_twice_their_standard_error(shown, findings: Findings) -> None:
    cell = (1, 1)
    inspected = dict(findings.inspected)
    exact = inspected[cell]
    covariances = exact.covariances.copy()
    first = exact.covariance("zero_delta").size  # the covariances of changed_by follow
    covariances[first : first + 16] = np.diag([100.0, 0, 0, 0]).ravel()  # of the elements nobody changed
    inspected[cell] = replace(exact, covariances=covariances, elements=exact.parameters // 2)
    picture = shown(ZeroDeltasPicture, replace(findings, inspected=inspected, counted=None))
    picture.selection.select(column=1, kind=1)
    assert f" ± {100 * 2 * 10 / exact.parameters:.1f} % zero deltas" in picture.read_out.text()


def test_the_view_is_zoomed_and_shown_whole_again(shown) -> None:
    picture = shown(ZeroDeltasPicture)
    plot = picture.plot
    whole = plot.getPlotItem().getViewBox().viewRange()
    plot.setFocus()
    QTest.keyClick(plot, Qt.Key.Key_Plus)
    QTest.keyClick(plot, Qt.Key.Key_Plus)
    (left, right), _ = plot.getPlotItem().getViewBox().viewRange()
    assert right - left < 0.7 * (whole[0][1] - whole[0][0])
    QTest.keyClick(plot, Qt.Key.Key_Minus)
    for _ in range(9):  # no further than everything
        QTest.keyClick(plot, Qt.Key.Key_Minus)
    np.testing.assert_allclose(plot.getPlotItem().getViewBox().viewRange(), whole)
    QTest.keyClick(plot, Qt.Key.Key_Plus)
    QTest.keyClick(plot, Qt.Key.Key_0)
    np.testing.assert_allclose(plot.getPlotItem().getViewBox().viewRange(), whole)


def test_new_numbers_leave_a_zoomed_view_where_it_is(shown, findings: Findings) -> None:
    picture = shown(ZeroDeltasPicture)
    picture.plot.zoom(0.5)
    before = picture.plot.getPlotItem().getViewBox().viewRange()
    picture.show_numbers(Shown(replace(findings, sample=0.5)))
    assert picture.plot.getPlotItem().getViewBox().viewRange() == before


def test_the_numbers_of_the_map_are_a_table(shown, deltas) -> None:
    rows = {(row["layer"], row["kind"]): row for row in rows_of(shown(ZeroDeltasPicture))}
    assert len(rows) == 8
    row = rows["1", "mlp up"]
    assert int(row["parameters"]) == 768
    assert float(row["run-2"]) == zero_share(deltas, "run-2", UP.format(1))
    assert float(row["mean error"]) == 0


def test_what_is_not_known_yet_is_said(shown, models: Path) -> None:
    frame = nothing_found(plan_merge(load_recipe(models / "recipe.yaml")))
    picture = shown(ZeroDeltasPicture, frame)
    assert picture.sentence == ""  # the empty map
    assert np.isnan(picture.plot.values).all()
    assert picture.tables() == []
    for kind in (ResamplingPicture, ProvenancePicture, AgreementPicture, MagnitudePicture):
        other = shown(kind, frame)
        if isinstance(other, ProvenancePicture):
            other.set_method("Parameter selection", draws=True)
        assert other.sentence
        assert other.tables() == []
    for kind in (ZeroDeltasPicture, ResamplingPicture, AgreementPicture, MagnitudePicture):
        assert shown(kind, None).sentence


# -- resampling ----------------------------------------------------------------------------------------------


def expected_left(deltas: dict[str, Tensors], names: list[str], draws: int) -> np.ndarray:
    """The mean over elements of (the share of the sub-models that left it unchanged)^(d + 1)."""
    unchanged = torch.cat(
        [torch.stack([(deltas[run][name] == 0).double() for run in RUNS]).mean(0).flatten() for name in names]
    )
    return np.array([float((unchanged ** (draw + 1)).mean()) for draw in range(draws)])


def test_the_curve_is_what_the_overlap_predicts_and_the_merge_counted(shown, deltas, record) -> None:
    picture = shown(ResamplingPicture)
    x, y = picture.plot.expected.getData()
    assert x.tolist() == list(range(21))
    np.testing.assert_allclose(y, 100 * expected_left(deltas, list(deltas["run-1"]), 21))
    x, y = picture.plot.counted.getData()
    assert x.tolist() == [0, 1, 2, 3, 4]
    left = np.sum([tensor.zero_after_draw for tensor in record.tensors], axis=0)
    np.testing.assert_allclose(y, 100 * left / sum(tensor.elements for tensor in record.tensors))


def test_the_curve_follows_the_selection_with_the_whole_beside_it(shown, deltas) -> None:
    picture = shown(ResamplingPicture)
    assert len(picture.plot.beside.getData()[0]) == 0
    picture.selection.select(column=2, kind=1)
    np.testing.assert_allclose(
        picture.plot.expected.getData()[1], 100 * expected_left(deltas, [QUERY.format(1)], 21)
    )
    np.testing.assert_allclose(
        picture.plot.beside.getData()[1], 100 * expected_left(deltas, list(deltas["run-1"]), 21)
    )
    assert "layer 1 · attention q" in picture.explanation.text()


def test_n_is_advised_and_taken_over(qtbot: QtBot, shown, deltas) -> None:
    picture = shown(ResamplingPicture)
    left = expected_left(deltas, list(deltas["run-1"]), 21)
    flat = next(n for n in range(20) if left[n] - left[n + 1] < 0.005)
    assert f"From n = {flat} on" in picture.read_out.text()
    assert not picture.use_button.isVisible()  # the recipe has no n
    picture.set_resamples(1)
    assert picture.use_button.text() == f"Use n = {flat}"
    with qtbot.waitSignal(picture.resamples_requested) as wanted:
        QTest.mouseClick(picture.use_button, Qt.MouseButton.LeftButton)
    assert wanted.args == [flat]
    picture.set_resamples(flat)
    assert not picture.use_button.isVisible()
    picture.set_resamples(2, fixed=True)
    assert not picture.use_button.isEnabled()


def test_each_n_is_read_out(qtbot: QtBot, shown, deltas) -> None:
    picture = shown(ResamplingPicture)
    left = expected_left(deltas, list(deltas["run-1"]), 21)
    counted = picture.plot.counted.getData()[1][2]
    text = (
        f"n = 2: {counted:.1f} % counted, {100 * left[2]:.1f} % expected, "
        f"one more would move {100 * (left[2] - left[3]):.1f} %"
    )
    point(picture.plot, 2, 20)
    qtbot.waitUntil(lambda: picture.read_out.text() == text)
    assert picture.accessibleDescription() == text
    picture.plot.setFocus()
    for _ in range(4):
        QTest.keyClick(picture.plot, Qt.Key.Key_Right)
    assert picture.read_out.text().startswith("n = 3: ")
    QTest.keyClick(picture.plot, Qt.Key.Key_Escape)
    assert "with n = 0" in picture.read_out.text()


def test_layers_and_draws_are_a_map(shown, record) -> None:
    picture = shown(ResamplingPicture)
    picture.view_field.setCurrentIndex(1)
    picture.view_field.activated.emit(1)
    tensor = {tensor.name: tensor for tensor in record.tensors}
    up, query = tensor[UP.format(2)], tensor[QUERY.format(2)]
    expected = (up.zero_after_draw[3] + query.zero_after_draw[3]) / (up.elements + query.elements)
    assert picture.layers_plot.values.shape == (5, 5)
    assert picture.layers_plot.values[3, 3] == pytest.approx(100 * expected)
    picture.selection.select(kind=1)
    assert picture.layers_plot.values[3, 3] == pytest.approx(100 * query.zero_after_draw[3] / query.elements)
    picture.selection.select(column=3)
    assert picture.read_out.text().startswith("Layer 2 · attention q: ")
    assert " with n = 20" in picture.read_out.text()


def test_what_was_counted_beyond_the_expected_is_a_map(shown, record, deltas) -> None:
    picture = shown(ResamplingPicture)
    picture.view_field.setCurrentIndex(2)
    picture.view_field.activated.emit(2)
    query, up = QUERY.format(0), UP.format(0)
    counted = sum(tensor.zero_after_draw[1] for tensor in record.tensors if tensor.name in (query, up)) / 1024
    expected = expected_left(deltas, [query, up], 2)[1]
    assert picture.layers_plot.values[1, 1] == pytest.approx(100 * (counted - expected))


def test_before_a_merge_the_map_of_draws_is_the_expected_one(shown, measured, deltas) -> None:
    picture = shown(ResamplingPicture, measured)
    picture.view_field.setCurrentIndex(1)
    picture.view_field.activated.emit(1)
    expected = expected_left(deltas, [QUERY.format(1), UP.format(1)], 21)
    np.testing.assert_allclose(picture.layers_plot.values[2], 100 * expected)
    picture.view_field.setCurrentIndex(2)
    picture.view_field.activated.emit(2)
    assert "when a merge has run" in picture.sentence


def test_the_numbers_of_the_curve_are_a_table(shown, deltas, record) -> None:
    rows = rows_of(shown(ResamplingPicture))
    overall = [row for row in rows if row["layer"] == "all"]
    assert [int(row["n"]) for row in overall] == list(range(21))
    np.testing.assert_allclose(
        [float(row["expected"]) for row in overall], expected_left(deltas, list(deltas["run-1"]), 21)
    )
    assert [bool(row["counted"]) for row in overall] == [True] * 5 + [False] * 16


# -- provenance ----------------------------------------------------------------------------------------------


def selected(record: RunRecord, names: list[str]) -> np.ndarray:
    return np.sum([tensor.selected for tensor in record.tensors if tensor.name in names], axis=0)


def test_bars_are_the_shares_of_the_sub_models(shown, record) -> None:
    picture = shown(ProvenancePicture)
    names = [QUERY.format(1), UP.format(1)]
    expected = 100 * selected(record, names) / 1024
    heights = [bar.opts["height"][2] for bar in picture._bars]
    np.testing.assert_allclose(heights, expected)
    np.testing.assert_allclose([bar.opts["y0"][2] for bar in picture._bars], [0, *np.cumsum(expected)[:-1]])
    left = sum(tensor.zero_after_draw[-1] for tensor in record.tensors if tensor.name in names)
    assert picture._dots.points[2] == (2, pytest.approx(100 * left / 1024))
    picture.selection.select(kind=2)
    heights = [bar.opts["height"][2 - 1] for bar in picture._bars]  # embeddings have no such module
    np.testing.assert_allclose(heights, 100 * selected(record, [UP.format(1)]) / 768)


def test_a_part_of_a_bar_selects_layer_and_sub_model(shown, record) -> None:
    picture = shown(ProvenancePicture)
    shares = 100 * selected(record, [QUERY.format(2), UP.format(2)]) / 1024
    click(picture.plot, 3, shares[0] + shares[1] / 2)
    assert picture.selection.value == Selected(column=3, model=1)
    assert "from run-2" in picture.read_out.text()
    QTest.keyClick(picture.plot, Qt.Key.Key_Left)
    assert picture.selection.value == Selected(column=2, model=1)
    alphas = [bar.opts["brush"].alpha() for bar in picture._bars]
    assert alphas[1] == 255
    assert max(alphas[0], alphas[2]) < 128


def test_without_a_merge_there_is_no_provenance(shown, measured) -> None:
    picture = shown(ProvenancePicture, measured)
    picture.set_method("Parameter selection", draws=True)
    assert "Press Merge" in picture.sentence
    assert picture.tables() == []
    picture.set_method("Weighted average", draws=False)
    assert "is computed from all models" in picture.sentence


def test_the_numbers_of_the_bars_are_a_table(shown, record) -> None:
    rows = {row["layer"]: row for row in rows_of(shown(ProvenancePicture))}
    names = [tensor.name for tensor in record.tensors]
    total = sum(tensor.elements for tensor in record.tensors)
    assert float(rows["all"]["run-3"]) == selected(record, names)[2] / total
    assert int(rows["out"]["parameters merged"]) == 16
    assert rows["out"]["kind"] == "all"


# -- agreement -----------------------------------------------------------------------------------------------


def cosine(deltas: dict[str, Tensors], one: str, other: str, names: list[str]) -> float:
    a, b = (torch.cat([deltas[run][name].flatten() for name in names]) for run in (one, other))
    return float(a @ b / (a.norm() * b.norm()))


def disagreement(deltas: dict[str, Tensors], one: str, other: str, names: list[str]) -> float:
    a, b = (torch.cat([deltas[run][name].flatten() for name in names]) for run in (one, other))
    both = (a != 0) & (b != 0)
    return float(((a.sign() != b.sign()) & both).sum() / both.sum())


def test_cosines_and_signs_are_those_of_the_task_vectors(shown, deltas) -> None:
    picture = shown(AgreementPicture)
    names = list(deltas["run-1"])
    values = picture.plot.values
    assert np.isnan(np.diagonal(values)).all()
    assert values[0, 2] == pytest.approx(cosine(deltas, "run-1", "run-3", names), abs=1e-6)
    np.testing.assert_array_equal(values, values.T)
    picture.selection.select(column=1, kind=1)
    assert picture.plot.values[0, 1] == pytest.approx(
        cosine(deltas, "run-1", "run-2", [QUERY.format(0)]), abs=1e-6
    )
    picture.measure_field.setCurrentIndex(1)
    picture.measure_field.activated.emit(1)
    assert picture.plot.values[0, 1] == pytest.approx(
        100 * disagreement(deltas, "run-1", "run-2", [QUERY.format(0)])
    )


def test_a_row_selects_a_sub_model_in_any_order(shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gui.pictures.agreement.order_by_similarity", lambda cosines: [2, 0, 1])
    picture = shown(AgreementPicture)
    picture.order_button.setChecked(True)
    assert picture._order == [2, 0, 1]
    click(picture.plot, 2, 0)
    assert picture.selection.value.model == 2
    assert picture.read_out.text().startswith("run-3 and run-2: cosine ")


def test_who_goes_his_own_way_is_named(shown, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = shown(AgreementPicture)
    assert "orthogonal" not in picture.read_out.text()
    monkeypatch.setattr("core.run.no_ops._RELATED", -1.0)  # the demo's models all go some way together
    monkeypatch.setattr("core.run.no_ops._ORTHOGONAL", 2.0)
    picture.selection.select(model=2)
    assert picture.read_out.text().endswith("Nearly orthogonal to all others: run-1, run-2, run-3")


def test_pairs_are_gone_to_by_key(shown) -> None:
    picture = shown(AgreementPicture)
    click(picture.plot, 1, 0)
    assert picture.read_out.text().startswith("run-1 and run-2: cosine ")
    QTest.keyClick(picture.plot, Qt.Key.Key_Right)
    assert picture.read_out.text().startswith("run-1 and run-3: cosine ")
    QTest.keyClick(picture.plot, Qt.Key.Key_Down)
    assert picture.read_out.text().startswith("run-2 and run-3: cosine ")
    assert picture.selection.value.model == 1
    assert picture.accessibleDescription() == picture.read_out.text()
    picture.selection.select(model=2)  # in another picture
    assert picture.read_out.text().startswith("Cosines from ")
    QTest.keyClick(picture.plot, Qt.Key.Key_Escape)
    assert picture.selection.value == Selected()


def test_pairs_of_a_sample_are_counted_about(findings: Findings) -> None:
    whole = findings.part().details
    assert whole is not None
    both = round(float(whole.total("both_changed")[0, 1]))
    assert pair_text(whole, RUNS, 0, 1).replace("\u202f", "").endswith(f" % of {both}")
    sampled = replace(whole, elements=whole.parameters - 1)
    assert pair_text(sampled, RUNS, 0, 1).replace("\u202f", "").endswith(f" % of about {both}")


def test_the_numbers_of_pairs_are_a_table(shown, deltas) -> None:
    rows = rows_of(shown(AgreementPicture))
    assert [(row["sub-model"], row["other"]) for row in rows] == [
        ("run-1", "run-2"),
        ("run-1", "run-3"),
        ("run-2", "run-3"),
    ]
    names = list(deltas["run-1"])
    assert float(rows[1]["signs differ"]) == pytest.approx(disagreement(deltas, "run-1", "run-3", names))


def test_one_sub_model_has_nobody_to_agree_with(shown, models: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"merge_method: parameter_selection\nbase_model: {models / 'base'}\nmodels:\n"
        f"  - model: {models / 'run-1'}\n"
    )
    picture = shown(AgreementPicture, measure_plan(plan_merge(load_recipe(recipe))))
    assert "one sub-model only" in picture.sentence


# -- magnitude -----------------------------------------------------------------------------------------------


def test_lines_are_the_norms_by_layer(shown, deltas, models: Path) -> None:
    picture = shown(MagnitudePicture)
    base = load_file(models / "base" / "model.safetensors")
    names = [QUERY.format(2), UP.format(2)]
    tau = torch.cat([deltas["run-2"][name].flatten() for name in names])
    theta = torch.cat([base[name].double().flatten() for name in names])
    assert picture.plot.lines[1].getData()[1][3] == pytest.approx(float(100 * tau.norm() / theta.norm()))
    picture.norm_field.setCurrentIndex(1)
    picture.norm_field.activated.emit(1)
    assert picture.plot.lines[1].getData()[1][3] == pytest.approx(float(tau.norm()))


def test_the_histogram_is_that_of_what_is_selected(shown, deltas) -> None:
    picture = shown(MagnitudePicture)
    picture.selection.select(column=1, kind=2)
    tau = deltas["run-3"][UP.format(0)].flatten()
    exponents = torch.frexp(tau[tau != 0])[1] - 1
    edges, shares = picture.histogram_plot.steps[2].getData()
    found = {int(edge): share for edge, share in zip(edges, shares, strict=False) if share}
    expected = {
        int(power): pytest.approx(100 * float(count) / tau.numel())
        for power, count in zip(*exponents.unique(return_counts=True), strict=True)
    }
    assert found == expected


def test_a_sub_model_that_strays_is_marked(shown, findings: Findings) -> None:
    picture = shown(MagnitudePicture)
    assert " !" not in picture._legend.text()
    whole = {}
    for cell, statistics in findings.inspected.items():
        totals = statistics.totals.copy()
        scaled = replace(statistics, totals=totals)
        squares = scaled.total("squares")
        squares[1] *= 100.0  # ten times the norm
        whole[cell] = scaled
    picture.show_numbers(Shown(replace(findings, inspected=whole)))
    assert "run&#8209;2&nbsp;!" in picture._legend.text()
    assert "run-2 strays" in picture.read_out.text()
    assert [name.toPlainText() for name in picture.plot.names] == ["run-2 strays"]
    x, y = picture.plot.names[0].pos().x(), picture.plot.names[0].pos().y()
    assert picture.plot.lines[1].getData()[1][int(x)] == pytest.approx(y)
    picture.show_numbers(Shown(findings))
    assert picture.plot.names == []


def test_a_point_selects_layer_and_sub_model(shown) -> None:
    picture = shown(MagnitudePicture)
    height = picture.plot.lines[2].getData()[1][2]
    click(picture.plot, 2, height)
    assert picture.selection.value == Selected(column=2, model=2)
    assert picture.read_out.text().startswith("Layer 1, run-3: ‖τ‖ = ")


def test_norms_and_histograms_are_tables(shown, deltas) -> None:
    picture = shown(MagnitudePicture)
    row = next(row for row in rows_of(picture) if (row["layer"], row["sub-model"]) == ("all", "run-1"))
    tau = torch.cat([tensor.flatten() for tensor in deltas["run-1"].values()])
    assert float(row["norm"]) == pytest.approx(float(tau.norm()))
    assert float(row["largest |τ| seen"]) == float(tau.abs().max())
    counted = sum(float(row["run-1"]) for row in rows_of(picture, 1))
    assert counted == int((tau != 0).sum())


def test_the_histogram_is_read_out_by_key(shown, deltas) -> None:
    picture = shown(MagnitudePicture)
    picture.selection.select(column=1, kind=2)
    picture.histogram_plot.setFocus()
    QTest.keyClick(picture.histogram_plot, Qt.Key.Key_Right)
    first = picture.histogram_plot._at
    shares = []
    for run in RUNS:
        tau = deltas[run][UP.format(0)]
        shares.append(float(((torch.frexp(tau)[1] - 1 == first) & (tau != 0)).double().mean()))
    text = picture.read_out.text()
    assert text.startswith("Layer 0 · mlp up: ")
    assert f"{100 * max(shares):.2f}"[:4] in text
    QTest.keyClick(picture.histogram_plot, Qt.Key.Key_Escape)
    assert picture.selection.value == Selected()


# -- all of them ---------------------------------------------------------------------------------------------


def test_what_is_selected_in_one_is_selected_in_all(qtbot: QtBot, findings: Findings) -> None:
    selection = Selection()
    kinds = (ZeroDeltasPicture, ResamplingPicture, ProvenancePicture, AgreementPicture, MagnitudePicture)
    pictures = [kind(selection) for kind in kinds]
    for picture in pictures:
        qtbot.addWidget(picture)
        picture.resize(820, 480)
        picture.show_numbers(Shown(findings))
        picture.show()
    zero, resampling, provenance, agreement, magnitude = pictures
    click(zero.plot, 3, 2)
    for picture in (resampling, agreement, magnitude):
        assert "layer 2 · mlp up" in picture.explanation.text()
    assert "of mlp up" in provenance.explanation.text()
    assert provenance.plot._selected == 3
    agreement.plot.chosen.emit((0, 1))
    assert zero.show_field.currentText() == "run-2"
    assert zero.plot._selected == (3, 2)


def test_cells_without_tensors_are_told_of(shown) -> None:
    for kind in (ResamplingPicture, ProvenancePicture, AgreementPicture, MagnitudePicture):
        picture = shown(kind)
        picture.selection.set(Selected(column=0, kind=1))  # no attention before the layers
        said = picture.sentence or picture.read_out.text()
        assert "there is no such tensor" in said, kind
        picture.selection.clear()
        assert picture.sentence == ""


def test_the_palette_of_the_window_is_that_of_the_pictures(qtbot: QtBot, shown) -> None:
    from gui.widgets.theme import palette

    for kind in (ZeroDeltasPicture, ResamplingPicture, ProvenancePicture, AgreementPicture, MagnitudePicture):
        picture = shown(kind)
        for dark in (True, False):
            picture.setPalette(palette(dark=dark))
            ground = picture.plot.backgroundBrush().color()
            ink = picture.plot.getPlotItem().getAxis("left").textPen().color()
            assert (ground.lightness() < ink.lightness()) == dark


def test_pictures_that_cannot_be_seen_are_not_drawn(qtbot: QtBot, findings: Findings) -> None:
    picture = ZeroDeltasPicture(Selection())
    qtbot.addWidget(picture)
    picture.show_numbers(Shown(findings))
    assert not picture.built
    picture.show()
    assert picture.plot.values.size


def test_arrow_keys_begin_at_the_end_of_a_layer_or_a_kind(shown) -> None:
    picture = shown(ZeroDeltasPicture)
    picture.selection.set(Selected(kind=3))
    QTest.keyClick(picture.plot, Qt.Key.Key_Left)
    assert picture.selection.value == Selected(column=4, kind=3)
    picture.selection.set(Selected(column=2))
    QTest.keyClick(picture.plot, Qt.Key.Key_Down)
    assert picture.selection.value == Selected(column=2, kind=1)  # no embeddings in layer 1


def test_n_is_not_offered_for_cells_without_tensors(shown) -> None:
    picture = shown(ResamplingPicture)
    picture.set_resamples(1)
    assert picture.use_button.isVisible()
    picture.selection.set(Selected(column=0, kind=1))
    assert not picture.use_button.isVisible()


def test_cells_without_parameters_are_told_of(qtbot: QtBot) -> None:
    grid = LayerGrid.of([QUERY.format(0), "extra.empty"])
    tally = MergeTally(MergeName("parameter_selection", 0, 7), grid, equal_weights=True)
    for name, elements in ((QUERY.format(0), 4), ("extra.empty", 0)):
        counts = (elements, elements), (elements, 0, 0), (elements,), (elements, 0)
        tally.add(TensorRecord(name, (elements,), "BF16", "merged", elements, *counts, (0, 0, 0), ""))
    found = tally.added_to(Findings(("a", "b"), "base", grid, True))
    column, kind = grid.cell_of["extra.empty"]
    for picture in (ZeroDeltasPicture(Selection()), ProvenancePicture(Selection())):
        qtbot.addWidget(picture)
        picture.show_numbers(Shown(found))
        picture.draw_now()
        picture.selection.select(column=column, kind=kind)
        picture.refresh()
        picture.draw_now()
        assert picture.read_out.text().endswith(": there are no parameters.")


def test_numbers_that_are_not_there_leave_the_clipboard_alone(shown) -> None:
    QGuiApplication.clipboard().setText("mine")
    picture = shown(MagnitudePicture, None)
    copy_numbers(picture)
    assert QGuiApplication.clipboard().text() == "mine"
    assert picture.read_out.text() == "There are no numbers to copy."


def test_long_names_of_modules_are_shortened(qtbot: QtBot) -> None:
    from gui.pictures.scales import share_scale

    plot = HeatMap("Map", "Layer")
    qtbot.addWidget(plot)
    plot.resize(600, 400)
    values = np.array([[1.0, 2.0]])
    plot.show_cells(values, ["0"], ["vision_tower.patch_embedding." * 4, "b"], share_scale(values, "%"))
    ticks = plot.getPlotItem().getAxis("left")._tickLevels[0]
    assert "…" in ticks[0][1]
    assert plot.getPlotItem().getAxis("left").width() < 220
