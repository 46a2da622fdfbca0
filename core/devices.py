"""Where a merge can run: the CPU, or devices that torch knows.

Torch is imported only where it may find a device, so that a refusal stays instant elsewhere; which cards a
plan may count on is known without it.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cards import bus_bytes_per_s, listed_cards, torch_has_cuda
from core.errors import DeviceError

__all__ = [
    "CPU",
    "Device",
    "choose_devices",
    "describe",
    "give_up",
    "given_up",
    "known_devices",
    "least_workers",
    "may_have_cuda",
    "release",
    "release_pinned",
    "usable_devices",
]

_known: dict[str, list[Device] | None] = {}
"""Under "found", every device but the CPU, once they were looked for."""

_given_up: dict[str, float] = {}
"""When (time.monotonic) a device turned out not to work, by its name."""

_GIVEN_UP_S = 600.0
"""So long nothing is expected of it: what it lacked may be free again, and trying costs seconds."""

_IN_FLIGHT = 3
"""Chunks of one GPU at one time: one is read, one copied, one computed."""


@dataclass(frozen=True)
class Device:
    """One device that can merge.

    Attributes:
        name: as --device and torch call it: "cpu", "cuda:0", "mps", "xpu:0".
        title: the maker's name for it.
        kind: "cpu", "cuda" (ROCm too), "mps" or "xpu".
        total_bytes, free_bytes: of its own memory; None where torch cannot tell, or was not asked.
        bus_bytes_per_s: what copies between its memory and the host's reach; None where that is not known.
    """

    name: str
    title: str
    kind: str
    total_bytes: int | None = None
    free_bytes: int | None = None
    bus_bytes_per_s: float | None = None


CPU = Device("cpu", "CPU", "cpu")


def usable_devices() -> list[Device]:
    """Every device but the CPU that torch can use, CUDA devices first. What was given up counts again."""
    found = (
        [*_cuda_devices(), *_xpu_devices(), *_mps_devices()] if may_have_cuda() or _may_have_others() else []
    )
    _known["found"] = found
    _given_up.clear()
    return list(found)


def known_devices() -> list[Device] | None:
    """Devices beside the CPU, without importing torch: those that it found in this process, else the cards
    that the system lists and torch was built for. None where nothing can be known without it.

    What was given up a short while ago is none.
    """
    if "found" not in _known:
        _known["found"] = _listed()
    found, without = _known["found"], given_up()
    return None if found is None else [device for device in found if device.name not in without]


def give_up(names: Iterable[str]) -> None:
    """Count on these devices no more in this process, for a while: they turned out not to work."""
    _given_up.update(dict.fromkeys(names, time.monotonic()))


def given_up() -> list[str]:
    """The names of the devices that were given up and do not count yet."""
    return [name for name, when in tuple(_given_up.items()) if time.monotonic() < when + _GIVEN_UP_S]


def choose_devices(asked: str) -> list[Device]:
    """The devices that `asked` names, which is not "auto": one, or several with commas between them.

    "cuda" is the first CUDA device.

    Raises:
        DeviceError: one is not known, or not there.
    """
    names = [name.strip() for name in asked.split(",")]
    if len(names) > 1 and "cpu" in names:
        raise DeviceError(f"{asked}: the CPU merges alone", hint="name the cards alone, or the CPU alone")
    return list({device.name: device for device in map(_device_called, names)}.values())


def _device_called(name: str) -> Device:
    if name == "cpu":
        return CPU
    kind, _, number = name.partition(":")
    if not re.fullmatch(r"(cuda|xpu)(:[0-9]{1,4})?|mps", name):
        raise DeviceError(f"the device {name!r} is not known", hint="one of: auto, cpu, cuda, cuda:N")
    available = _cuda_devices() if kind == "cuda" else usable_devices()
    available = [found for found in available if found.kind == kind]
    if int(number or 0) >= len(available):
        raise DeviceError(
            f"the device {name} is not there: this machine has {len(available)} {kind.upper()} devices",
            hint="use the CPU",
        )
    return available[int(number or 0)]


def describe(devices: Sequence[Device]) -> str:
    """What a run record calls `devices`."""
    return ", ".join(
        "cpu" if device.kind == "cpu" else f"{device.name} ({device.title})" for device in devices
    )


def least_workers(devices: Sequence[Device]) -> int:
    """How many workers keep `devices` busy."""
    return sum(_IN_FLIGHT for device in devices if device.kind != "cpu") or 1


def release(devices: Iterable[Device]) -> None:
    """Give back what torch keeps of the memory of these devices, and of the host's for them, for later."""
    kinds = {device.kind for device in devices} - {"cpu"}
    torch = sys.modules.get("torch")
    if not kinds or torch is None:
        return
    for kind in kinds:
        with contextlib.suppress(Exception):  # a device that failed may refuse; each driver in its own way
            getattr(torch, kind).empty_cache()
    release_pinned()


def release_pinned() -> None:
    """Give back what torch keeps of the host's pinned memory, where it can."""
    torch = sys.modules.get("torch")
    empty = getattr(getattr(torch, "_C", None), "_host_emptyCache", None)
    if torch is not None and empty is not None and torch.cuda.is_initialized():
        with contextlib.suppress(Exception):
            empty()


def may_have_cuda() -> bool:
    """Whether it is worth the seconds of importing torch to look for a CUDA (or ROCm) device."""
    if not sys.platform.startswith("linux"):
        return sys.platform != "darwin"
    return any(Path(place).exists() for place in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))


def _listed() -> list[Device] | None:
    if not (may_have_cuda() and torch_has_cuda()):
        return []
    cards = listed_cards()
    if cards is None:
        return None
    return [
        Device(f"cuda:{number}", card.title, "cuda", bus_bytes_per_s=card.bus_bytes_per_s)
        for number, card in enumerate(cards)
    ]


def _may_have_others() -> bool:
    return sys.platform == "darwin" or any(Path("/dev").glob("dri/renderD*"))


def _cuda_devices() -> list[Device]:
    if not may_have_cuda():
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    devices = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        properties = torch.cuda.get_device_properties(number)
        bus = bus_bytes_per_s(_address(properties))
        devices.append(Device(f"cuda:{number}", properties.name, "cuda", total, free, bus))
    return devices


def _address(properties: Any) -> str:
    """Of a card on the PCI bus, as Linux writes it; "" where torch does not know it."""
    try:
        place = properties.pci_domain_id, properties.pci_bus_id, properties.pci_device_id
        return "{:04x}:{:02x}:{:02x}.0".format(*place)
    except AttributeError:
        return ""


def _xpu_devices() -> list[Device]:
    import torch

    if not torch.xpu.is_available():
        return []
    devices = []
    for number in range(torch.xpu.device_count()):
        properties = torch.xpu.get_device_properties(number)
        devices.append(Device(f"xpu:{number}", properties.name, "xpu", properties.total_memory))
    return devices


def _mps_devices() -> list[Device]:
    import torch

    if not torch.backends.mps.is_available():
        return []
    total = torch.mps.recommended_max_memory()
    return [Device("mps", "Apple GPU", "mps", total, total - torch.mps.driver_allocated_memory())]
