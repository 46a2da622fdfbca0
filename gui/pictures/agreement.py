"""Whether the sub-models agree: cosines and signs of their task vectors, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Slot
from PySide6.QtWidgets import QToolButton, QWidget

from core.deltas.findings import Part
from core.deltas.measures import order_by_similarity
from core.deltas.statistics import DeltaStatistics
from core.run.no_ops import orthogonal
from core.units import share_text
from gui.pictures.agreement_scale import likeness_scale, likeness_text, signs_scale
from gui.pictures.picture import Picture, choice
from gui.pictures.selection import Selection
from gui.pictures.table import Table
from gui.pictures.texts import capital, nothing_there, pair_text, too_many_text
from gui.widgets.theme import model_colour
from gui.words import signed_text

__all__ = ["AgreementPicture"]

_COSINE, _SIGNS = range(2)

_MOST_WRITTEN = 40
"""Sub-models; the values of more pairs take long to write."""


class AgreementPicture(Picture):
    """Sub-models by sub-models; the colour is how alike their task vectors are.

    Attributes:
        measure_field: cosines or signs. order_button: whether neighbours are alike.
        plot: the map; its diagonal shows the colours of the sub-models.
    """

    file_name = "agreement"
    title = "Whether the sub-models agree"

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(selection, parent)
        self._order: list[int] = []
        self._pair: tuple[int, int] | None = None
        self.measure_field = choice("What is compared", ["Cosine similarity", "Sign disagreement"])
        self.order_button = QToolButton()
        self.order_button.setText("Order b&y similarity")
        self.order_button.setCheckable(True)
        self.order_button.setToolTip("Sub-models that are alike become neighbours")
        self.controls.addWidget(self.order_button)
        self.controls.addWidget(self.measure_field)
        self.measure_field.activated.connect(self.refresh)
        self.order_button.toggled.connect(self.refresh)

    def build(self) -> None:
        from gui.pictures.heat_map import HeatMap

        self.plot = HeatMap("Likeness of the sub-models, pair by pair", "Sub-model")
        self.fill(self.plot)
        self.plot.pointed.connect(self._on_pointed)
        self.plot.chosen.connect(self._on_chosen)
        self.plot.cleared.connect(self._on_cleared)

    def draw(self) -> None:
        part = self._part
        if part is None or self.findings is None or not self.findings.inspected:
            self.say("Pairs of sub-models are compared as soon as the models were looked at.")
            return
        models, whole = self.findings.models, self.findings.part().details
        if len(models) < 2:
            self.say("There is one sub-model only. Add another to see whether they agree.")
            return
        if whole is None:
            self.say(too_many_text(len(models)))
            return
        if part.details is None:
            self.say(nothing_there(part))
            return
        self.say("")
        cosines = whole.cosine.value
        self._order = (
            order_by_similarity(cosines) if self.order_button.isChecked() else list(range(len(models)))
        )
        from gui.pictures.heat_map import without_diagonal

        values = without_diagonal(self._values(part.details))[np.ix_(self._order, self._order)]
        signs = self.measure_field.currentIndex() == _SIGNS
        self.plot.show_cells(
            100 * values if signs else values,
            [str(number + 1) for number in self._order],
            [f"{models[number]}  {number + 1}" for number in self._order],
            signs_scale(100 * values) if signs else likeness_scale(values),
            write=len(models) <= _MOST_WRITTEN,
            discs=[model_colour(number, self.palette()) for number in self._order],
        )
        self._show_place()
        where = f" in {part.place}" if part is not self.findings.part() else ""
        self.explanation.setText(
            f"Share of different signs among the parameters that two sub-models both changed{where}. "
            "Few are good: a merge cancels little. Half is chance."
            if signs
            else f"Cosine of the task vectors{where}: 1 the same direction, 0 unrelated, −1 opposite. "
            "High is good: a merge keeps what they have in common."
        )

    def tables(self) -> Sequence[Table]:
        part = self._part
        if part is None or part.details is None or self.findings is None:
            return []
        cosine, signs = part.details.cosine, part.details.sign_disagreement
        both = part.details.total("both_changed")
        rows = [
            [
                part.place,
                one,
                other,
                cosine.value[i, j],
                cosine.error[i, j],
                signs.value[i, j],
                signs.error[i, j],
                both[i, j],
            ]
            for i, one in enumerate(self.findings.models)
            for j, other in enumerate(self.findings.models)
            if i < j
        ]
        headings = [
            "where",
            "sub-model",
            "other",
            "cosine",
            "cosine error",
            "signs differ",
            "signs differ error",
        ]
        return [Table(self.file_name, [*headings, "changed by both"], rows)]

    def reset_view(self) -> None:
        self.plot.reset_view()

    def recolour(self) -> None:
        self.plot.recolour()

    @property
    def _part(self) -> Part | None:
        if self.findings is None:
            return None
        return self.findings.part(self.selection.value.column, self.selection.value.kind)

    def _values(self, details: DeltaStatistics) -> NDArray[np.float64]:
        if self.measure_field.currentIndex() == _SIGNS:
            return details.sign_disagreement.value
        return details.cosine.value

    def _show_place(self) -> None:
        """Frame the pair that was gone to, or the row of the selected sub-model, and read it out."""
        model = self.selection.value.model
        if self._pair is not None and (self._pair[0] != model or max(self._pair) >= len(self._order)):
            self._pair = None
        if self._pair is not None:
            row, column = (self._order.index(number) for number in self._pair)
            self.plot.select(column, row)
        else:
            self.plot.select(None, None if model is None else self._order.index(model))
        self._on_pointed(None)

    @Slot(object)
    def _on_pointed(self, cell: tuple[int, int] | None) -> None:
        part = self._part
        if part is None or part.details is None or self.sentence:
            return
        pair = self._pair if cell is None else (self._order[cell[1]], self._order[cell[0]])
        self.read(self._summary(part) if pair is None else pair_text(part.details, self._names, *pair))

    @property
    def _names(self) -> Sequence[str]:
        return () if self.findings is None else self.findings.models

    def _summary(self, part: Part) -> str:
        assert part.details is not None
        pairs = np.triu_indices(part.details.models, 1)
        cosines = part.details.cosine.value[pairs]
        known = cosines[np.isfinite(cosines)]
        if not known.size:
            return f"{capital(part.place)}: no two sub-models changed anything."
        low, high = signed_text(known.min(), 3), signed_text(known.max(), 3)
        pair = [int(at[np.isfinite(cosines)][0]) for at in pairs]
        both = float(part.details.total("both_changed")[pairs].sum())
        differ = float(part.details.total("signs_differ")[pairs].sum())
        verdict = likeness_text(float(known.mean()), differ / both if both else None)
        if known.size == 1:
            return f"{pair_text(part.details, self._names, *pair)}. {verdict}"
        text = f"Cosines from {low} to {high}, mean {signed_text(known.mean(), 3)}"
        if both:
            text += f"; signs differ in {share_text(differ / both)}"
        apart = [self._names[at] for at, *_ in orthogonal(part.details.cosine.value.tolist())]
        return f"{text}. {'Nearly orthogonal to all others: ' + ', '.join(apart) if apart else verdict}"

    @Slot(object)
    def _on_chosen(self, cell: tuple[int, int]) -> None:
        row, column = self._order[cell[1]], self._order[cell[0]]
        self._pair = (row, column) if row != column else None
        self.selection.select(model=row)
        self._show_place()

    @Slot()
    def _on_cleared(self) -> None:
        self._pair = None
        self.selection.clear()
        self.refresh()
