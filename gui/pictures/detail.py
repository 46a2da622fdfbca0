"""Everything that is known of what is selected: numbers, overlap, and where in the matrix the deltas are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QLabel,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from core.deltas.findings import Findings, Part
from core.deltas.tensor_view import TensorView
from core.units import bytes_text, share_text
from gui.messages import ElidedLabel
from gui.pictures.columns_plot import ColumnsPlot
from gui.pictures.detail_model import Column, DetailModel, DetailView, rows_of
from gui.pictures.detail_text import summary_of, tiles_table
from gui.pictures.heat_map import HeatMap
from gui.pictures.picture import Picture, choice
from gui.pictures.scales import share_scale
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.text import grouped
from gui.theme import GRID, accent_of, secondary

__all__ = ["DetailPicture"]

_CHOOSE = "Choose one tensor to see where its deltas are."

_MOST_TENSORS = 1000
"""More are not offered one by one: select a layer or a cell first."""


class DetailPicture(Picture):
    """The selected cells, or everything; one tensor of them where it is chosen.

    Attributes:
        tensor_field: the tensors of the selected cells.
        table: numbers of each sub-model. overlap_plot: changed by m of K. map_plot: where the deltas are.

    Signals:
        view_wanted(str): every element of the tensor with this name is to be looked at; "" for none.
        view_insisted(str): the same, however long it takes.
    """

    file_name = "detail"
    title = "All modules"

    view_wanted = Signal(str)
    view_insisted = Signal(str)

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self._view: TensorView | None = None
        self._wanted = ""
        self._said = ""
        self._in_front = True
        self.tensor_field = choice("Which tensor is shown", [])
        self.tensor_field.setSizeAdjustPolicy(
            self.tensor_field.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.tensor_field.setMinimumContentsLength(28)
        self.controls.addWidget(self.tensor_field)
        self._model = DetailModel()
        self.table = DetailView(self._model)
        self.overlap_plot = ColumnsPlot("Changed by m of K", "%")
        self._bars = pg.BarGraphItem(x=[], height=[], width=0.8)
        self.overlap_plot.addItem(self._bars)
        self.map_plot = HeatMap("Column", "Row")
        self._offer = QLabel()
        self._offer.setWordWrap(True)
        self._offer.setAlignment(Qt.AlignmentFlag.AlignCenter)
        secondary(self._offer)
        self.look_button = QPushButton("Look at every element")
        self.tell(_CHOOSE)
        offer = QWidget()
        column = QVBoxLayout(offer)
        column.addStretch(1)
        column.addWidget(self._offer)
        column.addWidget(self.look_button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        where = QWidget()
        self._where = QStackedLayout(where)
        self._where.addWidget(offer)
        self._where.addWidget(self.map_plot)
        self._summary = ElidedLabel()
        secondary(self._summary)
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.replaceWidget(self.explanation, self._summary)
        self.explanation.hide()
        self.read_out.hide()  # the summary gives way to it: a low dock has no room for both
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(GRID)
        for part, width in ((self.table, 400), (self.overlap_plot, 190), (where, 250)):
            splitter.addWidget(part)
            part.setMinimumWidth(width // 2)
        splitter.setSizes([400, 190, 250])
        body = QVBoxLayout(self.body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(splitter)
        self.tensor_field.activated.connect(self._on_tensor_chosen)
        self.look_button.clicked.connect(lambda: self.view_insisted.emit(self._wanted))
        self.overlap_plot.pointed.connect(self._on_overlap_pointed)
        self.map_plot.pointed.connect(self._on_tile_pointed)
        for plot in (self.overlap_plot, self.map_plot):
            plot.cleared.connect(selection.clear)
        self.table.clicked.connect(lambda index: selection.select(model=index.row()))

    def draw(self) -> None:
        findings = self.findings
        if findings is None or not findings.grid.columns:
            self.say("Nothing is known yet.")
            return
        self.say("")
        selected = self.selection.value
        part = findings.part(selected.column, selected.kind)
        self._offer_tensors(part)
        self._want()
        shown = self._shown(findings, part)
        self.set_title(f"{part.place[:1].upper()}{part.place[1:]}")
        if self._model.show_rows(rows_of(findings.models, shown)):
            self.table.resizeColumnToContents(Column.NAME)
        if selected.model is None:
            self.table.clearSelection()
        else:
            self.table.selectRow(selected.model)
        self._said = summary_of(shown, self._view_of_wanted)
        self._say("")
        self._draw_overlap(shown)
        self._draw_map()

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None or not findings.grid.columns:
            return []
        selected = self.selection.value
        shown = self._shown(findings, findings.part(selected.column, selected.kind))
        headings = ["sub-model", "zero deltas", "taken", "relative norm", "norm", "mean |τ|", "largest |τ|"]
        tables = [
            Table(
                self.file_name,
                ["where", *headings, "not finite"],
                [[shown.place, *astuple(row)] for row in rows_of(findings.models, shown)],
            )
        ]
        if shown.counts is not None:
            overlap = zip(shown.counts.changed_by.value, shown.counts.changed_by.error, strict=True)
            tables.append(
                Table(
                    f"{self.file_name}-overlap",
                    ["where", "changed by", "share", "error"],
                    [[shown.place, m, share, error] for m, (share, error) in enumerate(overlap)],
                )
            )
        view = self._view_of_wanted
        if view is not None:
            tables.append(tiles_table(f"{self.file_name}-tiles", view, findings.models))
        return tables

    def reset_view(self) -> None:
        self.map_plot.reset_view()
        self.overlap_plot.reset_view()

    def recolour(self) -> None:
        self.overlap_plot.recolour()
        self.map_plot.recolour()
        self._bars.setOpts(brush=accent_of(self.palette()), pen=None)

    @property
    def can_be_seen(self) -> bool:
        return self._in_front and self.isVisible()

    # -- what the window tells

    @Slot(bool)
    def set_in_front(self, in_front: bool) -> None:
        """Whether other docks lie in front of this one; Qt takes it for visible then, too."""
        self._in_front = in_front
        if in_front:
            self.draw_now()

    @Slot(object)
    def show_view(self, view: TensorView) -> None:
        """More is known of where in a matrix the deltas are."""
        self._view = view
        self.refresh()

    @Slot(str)
    def tell(self, text: str) -> None:
        """There is no map, and why."""
        self._offer.setText(text)
        self.look_button.hide()

    @Slot(object)
    def offer_to_look(self, size_bytes: int) -> None:
        """It takes a while to read so much: ask first."""
        self._offer.setText(f"Where its deltas are is found by reading {bytes_text(size_bytes)}.")
        self.look_button.show()

    # -- which tensor

    def _offer_tensors(self, part: Part) -> None:
        field = self.tensor_field
        names = list(part.tensors)
        if len(names) != 1:
            names = [f"all {grouped(len(names))} tensors", *(names if len(names) <= _MOST_TENSORS else ())]
        if [field.itemText(at) for at in range(field.count())] != names:
            field.clear()
            field.addItems(names)
            field.setToolTip("Which tensor is shown")

    def _want(self) -> None:
        """Ask for the tensor that is chosen now."""
        name = self.tensor_field.currentText()
        wanted = name if self.findings is not None and name in self.findings.grid.cell_of else ""
        if wanted != self._wanted:
            self._wanted = wanted
            self._view = None
            self.tell("" if wanted else _CHOOSE)
            self.view_wanted.emit(wanted)

    @property
    def _view_of_wanted(self) -> TensorView | None:
        return self._view if self._view is not None and self._view.name == self._wanted else None

    def _shown(self, findings: Findings, part: Part) -> Part:
        """The best that is known of the chosen tensor, or of all."""
        if not self._wanted:
            return part
        known = findings.part_of_tensor(self._wanted)
        view = self._view_of_wanted
        if view is None or view.statistics is None:
            return known
        exact = view.statistics
        predicted = exact.zero_after_draw if findings.equal_weights else known.predicted
        return Part(known.place, known.tensors, exact.counts, exact, predicted, known.drawn)

    @Slot()
    def _on_tensor_chosen(self) -> None:
        self.refresh()

    # -- how it looks

    def _draw_overlap(self, part: Part) -> None:
        if part.counts is None:
            self._bars.setOpts(x=[], height=[])
            return
        shares = np.nan_to_num(100 * part.counts.changed_by.value)
        self.overlap_plot.show_columns([str(m) for m in range(len(shares))])
        self._bars.setOpts(x=np.arange(len(shares)), height=shares)
        self.overlap_plot.fit(max(1.0, 1.1 * float(shares.max())))

    def _draw_map(self) -> None:
        view = self._view_of_wanted
        if view is None or not view.changed.size:
            self._where.setCurrentIndex(0)
            return
        self._where.setCurrentIndex(1)
        model = self.selection.value.model
        changed = view.share.mean(axis=0) if model is None else view.share[model]
        zero = 100 * (1 - changed.T)
        self.map_plot.show_cells(
            zero,
            [str(column) for column in view.columns[:-1]],
            [str(row) for row in view.rows[:-1]],
            share_scale(zero, "% zero"),
        )

    def _say(self, text: str) -> None:
        """Read out what is pointed at, or else the summary."""
        self._summary.set_full_text(text or self._said)
        self.setAccessibleDescription(text or self._said)

    @Slot(object)
    def _on_overlap_pointed(self, point: tuple[int, float] | None) -> None:
        findings = self.findings
        if findings is None or point is None:
            self._say("")
            return
        selected = self.selection.value
        counts = self._shown(findings, findings.part(selected.column, selected.kind)).counts
        if counts is not None:
            m = point[0]
            share = share_text(float(counts.changed_by.value[m]))
            who = "by no sub-model" if m == 0 else f"by exactly {m} of {counts.models}"
            self._say(f"{share} of the parameters were changed {who}")

    @Slot(object)
    def _on_tile_pointed(self, tile: tuple[int, int] | None) -> None:
        view = self._view_of_wanted
        if view is None or tile is None:
            self._say("")
            return
        column, row = tile
        rows, columns = view.rows[row : row + 2], view.columns[column : column + 2]
        share = float(self.map_plot.values[column, row]) / 100
        known = f"{share_text(share)} zero deltas" if np.isfinite(share) else "not read yet"
        self._say(
            f"Rows {grouped(int(rows[0]))} to {grouped(int(rows[1]) - 1)}, "
            f"columns {grouped(int(columns[0]))} to {grouped(int(columns[1]) - 1)}: {known}"
        )
