"""On which model each adapter goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.checkpoint.adapters import Adapter
from core.checkpoint.model import Checkpoint, hub_id, open_checkpoint
from core.errors import CheckpointError, addressed
from core.recipe.named_bases import named_base
from core.recipe.references import download_hint, same_folder
from core.text import one_line, shown

__all__ = ["on_bases", "other_bases"]


def on_bases(
    models: Sequence[Checkpoint], base: Checkpoint | None
) -> tuple[tuple[Checkpoint, ...], Checkpoint | None]:
    """The sub-models and the base, with every adapter on a model.

    An adapter goes on the model that is named with it, else on the recipe's base, else on the one that it
    names itself.

    Raises:
        CheckpointError: there is no such model.
    """
    known: dict[Path, Checkpoint] = {}
    if base is not None:
        with addressed(field="base_model"):
            base = _on_base(base, None, known)
    placed = []
    for entry, model in enumerate(models):
        with addressed(field="models", entry=entry):
            placed.append(_on_base(model, base, known))
    return tuple(placed), base


def other_bases(models: Sequence[Checkpoint]) -> list[str]:
    """A sentence for each model an adapter was put on that it does not name as its base."""
    found = {
        f"{model.name} says that it was trained on {one_line(adapter.base_name)}, and is put on "
        f"{model.under.name}: where these are not the same weights, what it learnt means something else": None
        for model in models
        for adapter in model.adapters
        if model.under is not None and adapter.base_name and not _means(adapter, model.under)
    }
    return list(found)


def _on_base(model: Checkpoint, base: Checkpoint | None, known: dict[Path, Checkpoint]) -> Checkpoint:
    if not model.adapters or model.under is not None:
        return model
    if base is not None:
        return model.on(base)
    named = [(one.folder, one.base_name, one.base_revision) for one in model.adapters]
    folder = next((found for one in named if (found := named_base(*one))), None)
    if folder is None:
        _, said, revision = next((one for one in named if one[1]), (None, None, None))
        where = f"trained on {shown(said)}, which is not here" if said else "and does not say of which model"
        raise CheckpointError(
            f"{model.folder} is an adapter {where}, and no base is named for it",
            hint=f"name the folder of that model as base_model{download_hint(said, revision)}",
            path=model.folder,
        )
    if folder not in known:
        known[folder] = open_checkpoint(folder)
    under = known[folder]
    if under.adapters and under.under is None:
        raise CheckpointError(
            f"{model.folder} is an adapter on {folder}, which is an adapter itself",
            hint="name the folder of a whole model as base_model",
            path=model.folder,
        )
    return model.on(under)


def _means(adapter: Adapter, under: Checkpoint) -> bool:
    """Whether the model is, or may well be, the one that the adapter names."""
    name = adapter.base_name or ""
    if hub_id(under.folder) == name or (under.config or {}).get("_name_or_path") == name:
        return True
    try:
        if same_folder(adapter.folder / name, under.folder):
            return True
    except ValueError:
        return False
    called = hub_id(under.folder) or under.folder.name
    return _last_part(name).lower() == _last_part(called).lower() != ""


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]
