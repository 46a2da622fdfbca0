"""What a merge dropped and elected against, in the pictures and in what is exported of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file

from core import load_recipe, parse_recipe, plan_merge, run_merge
from core.deltas.findings import Findings, MergeName, findings_of_record
from core.methods import METHODS
from core.units import share_text
from gui.pictures.detail_model import rows_of
from gui.pictures.detail_text import summary_of, tables_of
from gui.pictures.provenance import ProvenancePicture
from gui.pictures.resampling import ResamplingPicture
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown
from gui.pictures.zero_deltas import ZeroDeltasPicture

RUNS = ("run-1", "run-2", "run-3")
UP = "model.layers.1.mlp.up_proj.weight"
DENSITY, WEIGHTS = 0.1, (1.0, 1.0, -1.5)


@pytest.fixture(scope="module")
def findings(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Of a merge that keeps the largest and elects a sign, to which all but one sub-model add alike."""
    folder = tmp_path_factory.mktemp("ties")
    entries = "".join(
        f"  - model: {models / name}\n    parameters: {{weight: {weight}}}\n"
        for name, weight in zip(RUNS, WEIGHTS, strict=True)
    )
    (folder / "ties.yaml").write_text(
        f"merge_method: ties\nbase_model: {models / 'base'}\nmodels:\n{entries}"
        f"parameters: {{density: {DENSITY}}}\n"
    )
    recipe = load_recipe(folder / "ties.yaml")
    found = findings_of_record(run_merge(plan_merge(recipe), folder / "out"))
    assert found is not None
    assert found.counted is not None
    assert found.counted.name == MergeName.of_recipe(recipe)
    return found


@pytest.fixture(scope="module")
def expected(models: Path) -> tuple[list[int], list[int]]:
    """What is dropped of each sub-model's `UP` and elected against, counted by numpy."""

    def tensor(name: str) -> np.ndarray:
        return load_file(models / name / "model.safetensors")[UP].float().numpy().ravel()

    taus = np.stack([tensor(name) - tensor("base") for name in RUNS])
    kept = np.zeros(taus.shape, bool)
    for tau, mask in zip(taus, kept, strict=True):
        order = np.lexsort((np.arange(tau.size), -np.abs(tau)))
        mask[order[: max(1, int(DENSITY * tau.size))]] = True
    left = np.where(kept, taus, 0) * np.array(WEIGHTS, np.float32)[:, None]
    positive = left.sum(axis=0) >= 0
    against = (left != 0) & ((left > 0) != positive)
    return ((taus != 0) & ~kept).sum(axis=1).tolist(), against.sum(axis=1).tolist()


def test_the_detail_has_the_counts_of_a_tensor(
    findings: Findings, expected: tuple[list[int], list[int]]
) -> None:
    dropped, against = expected
    assert sum(dropped) > 0
    assert sum(against) > 0
    part = findings.part_of_tensor(UP)
    size = 48 * 16
    rows = rows_of(findings.models, part)
    assert [(row.dropped, row.against) for row in rows] == [
        (one / size, other / size) for one, other in zip(dropped, against, strict=True)
    ]
    assert [row.taken for row in rows] == [None] * 3
    merge = Shown(findings).merge
    share = share_text(sum(dropped) / (3 * size))
    assert f"merged with TIES, several values of weight, density = 0.1: {share} dropped, " in summary_of(
        part, None, merge
    )
    table = tables_of("detail", part, findings.models, None)[0]
    columns = [table.headings.index(name) for name in ("dropped", "elected against")]
    assert [[row[at] for at in columns] for row in table.rows] == [[row.dropped, row.against] for row in rows]


def test_a_layer_is_the_sum_of_its_tensors(findings: Findings) -> None:
    column = next(at for at, one in enumerate(findings.grid.columns) if one.label == "1")
    parts = [findings.part_of_tensor(name).left_out for name in findings.part(column).tensors]
    total = findings.part(column).left_out
    assert total is not None
    assert len(parts) > 1
    assert total.elements == sum(part.elements for part in parts if part is not None)
    for name in ("dropped", "elected_against"):
        summed = np.sum([getattr(part, name) for part in parts], axis=0)
        assert getattr(total, name).tolist() == summed.tolist()
    column_shares = findings.left_out_share("dropped")[column]
    assert np.isfinite(column_shares).any()


def test_the_map_shows_what_was_left_out_where_a_merge_has(qtbot: QtBot, findings: Findings) -> None:
    picture = ZeroDeltasPicture(Selection())
    qtbot.addWidget(picture)
    picture.resize(820, 480)
    picture.show_numbers(Shown(findings))
    picture.build_now()
    picture.draw_now()
    offered = [picture.what_field.itemText(at) for at in range(picture.what_field.count())]
    assert offered == ["Dropped", "Elected against"]  # nothing is known of zero deltas
    cell = findings.grid.cell_of[UP]
    total = findings.part().left_out
    assert total is not None
    assert total.dropped_share is not None
    share = share_text(float(total.dropped_share.mean()))
    assert picture.read_out.text().startswith(f"All modules: {share} dropped, ")
    picture.what_field.setCurrentIndex(1)
    picture.refresh()
    picture.draw_now()
    assert picture.text_of_cell(*cell).startswith("Layer 1 · mlp up: ")
    assert "elected against" in picture.text_of_cell(*cell)
    (table,) = picture.tables()
    row = next(row for row in table.rows if list(row[:2]) == ["1", "mlp up"])
    part = findings.part_of_tensor(UP).left_out
    assert part is not None
    assert part.dropped is not None
    assert part.elected_against is not None
    assert list(row[2:]) == [768, *(part.dropped / 768), *(part.elected_against / 768)]


def test_a_merge_is_named_after_what_is_set_of_it(models: Path) -> None:
    one = f"merge_method: task_vectors\nbase_model: {models}/base\nmodels: [{{model: {models}/run-1}}]\n"
    names = []
    for parameters in (
        "sparsify: random, density: 0.5, gamma: 0.2",
        "elect: mass",
        "combine: selection, resamples: [0, 3]",
    ):
        recipe = parse_recipe(yaml.safe_load(f"{one}seed: 3\nparameters: {{{parameters}}}"), models)
        names.append(str(MergeName.of_recipe(recipe)))
    title = METHODS["task_vectors"].title
    assert names == [
        f"{title}, random, density = 0.5, seed 3",  # what has no effect is not said
        f"{title}, mass",
        f"{title}, selection, several values of n, seed 3",
    ]


def test_where_no_sub_model_is_drawn_it_is_said(qtbot: QtBot, findings: Findings) -> None:
    bars, curve = ProvenancePicture(Selection()), ResamplingPicture(Selection())
    for picture in (bars, curve):
        qtbot.addWidget(picture)
        picture.build_now()
        picture.set_method("TIES", draws=False)
        picture.show_numbers(Shown(findings))
        picture.draw_now()
    assert "taken from none of them" in bars.sentence
    assert "merge with TIES, several values of weight, density = 0.1" in bars.sentence
    assert not bars.tables()
    bars.set_method("DARE, linear", draws=False, drops=True)
    bars.show_numbers(Shown())
    bars.draw_now()
    assert "“DARE, linear” draws only what it drops" in bars.sentence
