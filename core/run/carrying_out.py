"""Working off a merge's chunks on what was chosen; where a card fails that nobody named, the CPU goes on."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core import devices, table
from core.cancel import CancelToken
from core.cores import begin_with
from core.errors import DeviceError, MergeError
from core.helpers import Helpers
from core.kernels.interface import Values
from core.plan.choice import Choice
from core.plan.chunking import CHUNK_BYTES, DEVICE_CHUNK_BYTES, default_threads, usable_threads
from core.progress import ProgressCallback
from core.run.executors.threads import ThreadExecutor, allow_open_files
from core.run.journaling import Journaling, joined
from core.run.merging import MergeWork, Target, TensorCallback
from core.run.passes import Done, Restored
from core.run.record import TensorRecord
from core.run.work import Executor
from core.sources.ahead import ColdPages
from core.text import one_line

__all__ = ["CarriedOut", "Cut", "carry_out"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cut:
    """How a merge is cut into chunks, and who works them off.

    Attributes:
        threads: so many work on the CPU at most, or read and write for a device; None for one a core.
        memory_budget_bytes: for the buffers of all workers together.
        chunk_bytes: input bytes to aim at in one chunk; None for what suits the device.
        executor: what works the chunks off; None for threads of this process.
    """

    threads: int | None
    memory_budget_bytes: int
    chunk_bytes: int | None
    executor: Executor | None

    def workers(self, target: Target, chosen: Sequence[devices.Device]) -> int:
        """How many chunks are worked on at one time."""
        on_host = _is_host(chosen)
        wanted = self.threads or default_threads() if on_host else devices.least_workers(chosen)
        return usable_threads(target.plan, wanted, self.memory_budget_bytes)


@dataclass(frozen=True)
class CarriedOut:
    """What came of it.

    Attributes:
        devices: that did the arithmetic, in their order.
        choice: what the merge ended on.
        tensors: in the plan's order.
        bytes_read: of weights.
        started: when the first weights were about to be read (time.perf_counter).
    """

    devices: tuple[devices.Device, ...]
    choice: Choice
    tensors: tuple[TensorRecord, ...]
    bytes_read: int
    started: float


def carry_out(
    target: Target,
    choice: Choice,
    cut: Cut,
    *,
    restored: Restored,
    journaling: Journaling,
    cold_pages: ColdPages | None,
    token: CancelToken,
    progress: ProgressCallback | None,
    on_tensor: TensorCallback | None,
    on_cpu: Callable[[Choice, str], Choice],
) -> CarriedOut:
    """Merge all that is not finished.

    Args:
        target: the output.
        choice: on what.
        cut: into what, and by whom.
        restored: what is finished already.
        journaling: is told what is finished.
        cold_pages: see MergeWork.
        token: looked at before each chunk.
        progress, on_tensor: called in this thread, of each tensor once.
        on_cpu: called where the CPU has to take a card's place, with the choice so far and what the card
            said; returns the choice to go on with.

    Raises:
        Cancelled: after `token.cancel()`.
        DeviceError: a device failed that was named.
        MergeError: any other reason.
    """
    finished = _Finished(restored, journaling)
    told = _Told(journaling, progress, on_tensor)
    used = choice.devices
    work = _work(target, choice, cut, finished, cold_pages)
    started, bytes_read = work.started, 0
    failure = _run(work, target, choice, cut, told, token)
    if failure is not None:
        bytes_read = work.bytes_read
        choice = on_cpu(choice, failure)
        used += choice.devices
        work = _work(target, choice, cut, finished, cold_pages)
        _run(work, target, choice, cut, told, token)
    return CarriedOut(used, choice, work.records(), bytes_read + work.bytes_read, started)


def _work(
    target: Target, choice: Choice, cut: Cut, finished: _Finished, cold_pages: ColdPages | None
) -> MergeWork:
    """What is left to do, on what was chosen."""
    on = itertools.cycle(choice.devices)
    on_host = _is_host(choice.devices)
    return MergeWork(
        [target],
        lambda: table.workspace(next(on)),
        slots=cut.workers(target, choice.devices),
        budget_bytes=cut.memory_budget_bytes,
        chunk_bytes=cut.chunk_bytes or (CHUNK_BYTES if on_host else DEVICE_CHUNK_BYTES),
        cold_pages=cold_pages,
        restored=finished.so_far(),
        keeper=finished if choice.is_automatic_card else finished.journaling,
        helpers=None if on_host else Helpers(cut.threads or begin_with()),
    )


def _run(
    work: MergeWork, target: Target, choice: Choice, cut: Cut, told: _Told, token: CancelToken
) -> str | None:
    """Work it off; returns what a card said that failed, where the CPU may take its place."""
    plan, workers = target.plan, cut.workers(target, choice.devices)
    adapters = sum(len(model.adapters) for model in plan.models)
    allow_open_files(workers * (len(plan.models) + 1 + adapters) + len(plan.shards) + 256)
    executor = cut.executor or ThreadExecutor(all_at_once=not _is_host(choice.devices))
    try:
        executor.run(work, slots=workers, token=token, poll=lambda: told.look(work))
    except Exception as error:
        if told.has_failed or _is_host(choice.devices) or not _is_of_device(error):
            raise
        said = one_line(next(iter(str(error).splitlines()), type(error).__name__))
        if choice.is_automatic_card:
            _log.warning("%s failed", devices.describe(choice.devices), exc_info=True)
            return said
        if not isinstance(error, RuntimeError) or "new thread" in said:  # which torch's errors are
            raise
        name = devices.describe(choice.devices)
        raise DeviceError(f"the device {name} failed: {said}", hint="use the CPU") from error
    finally:
        if work.helpers is not None:
            work.helpers.close(lambda: token.hurried)
        if not token.hurried:  # a step that hangs has the device
            devices.release(choice.devices)
    return None


class _Finished:
    """A core.run.merging.Keeper that remembers what is finished, too, for the CPU to go on with."""

    def __init__(self, restored: Restored, journaling: Journaling) -> None:
        self.journaling = journaling
        self._parts, self._found = list(restored.parts), dict(restored.found)

    def part(self, done: Done, fraction: float) -> None:
        self._parts.append(done)
        self.journaling.part(done, fraction)

    def found(self, tensor: int, found: tuple[Values, ...]) -> None:
        self._found[tensor] = found
        self.journaling.found(tensor, found)

    def so_far(self) -> Restored:
        return Restored(tuple(joined(self._parts)), dict(self._found))


class _Told:
    """Tells the caller what is new, of each tensor once.

    Attributes:
        has_failed: whether that failed, which is no device's fault.
    """

    def __init__(
        self, journaling: Journaling, progress: ProgressCallback | None, on_tensor: TensorCallback | None
    ) -> None:
        self._journaling, self._progress, self._on_tensor = journaling, progress, on_tensor
        self._names: set[str] = set()
        self.has_failed = False

    def look(self, work: MergeWork) -> None:
        try:
            self._journaling.check()
            work.report(self._progress, self._once)
        except BaseException:
            self.has_failed = True
            raise

    def _once(self, tensor: TensorRecord) -> None:
        if self._on_tensor is not None and tensor.name not in self._names:
            self._names.add(tensor.name)
            self._on_tensor(tensor)


def _is_host(chosen: Sequence[devices.Device]) -> bool:
    return list(chosen) == [devices.CPU]


def _is_of_device(error: Exception) -> bool:
    """Whether it is the device that failed: each driver and each compiler of kernels has errors of its own,
    while what concerns files, the recipe and the memory of the host has none but these."""
    if isinstance(error, MergeError):
        return isinstance(error, DeviceError)
    return not isinstance(error, OSError | MemoryError)
