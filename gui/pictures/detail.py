"""Everything that is known of what is selected: numbers, pictures, and where in the matrix the deltas are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLayout, QWidget

from core.deltas.findings import Findings, Part
from core.deltas.tensor_view import TensorView
from core.text import one_line
from gui.pictures.detail_model import DetailModel, DetailView, rows_of
from gui.pictures.detail_parts import PART_PLOTS, DetailParts
from gui.pictures.detail_text import summary_of, tables_of
from gui.pictures.picture import Picture, choice
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.pictures.texts import capital, nothing_there
from gui.widgets.theme import GRID
from gui.words import grouped

__all__ = ["DetailPicture"]

_CHOOSE = "Choose one tensor to see where its deltas are."

_MOST_TENSORS = 1000
"""More are not offered one by one: select a layer or a cell first."""

_NOTHING = "The numbers of what you select in a picture are here, as soon as the models were looked at."

_LEAST_SIZE = 40 * GRID, 16 * GRID

_NARROW = 72 * GRID
"""Of less width, the fields stand below the heading."""

_LOW = 24 * GRID
"""Of less height, the fields stay beside the heading at every width, and the summary has one line."""

_MOST = (1 << 24) - 1
"""Pixels; Qt's QWIDGETSIZE_MAX."""

_NAME_LENGTH = 28
"""Characters of a tensor's name that can be read; fewer where it is narrow."""

_PRINTED_PLOT = 380
_PRINTED_HEIGHT = 480


class DetailPicture(Picture):
    """The selected cells, or everything; one tensor of them where it is chosen.

    Attributes:
        tensor_field: the tensors of the selected cells. plot_field: which of the plots is shown.
        table: numbers of each sub-model. plots: the pictures of them. map: where the deltas are.

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
        self.tensor_field.setMinimumContentsLength(_NAME_LENGTH)
        self.plot_field = choice("Which picture is shown", PART_PLOTS)
        self.controls.addWidget(self.tensor_field)
        self.controls.addWidget(self.plot_field)
        layout = self.layout()
        assert layout is not None
        layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)  # see minimumSizeHint
        self.explanation.set_growing(False)
        self.read_out.hide()  # the explanation gives way to it: a low dock has no room for both
        self._controls.hide()  # until there is something to be chosen
        self.tensor_field.activated.connect(self.refresh)

    def build(self) -> None:
        from gui.pictures.part_plots import PartPlots
        from gui.pictures.tensor_map import TensorMap

        self._model = DetailModel()
        self.table = DetailView(self._model)
        self.plots = PartPlots()
        self.plots.setCurrentIndex(self.plot_field.currentIndex())
        self.map = TensorMap()
        self.map.say(_CHOOSE)
        self.parts = DetailParts(self.table, self.plots, self.map)
        self.fill(self.parts)
        self.plot_field.currentIndexChanged.connect(self.plots.setCurrentIndex)
        self.table.selectionModel().selectionChanged.connect(self._on_row_selected)
        self.plots.all_shown.connect(self._on_all_shown)
        self.plots.told.connect(self.read)
        self.plots.cleared.connect(self.selection.clear)
        self.map.told.connect(self.read)
        self.map.insisted.connect(lambda: self.view_insisted.emit(self._wanted))
        self.map.plot.cleared.connect(self._on_map_cleared)

    def draw(self) -> None:
        findings = self.findings
        if findings is None or not findings.grid.columns:
            self._forget()
            return
        self.say("")
        self._controls.show()
        selected = self.selection.value
        part = findings.part(selected.column, selected.kind)
        self.set_title(capital(part.place))
        self._offer_tensors(part)
        self._want()
        if not part.tensors:
            self._said = ""
            self.say(nothing_there(part))
            return
        shown = self._shown(findings, part)
        others = self._model.show_rows(rows_of(findings.models, shown))
        self.table.show_columns()
        if others:
            self.table.fit_columns()
        if selected.model is None:
            self.table.clearSelection()
        elif self.table.selected_row != selected.model:
            self.table.selectRow(selected.model)
        view = self._view_of_wanted
        self._said = summary_of(shown, view, self.shown.merge)
        self.plots.show_part(shown, findings.models, selected.model)
        self.map.show_view(view, selected.model)
        self._arrange()
        self.read("")

    def tables(self) -> Sequence[Table]:
        findings = self.findings
        if findings is None or not findings.grid.columns:
            return []
        selected = self.selection.value
        shown = self._shown(findings, findings.part(selected.column, selected.kind))
        return tables_of(self.file_name, shown, findings.models, self._view_of_wanted)

    def reset_view(self) -> None:
        self.map.plot.reset_view()
        self.plots.reset_view()

    def recolour(self) -> None:
        self.plots.recolour()
        self.map.plot.recolour()

    def read(self, text: str) -> None:
        """Say what is pointed at, or else the summary."""
        self.explanation.setText(text or self._said)
        self.setAccessibleDescription(text or self._said)

    @property
    def can_be_seen(self) -> bool:
        return self._in_front and self.isVisible()

    def to_print(self) -> DetailPicture:
        """A copy in which all rows and columns have room."""
        if self.sentence:
            return self
        copy = DetailPicture(self.selection)
        copy.setPalette(self.palette())
        copy.build_now()
        copy.parts.print_beside()
        copy.show_numbers(self.shown)
        copy.draw_now()
        copy.tensor_field.setCurrentText(self.tensor_field.currentText())
        copy._want()
        copy._view = self._view
        copy.plot_field.setCurrentIndex(self.plot_field.currentIndex())
        size = copy.table.size_of_all
        plots: list[QWidget] = [copy.plots]
        if self.map.shows_map:
            plots.append(copy.map)
        copy.table.setMinimumSize(size)
        for plot in plots:
            plot.setMinimumWidth(_PRINTED_PLOT)
        width = size.width() + len(plots) * (_PRINTED_PLOT + GRID) + 4 * GRID
        copy.resize(width, max(size.height() + 12 * GRID, _PRINTED_HEIGHT))
        copy.refresh()
        copy.draw_now()
        return copy

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

    @Slot()
    def forget_view(self) -> None:
        """The models are others: what is known of a tensor is not true of them."""
        self._view = None
        self.refresh()

    @Slot(str)
    def tell(self, text: str) -> None:
        """There is no map, and why."""
        self.map.say(text)
        self._arrange()

    @Slot(object)
    def offer_to_look(self, size_bytes: int) -> None:
        """It takes a while to read so much: ask first."""
        self.map.offer(size_bytes)
        self._arrange()

    def minimumSizeHint(self) -> QSize:
        """What it takes in its narrowest shape, and not in the one that it has."""
        return QSize(*_LEAST_SIZE)

    @property
    def controls_below(self) -> bool:
        """By the size only: which tensor is named in a field must not move it."""
        return self.width() < _NARROW and self.height() >= _LOW

    @property
    def is_low(self) -> bool:
        """Never: the heading names what is selected."""
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow, low = self.width() < _NARROW, self.height() < _LOW
        tall = narrow and self.height() > self.width()
        self.explanation.set_lines(1 if low and narrow else 4 if tall else None)
        length = _NAME_LENGTH // 4 if narrow and low else _NAME_LENGTH // 2 if narrow else _NAME_LENGTH
        self.tensor_field.setMinimumContentsLength(length)
        # Qt keeps its first hint of a least width whatever the length: the heading has room only so.
        self.tensor_field.setMaximumWidth(self.tensor_field.sizeHint().width() if narrow and low else _MOST)

    def _place_controls(self) -> None:
        """There is no heading over nothing: its sentence is all that is said then."""
        super()._place_controls()
        nothing = self.sentence == _NOTHING
        self.explanation.setVisible(not nothing)  # which keeps its lines while it is empty
        if nothing:
            self._heading.hide()

    def _arrange(self) -> None:
        """More or less is shown: give each part its room."""
        if self.built:
            self.parts.set_inviting(not self._wanted)

    def _forget(self) -> None:
        """Say that nothing is known, and keep nothing of what was."""
        self._said, self._wanted, self._view = "", "", None
        self.set_title(self.title)
        self.tensor_field.clear()
        self.tensor_field.setEnabled(False)
        self.view_wanted.emit("")
        self.say(_NOTHING)
        self._controls.hide()  # there is nothing to be chosen

    # -- which tensor

    def _offer_tensors(self, part: Part) -> None:
        field = self.tensor_field
        names = list(part.tensors)
        if len(names) > 1:
            names = [f"all {grouped(len(names))} tensors", *(names if len(names) <= _MOST_TENSORS else ())]
        if [field.itemData(at) for at in range(field.count())] != names:
            field.clear()
            for name in names:
                field.addItem(one_line(name), name)
            field.setToolTip(
                f"Which tensor is shown. {_CHOOSE}" if len(names) > 1 else "Which tensor is shown"
            )
        field.setEnabled(len(names) > 1)

    def _want(self) -> None:
        """Ask for the tensor that is chosen now."""
        name = self.tensor_field.currentData() or ""
        wanted = name if self.findings is not None and name in self.findings.grid.cell_of else ""
        if wanted != self._wanted:
            self._wanted = wanted
            self._view = None
            self.map.say("" if wanted else _CHOOSE)
            self.view_wanted.emit(wanted)

    @property
    def _view_of_wanted(self) -> TensorView | None:
        """What was seen of the chosen tensor of these models."""
        view, findings = self._view, self.findings
        if view is None or findings is None or view.name != self._wanted:
            return None
        return view if len(view.changed) == len(findings.models) else None

    def _shown(self, findings: Findings, part: Part) -> Part:
        """The best that is known of the chosen tensor, or of all."""
        if not self._wanted:
            return part
        known = findings.part_of_tensor(self._wanted)
        view = self._view_of_wanted
        if view is None or view.statistics is None:
            return known
        exact = view.statistics
        predicted = exact.without_draws.zero_after_draw if findings.equal_weights else known.predicted
        return replace(known, counts=exact.counts, details=exact, predicted=predicted)

    # -- keys and pointer

    @Slot(bool)
    def _on_all_shown(self, all_shown: bool) -> None:
        """There is nothing to be chosen where all plots are shown."""
        self.plot_field.setVisible(not all_shown)

    @Slot()
    def _on_row_selected(self) -> None:
        row = self.table.selected_row
        if row is not None:
            self.selection.select(model=row)

    @Slot()
    def _on_map_cleared(self) -> None:
        self.map.leave()
        self.read("")
        self.selection.clear()
