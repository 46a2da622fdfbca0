"""Run a plan: workers take chunks, read, merge, write at fixed offsets, and count."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.cancel import CancelToken
from core.checkpoint import page_cache
from core.checkpoint.companions import companion_files
from core.checkpoint.files import WriteFile
from core.checkpoint.model import INDEX_NAME
from core.checkpoint.output import RECORD_NAME, Staging, restore_interrupted
from core.digest import TensorDigest
from core.errors import CheckpointError
from core.kernels import devices
from core.kernels.interface import Counts, Int64s, Workspace
from core.plan.merge_plan import (
    CHUNK_BYTES,
    MEMORY_BUDGET_BYTES,
    MergePlan,
    TensorPlan,
    chunk_elements,
    usable_threads,
)
from core.plan.planning import check_destination
from core.progress import Progress, ProgressCallback
from core.recipe.recipe import recipe_as_dict
from core.run.card import model_card
from core.run.executors.threads import allow_open_files, default_threads, run_workers
from core.run.record import InputRecord, RunRecord, TensorRecord, software_versions
from core.sources.stored import ColdPages, OpenInputs

__all__ = ["TensorCallback", "run_merge"]

TensorCallback = Callable[[TensorRecord], None]
"""Called with each finished tensor, in the thread that called the merge."""


def run_merge(
    plan: MergePlan,
    out: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    chunk_bytes: int = CHUNK_BYTES,
    progress: ProgressCallback | None = None,
    on_tensor: TensorCallback | None = None,
    cancel: CancelToken | None = None,
) -> RunRecord:
    """Merge as `plan` says and leave a finished checkpoint in `out`.

    The tensors' bytes depend on the recipe and the models alone, not on any argument here.

    Args:
        plan: from `plan_merge`.
        out: the output folder.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: workers; None for one a core.
        overwrite: whether `out` may exist; it is replaced when the merge is done.
        memory_budget_bytes: for the buffers of all workers together.
        chunk_bytes: input bytes to aim at in one chunk.
        progress: called about ten times a second in this thread.
        on_tensor: called with each finished tensor in this thread.
        cancel: looked at between chunks.

    Raises:
        Cancelled: after `cancel`; nothing is left of the work.
        MergeError: any other reason why it cannot be done; nothing is left of the work either.
    """
    out = Path(out)
    token = cancel or CancelToken()
    restore_interrupted(out.absolute(), plan.input_folders, overwrite=overwrite)
    check_destination(plan, out, overwrite=overwrite)
    companions = _companions(plan, out.absolute().name)
    chosen = devices.choose_devices(device)
    token.raise_if_cancelled()
    staging = Staging(out)
    try:
        for name, data in companions.items():
            staging.add_file(name, data)
        # This imports and compiles, and so comes after every refusal.
        devices.compile_for(chosen, (tensor.job for tensor in plan.tensors if tensor.job))
        wanted = max(threads or default_threads(), devices.least_workers(chosen))
        workers = usable_threads(plan, wanted, memory_budget_bytes)
        factories = iter(devices.workspace_factories(chosen, workers, plan.recipe.method.name))
        allow_open_files(workers * (len(plan.models) + 1) + len(plan.shards) + 256)
        run = _Run(plan, staging)
        try:
            run_workers(
                run.chunks(workers, memory_budget_bytes, chunk_bytes),
                lambda: _MergeWorker(run, next(factories)()),
                threads=workers,
                token=token,
                poll=lambda: run.report(progress, on_tensor),
            )
            run.sync()
        finally:
            run.close()
        record = RunRecord(
            recipe=recipe_as_dict(plan.recipe, plan.names),
            inputs=_inputs(plan),
            software=software_versions(),
            device=devices.describe(chosen),
            seconds=round(time.perf_counter() - run.started, 3),
            bytes_read=run.bytes_read,
            bytes_written=plan.bytes_to_write,
            tensors=run.records(),
        )
        staging.add_file(RECORD_NAME, record.to_json())
        token.raise_if_cancelled()
    except BaseException:
        staging.abandon()
        raise
    staging.finish(overwrite=overwrite)  # whatever happens here, the finished work stays
    return record


class _Tensor:
    """One tensor while its chunks come in."""

    def __init__(self, plan: TensorPlan) -> None:
        self.plan = plan
        self.digest = TensorDigest(plan.output.size_bytes)
        self.left = plan.elements
        self.counts: Counts | None = None
        self.differs: set[int] = set()


@dataclass(frozen=True)
class _Chunk:
    """`elements` elements of tensor number `tensor`, from `first`."""

    tensor: int
    first: int
    elements: int


class _Run:
    """The shared state of one merge's workers.

    Attributes:
        plan: what is done.
        shards: the output files.
        tensors: the state of each tensor.
        cold_pages: for a merge so large that it would push everything else out of the system's page
            cache, and so leaves it as it was; None for any other.
        started: when the first weights were about to be read (time.perf_counter).
        bytes_read: weights read so far.
    """

    def __init__(self, plan: MergePlan, staging: Staging) -> None:
        self.plan = plan
        memory = page_cache.physical_memory_bytes()
        very_large = memory is not None and plan.bytes_to_read > memory // 2
        self.cold_pages = ColdPages() if very_large else None
        self.shards = _open_shards(plan, staging)
        self.tensors = [_Tensor(tensor) for tensor in plan.tensors]
        self._weights_are_ruled = "weight" in plan.recipe.ruled
        self.started = time.perf_counter()
        self.bytes_read = 0
        self._bytes_done = 0
        self._bytes_total = plan.bytes_to_read + sum(tensor.output.size_bytes for tensor in plan.tensors)
        self._in_hand = ""
        self._lock = threading.Lock()
        self._finished: list[tuple[int, TensorRecord]] = []
        self._reported = 0
        for number, tensor in enumerate(self.tensors):
            if tensor.plan.elements == 0:
                self._finish(number)

    def chunks(self, threads: int, budget_bytes: int, chunk_bytes: int) -> Iterator[_Chunk]:
        """Every chunk, in the order of the files."""
        for number, tensor in enumerate(self.plan.tensors):
            size = chunk_elements(tensor, threads, budget_bytes, chunk_bytes)
            for first in range(0, tensor.elements, size):
                yield _Chunk(number, first, min(size, tensor.elements - first))

    def begin(self, chunk: _Chunk) -> TensorPlan:
        """The plan of the chunk's tensor, which is the tensor in hand from now on."""
        plan = self.plan.tensors[chunk.tensor]
        self._in_hand = plan.output.name
        return plan

    def add(self, chunk: _Chunk, merged: memoryview, counts: Counts | None, differs: set[int]) -> None:
        """Write and digest a finished chunk, and add up what was counted in it."""
        tensor = self.tensors[chunk.tensor]
        plan = tensor.plan
        offset = chunk.first * plan.output.dtype.itemsize
        tensor.digest.add(merged, offset)
        self.shards[plan.placement.shard].write_at(merged, plan.placement.offset + offset)
        read = chunk.elements * sum(stored.dtype.itemsize for stored in plan.inputs)
        with self._lock:
            self.bytes_read += read
            self._bytes_done += read + len(merged)
            tensor.differs |= differs
            if tensor.counts is None:
                tensor.counts = counts
            elif counts is not None:
                tensor.counts.add(counts)
            tensor.left -= chunk.elements
            if tensor.left == 0:
                self._finish(chunk.tensor)

    def report(self, progress: ProgressCallback | None, on_tensor: TensorCallback | None) -> None:
        """Tell the callbacks what is new since the last report."""
        finished = self._finished[self._reported :]
        self._reported += len(finished)
        if on_tensor is not None:
            for _, record in finished:
                on_tensor(record)
        if progress is not None:
            elapsed = time.perf_counter() - self.started
            progress(
                Progress(
                    self._bytes_done,
                    self._bytes_total,
                    self._reported,
                    len(self.tensors),
                    elapsed,
                    self._in_hand,
                )
            )

    def records(self) -> tuple[TensorRecord, ...]:
        """The finished tensors in the plan's order."""
        return tuple(record for _, record in sorted(self._finished, key=lambda item: item[0]))

    def sync(self) -> None:
        """Return when every shard is on the disk."""
        for shard in self.shards:
            shard.sync()
            if self.cold_pages is not None:
                shard.drop()

    def close(self) -> None:
        for shard in self.shards:
            shard.close()

    def _finish(self, number: int) -> None:
        tensor = self.tensors[number]
        plan, models = tensor.plan, len(self.plan.models)
        counts = tensor.counts
        if counts is None:  # empty
            draws = plan.job is not None and plan.job.base_dtype is not None
            counts = Counts.zeros(
                len(plan.inputs), models, plan.job.resamples if plan.job and draws else None
            )
        nonfinite: list[int | None] = [int(count) for count in counts.nonfinite]
        nonfinite += [None] * (models + 1 - len(nonfinite))
        record = TensorRecord(
            name=plan.output.name,
            shape=plan.output.shape,
            dtype=plan.output.dtype.name,
            action="copied" if plan.job is None else "merged",
            elements=plan.elements,
            zero_delta=_tuple(counts.zero_delta),
            changed_by=_tuple(counts.changed_by),
            zero_after_draw=_tuple(counts.zero_after_draw),
            selected=_tuple(counts.selected),
            nonfinite=tuple(nonfinite),
            digest=tensor.digest.hexdigest(),
            differs_in=tuple(self.plan.models[at].name for at in sorted(tensor.differs)),
            weights=plan.job.weights if plan.job and self._weights_are_ruled else None,
        )
        self._finished.append((number, record))


class _MergeWorker:
    """One thread's part of a run: reads chunks, merges them, hands them over."""

    def __init__(self, run: _Run, workspace: Workspace) -> None:
        self._run = run
        self._workspace = workspace
        self._inputs = OpenInputs(run.plan.headers, run.cold_pages)

    def handle(self, chunk: _Chunk) -> None:
        plan = self._run.begin(chunk)
        if plan.job is None:
            self._copy(chunk, plan)
            return
        buffers = self._workspace.begin(plan.job, chunk.elements)
        self._inputs.read(plan.inputs, chunk.first, buffers)
        counts = self._workspace.run(chunk.first)
        if self._run.plan.recipe.nonfinite == "error":
            _refuse_nonfinite(plan, counts)
        self._run.add(chunk, self._workspace.output(), counts, set())

    def close(self) -> None:
        self._inputs.close()

    def _copy(self, chunk: _Chunk, plan: TensorPlan) -> None:
        copies = [bytearray(chunk.elements * stored.dtype.itemsize) for stored in plan.inputs]
        self._inputs.read(plan.inputs, chunk.first, [memoryview(copy) for copy in copies])
        source = copies[-1] if plan.base is not None else copies[0]
        differs = {at for at in range(len(plan.models)) if copies[at] != source}
        counts = Counts.zeros(len(copies), len(plan.models), None)
        if plan.output.dtype.name == "C64":
            for at, copy in enumerate(copies):
                counts.nonfinite[at] = np.count_nonzero(~np.isfinite(np.frombuffer(copy, np.complex64)))
            if self._run.plan.recipe.nonfinite == "error":
                _refuse_nonfinite(plan, counts)
        self._run.add(chunk, memoryview(source), counts, differs)


def _refuse_nonfinite(plan: TensorPlan, counts: Counts) -> None:
    found = counts.nonfinite.nonzero()[0]
    if found.size:
        stored = plan.inputs[int(found[0])]
        raise CheckpointError(
            f"tensor {stored.name!r} of {stored.path} holds NaN or infinite values, "
            "and the recipe forbids them",
            hint="repair that model, or set nonfinite: pass",
            path=stored.path,
            tensor=stored.name,
        )


def _open_shards(plan: MergePlan, staging: Staging) -> list[WriteFile]:
    shards: list[WriteFile] = []
    try:
        for layout in plan.shards:
            shards.append(WriteFile(staging.folder / layout.file_name, layout.size_bytes))
            shards[-1].write_at(memoryview(layout.header), 0)
    except BaseException:
        for shard in shards:
            shard.close()
        raise
    return shards


def _companions(plan: MergePlan, title: str) -> dict[str, bytes]:
    source = plan.recipe.tokenizer_source or plan.models[0].folder
    config_source = plan.models[0].folder
    if (source / "config.json").exists():
        config_source = source
    files = companion_files(
        source,
        config_source,
        vocabulary=plan.vocabulary,
        dtype_name=plan.out_dtype.torch_name if plan.out_dtype else "float32",
        inputs=plan.input_folders,
    )
    files["README.md"] = model_card(plan, title)
    if plan.index is not None:
        files[INDEX_NAME] = plan.index
    return files


def _inputs(plan: MergePlan) -> tuple[InputRecord, ...]:
    roles = [("base", plan.base)] if plan.base else []
    roles += [("sub-model", model) for model in plan.models]
    return tuple(
        InputRecord(
            model.name,
            role,
            tuple(
                {"name": shard.path.name, "size": shard.size_bytes, "header_digest": shard.digest}
                for shard in model.shards
            ),
        )
        for role, model in roles
    )


def _tuple(counts: Int64s | None) -> tuple[int, ...] | None:
    return None if counts is None else tuple(int(count) for count in counts)
