"""The curves of a study's figures, which need the training that the sub-models come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.data.rows import DataSet
from core.errors import TrainingError
from core.evaluate.verdict.comparison import decimals_for, signed
from core.study.curves import (
    by_position,
    by_step,
    differences_by_position,
    effect_of_orders,
    effect_of_position,
)
from core.study.family import Family, StudyModel
from core.study.measuring import Measuring
from core.study.table import Table
from core.study.values import Curve
from core.train.runs_folder import TRAINING_NAME, OrderRun, Training, read_training

__all__ = ["Figures", "Trained", "figures_of", "models_of_figures", "trained_by"]

_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Trained:
    """The training that a family comes from.

    Attributes:
        training: the folder of runs.
        orders: of each sub-model. [K]
        epochs: after which each was saved, from 1. [K]
    """

    training: Training
    orders: tuple[OrderRun, ...]
    epochs: tuple[int, ...]


@dataclass(frozen=True)
class Figures:
    """The curves of Figures 1, 3 and 4 of arXiv:2410.03743; () where what they need is not there."""

    positions: tuple[Curve, ...] = ()
    differences: tuple[Curve, ...] = ()
    anchor: tuple[Curve, ...] = ()
    steps: tuple[Curve, ...] = ()
    imbalance: str = ""


def trained_by(family: Family) -> Trained | str:
    """The training beside the sub-models, or a sentence on why there is none.

    Sub-models lie in RUNS/order-N/epoch-E, and RUNS holds the training's file.
    """
    found: list[tuple[OrderRun, int]] = []
    training: Training | None = None
    for name, model in zip(family.names, family.models, strict=True):
        runs = model.parent.parent
        if not (runs / TRAINING_NAME).is_file():
            return f"{name} does not come from `paramosaic train`, so that its order is not known"
        try:
            if training is None:
                training = read_training(runs)
        except TrainingError as error:
            return error.message
        if training.folder.resolve() != runs.resolve():
            return f"{name} comes from another training than the sub-models before it"
        place = _place_in(training, model)
        if place is None:
            return f"{name} is no epoch of the training in {runs}"
        found.append(place)
    if training is None:
        return "there is no sub-model"
    return Trained(training, tuple(order for order, _ in found), tuple(epoch for _, epoch in found))


def figures_of(
    family: Family,
    trained: Trained,
    table: Table,
    measuring: Measuring,
    training: DataSet | None,
) -> Figures:
    """Measure what the figures show beside the table.

    Args:
        training: the rows that were trained on, or the first of them; None to leave out Figures 1 and 3.

    Raises:
        MergeError: a model cannot be measured, or an order is damaged.
        Cancelled: as the measuring raises it.
    """
    steps = _steps(family, trained, table, measuring)
    if training is None:
        return Figures(steps=steps)
    if training.digest != trained.training.data_digest:
        measuring.note(
            f"losses by position are left out: {training.path.name} is not the file that was trained on, "
            "or has changed since"
        )
        return Figures(steps=steps)
    return replace(_by_position(family, trained, table, measuring, training), steps=steps)


def _place_in(training: Training, model: Path) -> tuple[OrderRun, int] | None:
    real = model.resolve()
    for order in training.orders:
        for path, number in zip(order.epochs, order.epoch_numbers, strict=True):
            if path.resolve() == real:
                return order, number
    return None


# -- by position in the first epoch


def _by_position(
    family: Family, trained: Trained, table: Table, measuring: Measuring, training: DataSet
) -> Figures:
    singles = family.singles()
    best = table.best_of_one_recipe
    losses = [_row_losses(measuring, model, training) for model in singles]
    first_epochs = [order.positions(1) for order in trained.orders]
    positions = tuple(
        _curve(loss, places, model.name, "single")
        for model, loss, places in zip(singles, losses, first_epochs, strict=True)
    )
    places = first_epochs[0]
    anchor = [
        _curve(loss, places, model.name, "anchor" if number == 0 else "sub-model")
        for number, (model, loss) in enumerate(zip(singles, losses, strict=True))
    ]
    if best is not None:
        merged = _row_losses(measuring, best.members[0].model, training)
        anchor.append(_curve(merged, places, best.members[0].model.name, "merge"))
    seen = np.all([places[: len(losses[0])] >= 0 for places in first_epochs], axis=0)
    of_all = np.array([loss[seen] for loss in losses])
    places_of_all = np.array([places[: len(seen)][seen] for places in first_epochs])
    last = max(int(places.max()) for places in first_epochs)
    return Figures(
        positions,
        differences_by_position(of_all, places_of_all, last + 1, labels=[model.name for model in singles]),
        tuple(anchor),
        imbalance=_imbalance(
            effect_of_position(of_all, places_of_all / max(1, last)),
            effect_of_orders(of_all, places_of_all / max(1, last)),
            orders=len(singles),
            unit=table.reference.scores.loss_unit,
        ),
    )


def _imbalance(
    here: tuple[float, float, float] | None,
    of_others: tuple[float, float, float] | None,
    *,
    orders: int,
    unit: str,
) -> str:
    """What is shown in these orders, and whether others would be expected to show it.

    Args:
        here: the effect of the place, in these orders.
        of_others: the same as other orders would show it; None where that is not known.
    """
    if here is None:
        return ""
    slope, low, high = here
    decimals = min(_MOST_DECIMALS, decimals_for((high - low) / 2))
    interval = f"95 % from {signed(low, decimals)} to {signed(high, decimals)}"
    if low <= 0 <= high:
        said = signed(slope, decimals)
        return (
            f"No training imbalance is shown in these {orders} orders: a sample that is seen last in the "
            f"first epoch instead of first ends with a loss that differs by {said} {unit} ({interval})."
        )
    return (
        f"In these {orders} orders there is a training imbalance: a sample that is seen last in the first "
        f"epoch instead of first ends with a loss that is {abs(slope):.{decimals}f} {unit} "
        f"{'higher' if slope > 0 else 'lower'} ({interval}).{_of_other_orders(slope, of_others)}"
    )


def _of_other_orders(slope: float, of_others: tuple[float, float, float] | None) -> str:
    if of_others is None:
        return ""
    _, low, high = of_others
    decimals = min(_MOST_DECIMALS, decimals_for((high - low) / 2))
    interval = f"95 % from {signed(low, decimals)} to {signed(high, decimals)}, by one slope an order"
    if low > 0 < slope or high < 0 > slope:
        return f" Other orders of this training are expected to show it, too ({interval})."
    return f" Whether other orders of this training would show it is open ({interval})."


def _row_losses(measuring: Measuring, model: StudyModel, training: DataSet) -> np.ndarray:
    return measuring.training_losses(model, training).loss


def _curve(losses: np.ndarray, places: np.ndarray, label: str, role: str) -> Curve:
    """Of the rows that were measured, which are the first ones, and that the order sees."""
    there = places[: len(losses)]
    seen = there >= 0
    return by_position(losses[seen], there[seen], int(places.max()) + 1, label=label, role=role)


# -- by training step


def _steps(family: Family, trained: Trained, table: Table, measuring: Measuring) -> tuple[Curve, ...]:
    """Of the epochs of which every sub-model's order still has its model."""
    common = set.intersection(*(set(order.epoch_numbers) for order in trained.orders))
    at_end = set(trained.epochs)
    if len(at_end) != 1 or len({order.steps for order in trained.orders}) != 1:
        measuring.note("the sub-models have not the same number of steps: the curve over steps is left out")
        return ()
    best = table.best_average_or_selection
    steps, single, merged = [], [], []
    for epoch in sorted(common):
        here = _at_epoch(family, trained, epoch)
        if epoch in at_end:
            values = [one.scores.mean_loss for one in table.singles]
            together = best.members[0].scores.mean_loss if best is not None else None
        else:
            models = [measuring.measured(model) for model in here.singles()]
            values = [one.scores.mean_loss for one in models if one is not None]
            together = _merged_loss(here, table, measuring)
        if not values:
            continue
        steps.append(trained.orders[0].steps_after(epoch))
        single.append(values)
        if together is not None:
            merged.append((steps[-1], together))
    curves = [by_step(steps, single, label=f"single (mean of {len(family.models)})", role="single")]
    if best is not None and merged:
        curves.append(
            by_step(
                [step for step, _ in merged],
                [[loss] for _, loss in merged],
                label=best.members[0].model.name,
                role="merge",
            )
        )
    return tuple(curves)


def _at_epoch(family: Family, trained: Trained, epoch: int) -> Family:
    """The same sub-models as they were after an earlier epoch."""
    models = tuple(order.epochs[order.epoch_numbers.index(epoch)].absolute() for order in trained.orders)
    names = tuple(f"order-{order.number}" for order in trained.orders)
    words = f" after epoch {epoch}"
    return replace(family, models=models, names=names, prefix=f"epoch-{epoch}-", words=words)


def _merged_loss(family: Family, table: Table, measuring: Measuring) -> float | None:
    """Of the merge of an earlier epoch's models that is made as the best one is."""
    best = table.best_average_or_selection
    if best is None:
        return None
    model = best.members[0].model

    def asked() -> StudyModel:
        for n, row in table.ns.items():
            if row is best and model.recipe is not None:
                return family.selection(n, model.recipe.seed)
        return family.average()

    found = measuring.if_possible(asked, f"the merge{family.words}")
    return None if found is None else found.scores.mean_loss


def models_of_figures(trained: Trained, *, with_positions: bool) -> int:
    """How many models the figures will have to measure beside the table's."""
    orders = len(trained.orders)
    common = set.intersection(*(set(order.epoch_numbers) for order in trained.orders))
    earlier = len(common - set(trained.epochs))
    return earlier * (orders + 1) + ((orders + 1) if with_positions else 0)
