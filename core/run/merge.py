"""Run a plan: workers take chunks, read, merge, write at fixed offsets, and count."""

from __future__ import annotations

import itertools
import logging
import time
from pathlib import Path

from core import devices, table
from core.cancel import CancelToken
from core.checkpoint import page_cache
from core.checkpoint.companions import companion_files
from core.checkpoint.files import WriteFile, read_rows
from core.checkpoint.model import INDEX_NAME
from core.checkpoint.output import RECORD_NAME, Staging, restore_interrupted
from core.errors import Cancelled, MergeError, merge_errors_only
from core.plan.chunking import CHUNK_BYTES, MEMORY_BUDGET_BYTES, default_threads, usable_threads
from core.plan.merge_plan import MergePlan
from core.plan.planning import check_destination
from core.progress import ProgressCallback
from core.recipe.recipe import recipe_as_dict
from core.run.card import model_card
from core.run.executors.threads import ThreadExecutor, allow_open_files
from core.run.merging import MergeWork, Target, TensorCallback
from core.run.record import InputRecord, RunRecord, software_versions
from core.run.work import Executor
from core.sources.files import ColdPages

__all__ = ["TensorCallback", "run_merge"]

_log = logging.getLogger(__name__)


@merge_errors_only()
def run_merge(
    plan: MergePlan,
    out: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    chunk_bytes: int = CHUNK_BYTES,
    executor: Executor | None = None,
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
        threads: workers; None for one a core, up to eight.
        overwrite: whether `out` may exist; it is replaced when the merge is done.
        memory_budget_bytes: for the buffers of all workers together.
        chunk_bytes: input bytes to aim at in one chunk.
        executor: what works the chunks off; None for threads of this process.
        progress: called about ten times a second in this thread.
        on_tensor: called with each finished tensor in this thread.
        cancel: looked at between chunks.

    Raises:
        Cancelled: after `cancel`; nothing is left of the work.
        MergeError: any other reason why it cannot be done; nothing is left of the work either.
    """
    out = Path(out)
    token = cancel or CancelToken()
    executor = executor or ThreadExecutor()
    restore_interrupted(out.absolute(), plan.input_folders, overwrite=overwrite)
    check_destination(plan, out, overwrite=overwrite)
    companions = _companions(plan, out.absolute().name)
    chosen = devices.choose_devices(device)
    token.raise_if_cancelled()
    staging = Staging(out)
    _log.info(
        "run begun: %s of %d sub-models, %d tensors, %d bytes to read and %d to write, on %s, into %s",
        plan.recipe.method.name,
        len(plan.models),
        len(plan.tensors),
        plan.bytes_to_read,
        plan.bytes_to_write,
        devices.describe(chosen),
        out,
    )
    try:
        for name, data in companions.items():
            staging.add_file(name, data)
        # This imports and compiles, and so comes after every refusal.
        with token.interruptible():
            table.compile_for(chosen, (tensor.job for tensor in plan.tensors if tensor.job))
        read_rows(())
        wanted = max(threads or default_threads(), devices.least_workers(chosen))
        workers = usable_threads(plan, wanted, memory_budget_bytes)
        on = itertools.cycle(chosen)
        allow_open_files(workers * (len(plan.models) + 1) + len(plan.shards) + 256)
        shards = _open_shards(plan, staging)
        try:
            work = MergeWork(
                [Target(plan, shards)],
                lambda: table.workspace(next(on)),
                slots=workers,
                budget_bytes=memory_budget_bytes,
                chunk_bytes=chunk_bytes,
                cold_pages=ColdPages() if _is_very_large(plan) and not plan.recipe.method.folds else None,
            )
            executor.run(work, slots=workers, token=token, poll=lambda: work.report(progress, on_tensor))
            for shard in shards:
                shard.sync()
                if _is_very_large(plan):
                    shard.drop()
        finally:
            for shard in shards:
                shard.close()
        record = RunRecord(
            recipe=recipe_as_dict(plan.recipe, plan.names),
            inputs=_inputs(plan),
            software=software_versions(),
            device=devices.describe(chosen),
            seconds=round(time.perf_counter() - work.started, 3),
            bytes_read=work.bytes_read,
            bytes_written=plan.bytes_to_write,
            tensors=work.records(),
        )
        staging.add_file(RECORD_NAME, record.to_json())
        token.raise_if_cancelled()
    except BaseException as error:
        if isinstance(error, MergeError):
            _log.info("run %s: %s", "cancelled" if isinstance(error, Cancelled) else "failed", error)
        else:
            _log.exception("run failed")
        staging.abandon()
        raise
    staging.finish(overwrite=overwrite)  # whatever happens here, the finished work stays
    _log.info("run finished: %s s, %d bytes read", record.seconds, record.bytes_read)
    return record


def _is_very_large(plan: MergePlan) -> bool:
    """Whether it would push everything else out of the system's page cache."""
    memory = page_cache.physical_memory_bytes()
    return memory is not None and plan.bytes_to_read > memory // 2


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
        unties=plan.unties,
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
