"""What the command line says of slices and of several merges, for people."""

from __future__ import annotations

from core.plan.merge_plan import MergePlan
from core.units import bytes_text

__all__ = ["slice_lines", "stage_lines"]

_MOST = 40


def stage_lines(plan: MergePlan) -> list[str]:
    """A line for each merge that comes before."""
    lines = []
    for name, planned in plan.stages:
        models = ", ".join(model.name for model in planned.models)
        size = f"reads {bytes_text(planned.bytes_to_read)}, writes {bytes_text(planned.bytes_to_write)}"
        lines.append(f"first    {name}: {planned.recipe.method.name} of {models}; {size}")
    return lines


def slice_lines(plan: MergePlan) -> list[str]:
    """A line for each slice: the layers of the result, and of which layers of which models they are."""
    if not plan.layers:
        return []
    lines = []
    first = 0
    for one in plan.recipe.slices:
        sources = [
            f"{_range(*source.layers)} of {plan.names.get(source.model.path, source.model.path.name)}"
            for source in one.sources
        ]
        lines.append(f"layers   {_range(first, first + one.count)}: {' with '.join(sources)}")
        first += one.count
    if len(lines) > _MOST:
        rest = len(lines) - _MOST + 1
        lines[_MOST - 1 :] = [f"layers   … and {rest} more slices; --json shows them all"]
    return lines


def _range(first: int, last: int) -> str:
    return str(first) if last - first == 1 else f"{first}-{last - 1}"
