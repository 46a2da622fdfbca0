"""Where a model has room: on which device, in which type its weights are held, and how they are widened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core import devices, memory
from core.checkpoint.model import Checkpoint
from core.errors import DeviceError, MergeError
from core.evaluate.models.references import ModelFolder
from core.evaluate.settings import Settings
from core.units import bytes_text

__all__ = ["Room", "check_device", "find_room", "stored_type"]

_BESIDE_BYTES = 1_500_000_000
"""What a batch takes beside the weights, and then some: activations, logits of a few hundred tokens."""

_SHARE_OF_MEMORY = 0.9
"""Of what is free, at the most: others live there too."""


@dataclass(frozen=True)
class Room:
    """How a model is held.

    Attributes:
        device: as torch calls it.
        dtype: of the weights when they are loaded.
        by_layers: whether they are widened layer by layer.
        note: a sentence about what the user did not ask for; "" for nothing.
    """

    device: str
    dtype: str
    by_layers: bool = False
    note: str = ""


def find_room(folder: ModelFolder, settings: Settings) -> Room:
    """How the model is held, as the settings say and memory allows.

    Without a device of the user's choice it is the first card, or the CPU where that has no room.

    Raises:
        MergeError: there is not enough memory, or its weights cannot be widened as asked.
        DeviceError: the device is not there.
    """
    stored = stored_type(folder.checkpoint)
    if settings.widening == "layers" and stored == "float32":
        raise MergeError(
            f"{folder.name} is not stored in one type of 16 bits: its weights are widened whole",
            hint="leave the choice of how weights are widened to the program",
            field="widening",
        )
    places = _places(settings.device)
    for place in places:
        room = _on(place, folder, settings, stored)
        if room is not None and place != places[0]:
            said = f"{folder.name}: {places[0]} has not enough memory for it: it is evaluated on the CPU"
            return replace(room, note=f"{said}. {room.note}" if room.note else said)
        if room is not None:
            return room
    free = _free_bytes(places[-1])
    raise MergeError(
        f"there is not enough memory for {folder.name} on {places[-1]}: it takes "
        f"{bytes_text(folder.checkpoint.size_bytes)}, and {bytes_text(free or 0)} are free",
        hint="close other programs" if places[-1] == "cpu" else "evaluate it on the CPU (--device cpu)",
        path=folder.folder,
    )


def stored_type(checkpoint: Checkpoint) -> str:
    """The type of 16 bits that all its weights are stored in; "float32" for any other."""
    kinds = {tensor.dtype.name for tensor in checkpoint.tensors.values() if tensor.dtype.is_float}
    return {"BF16": "bfloat16", "F16": "float16"}.get("".join(kinds), "float32")


def check_device(asked: str) -> None:
    """Refuse a device before there is a model for it; torch is imported only where it may find such a one.

    Raises:
        DeviceError: it is not known or not there, or there are several.
    """
    if asked != "auto":
        _chosen(asked)


def _places(asked: str) -> Sequence[str]:
    if asked == "auto":
        return [*(found.name for found in devices.usable_devices()[:1]), "cpu"]
    return [_chosen(asked)]


def _chosen(asked: str) -> str:
    try:
        chosen = devices.choose_devices(asked)
        if len(chosen) > 1:
            raise DeviceError(f"{asked}: a model is evaluated on one device", hint="name one of them")
    except DeviceError as error:
        error.field = "device"
        raise
    return chosen[0].name


def _on(device: str, folder: ModelFolder, settings: Settings, stored: str) -> Room | None:
    """How the model is held on a device; None where it has no room."""
    elements = sum(math.prod(tensor.shape) for tensor in folder.checkpoint.tensors.values())
    free = _free_bytes(device)

    def has_room(of_bytes: int) -> bool:
        return free is None or of_bytes + _BESIDE_BYTES <= _SHARE_OF_MEMORY * free

    may_try = free is None or 2 * elements <= free
    if settings.dtype == "bfloat16":
        # What is stored wider is narrowed once it was measured how much that changes.
        wide = stored != "bfloat16" and has_room(4 * elements)
        note = (
            ""
            if wide or stored == "bfloat16"
            else f"{folder.name}: memory lacks for its weights in float32, so that what rounding them to "
            "bfloat16 changes is not measured"
        )
        return Room(device, "float32" if wide else "bfloat16", note=note) if may_try else None
    if settings.widening == "layers":
        return Room(device, stored, by_layers=True) if may_try else None
    if settings.widening == "whole" or has_room(4 * elements):
        return Room(device, "float32") if free is None or 4 * elements <= free else None
    if stored == "float32":
        return Room(device, "float32") if free is None or 4 * elements <= free else None
    note = (
        f"{folder.name}: its weights are widened layer by layer, as memory lacks for all in float32: the "
        "numbers are the same, and it takes longer"
    )
    return Room(device, stored, by_layers=True, note=note) if may_try else None


def _free_bytes(device: str) -> int | None:
    if device == "cpu":
        return memory.available_bytes()
    return next((found.free_bytes for found in devices.usable_devices() if found.name == device), None)
