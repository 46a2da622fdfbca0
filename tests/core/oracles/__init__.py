"""Merge methods on whole tensors, in plain numpy, from the design and the papers alone.

They know no chunks, passes or kernels; every step is rounded where docs/design.md says so, which is what
makes them equal the engine to the bit. Each takes the words of the sub-models, the base's (None where there
is none), the merge dtype and the output's, and the method's parameters by name, with K numbers in a list
where each sub-model has its own. Further keywords: `shape` of the tensor, `key` and `zero_tolerance` where it
draws, and `kind`, a numpy type to compute in instead of C.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

from oracles import averages, fusion, numbers, spans, task_vectors
from oracles.numbers import Made

__all__ = ["METHODS", "Made", "rewritten"]

METHODS: dict[str, Callable[..., Made]] = {
    **task_vectors.METHODS,
    **averages.METHODS,
    **spans.METHODS,
    **fusion.METHODS,
}
"""The methods by their names in recipes."""


def rewritten(module: ModuleType, *changes: tuple[str, str]) -> SimpleNamespace:
    """`module` with lines of its own, or of oracles.numbers, changed: what must not pass for the engine.

    Each change is a text that stands once in one of the two, and what stands there instead.
    """
    sources = {one: inspect.getsource(one) for one in (module, numbers)}
    for old, new in changes:
        counts = {one: source.count(old) for one, source in sources.items()}
        if sorted(counts.values()) != [0, 1]:
            raise ValueError(f"{old!r} does not stand once in {module.__name__}")
        sources = {one: source.replace(old, new) for one, source in sources.items()}
    made: dict[str, object] = {"__name__": module.__name__}
    shared: dict[str, object] = {"__name__": numbers.__name__}
    exec(compile(sources[numbers], f"<rewritten {numbers.__name__}>", "exec"), shared)
    exec(compile(sources[module], f"<rewritten {module.__name__}>", "exec"), made)
    made |= {name: shared[name] for name in numbers.__all__ if name in made}
    return SimpleNamespace(**made)
