"""What a training takes, as far as it is known before the rows are tokens."""

from __future__ import annotations

from dataclasses import dataclass

from core.train.disk import DiskNeed, disk_need
from core.train.request import Inputs
from core.train.settings import TrainSettings

__all__ = ["Foreseen", "foresee"]

_IN_WINDOWS = ("text", "plain")


@dataclass(frozen=True)
class Foreseen:
    """What a training takes.

    Attributes:
        steps: of each order, where every row is one sample.
        more_steps: whether there are more where texts are longer than a sample may be: such a text is
            several.
        disk: space.
        parameters: elements that are trained, which say what memory it takes.
    """

    steps: int
    more_steps: bool
    disk: DiskNeed
    parameters: int


def foresee(inputs: Inputs, settings: TrainSettings) -> Foreseen:
    """What a training of `inputs` takes with `settings`, in a moment: no row is made into tokens."""
    weights = [tensor for tensor in inputs.checkpoint.tensors.values() if tensor.dtype.is_float]
    parameters = sum(tensor.size_bytes // tensor.dtype.itemsize for tensor in weights)
    rows = len(inputs.data.rows)
    need = disk_need(
        parameters,
        settings,
        rows=rows,
        new_base_bytes=inputs.checkpoint.size_bytes if inputs.new_head else 0,
    )
    in_windows = inputs.task == "causal" and inputs.data.kind in _IN_WINDOWS
    return Foreseen(settings.steps_of(rows), in_windows, need, parameters)
