"""What the rows of the table of rules do: which tensors they are for, and which do nothing. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.methods import MethodSpec
from gui.recipe.rules.rows import Layers, RuleRow, TensorNames
from gui.recipe.rules.text import value_problem
from gui.words import plural

__all__ = ["Finding", "check_rows"]


@dataclass(frozen=True)
class Finding:
    """What a row does.

    Attributes:
        hits: the names of the tensors that it is for.
        taken: how many of them rows above decide.
        problem: why it does nothing, or cannot be used, in a sentence; None where all is well.
    """

    hits: tuple[str, ...] = ()
    taken: int = 0
    problem: str | None = None


def check_rows(
    rows: Sequence[RuleRow],
    method: MethodSpec,
    names: Mapping[Path, str],
    taking_part: Sequence[Path],
    tensors: TensorNames,
) -> tuple[Finding, ...]:
    """What each of `rows` does.

    Args:
        rows: for parameters of `method`; the first one that is for a tensor holds.
        method: says what values there are.
        names: what the sub-models are called, by folder.
        taking_part: the folders of those that take part.
        tensors: may be unknown; then less is found.
    """
    by_all: dict[str, set[str]] = {}
    by_one: dict[tuple[str, Path], set[str]] = {}
    findings = []
    for row in rows:
        spec = method.parameter(row.parameter)
        assert spec is not None
        hits = tensors.hit_by(row.filters)
        before = by_all.setdefault(row.parameter, set())
        if row.model is not None:
            own = by_one.setdefault((row.parameter, row.model), set())
            left = set(hits) - before - own
            own.update(hits)
        else:
            owns: list[set[str]] = [by_one.get((row.parameter, folder), set()) for folder in taking_part]
            left = set(hits) - before
            if owns:
                left -= owns[0].intersection(*owns[1:])
            before.update(hits)
        problem = value_problem(row.value, spec) or _model_problem(row, names, taking_part)
        if problem is None and tensors:
            problem = _reach_problem(row, hits, left)
        findings.append(Finding(hits, len(hits) - len(left), problem))
    return tuple(findings)


def _model_problem(row: RuleRow, names: Mapping[Path, str], taking_part: Sequence[Path]) -> str | None:
    if row.model is None or row.model in taking_part:
        return None
    if row.model in names:
        return f"{names[row.model]} takes no part in the merge."
    return f"{row.model.name} is not in the list of sub-models."


def _reach_problem(row: RuleRow, hits: Sequence[str], left: set[str]) -> str | None:
    if not hits:
        if isinstance(row.where, Layers):
            return "There are no such layers."
        return f"No tensor has “{row.where}” in its name."
    if not left:
        return f"It does nothing: rows above decide about {_its(len(hits))} already."
    return None


def _its(count: int) -> str:
    return "its one tensor" if count == 1 else f"all its {plural(count, 'tensor')}"
