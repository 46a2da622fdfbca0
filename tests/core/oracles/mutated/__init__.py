"""What methods would be without one of their steps, or with another: changes of the oracles' text."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import oracles.averages
import oracles.fusion
import oracles.spans
import oracles.task_vectors
from oracles.mutated import averages, fusion, spans, task_vectors

__all__ = ["MUTATIONS", "Mutation"]


class Mutation(NamedTuple):
    """A method with another step: the oracle's module, the method, the step, changes for `rewritten`."""

    module: ModuleType
    method: str
    name: str
    changes: list[tuple[str, str]]


_C = "kind = kind or computing(dtype, out)"

_TYPES = {
    "computed in float32": [(_C, "kind = kind or np.float32")],
    "computed in float64": [(_C, "kind = kind or np.float64")],
    "computed in what the inputs ask for alone": [(_C, "kind = kind or computing(dtype, dtype)")],
    "computed in what the output asks for alone": [(_C, "kind = kind or computing(out, out)")],
}

_FEW_STEPS = {"parameter_selection", "passthrough", "nearswap"}
"""Methods whose few steps next to never come out otherwise in another type."""

MUTATIONS = [
    Mutation(module, method, name, changes)
    for module, table in (
        (oracles.task_vectors, task_vectors.MUTATIONS),
        (oracles.averages, averages.MUTATIONS),
        (oracles.spans, spans.MUTATIONS),
        (oracles.fusion, fusion.MUTATIONS),
    )
    for methods, named in table.items()
    for name, changes in named.items()
    for method in methods
] + [
    Mutation(module, method, name, changes)
    for module in (oracles.task_vectors, oracles.averages, oracles.spans, oracles.fusion)
    for name, changes in _TYPES.items()
    for method in module.METHODS
    if method not in _FEW_STEPS
]
