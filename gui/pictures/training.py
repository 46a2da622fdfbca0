"""What the training left: losses by place in the first epoch, and by training step (arXiv:2410.03743)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QWidget

from core.evaluate.verdict.comparison import signed
from core.study.values import Curve, Study
from core.text import one_line
from gui.pictures.figures import FIGURES, Figure
from gui.pictures.legend import Legend
from gui.pictures.named import Named
from gui.pictures.picture import Picture, choice
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.widgets.theme import model_colour
from gui.words import grouped

if TYPE_CHECKING:
    from gui.pictures.curves_plot import DrawnCurve

__all__ = ["TrainingPicture"]

_EMPTY = (
    "Does the order of samples matter? Make sub-models (Models, Make sub-models…), run `paramosaic study` on "
    "them, and open what it wrote: Merge, Open a study…"
)
_NO_CURVES = (
    "This study has no curves: they need sub-models that “Make sub-models…” made, and for the losses by "
    "place also the file that was trained on."
)


class TrainingPicture(Picture):
    """One of the figures of a study.

    Attributes:
        named: the models that are marked.
        figure_field: which figure.
        plot: the curves. legend: whose they are.
    """

    title = "What the training left"
    needs_models = False

    def __init__(self, selection: Selection, named: Named, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self.named = named
        self._study: Study | None = None
        self._curves: dict[str, tuple[Curve, ...]] = {}
        self._others = True
        self._how = ""
        self.figure_field = choice("Figure", [])
        self.figure_field.hide()
        self.controls.addWidget(self.figure_field)
        self.figure_field.activated.connect(self._on_figure)
        named.changed.connect(self.refresh)

    def build(self) -> None:
        from gui.pictures.curves_plot import CurvesPlot

        self.plot = CurvesPlot()
        self.legend = Legend(stays=True)
        self.fill(self.plot, self.legend)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(self._on_cleared)
        self.plot.labels_fitted.connect(self._explain)

    # -- what the window tells

    @property
    def file_name(self) -> str:  # type: ignore[override]
        """That of the figure that is shown."""
        figure = self._figure
        return figure.file_name if figure is not None else "training"

    @property
    def in_use(self) -> bool:
        return self._study is not None

    @property
    def source(self) -> str:
        study = self._study
        if study is None:
            return ""
        data = (study.data.get("training" if self.file_name != "steps" else "validation") or {}).get("name")
        told = (data, study.machine, study.time_text)
        return one_line("; ".join(str(part) for part in told if part))

    def show_study(self, study: Study) -> None:
        """Show a study from now on."""
        self._study, self._others = study, True
        self._curves = {figure.file_name: figure.curves(study) for figure in FIGURES}
        self.figure_field.clear()
        for figure in FIGURES:
            if self._curves[figure.file_name]:
                self.figure_field.addItem(figure.name, figure)
        self.figure_field.setVisible(self.figure_field.count() > 1)
        listed = [self.figure_field.itemData(at) for at in range(self.figure_field.count())]
        telling = (at for at, figure in enumerate(listed) if figure.tells_apart)
        self.figure_field.setCurrentIndex(next(telling, 0))
        self.refresh()

    def choose(self, name: str) -> bool:
        """Show the figure with this file name; False where the study has none of its curves."""
        for at in range(self.figure_field.count()):
            if self.figure_field.itemData(at).file_name == name:
                self.figure_field.setCurrentIndex(at)
                self._on_figure()
                return True
        return False

    # -- the picture

    def draw(self) -> None:
        study, figure = self._study, self._figure
        if study is None or figure is None:
            self.say(_EMPTY if study is None else " ".join((_NO_CURVES, *_reasons(study))))
            return
        self.say("")
        self.set_title(figure.title)
        drawn = self._drawn()
        anchor = next((one.curve.label for one in drawn if one.curve.role == "anchor"), "the anchor")
        self.plot.show_curves(
            drawn,
            figure.x_label.format(anchor=anchor),
            figure.y_label.format(unit=study.unit),
            anew=self._others,
        )
        self._others = False
        marked = self._marked(drawn)
        self.plot.mark(marked)
        self.legend.show_entries(
            [("×" if one.crosses else "■", one.curve.label, one.colour) for one in drawn], marked
        )
        self._how = figure.how.format(anchor=anchor)
        self._explain()
        self.read_out.reserve_for(self._said())
        self._source.setText(self.source)
        self._on_pointed(None)

    def tables(self) -> Sequence[Table]:
        figure = self._figure
        if self._study is None or figure is None:
            return []
        rows = [
            [curve.label, curve.role, *numbers]
            for curve in self._curves[figure.file_name]
            for numbers in zip(curve.x, curve.mean, curve.low, curve.high, strict=True)
        ]
        x = "step" if figure.field == "steps" else "place"
        return [Table(self.file_name, ["model", "role", x, "loss", "low", "high"], rows)]

    def reset_view(self) -> None:
        self.plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()

    # -- inside

    @property
    def _figure(self) -> Figure | None:
        figure = self.figure_field.currentData()
        return figure if isinstance(figure, Figure) else None

    def _drawn(self) -> list[DrawnCurve]:
        """Each in the colour of its order; the merge in that of text, which none of them has, and what is of
        none of them in a quiet one."""
        from gui.pictures.curves_plot import DrawnCurve

        study, figure = self._study, self._figure
        if study is None or figure is None:
            return []
        colours = self.palette()
        result = []
        order = 0
        for curve in self._curves[figure.file_name]:
            if curve.role in ("merge", "mean"):
                colour = colours.color(QPalette.ColorRole.Text)
            elif curve.role == "base" or not self._is_model(curve.label):
                colour = colours.color(QPalette.ColorRole.PlaceholderText)
            else:
                colour, order = QColor(model_colour(order, colours)), order + 1
            result.append(DrawnCurve(curve, colour, crosses=curve.role == "sub-model"))
        return result

    def _marked(self, drawn: Sequence[DrawnCurve]) -> frozenset[int]:
        return frozenset(at for at, one in enumerate(drawn) if one.curve.label in self.named.value)

    @Slot()
    def _explain(self) -> None:
        """How to read it, and what the upright axis is where it has no room to say so."""
        unsaid = self.plot.unsaid()
        self.explanation.setText(f"Upward: {unsaid}. {self._how}" if unsaid else self._how)

    @Slot()
    def _on_figure(self) -> None:
        self._others = True
        self.refresh()

    @Slot(object)
    def _on_pointed(self, thing: tuple[int, int] | None) -> None:
        if self._study is None or self.sentence:
            return
        self.read(self._text_of(*thing) if thing is not None else self._said())

    @Slot(object)
    def _on_chosen(self, thing: tuple[int, int]) -> None:
        self.plot.point_out(thing)
        label = self.plot.curves[thing[0]].curve.label
        if self._is_model(label):
            self.named.set(frozenset({label}))
        self._on_pointed(thing)

    @Slot()
    def _on_cleared(self) -> None:
        self.plot.leave()
        self.selection.clear()
        self.named.clear()

    def _is_model(self, label: str) -> bool:
        """Whether a curve is that of one model of the table, and not a mean over some."""
        return self._study is not None and any(label in row.members for row in self._study.rows)

    def _said(self) -> str:
        """What the figure shows, where nothing is pointed at."""
        study, figure = self._study, self._figure
        if study is None or figure is None:
            return ""
        return study.imbalance if figure.field != "steps" else study.sentence

    def _text_of(self, number: int, at: int) -> str:
        study, figure, curve = self._study, self._figure, self.plot.curves[number].curve
        if study is None or figure is None:
            return ""
        place = figure.place.format(grouped(round(curve.x[at])))
        low, mean, high = curve.low[at], curve.mean[at], curve.high[at]
        if figure.beside:
            change = f"{signed(mean, 4)} {study.unit}"
            band = f" (95 % from {signed(low, 4)} to {signed(high, 4)})" if low < high else ""
            return f"{curve.label}, {place}: {change} beside {figure.beside}{band}"
        band = f" (95 % from {low:.4f} to {high:.4f})" if low < high else ""
        return f"{curve.label}, {place}: loss {mean:.4f}{band}"


def _reasons(study: Study) -> list[str]:
    """What the study itself says on why curves are left out."""
    notes = (one_line(note) for note in study.notes if "left out" in note or "order is not known" in note)
    return [f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in notes][:2]
