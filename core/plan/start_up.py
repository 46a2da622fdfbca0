"""How long a device takes until it can begin: what a process still has to import, to compile and to wake."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from core.devices import Device
from core.table import has_kernel

__all__ = ["start_s"]

_NUMBA_S = 0.5
"""Importing numba and loading what it has compiled: 0.46 s were measured on two cores, files in memory."""

_COMPILING_S = 4.0
"""Compiling a merge's kernels for the CPU, once after an installation: 3 to 6 s on two cores."""

_TORCH_S = 2.0
"""Importing torch: 1.5 to 3 s."""

_WAKING_S = 0.8
"""Making a card's context: 0.5 to 1 s."""

_PINNING_S = 0.05
"""Getting a card's ring of pinned buffers, for each merge; not measured."""

_TRITON_S = 0.2
"""Loading the kernels for a card that were compiled before, and trying them."""

_TRITON_COMPILING_S = 5.0
"""Compiling them, the first time ever."""


def start_s(device: Device, methods: Iterable[str], *, warms_up: bool = False) -> float:
    """Seconds until a merge by these methods can begin on `device`.

    Args:
        device: what does the arithmetic.
        methods: their names.
        warms_up: whether this process makes the CPU's kernels ready in any case, before they are wanted.
    """
    seconds = 0.0 if warms_up else _kernels_of_cpu_s()
    kernels = [has_kernel(method, device) for method in methods]
    on_card = device.kind != "cpu"
    if (on_card or not all(kernels)) and "torch" not in sys.modules:
        seconds += _TORCH_S
    if on_card:
        seconds += _PINNING_S
    if on_card and not _is_awake(device):
        seconds += _WAKING_S
    if on_card and any(kernels) and "core.kernels.gpu.launch" not in sys.modules:
        seconds += _TRITON_S if _triton_has_compiled() else _TRITON_COMPILING_S
    return seconds


def _kernels_of_cpu_s() -> float:
    """They are made ready for a merge on a card, too: they say whether its own give the same."""
    if "numba" in sys.modules:
        return 0.0
    return _NUMBA_S if _numba_has_compiled() else _COMPILING_S


def _numba_has_compiled() -> bool:
    """Whether it has kept what it compiled; taken for granted where that is not beside the sources."""
    folder = Path(__file__).parents[1] / "kernels" / "cpu"
    if "NUMBA_CACHE_DIR" in os.environ or not os.access(folder, os.W_OK):
        return True
    return next((folder / "__pycache__").glob("*.nbi"), None) is not None


def _is_awake(device: Device) -> bool:
    if device.kind != "cuda":
        return "torch" in sys.modules
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    asks = getattr(cuda, "is_initialized", None)  # not there yet while another thread imports it
    return bool(asks is not None and asks())


def _triton_has_compiled() -> bool:
    chosen = os.environ.get("TRITON_CACHE_DIR")
    home = os.environ.get("TRITON_HOME") or os.path.expanduser("~")
    folder = Path(chosen) if chosen else Path(home, ".triton", "cache")
    try:
        return next(folder.iterdir(), None) is not None
    except OSError:
        return False
