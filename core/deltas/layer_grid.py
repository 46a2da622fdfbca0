"""The frame of every map: the layers of a network by the kinds of its modules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from core.deltas.module_kinds import MODULE_KINDS, Position, kind_rank, module_kind, position_of

__all__ = ["Cell", "Column", "LayerGrid"]

Cell = tuple[int, int]
"""A column of a grid and a kind of module, by their numbers."""

_IN, _OUT, _OTHER, _ALL = "in", "out", "other", "all"
_OUTSIDE = {_OUT: "behind the layers", _OTHER: "outside the layers"}

_FIRST = re.compile(
    r"embed|patch|(?:^|\.)(?:\w*stem|conv\d|conv_in|conv_layers|feature_(?:extractor|projection))(?:\.|$)|"
    r"_in(?:\.|$)|(?:^|\.)w[tp]e$",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"norm|(?:^|\.)ln_(?:f|final)|pooler|predictions|_out(?:\.|$)|final|(?:text|visual)_projection",
    re.IGNORECASE,
)
_BEFORE = ("embeddings", "position embeddings", "patch embeddings")
_EARLY_STACK = re.compile(r"encoder|vision|visual|audio|down_blocks|input_blocks", re.IGNORECASE)
_LATE_STACK = re.compile(r"single_|up_blocks|output_blocks", re.IGNORECASE)

_MOST_NAMED = 40
_REST = "other modules"
"""The row of what is left where a network has more than `_MOST_NAMED` kinds that are not known."""


@dataclass(frozen=True)
class Column:
    """One layer, or what lies before or behind all layers.

    Attributes:
        label: "3", or "in", "out" and "other" for what lies outside; with the stack in front where there are
            several.
        name: the same for a sentence: "layer 3", "before the layers"; "" for a column of everything.
        stack, layer: as Position has them; None outside.
    """

    label: str
    name: str
    stack: str | None
    layer: int | None


@dataclass(frozen=True, eq=False)
class LayerGrid:
    """Columns are layers, in the order of the computation; rows are kinds of modules.

    Embeddings and the like stand in a first column of their own, the last norm and the head in one behind the
    layers, and what else lies outside them, such as a projector between two towers, in a last one. An encoder
    and a decoder, or the towers of a multimodal model, have columns of their own, encoders first. A network
    whose names say nothing of layers is one column. Of kinds that are not known, the most frequent have rows
    of their own; there are never hundreds of rows.

    Attributes:
        columns: [C]
        kinds: [M]
        tensors: the names of the tensors in each cell, in their order; a cell that is empty is missing.
    """

    columns: tuple[Column, ...]
    kinds: tuple[str, ...]
    tensors: Mapping[Cell, tuple[str, ...]]

    @classmethod
    def of(cls, names: Iterable[str]) -> LayerGrid:
        """The grid of the tensors `names`, which are in the order of the model."""
        positions = {name: position_of(name) for name in names}
        kinds = _kinds(positions)
        rows = sorted(dict.fromkeys(kinds.values()), key=kind_rank)
        columns = _columns(positions.values(), {_side(name, positions[name]) for name in positions})
        number_of = {(column.stack, column.layer): number for number, column in enumerate(columns)}
        row_of = {kind: number for number, kind in enumerate(rows)}
        outside = {column.label: number for number, column in enumerate(columns) if column.layer is None}
        cells: dict[Cell, list[str]] = {}
        for name, position in positions.items():
            if position.layer is None:
                column = outside.get(_side(name, position) or "", 0)
            else:
                column = number_of[position.stack, position.layer]
            cells.setdefault((column, row_of[kinds[name]]), []).append(name)
        return cls(tuple(columns), tuple(rows), {cell: tuple(cells[cell]) for cell in sorted(cells)})

    @cached_property
    def cell_of(self) -> Mapping[str, Cell]:
        """The cell of each tensor."""
        return {name: cell for cell, names in self.tensors.items() for name in names}

    def cells(self, column: int | None = None, kind: int | None = None) -> Sequence[Cell]:
        """The cells of a column, of a kind, of both, or, for None and None, all."""
        return [
            cell
            for cell in self.tensors
            if (column is None or cell[0] == column) and (kind is None or cell[1] == kind)
        ]

    def place(self, column: int | None = None, kind: int | None = None) -> str:
        """What to call these cells: "layer 3 · mlp up", "layer 3", "mlp up", "all modules"."""
        parts = [self.columns[column].name] if column is not None and self.columns[column].name else []
        parts += [self.kinds[kind]] if kind is not None else []
        return " · ".join(parts) or "all modules"


def _kinds(names: Iterable[str]) -> dict[str, str]:
    """The kind of each tensor, the rarest ones that are not known as one where there are too many."""
    kinds = {name: module_kind(name) for name in names}
    unknown = Counter(kind for kind in kinds.values() if kind not in MODULE_KINDS)
    if len(unknown) <= _MOST_NAMED:
        return kinds
    named = {kind for kind, _ in unknown.most_common(_MOST_NAMED - 1)}.union(MODULE_KINDS)
    return {name: kind if kind in named else _REST for name, kind in kinds.items()}


def _side(name: str, position: Position) -> str | None:
    """Where a tensor outside the layers stands; None for one inside."""
    if position.layer is not None:
        return None
    kind = module_kind(name)
    if kind == "head":
        return _OUT
    if kind in _BEFORE or _FIRST.search(position.module):
        return _IN
    return _OUT if _LAST.search(position.module) else _OTHER


def _columns(positions: Iterable[Position], sides: set[str | None]) -> list[Column]:
    layers: dict[str, set[int]] = {}
    for position in positions:
        if position.stack is not None and position.layer is not None:
            layers.setdefault(position.stack, set()).add(position.layer)
    if not layers:
        return [Column(_ALL, "", None, None)] if sides else []
    prefixes = dict.fromkeys(layers, "")
    if len(layers) > 1:
        prefixes = {stack: f"{short} " for stack, short in zip(layers, _short(list(layers)), strict=True)}
    columns = [Column(_IN, "before the layers", None, None)] if _IN in sides else []
    for stack, numbers in sorted(layers.items(), key=lambda item: _when(item[0])):
        columns += [
            Column(f"{prefixes[stack]}{number}", f"{prefixes[stack]}layer {number}", stack, number)
            for number in sorted(numbers)
        ]
    return [*columns, *(Column(side, name, None, None) for side, name in _OUTSIDE.items() if side in sides)]


def _when(stack: str) -> int:
    """Sorts stacks in the order of the computation, as far as their names say it."""
    return 0 if _EARLY_STACK.search(stack) else 2 if _LATE_STACK.search(stack) else 1


def _short(stacks: Sequence[str]) -> list[str]:
    """What tells the stacks apart: "encoder" and "decoder" of "encoder.block" and "decoder.block".

    A number says nothing without what it counts: "stages.0" of "encoder.stages.0.layers".
    """
    parts = [stack.split(".") for stack in stacks]
    for at in range(min(len(part) for part in parts)):
        if len({part[at] for part in parts}) == len(parts):
            return [".".join(part[at - part[at].isdigit() : at + 1]) for part in parts]
    return list(stacks)
