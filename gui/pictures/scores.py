"""What models are worth: differences to a reference with their intervals, and the samples that changed."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from core.study.values import Study
from gui.pictures.changed_samples import ChangedSamples
from gui.pictures.evaluated import Evaluation
from gui.pictures.forest_rows import is_far
from gui.pictures.named import Named
from gui.pictures.picture import Picture, choice
from gui.pictures.scored import Scored, of_evaluation, of_study
from gui.pictures.scored_tables import tables_of
from gui.pictures.scored_texts import forest_row, how_to_read, order_of, sample_text, samples_text
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.widgets.theme import GRID, secondary
from gui.widgets.wrapped import WrappedLabel

__all__ = ["ScoresPicture"]

_EMPTY = (
    "Which merge helps? Evaluate models on a file of yours in the panel “Evaluate” below, or open what "
    "`paramosaic study` wrote: Merge, Open a study…"
)
_NOT_YET = (
    "There is nothing to compare yet: as soon as the reference and another model are scored, it is here."
)
_AS_GIVEN, _BY_DIFFERENCE = "As given", "By difference"
_NEAR, _WHOLE = "Near zero", "Whole scale"
_MODELS, _SAMPLES = "Models", "Samples"
_USUAL_LINES = 2
"""Of what is said below."""
_AROUND, _LEAST_SAMPLES = 20 * GRID, 14 * GRID
"""Heights: of everything beside rows and samples, and of a few samples. Where these and the rows have no room
together, one of the two is seen."""


class ScoresPicture(Picture):
    """A forest plot of a study or of an evaluation, and below it the samples of the model that is marked.

    Attributes:
        named: the models that are marked.
        of_field: what is shown, where there is a study and an evaluation. order_field: of the rows.
        part_field: whether models or samples are seen, in a low picture.
        scale_field: whether what is far from zero is left out; where that makes a difference.
        plot: the forest. samples: the table below it.
    """

    file_name = "scores"
    title = "Does it help?"
    needs_models = False

    def __init__(self, selection: Selection, named: Named, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self.named = named
        self._study: Scored | None = None
        self._evaluation: Scored | None = None
        self._of_study = self._wanted = False
        self._marked: int | None = None
        self._explained = "", ""
        self._only_samples = False
        self.of_field = choice("What is shown", [])
        self.of_field.setMaximumWidth(28 * GRID)
        self.of_field.hide()
        self.order_field = choice("Order of the rows", [_AS_GIVEN, _BY_DIFFERENCE])
        self.scale_field = choice("Scale", [_NEAR, _WHOLE])
        self.scale_field.hide()
        self.part_field = choice("What is seen", [_MODELS, _SAMPLES])
        self.part_field.hide()
        for field in (self.part_field, self.of_field, self.order_field, self.scale_field):
            self.controls.addWidget(field)
            field.activated.connect(self.refresh)
        self.of_field.activated.connect(self._on_other)
        named.changed.connect(self.refresh)

    def build(self) -> None:
        from gui.pictures.forest_plot import ForestPlot
        from gui.pictures.row_scroll import beside_scroll

        self.plot = ForestPlot()
        self.samples = ChangedSamples()
        self._samples_title = WrappedLabel(lines=1)
        secondary(self._samples_title)
        self._below = QWidget()
        column = QVBoxLayout(self._below)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID // 2)
        column.addWidget(self._samples_title)
        column.addWidget(self.samples, 1)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.setHandleWidth(GRID)
        self._rows = beside_scroll(self.plot)
        parts.addWidget(self._rows)
        parts.addWidget(self._below)
        parts.setStretchFactor(0, 3)
        parts.setStretchFactor(1, 2)
        self._parts = parts
        self.fill(parts)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(self._on_cleared)
        self.plot.labels_fitted.connect(self._explain)
        self.samples.selectionModel().selectionChanged.connect(self._on_sample)
        self._fit()

    # -- what the window tells

    @property
    def in_use(self) -> bool:
        return self._scored is not None

    @property
    def compares(self) -> bool:
        """Whether there are models to be compared."""
        return self._scored is not None and len(self._scored.rows) > 1

    @property
    def source(self) -> str:
        return self._scored.source if self._scored is not None else ""

    def show_study(self, study: Study, name: str = "") -> None:
        """Show a study from now on; `name` is that of its folder."""
        self._study, self._of_study, self._wanted = of_study(study, name), True, False
        self._on_others()

    @Slot(object)
    def show_evaluation(self, evaluation: Evaluation | None) -> None:
        """Know what an evaluation found; it takes the place of a study as soon as it compares something."""
        compared = evaluation is not None and bool(evaluation.comparisons)
        if compared and (self._wanted or self._evaluation is None or len(self._evaluation.rows) < 2):
            self._of_study = self._wanted = False
        self._evaluation = of_evaluation(evaluation) if evaluation is not None else None
        self._on_others()

    @Slot()
    def prefer_evaluation(self) -> None:
        """An evaluation was started: it takes the place of a study, once it compares something."""
        if self._evaluation is not None and len(self._evaluation.rows) > 1:
            self._of_study = False
            self._on_others()
        else:
            self._wanted = True

    @property
    def has_far(self) -> bool:
        """Whether some rows are so far from zero that others can hardly be told from it."""
        scored = self._scored
        return scored is not None and is_far([forest_row(scored, row) for row in scored.rows])

    def show_scale(self, *, whole: bool) -> None:
        """Show the scale that has these too, or the one around zero that leaves them out."""
        self.scale_field.setCurrentText(_WHOLE if whole else _NEAR)
        self.refresh()

    # -- the picture

    def draw(self) -> None:
        scored = self._scored
        rows = scored.rows if scored is not None else ()
        for field in (self.order_field, self.scale_field, self.part_field):
            field.hide()
        if scored is None or len(rows) < 2:
            self.say(_EMPTY if scored is None else _NOT_YET)
            return
        self.say("")
        drawn = [forest_row(scored, row) for row in rows]
        near = self.has_far and self.scale_field.currentText() == _NEAR
        by_difference = self.order_field.currentText() == _BY_DIFFERENCE
        self._marked = self._row_of(self.named.value)
        self.plot.show_rows(
            drawn,
            order_of(scored, by_difference=by_difference),
            f"difference to {scored.reference}, {scored.unit}",
            near=near,
        )
        self.plot.mark(self._marked)
        self._explained = how_to_read(scored, near=near)
        self._show_samples()
        self.read_out.reserve_for(scored.sentence)
        self._fit(printing=self._printing)
        self._source.setText(self.source)
        self._on_pointed(None)

    def tables(self) -> Sequence[Table]:
        scored = self._scored
        if scored is None or not scored.rows:
            return []
        return tables_of(scored, self._marked, self.file_name)

    def reset_view(self) -> None:
        self.plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()

    def set_printing(self, printing: bool) -> None:
        if self.built:
            self._parts.setHandleWidth(0 if printing else GRID)
            self.samples.set_printing(printing)
            self._fit(printing=printing)
        super().set_printing(printing)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.built:
            self._fit(printing=self._printing)

    # -- inside

    @property
    def _scored(self) -> Scored | None:
        first, other = self._study, self._evaluation
        if not self._of_study:
            first, other = other, first
        return first if first is not None else other

    def _on_others(self) -> None:
        both = [one.name for one in (self._study, self._evaluation) if one is not None]
        self.of_field.clear()
        self.of_field.addItems(both)
        self.of_field.setVisible(len(both) > 1)
        self.of_field.setCurrentIndex(0 if self._of_study else len(both) - 1)
        self.refresh()

    @Slot(int)
    def _on_other(self, number: int) -> None:
        self._of_study = number == 0 and self._study is not None
        self.refresh()

    def _row_of(self, names: frozenset[str]) -> int | None:
        """The row of these models, or else the first that they are among."""
        rows = self._scored.rows if self._scored is not None else ()
        if not names:
            return None
        exact = (at for at, row in enumerate(rows) if row.members == names)
        among = (at for at, row in enumerate(rows) if names <= row.members)
        return next(exact, next(among, None))

    def _show_samples(self) -> None:
        changed = self._scored.changed(self._marked) if self._scored is not None else None
        self.samples.show_samples(changed)
        self._samples_title.setText(samples_text(changed, of_best_only=self._shows_another))

    @property
    def _shows_another(self) -> bool:
        """Whether the samples are not those of the row that is marked: a study has those of one row only."""
        scored, marked = self._scored, self._marked
        return scored is not None and scored.study is not None and marked not in (None, scored.best)

    def _fit(self, *, printing: bool = False) -> None:
        """Models and samples where both have room, or else what is chosen; paper has room."""
        lines = len(self.plot.rows) + max(0, self.read_out.lines - _USUAL_LINES)
        least = lines * self.fontMetrics().lineSpacing() + _AROUND + _LEAST_SAMPLES
        both = printing or self.height() >= least
        self.part_field.setVisible(not both and not self.sentence)
        samples = self.part_field.currentText() == _SAMPLES
        self._rows.setVisible(both or not samples)
        self._below.setVisible(both or samples)
        self._only_samples = samples and not both
        several = len(self.plot.rows) > 1 and not self._only_samples
        self.order_field.setVisible(several)
        self.scale_field.setVisible(several and self.has_far)
        self._explain()

    def _explain(self) -> None:
        """How to read it; in a low picture no more than takes one line."""
        first, rest = self._explained
        if unsaid := self.plot.unsaid("bottom"):
            first += f" Sideways: {unsaid}."
        said = first if self.is_low else first + rest
        self.explanation.setText("" if self._only_samples else said)
        self.explanation.setVisible(not self._only_samples)

    @Slot(object)
    def _on_chosen(self, number: int) -> None:
        if self._scored is not None:
            self.named.set(self._scored.rows[number].members)
        self.samples.clearSelection()
        if number != self._marked:  # of the same models as another row
            self._marked = number
            self.plot.mark(number)
            self._show_samples()
        self._on_pointed(number)

    @Slot()
    def _on_cleared(self) -> None:
        self.samples.clearSelection()
        self.selection.clear()
        self.named.clear()

    @Slot(object)
    def _on_pointed(self, number: int | None) -> None:
        scored = self._scored
        if scored is None or self.sentence:
            return
        sample = self.samples.marked if number is None else None
        number = self._marked if number is None else number
        if sample is not None:
            self.read(sample_text(sample))
        elif number is not None and number < len(scored.rows):
            self.read(scored.rows[number].told)
        elif scored.sentence:
            self.read(scored.sentence)
        else:
            self.read(scored.rows[scored.best].told if scored.best is not None else "")

    @Slot()
    def _on_sample(self) -> None:
        sample = self.samples.marked
        if sample is None:
            self._on_pointed(None)
        else:
            self.read(sample_text(sample))
