"""How far losses in 16 bits are from those in float32, as measured."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.encoding import Sample
from core.evaluate.losses.batches import Batches
from core.evaluate.losses.forward import Forward
from core.evaluate.losses.passes import counting, try_pass
from core.evaluate.models.loading import LoadedModel

__all__ = ["narrow_and_measure", "spread_of"]

_SPREAD = 32
"""Samples that stand for all."""


def narrow_and_measure(
    model: LoadedModel,
    forward: Forward,
    samples: Sequence[Sample],
    *,
    most: int,
    check: Callable[[], None],
) -> str:
    """Have the weights in the type that the model computes in from now on, and measure what that changes.

    Short samples err most, as fewer tokens are averaged, so that samples of every length are looked at;
    whatever is finished already, they are the same ones for the same data.

    Args:
        model: with its weights as they were loaded.
        forward: of the model.
        samples: all of the data.
        most: tokens of a batch.
        check: called before each batch.

    Returns:
        A sentence.

    Raises:
        CheckpointError: the model refuses to work.
    """
    looked_at = spread_of(counting(samples, model.task))
    with contextlib.ExitStack() as stack:
        if not model.computes_wide:
            stack.enter_context(model.widening.on())
        exact = _losses(model, forward, looked_at, most, check)
    model.narrow()
    narrow = None if exact is None else _losses(model, forward, looked_at, most, check)
    if exact is None or narrow is None:
        return f"{model.name}: how far its losses are from those in float32 is not measured: memory lacks"
    worst = float(np.max(np.abs(exact - narrow), initial=0))
    which = "one sample differs" if len(looked_at) == 1 else f"{len(looked_at)} samples differ"
    return (
        f"{model.name}: in {model.dtype} the losses of {which} from those in float32 by at most {worst:.2g}"
    )


def spread_of(samples: Sequence[Sample]) -> list[Sample]:
    """A few samples of every length, from the shortest to the longest; all where there are no more."""
    by_length = sorted(samples, key=lambda sample: len(sample.ids))
    if len(by_length) <= _SPREAD:
        return by_length
    places = [number * (len(by_length) - 1) // (_SPREAD - 1) for number in range(_SPREAD)]
    return [by_length[place] for place in places]


def _losses(
    model: LoadedModel,
    forward: Forward,
    samples: Sequence[Sample],
    most: int,
    check: Callable[[], None],
) -> NDArray[np.float64] | None:
    """The mean loss of each sample, as the model computes now; None where memory lacks. [S]"""
    found = np.zeros(len(samples))
    batches = Batches(samples, most, most_samples=None if forward.can_pad else 1)
    for numbers in batches:
        check()
        batch = [samples[number] for number in numbers]
        made = try_pass(model, forward, batch)
        if made is not None:
            found[numbers] = made[0] / [max(1, int(sample.scored.sum())) for sample in batch]
        elif len(batch) == 1:
            return None
        else:
            batches.put_back(numbers)
    return found
