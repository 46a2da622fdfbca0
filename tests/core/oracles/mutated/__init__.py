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
]
