"""Which tensors of the inputs share memory, so that they stay equal or are written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.checkpoint.headers import StoredTensor
from core.checkpoint.names import tied_heads
from core.checkpoint.ties import declared_ties, explicitly_ties, says_tied
from core.plan.model_view import ModelView
from core.plan.token_rows import vocabulary_rows, without_token_rows

__all__ = ["Look", "Looked", "Tie", "find_ties", "version_1_names"]

Look = tuple[StoredTensor, StoredTensor]
"""Two tensors of one model that are compared, byte by byte, when a merge starts: an alias and the first."""

Looked = Mapping[Look, bool]
"""Whether they were found equal."""

_IN_FILES = "the files of weights hold it once under both names"


@dataclass(frozen=True)
class Tie:
    """One tensor that shares memory with another.

    Attributes:
        alias: its name.
        first: the other's, under which both draw.
        tied: True, or False where some input says that it is a tensor of its own; None where no input says.
        why: in words.
        tying: whether each input says so; the sub-models, then the base.
    """

    alias: str
    first: str
    tied: bool | None
    why: str
    tying: tuple[bool | None, ...]


def find_ties(views: Sequence[ModelView]) -> list[Tie]:
    """Ties among the tensors that any of the inputs holds."""
    shapes: dict[str, tuple[int, ...]] = {}
    differ = len({vocabulary_rows(view.shapes, view.checkpoint.config) for view in views}) > 1
    for view in views:
        known = without_token_rows(view.shapes, view.checkpoint.config) if differ else view.shapes
        for name, shape in known.items():
            shapes.setdefault(name, shape)
    pairs: dict[str, str] = {}
    configs = {_model_type(view): view.checkpoint.config for view in reversed(views)}
    for config in configs.values():
        pairs |= declared_ties(config, shapes)
    of_configs = [says_tied(view.checkpoint.config) for view in views]
    explicit = any(explicitly_ties(view.checkpoint.config) is not None for view in views)
    why = "config.json says so" if explicit else "as transformers declares models of this type"
    ties = []
    for alias, first in pairs.items():
        said = tuple(
            True if one is None and view.shared.get(alias, alias) == view.shared.get(first, first) else one
            for view, one in zip(views, of_configs, strict=True)
        )
        state = False if False in said else True if True in said else None
        ties.append(Tie(alias, first, state, why if said == tuple(of_configs) else _IN_FILES, said))
    return ties + _shared_in_files(views, {tie.alias for tie in ties})


def _shared_in_files(views: Sequence[ModelView], known: set[str]) -> list[Tie]:
    """What files of torch.save hold once under several names, where every input that has these names does."""
    pairs: dict[str, str] = {}
    for view in views:
        pairs |= view.shared
    ties = []
    for alias, first in pairs.items():
        if alias in known or first in pairs:
            continue
        said = tuple(
            True if view.shared.get(alias) == first else False if alias in view.tensors else None
            for view in views
        )
        if False not in said:
            ties.append(Tie(alias, first, True, _IN_FILES, said))
    return ties


def version_1_names(views: Sequence[ModelView], reference: ModelView) -> dict[str, str]:
    """Heads and the embedding under whose name they draw by version 1 of the contract."""
    if all(explicitly_ties(view.checkpoint.config) is True for view in views):
        return tied_heads(reference.shapes)
    return {}


def _model_type(view: ModelView) -> str | None:
    kind = (view.checkpoint.config or {}).get("model_type")
    return kind if isinstance(kind, str) else None
