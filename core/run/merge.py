"""Run a plan: workers take chunks, read, merge, write at fixed offsets, and count."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xxhash

from core import devices, table
from core.cancel import CancelToken
from core.checkpoint import page_cache
from core.checkpoint.companions import Companion, Companions
from core.checkpoint.files import WriteFile, check_unchanged, read_rows
from core.checkpoint.listed_files import FileRecord
from core.checkpoint.output import check_name, settle
from core.checkpoint.staging import Staging, WrittenFile, staging_path
from core.compilation import compilation_noted
from core.digest import FileDigest
from core.errors import (
    Cancelled,
    InputChangedError,
    MergeError,
    VerificationError,
    merge_errors_only,
)
from core.plan.belonging import check_belonging
from core.plan.choice import Choice, choose
from core.plan.chunking import MEMORY_BUDGET_BYTES
from core.plan.estimate import Throughput
from core.plan.merge_plan import MergePlan
from core.plan.output_tokenizer import given_tokenizer
from core.plan.planning import check_destination
from core.plan.small_files import planned_companions
from core.progress import ProgressCallback
from core.recipe.writing import recipe_as_dict
from core.run.card import model_card
from core.run.carrying_out import Cut, carry_out
from core.run.journaling import Journaling
from core.run.mergekit_config import MERGEKIT_CONFIG, mergekit_config, models_under
from core.run.merging import Target, TensorCallback
from core.run.no_ops import not_looked_at, result_warnings
from core.run.passes import Restored
from core.run.record import InputRecord, RunRecord, read_record, software_versions
from core.run.record_values import moment, optional
from core.run.resuming import (
    again_entry,
    changed_entry,
    check_same_merge,
    files_entry,
    first_entry,
    readers_of,
    refuse_other_files,
    restore,
    sound_parts,
)
from core.run.stages import run_stages
from core.run.ties import settle_ties
from core.run.work import Executor
from core.sources import adapted
from core.sources.ahead import ColdPages
from core.text import one_line

__all__ = ["ChoiceCallback", "NoteCallback", "TensorCallback", "run_merge"]

ChoiceCallback = Callable[[Choice], None]
"""Called with what the merge runs on and why, in the thread that called the merge."""

NoteCallback = Callable[[str], None]
"""Called with a sentence that is worth saying, in the thread that called the merge."""

_CARD = "README.md"
_WORTH_KEEPING_S = 10.0
"""What failed sooner is made again as soon, and a clean folder is worth more."""

_log = logging.getLogger(__name__)


@merge_errors_only()
def run_merge(
    plan: MergePlan,
    out: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    throughput: Throughput | None = None,
    overwrite: bool = False,
    resume: bool = False,
    keep: bool = False,
    take_over: bool = False,
    memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    chunk_bytes: int | None = None,
    executor: Executor | None = None,
    progress: ProgressCallback | None = None,
    on_tensor: TensorCallback | None = None,
    on_note: NoteCallback | None = None,
    on_choice: ChoiceCallback | None = None,
    cancel: CancelToken | None = None,
    whole: MergePlan | None = None,
) -> RunRecord:
    """Merge as `plan` says and leave a finished checkpoint in `out`.

    The tensors' bytes depend on the recipe and the models alone, not on any argument here.

    Args:
        plan: from `plan_merge`.
        out: the output folder.
        device: "auto" for the fastest, "cpu", "cuda" or "cuda:N". A card that turns out not to work, before
            the merge or in the middle of it, is an error where it was named, and the CPU takes its place
            where it was not.
        threads: so many work on the CPU at most, or read and write for a device; None for one a core. Of
            them as many work as get the most done.
        throughput: what was learned of this machine, by which the fastest is chosen; None for nothing.
        overwrite: whether `out` may exist; it is replaced when the merge is done.
        resume: whether to go on with what an earlier merge left in `<out>.partial`. Where it left nothing,
            the merge begins from its beginning; where it was done already, nothing happens.
        keep: whether a cancelled merge leaves what is finished, to go on later. One that goes on with what
            was left does in any case.
        take_over: whether to take that folder from a process of another machine of which nothing can be
            known, where the file system has no locks.
        memory_budget_bytes: for the buffers of all workers together.
        chunk_bytes: input bytes to aim at in one chunk; None for what suits the device.
        executor: what works the chunks off; None for threads of this process.
        progress: called about ten times a second in this thread.
        on_tensor: called with each finished tensor in this thread.
        on_note: called with a sentence about what does not stop the merge.
        on_choice: called when the merge begins, and again where the CPU has to take a card's place.
        cancel: looked at between chunks.
        whole: the plan with stages of which `plan` is the last merge, and whose recipe the record tells; None
            for `plan` itself.

    Raises:
        Cancelled: after `cancel`. Nothing is left of the work, unless it was to be kept.
        MergeError: any other reason why it cannot be done. What took a while to make is kept where the same
            merge could go on with it, and always where an input changed under it or nothing was missing but
            its end. The error's `kept` is the folder then, and None where nothing is left.
    """
    token = cancel or CancelToken()
    how: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "throughput": throughput,
        "overwrite": overwrite,
        "resume": resume,
        "keep": keep,
        "take_over": take_over,
        "memory_budget_bytes": memory_budget_bytes,
        "chunk_bytes": chunk_bytes,
        "executor": executor,
        "progress": progress,
        "on_tensor": on_tensor,
    }
    if plan.stages:
        return run_stages(
            plan, Path(out), run_merge, cancel=token, on_note=on_note, on_choice=on_choice, **how
        )
    return _Run(settle_ties(plan, token), Path(out), token, on_note, on_choice, whole).merge(**how)


class _Run:
    """One call of `run_merge`."""

    def __init__(
        self,
        plan: MergePlan,
        out: Path,
        token: CancelToken,
        on_note: NoteCallback | None,
        on_choice: ChoiceCallback | None,
        whole: MergePlan | None,
    ) -> None:
        self._plan, self._out, self._token = plan, out, token
        self._whole = whole or plan
        self._asked = recipe_as_dict(self._whole.asked, self._whole.names)
        self._on_note, self._on_choice = on_note, on_choice
        self._warnings = list(plan.warnings)
        self._started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._began_s = time.monotonic()
        self._why: dict[str, str] = {}  # by the device: what is learned meanwhile may change the words
        self._goes_on = False
        self._has_finished_parts = False
        self._all_written = False

    def merge(
        self,
        *,
        device: str,
        threads: int | None,
        throughput: Throughput | None,
        overwrite: bool,
        resume: bool,
        keep: bool,
        take_over: bool,
        **how: Any,
    ) -> RunRecord:
        plan, out = self._plan, self._out
        check_name(out)
        for sentence in settle(out.absolute(), plan.input_folders):
            self._note(sentence)
        if resume and (done := self._done_before()) is not None:
            self._note(f"{out} is finished already")
            return done
        check_destination(plan, out, overwrite=overwrite, resume=resume)
        beside = planned_companions(plan)
        companions = beside.files
        choice = choose(plan, device, threads, throughput)
        self._token.raise_if_cancelled()
        self._compare_inputs(beside)
        staging = Staging(out, go_on=resume, take_over=take_over)
        self._goes_on = self._has_finished_parts = bool(staging.entries)
        _log.info(
            "run begun: %s of %d sub-models, %d tensors, %d bytes to read and %d to write, into %s, %s",
            plan.recipe.method.name,
            len(plan.models),
            len(plan.tensors),
            plan.bytes_to_read,
            plan.bytes_to_write,
            out,
            choice.sentence,
        )
        try:
            with merge_errors_only():
                self._tell(choice)
                record = self._work(staging, companions, choice, threads=threads, **how)
                staging.finish(overwrite=overwrite, note=self._note)
        except BaseException as error:
            given_away = isinstance(error, MergeError) and not staging.is_there()
            self._end(staging, error, keep)
            if given_away:
                raise staging.not_ours() from error
            raise
        _log.info("run finished: %s s, %d bytes read", record.seconds, record.bytes_read)
        return record

    def _work(
        self,
        staging: Staging,
        companions: Mapping[str, Companion],
        choice: Choice,
        *,
        threads: int | None,
        memory_budget_bytes: int,
        chunk_bytes: int | None,
        executor: Executor | None,
        progress: ProgressCallback | None,
        on_tensor: TensorCallback | None,
    ) -> RunRecord:
        """Everything up to the record, which is written last."""
        plan = self._plan
        restored, small = self._begin(staging, companions, choice)
        # This imports and compiles, and so comes after every refusal.
        with self._token.interruptible(), compilation_noted(self._note):
            choice = self._made_ready(choice)
            adapted.compile_for(source for tensor in plan.tensors for source in tensor.inputs)
        read_rows(())
        cut = Cut(threads, memory_budget_bytes, chunk_bytes, executor)
        shards = self._open_shards(staging)
        digests = [FileDigest(shard.size_bytes, shard.read_into) for shard in shards]
        for digest, layout in zip(digests, plan.shards, strict=True):
            digest.add(layout.header, 0)
        try:
            target = Target(plan, shards, digests)
            restored = self._sound(staging, restored, shards, cut.workers(target, choice.devices))
            for part in restored.parts:
                tensor = plan.tensors[part.chunk.tensor]
                begin = tensor.placement.offset + part.chunk.first * tensor.output.dtype.itemsize
                digests[tensor.placement.shard].add_written(begin, part.outputs[0].size_bytes)
            journaling = Journaling(plan, shards, staging.note, self._note)
            try:
                done = carry_out(
                    target,
                    choice,
                    cut,
                    restored=restored,
                    journaling=journaling,
                    cold_pages=ColdPages()
                    if _is_very_large(plan) and not any(tensor.folds for tensor in plan.tensors)
                    else None,
                    token=self._token,
                    progress=progress,
                    on_tensor=on_tensor,
                    on_cpu=self._go_on_with_cpu,
                )
            finally:
                journaling.stop()
                self._has_finished_parts |= journaling.has_kept
            journaling.check()
            for shard in shards:
                shard.sync()
            self._all_written = True
            self._check_inputs()
            files = [_file_record(file) for file in small]
            for shard, digest, layout in zip(shards, digests, plan.shards, strict=True):
                header = xxhash.xxh3_128(layout.header).hexdigest()
                files.append(FileRecord(layout.file_name, shard.size_bytes, digest.hexdigest(), header))
                if _is_very_large(plan):
                    shard.drop()
        finally:
            for shard in shards:
                shard.close()
        record = RunRecord(
            recipe=self._asked,
            inputs=_inputs(plan),
            software=software_versions(),
            device=devices.describe(done.devices),
            device_why=self._why.get(devices.describe(done.devices), done.choice.why),
            seconds=round(time.perf_counter() - done.started, 3),
            bytes_read=done.bytes_read,
            bytes_written=plan.bytes_to_write,
            tensors=done.tensors,
            contract=plan.contract,
            run_id=staging.run_id,
            started=self._started,
        )
        for warning in result_warnings(record, _same_bytes(plan)):
            self._warn(warning)
        unseen = not_looked_at(record)
        card = model_card(plan, self._out.absolute().name, self._asked, [*self._warnings, *unseen])
        files.append(_file_record(staging.add_file(_CARD, [card])))
        merges = self._whole.merges
        by_tokens = [merge.tokens is not None for merge in merges]
        config = mergekit_config(self._asked, by_tokens=by_tokens, on=[*map(models_under, merges)])
        if config is not None:
            files.append(_file_record(staging.add_file(MERGEKIT_CONFIG, [config])))
        record = replace(
            record,
            warnings=tuple(self._warnings),
            not_looked_at=unseen,
            files=tuple(sorted(files, key=lambda file: file.name)),
        )
        staging.write_record(record.to_json())
        return record

    # -- beginning, and going on

    def _made_ready(self, choice: Choice) -> Choice:
        """Compile what the merge needs; instead of a card that does not work and nobody named, on the CPU."""
        jobs = [job for tensor in self._plan.tensors for job in tensor.jobs]
        table.try_again()
        if choice.is_automatic_card:
            try:
                if all(table.runs_kernels(device.name) for device in choice.devices):
                    table.compile_for(choice.devices, jobs)
                    return choice
            except Cancelled:
                raise
            except Exception:  # each driver fails in its own way
                _log.warning("%s does not work", devices.describe(choice.devices), exc_info=True)
            name = devices.describe(choice.devices)
            choice = self._give_up(choice, f"{name} does not work here: merging on the CPU instead")
        table.compile_for(choice.devices, jobs)
        return choice

    def _go_on_with_cpu(self, choice: Choice, said: str) -> Choice:
        """After a card that nobody named failed in the middle of the merge."""
        name = devices.describe(choice.devices)
        choice = self._give_up(choice, f"{name} failed ({said}): going on with the CPU", begun=True)
        with self._token.interruptible(), compilation_noted(self._note):
            jobs = [job for tensor in self._plan.tensors for job in tensor.jobs]
            table.compile_for(choice.devices, jobs)
        return choice

    def _give_up(self, choice: Choice, sentence: str, *, begun: bool = False) -> Choice:
        """Say that the CPU takes the place of what was chosen."""
        devices.give_up(device.name for device in choice.devices)
        self._note(sentence)
        choice = choice.on_cpu_instead(begun=begun)
        self._tell(choice)
        return choice

    def _begin(
        self, staging: Staging, companions: Mapping[str, Companion], choice: Choice
    ) -> tuple[Restored, list[WrittenFile]]:
        """Write what comes before the weights; returns what is finished of them, and the small files."""
        plan, device = self._plan, devices.describe(choice.devices)
        restored = Restored()
        if staging.entries:
            folder = staging.folder.path
            again, sentences = check_same_merge(plan, staging.entries, device, folder)
            refuse_other_files(staging.entries, companions, folder)
            with contextlib.suppress(ValueError):  # it says nonsense: then it is said when this one began
                self._started = moment(staging.entries[0], "started") or self._started
                if staging.entries[0].get("device") == device:
                    self._why[device] = optional(staging.entries[0], "device_why", str) or choice.why
            for sentence in sentences:
                self._note(sentence)
            staging.note([again_entry(plan, readers_of(plan, again))])
            restored = restore(plan, [*staging.entries, again_entry(plan, readers_of(plan, again))])
        else:
            names = [*companions, _CARD, MERGEKIT_CONFIG, *(shard.file_name for shard in plan.shards)]
            first = first_entry(plan, staging.run_id, self._started, device, names)
            first["device_why"] = choice.why
            staging.begin_journal(first, _reserve_bytes(plan, first))
        small = [staging.add_file(name, companion.chunks()) for name, companion in companions.items()]
        staging.note([files_entry(small)])
        return restored, small

    def _sound(self, staging: Staging, restored: Restored, shards: list[WriteFile], workers: int) -> Restored:
        """What of it is in the files. Tensors of which something is missing are made again."""
        parts = sound_parts(self._plan, restored.parts, shards, workers, self._token)
        if len(parts) == len(restored.parts):
            return restored
        kept = set(map(id, parts))
        damaged = sorted({part.chunk.tensor for part in restored.parts if id(part) not in kept})
        self._note(f"{len(damaged):,} tensors are not in {staging.folder.path} as they were written: again")
        staging.note([again_entry(self._plan, damaged)])
        return Restored(
            tuple(part for part in parts if part.chunk.tensor not in damaged),
            {number: found for number, found in restored.found.items() if number not in damaged},
        )

    def _open_shards(self, staging: Staging) -> list[WriteFile]:
        shards: list[WriteFile] = []
        try:
            for layout in self._plan.shards:
                name = Path(layout.file_name)
                staging.make_folders(layout.file_name)
                shards.append(WriteFile(name, layout.size_bytes, within=staging.folder, keep=True))
                shards[-1].write_at(memoryview(layout.header), 0)
            staging.folder.sync()
        except BaseException:
            for shard in shards:
                shard.close()
            raise
        return shards

    def _done_before(self) -> RunRecord | None:
        """The record of `out`, where it is what this merge would make and nothing is left to go on with.

        Weights whose header is as it was may be others: a model that was trained once more.
        """
        out = self._out.absolute()
        if staging_path(out).exists():
            return None
        try:
            record = read_record(out)
        except VerificationError:
            return None
        same = (_plain(record.recipe), _plain([vars(one) for one in record.inputs])) == (
            _plain(self._asked),
            _plain([vars(one) for one in _inputs(self._plan)]),
        )
        if not same or dict(record.contract) != self._plan.contract or record.started is None:
            return None
        if not self._are_older(datetime.fromisoformat(record.started)):
            return None
        digests = {file.name: file.digest for file in record.files}
        small = planned_companions(self._plan).files.items()
        same = all(digests.get(name) == companion.digest() for name, companion in small)
        return record if same else None

    def _are_older(self, moment: datetime) -> bool:
        """Whether nothing at all changed an input file after a moment: its header may be as it was."""
        moment_ns = int(moment.timestamp() * 1e9)
        states = (header.state for header in self._plan.headers.values())
        return all(max(state.modified_ns, state.changed_ns) < moment_ns for state in states)

    # -- ending

    def _check_inputs(self) -> None:
        """Raises InputChangedError where any input file is not what it was when the merge was planned."""
        for path, header in self._plan.headers.items():
            check_unchanged(path, header.state)

    def _end(self, staging: Staging, error: BaseException, keep: bool) -> None:
        """After a failure: leave what the same merge can go on with, remove anything else."""
        if isinstance(error, MergeError):
            _log.info("run %s: %s", "cancelled" if isinstance(error, Cancelled) else "failed", error)
        else:
            _log.error("run failed", exc_info=error)
        if self._is_kept(error, keep):
            if isinstance(error, InputChangedError) and error.path is not None:
                try:
                    staging.note([changed_entry(error.path)])
                except MergeError as failed:
                    _log.warning("the journal cannot be written: %s", failed)
            if isinstance(error, MergeError) and staging.is_there():
                error.kept = staging.folder.path
            staging.leave()
        else:
            staging.abandon()

    def _is_kept(self, error: BaseException, keep: bool) -> bool:
        if self._all_written:
            return True
        if not self._has_finished_parts:
            return False
        if isinstance(error, Cancelled | KeyboardInterrupt):
            return (keep or self._goes_on) if self._token.keeps is None else self._token.keeps
        if self._goes_on:
            return True  # what an earlier process made is not for a failure to remove
        if isinstance(error, MergeError) and error.field not in (None, "out"):
            return False  # the recipe has to change, and then it is another merge
        return isinstance(error, InputChangedError) or time.monotonic() - self._began_s > _WORTH_KEEPING_S

    def _compare_inputs(self, beside: Companions) -> None:
        """Say what the plan, which compares a few tokenizers and large files by pieces, did not."""
        plan = self._plan
        found = check_belonging(
            plan.models,
            plan.base,
            plan.recipe.tokenizer_source,
            full=True,
            tokenizer=given_tokenizer(plan.tokens, builds=False),
            sliced=bool(plan.layers),
            has_template=plan.recipe.chat_template is not None,
        )
        for warning in dict.fromkeys((*found, *beside.warnings)):
            self._warn(warning)
        read = {path.name for path in plan.headers}
        left = {name: why for name, why in beside.left_out.items() if Path(name).name not in read}
        if left:
            names = [one_line(f"{name} ({why})") for name, why in left.items()]
            more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
            self._note(f"left where they are: {', '.join(names[:10])}{more}")

    def _warn(self, sentence: str) -> None:
        """Say it now, in the record and in the card, unless the plan has."""
        if sentence not in self._warnings:
            self._warnings.append(sentence)
            self._note(sentence)

    def _tell(self, choice: Choice) -> None:
        if self._on_choice is not None:
            self._on_choice(choice)

    def _note(self, sentence: str) -> None:
        _log.info("%s", sentence)
        if self._on_note is not None:
            self._on_note(sentence)


def _is_very_large(plan: MergePlan) -> bool:
    """Whether it would push everything else out of the system's page cache."""
    memory = page_cache.physical_memory_bytes()
    return memory is not None and plan.bytes_to_read > memory // 2


def _reserve_bytes(plan: MergePlan, first: Mapping[str, Any]) -> int:
    """Room for the journal and the record: a line for each tensor in both, of numbers and a name."""
    models = len(plan.models)
    numbers = 4 * models + 3 + max((tensor.job.draws for tensor in plan.tensors if tensor.job), default=0)
    lines = sum(600 + 4 * len(tensor.output.name) + 24 * numbers for tensor in plan.tensors)
    return 2 * lines + 4 * len(json.dumps(first)) + 256 * 1024


def _inputs(plan: MergePlan) -> tuple[InputRecord, ...]:
    roles = [("base", plan.base)] if plan.base else []
    roles += [("sub-model", model) for model in plan.models]
    roles += [("under", model) for model in plan.unders]
    return tuple(
        InputRecord(
            model.name,
            role,
            tuple(
                {"name": shard.path.name, "size": shard.size_bytes, "header_digest": shard.digest}
                for shard in model.shards
            ),
            model.adapter_text,
            tuple(adapter.digest for adapter in model.adapters),
        )
        for role, model in roles
    )


def _file_record(file: WrittenFile) -> FileRecord:
    return FileRecord(file.name, file.size_bytes, file.digest)


def _same_bytes(plan: MergePlan) -> set[str]:
    """The tensors that all inputs have from one and the same place, as adapters that do not touch them."""
    return {
        tensor.output.name
        for tensor in plan.tensors
        if len(tensor.inputs) > 1 and len({source.stored for source in tensor.inputs}) == 1
    }


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
