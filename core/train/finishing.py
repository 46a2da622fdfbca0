"""What stands beside the sub-models when all are done: the epoch that is kept, recipes; and their cards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from core.disk import replace_file
from core.errors import TrainingError
from core.small_files import read_if_there
from core.train.document import write_document
from core.train.orders import digest_of_order
from core.train.resuming import remove_folder
from core.train.runs_folder import epoch_path, log_path
from core.train.settings import TrainSettings
from core.train.step_log import read_log

__all__ = ["card", "keep_best", "write_recipes"]

_MOST_RECIPE_BYTES = 4_000_000


def keep_best(document: dict[str, Any], out: Path, settings: TrainSettings) -> dict[str, Any]:
    """Keep the epoch after which the mean validation loss over all runs is lowest, the first of equals.

    It is the same for all, so that what is merged had the same number of steps. Once chosen it stays, for
    orders that are added later too. An epoch after which the loss of a run is no number is not chosen.

    Raises:
        TrainingError: a log is not whole, or no epoch has a loss that is a number; all of them stay then.
        OutputError: something cannot be written or removed.
    """
    if document.get("best_epoch") is None:
        document = {**document, "best_epoch": _best_epoch(out, settings)}
        write_document(out, document)
    for number in range(1, settings.orders + 1):
        for epoch in range(1, settings.epochs + 1):
            if epoch != document["best_epoch"]:
                remove_folder(epoch_path(out, number, epoch))
    return document


def _best_epoch(out: Path, settings: TrainSettings) -> int:
    losses = np.zeros((settings.orders, settings.epochs))
    for number in range(1, settings.orders + 1):
        path = log_path(out, number)
        found = {line["epoch"]: line["eval_loss"] for line in read_log(path) if "eval_loss" in line}
        for epoch in range(1, settings.epochs + 1):
            if epoch not in found:
                raise TrainingError(
                    f"{path} has no validation loss after epoch {epoch}, and the best epoch cannot be chosen",
                    hint="train into a new folder",
                    path=path,
                )
            losses[number - 1, epoch - 1] = math.nan if found[epoch] is None else found[epoch]
    means = losses.mean(0)
    if np.isnan(means).all():
        raise TrainingError(
            f"after no epoch the validation loss of all orders in {out} is a number, and the best one cannot "
            "be chosen: all of them are kept",
            hint="look for damaged rows in the validation data, and for what a lower learning rate (--lr) "
            "does; the sub-models are whole, and can be merged",
            path=out,
            field="validation",
        )
    return int(np.nanargmin(means)) + 1


def write_recipes(
    document: Mapping[str, Any],
    out: Path,
    settings: TrainSettings,
    *,
    base: Path,
    resamples: int,
    note: Callable[[str], None],
) -> None:
    """Write recipes that merge the sub-models: of the last epoch or the best, and of each that is kept.

    A recipe that somebody has changed since is left alone, and one that names all orders is not written
    again.

    Args:
        document: of the training. It gets the digests of all recipes that were ever written, by which one is
            known that nobody has changed.
        out: its folder.
        settings: its settings.
        base: what the runs began with; named by its place in `out` where it is there.
        resamples: n.
        note: told of a recipe that is left alone and lacks orders.

    Raises:
        OutputError: they cannot be written.
    """
    if settings.orders < 2:
        return
    wanted = {"recipe.yaml": document["best_epoch"] if settings.keep == "best" else settings.epochs}
    if settings.keep == "all" and settings.epochs > 1:
        wanted |= {f"recipe-epoch-{epoch}.yaml": epoch for epoch in range(1, settings.epochs + 1)}
    written = list(document.get("recipes", ()))
    for name, epoch in wanted.items():
        found = read_if_there(out / name, _MOST_RECIPE_BYTES, TrainingError)
        if found is not None and f"order-{settings.orders}/".encode() in found:
            continue
        if found is not None and digest_of_order(found) not in written:
            note(
                f"{out / name} was changed since it was written, and is left as it is: it does not name all "
                f"{settings.orders} orders"
            )
            continue
        recipe = _recipe(out, settings, base, epoch, resamples)
        written.append(digest_of_order(recipe))
        write_document(out, {**document, "recipes": written})  # before: a recipe of ours is never unknown
        replace_file(out / name, recipe)


def _recipe(out: Path, settings: TrainSettings, base: Path, epoch: int, resamples: int) -> bytes:
    values = {
        "merge_method": "parameter_selection",
        "base_model": base.name if base.parent == out else str(base),
        "models": [{"model": f"order-{number}/epoch-{epoch}"} for number in range(1, settings.orders + 1)],
        "parameters": {"resamples": resamples},
        "seed": 0,
    }
    said = f"# Merges the sub-models of all {settings.orders} orders after epoch {epoch}.\n"
    return (said + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)).encode()


def card(base: str, data: str, settings: TrainSettings, number: int, epoch: int, dtype: str) -> str:
    """README.md of a sub-model. It has no path of this machine."""
    return (
        "---\nlibrary_name: transformers\ntags: [paramosaic]\n---\n\n"
        f"# Order {number}, epoch {epoch}\n\n"
        f"A sub-model for merging, made with Paramosaic: `{base}`, fine-tuned on `{data}` in order {number} "
        f"of {settings.orders}, after {epoch} of {settings.epochs} epochs. AdamW, learning rate "
        f"{settings.learning_rate:g} ({settings.schedule}, {settings.warm_up:.0%} warm-up), "
        f"{settings.batch} samples a step, at most {settings.max_length:,} tokens each, saved as "
        f"{dtype}.\n"
    )
