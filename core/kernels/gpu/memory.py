"""The memory of one workspace on a device and beside it: buffers that grow when they must, and are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from core.devices import release_pinned

__all__ = ["DeviceMemory", "HostMemory"]


class DeviceMemory:
    """Buffers on a device by name. Used on one stream, in whose order one launch follows another."""

    def __init__(self, device: torch.device, forget: Callable[[], None]) -> None:
        """Nothing is allocated yet.

        Args:
            device: where the buffers are.
            forget: called before a buffer gives way to a larger one: to let go of what looks into it.
        """
        self.device = device
        self._forget = forget
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor in the buffer of that name; whoever took it before shares it.

        Raises:
            torch.OutOfMemoryError: there is not so much.
        """
        size = dtype.itemsize
        for length in shape:
            size *= length
        if name not in self._buffers or self._buffers[name].numel() < size:
            self._forget()
            self._buffers.pop(name, None)  # before the larger one is asked for
            self._buffers[name] = torch.empty(size, dtype=torch.uint8, device=self.device)
        return self._buffers[name][:size].view(dtype).view(shape)

    def clear(self) -> None:
        """Give all of it back."""
        self._forget()
        self._buffers.clear()


class HostMemory:
    """Numbered buffers in the host's memory, pinned where they may be: the device copies those by itself."""

    def __init__(self, forget: Callable[[], None], *, pinned: bool) -> None:
        """Nothing is allocated yet. `forget` as in DeviceMemory."""
        self._forget, self._pinned = forget, pinned
        self._buffers: list[Tensor] = []

    def take(self, number: int, size: int) -> Tensor:
        """`size` bytes of the buffer of that number."""
        while number >= len(self._buffers):
            self._buffers.append(torch.empty(0, dtype=torch.uint8))
        if self._buffers[number].numel() < size:
            self._forget()
            had_one = self._buffers[number].numel() > 0
            self._buffers[number] = torch.empty(0, dtype=torch.uint8)
            if self._pinned and had_one:
                release_pinned()  # torch would keep the smaller one
            self._buffers[number] = self._allocated(size)
        return self._buffers[number][:size]

    def _allocated(self, size: int) -> Tensor:
        if self._pinned:
            # Torch pins powers of two whatever is asked for: the rest of it serves what comes later.
            with contextlib.suppress(RuntimeError):  # the system may refuse to pin so much
                return torch.empty(1 << (size - 1).bit_length(), dtype=torch.uint8, pin_memory=True)
        return torch.empty(size, dtype=torch.uint8)
