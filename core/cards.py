"""Which NVIDIA cards this machine has, as the system lists them: importing torch would take seconds."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Card", "bus_bytes_per_s", "listed_cards", "torch_has_cuda"]

_DRIVER = Path("/proc/driver/nvidia/gpus")
_DEVICES = Path("/dev")
_PCI = Path("/sys/bus/pci/devices")

_BUS_SHARE = 0.87
"""Of what a PCI Express link can carry, what copies reach: 55 of 63 GB/s were measured."""

_LINK_BYTES_PER_S = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.97e9, 5: 3.94e9, 6: 7.56e9}
"""A lane of each generation of PCI Express, in one direction."""

_NAME_BYTES = 96
"""As nvml.h has it, for names and for UUIDs."""


@dataclass(frozen=True)
class Card:
    """One graphics card.

    Attributes:
        title: the maker's name for it.
        uuid: as CUDA_VISIBLE_DEVICES may call it; "" where it is not known.
        bus_bytes_per_s: what copies between it and the host reach; None where that is not known.
    """

    title: str
    uuid: str = ""
    bus_bytes_per_s: float | None = None


def listed_cards() -> list[Card] | None:
    """The cards that this process may use, in CUDA's order; None where the system does not list them.

    Where cards differ and CUDA_DEVICE_ORDER does not say by which order it goes, which of them has which
    number is not known: what differs is left open, but for those that CUDA_VISIBLE_DEVICES calls by name.
    """
    cards = _of_driver()
    if cards is None:
        cards = _of_library()
    if cards is None:
        return None
    numbered = cards
    if len({card.title for card in cards}) > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        buses = {card.bus_bytes_per_s for card in cards}
        any_card = Card("NVIDIA card", bus_bytes_per_s=buses.pop() if len(buses) == 1 else None)
        numbered = [any_card] * len(cards)
    return _visible(numbered, cards)


def torch_has_cuda() -> bool:
    """Whether the torch that is installed was built for such cards; it is not imported."""
    try:
        found = importlib.util.find_spec("torch")
    except (ImportError, ValueError):  # half imported in another thread, or replaced
        return True
    places = [] if found is None else found.submodule_search_locations or []
    return any(
        next(Path(place, "lib").glob(f"*torch_{kind}.*"), None) is not None
        for place in places
        for kind in ("cuda", "hip")
    )


def bus_bytes_per_s(address: str) -> float | None:
    """What copies between the host and the PCI device `address` reach; None where the system does not say.

    That is the slower of what the device and the port that it sits in can do; idle links are slowed down.
    """
    if not address:
        return None
    device = _PCI / address
    speeds = [speed for end in (device, device.resolve().parent) if (speed := _link(end)) is not None]
    return _BUS_SHARE * min(speeds) if speeds else None


def _link(end: Path) -> float | None:
    try:
        transfers = (end / "max_link_speed").read_text("ascii", "replace")
        lanes = (end / "max_link_width").read_text("ascii", "replace").strip()
    except OSError:
        return None
    found = re.match(r"(\d+(?:\.\d+)?) GT/s", transfers)
    if found is None or not re.fullmatch(r"[1-9]\d?", lanes):
        return None
    gigatransfers = float(found[1])
    coding = 0.8 if gigatransfers < 8 else 128 / 130
    return gigatransfers * 1e9 / 8 * coding * int(lanes) or None


def _of_driver() -> list[Card] | None:
    """As the Linux driver lists them; None where it does not."""
    try:
        folders = sorted(_DRIVER.iterdir())
    except OSError:
        return None
    cards = []
    for folder in folders:
        try:
            lines = (folder / "information").read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        number = said.get("Device Minor", "")
        if re.fullmatch(r"[0-9]{1,4}", number) and not (_DEVICES / f"nvidia{number}").exists():
            continue  # another container's
        title = said.get("Model", "")
        title = "NVIDIA card" if title in ("", "Unknown") else title
        cards.append(Card(title, said.get("GPU UUID", ""), bus_bytes_per_s(folder.name)))
    return cards


def _of_library() -> list[Card] | None:
    """As NVIDIA's management library lists them; None where there is none, or it does not work."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        if library.nvmlInit_v2() != 0:
            return None
    except (OSError, AttributeError):
        return None
    try:
        return _ask(library)
    except AttributeError:  # older than all that is asked
        return None
    finally:
        with contextlib.suppress(AttributeError):
            library.nvmlShutdown()


def _ask(library: ctypes.CDLL) -> list[Card] | None:
    count = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return None
    cards = []
    for number in range(count.value):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(handle)) != 0:
            continue
        name, uuid = (ctypes.create_string_buffer(_NAME_BYTES) for _ in range(2))
        named = library.nvmlDeviceGetName(handle, name, _NAME_BYTES) == 0
        known = library.nvmlDeviceGetUUID(handle, uuid, _NAME_BYTES) == 0
        generation, lanes = ctypes.c_uint(), ctypes.c_uint()
        linked = (
            library.nvmlDeviceGetMaxPcieLinkGeneration(handle, ctypes.byref(generation)) == 0
            and library.nvmlDeviceGetMaxPcieLinkWidth(handle, ctypes.byref(lanes)) == 0
        )
        lane = _LINK_BYTES_PER_S.get(generation.value) if linked else None
        cards.append(
            Card(
                name.value.decode("utf-8", "replace") if named else "NVIDIA card",
                uuid.value.decode("ascii", "replace") if known else "",
                _BUS_SHARE * lane * lanes.value if lane and lanes.value else None,
            )
        )
    return cards


def _visible(numbered: list[Card], named: list[Card]) -> list[Card]:
    """Those that CUDA_VISIBLE_DEVICES leaves, in its order; it ends at the first one that is not there.

    Args:
        numbered: the cards by CUDA's numbers, as far as that is known.
        named: the same cards with their names.
    """
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        return numbered
    left: list[Card] = []
    for word in map(str.strip, asked.split(",")):
        if re.fullmatch(r"[0-9]{1,4}", word):
            found = numbered[int(word) : int(word) + 1]
        elif word.startswith("MIG-"):
            found = [Card("NVIDIA card, a part of it")]
        else:
            found = [card for card in named if word and card.uuid.startswith(word)][:1]
        if not found:
            break
        left += found
    return left
