"""How a training begins, or is gone on with: what training.json says then, and the base of its sub-models."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.checkpoint.model import open_checkpoint
from core.data.encoding import Encoded
from core.errors import TrainingError
from core.train.document import new_document, say_differences, with_orders
from core.train.request import Inputs, files_of
from core.train.settings import TrainSettings

__all__ = ["begun_document", "device_for"]


def begun_document(
    document: dict[str, Any] | None,
    out: Path,
    inputs: Inputs,
    settings: TrainSettings,
    samples: Encoded,
    *,
    base: Path,
    padding: int,
    device: str,
    threads: int,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """What training.json says, with all orders in it.

    Args:
        document: what it said before; None where the training begins.
        base: of the sub-models; it is made here where it needs a new head.
        padding: the token that is padded with.
        device: what it is called.
        note: told what is not as it was, and how the base was made.

    Raises:
        TrainingError: it cannot be gone on with: the base or the data are others.
        OutputError: something cannot be written.
    """
    if document is None:
        document = new_document(out, inputs, settings, samples, device=device, threads=threads)
        if inputs.new_head:
            _make_base(inputs, base, settings.seed, padding, note)
            document["base"]["new_files"] = files_of(open_checkpoint(base))
    else:
        say_differences(document, out, inputs, settings, samples, device=device, threads=threads, note=note)
        if inputs.new_head and document["base"]["new_files"] != files_of(open_checkpoint(base)):
            raise TrainingError(
                f"{base} is not the base that the training began with",
                hint="put its files back as they were, or train into a new folder",
                path=base,
            )
    return with_orders(document, out, settings, samples)


def device_for(wanted: str) -> tuple[str, str]:
    """ "cpu" or "cuda", and what it is called. Raises TrainingError: there is none."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device", hint="train on the CPU (--device cpu)", field="device")
    if wanted != "cpu" and torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name(0)
    return "cpu", f"{platform.machine()} CPU"


def _make_base(inputs: Inputs, base: Path, seed: int, padding: int, note: Callable[[str], None]) -> None:
    from core.train import models

    labels = inputs.labels or ()
    is_new = models.make_new_head(
        inputs.checkpoint,
        base,
        labels=labels,
        seed=seed,
        dtype=_common_type(inputs),
        pad_id=padding,
    )
    head = "a new one was made from the seed, the same for all orders"
    if not is_new:
        head = "its own was kept, and stands for them in their alphabetical order"
    note(
        f"{inputs.checkpoint.name} has no head for the {len(labels)} labels of the data: {head}. "
        f"The base of the sub-models is {base}"
    )


def _common_type(inputs: Inputs) -> str:
    """What the base's weights are stored in, as torch spells it; float32 where they are of several types."""
    found = {tensor.dtype for tensor in inputs.checkpoint.tensors.values() if tensor.dtype.is_float}
    return found.pop().torch_name if len(found) == 1 else "float32"
