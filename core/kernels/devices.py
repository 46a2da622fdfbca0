"""Where a merge can run: the CPU, or devices that torch knows.

Torch is imported only where it may find a device, so that a refusal stays instant elsewhere.
"""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from core.draws import BLOCK
from core.dtypes import DTYPES
from core.errors import DeviceError
from core.kernels.interface import MapJob, Workspace

__all__ = [
    "CPU",
    "Device",
    "choose_devices",
    "compile_for",
    "describe",
    "least_workers",
    "may_have_cuda",
    "usable_devices",
    "workspace_factories",
]

_IN_FLIGHT = 3
"""Chunks of one GPU at one time: one is read, one copied, one computed."""


@dataclass(frozen=True)
class Device:
    """One device that can merge.

    Attributes:
        name: as --device and torch call it: "cpu", "cuda:0", "mps", "xpu:0".
        title: the maker's name for it.
        kind: "cpu", "cuda" (ROCm too), "mps" or "xpu".
        total_bytes, free_bytes: of its own memory; None where torch cannot tell.
    """

    name: str
    title: str
    kind: str
    total_bytes: int | None = None
    free_bytes: int | None = None


CPU = Device("cpu", "CPU", "cpu")


def usable_devices() -> list[Device]:
    """Every device but the CPU that torch can use, CUDA devices first."""
    if not (may_have_cuda() or _may_have_others()):
        return []
    return [*_cuda_devices(), *_xpu_devices(), *_mps_devices()]


def choose_devices(device: str) -> list[Device]:
    """The devices that `device` asks for.

    "auto" takes every CUDA device that the GPU kernels run on, or else the CPU, whose kernels are
    faster than the reference arithmetic on a GPU. "cuda" is the first CUDA device.

    Raises:
        DeviceError: it is not known, or not there.
    """
    if device == "cpu":
        return [CPU]
    if device == "auto":
        return [found for found in _cuda_devices() if _runs_kernels(found.name)] or [CPU]
    kind, _, number = device.partition(":")
    if not re.fullmatch(r"(cuda|xpu)(:[0-9]{1,4})?|mps", device):
        raise DeviceError(f"the device {device!r} is not known", hint="one of: auto, cpu, cuda, cuda:N")
    available = _cuda_devices() if kind == "cuda" else usable_devices()
    available = [found for found in available if found.kind == kind]
    if int(number or 0) >= len(available):
        raise DeviceError(
            f"the device {device} is not there: this machine has {len(available)} {kind.upper()} devices",
            hint="use the CPU",
        )
    return [available[int(number or 0)]]


def describe(devices: Sequence[Device]) -> str:
    """What a run record calls `devices`."""
    return ", ".join(
        "cpu" if device.kind == "cpu" else f"{device.name} ({device.title})" for device in devices
    )


def least_workers(devices: Sequence[Device]) -> int:
    """How many workers keep `devices` busy."""
    return sum(_IN_FLIGHT for device in devices if device.kind != "cpu") or 1


def compile_for(devices: Sequence[Device], jobs: Iterable[MapJob]) -> None:
    """Compile what merging as `jobs` say needs, one of each kind, so that it is no part of the merge."""
    kinds = {replace(job, key=(0, 0)): job for job in jobs}
    for device in devices:
        if device.kind == "cpu":
            from core.kernels.cpu import workspace as cpu

            for job in kinds.values():
                if job.method in cpu.CPU_METHODS:
                    cpu.compile_for(job)
        elif _runs_kernels(device.name):
            from core.kernels.gpu import workspace as gpu_workspace

            for job in kinds.values():
                gpu_workspace.compile_for(job, device.name)


def workspace_factories(
    devices: Sequence[Device], workers: int, method: str
) -> list[Callable[[], Workspace]]:
    """A maker of workspaces for each of `workers` workers, who take the devices in turn.

    Where a device has no kernel for `method`, the method's own arithmetic serves.
    """
    return [_factory(devices[worker % len(devices)], method) for worker in range(workers)]


def may_have_cuda() -> bool:
    """Whether it is worth the seconds of importing torch to look for a CUDA (or ROCm) device."""
    if not sys.platform.startswith("linux"):
        return sys.platform != "darwin"
    return any(Path(place).exists() for place in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))


def _may_have_others() -> bool:
    return sys.platform == "darwin" or any(Path("/dev").glob("dri/renderD*"))


def _factory(device: Device, method: str) -> Callable[[], Workspace]:
    if device.kind == "cpu":
        from core.kernels.cpu.workspace import CPU_METHODS, CpuWorkspace

        if method in CPU_METHODS:
            return CpuWorkspace
    elif _runs_kernels(device.name):
        from core.kernels.gpu.workspace import GpuWorkspace

        return lambda: GpuWorkspace(device.name)
    from core.methods.reference import ReferenceWorkspace

    return lambda: ReferenceWorkspace(device.name)


@lru_cache(maxsize=64)
def _runs_kernels(name: str) -> bool:
    """Whether the GPU kernels run on the device and give what the reference gives.

    Tried, because Triton needs a driver, a card and a C compiler that it can work with, and says so in
    a different way each time; and because the bytes of a merge must not depend on any of these.
    """
    if not name.startswith("cuda") or importlib.util.find_spec("triton") is None:
        return False
    bf16, f32 = DTYPES["BF16"], DTYPES["F32"]
    trials = [
        MapJob("parameter_selection", (bf16,) * 3, bf16, bf16, bf16, (1.0,) * 3, resamples=2),
        MapJob("parameter_selection", (f32,) * 3, f32, f32, f32, (0.5, 0.0, 2.0), resamples=2),
        MapJob("linear", (bf16,) * 3, None, bf16, bf16, (1.0, 0.3, 0.5)),
        MapJob("linear", (f32,) * 3, None, f32, f32, (1.0, -0.3, 0.5)),
    ]
    try:
        from core.kernels.gpu.workspace import GpuWorkspace
        from core.methods.reference import ReferenceWorkspace

        tried, reference = GpuWorkspace(name), ReferenceWorkspace("cpu")
        return all(_trial(tried, job) == _trial(reference, job) for job in trials)
    except Exception:
        return False


def _trial(workspace: Workspace, job: MapJob) -> tuple[bytes, str]:
    """The bytes and counts of a small merge, of any bits: NaNs and infinities are among them."""
    buffers = workspace.begin(job, BLOCK + 100)
    base = random.Random(1).randbytes(len(buffers[-1]))
    for at, buffer in enumerate(buffers):
        row = bytearray(base)
        for position in range(at, len(row), at + 5):
            row[position] ^= 1
        buffer[:] = row
    counts = workspace.run(BLOCK)
    return bytes(workspace.output()), repr(vars(counts))


def _cuda_devices() -> list[Device]:
    if not may_have_cuda():
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    devices = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        title = torch.cuda.get_device_name(number)
        devices.append(Device(f"cuda:{number}", title, "cuda", total, free))
    return devices


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
