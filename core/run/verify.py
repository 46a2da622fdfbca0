"""Check an output folder against its run record: every file, every tensor, every byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

import xxhash

from core.cancel import CancelToken
from core.checkpoint.contents import CARD_NAME, GIT_NAME, files_in, is_by_product
from core.checkpoint.headers import StoredTensor, read_header_again
from core.checkpoint.listed_files import FileRecord
from core.checkpoint.model import CONFIG_NAME, open_checkpoint
from core.checkpoint.record_file import RECORD_NAME
from core.errors import CheckpointError, VerificationError, merge_errors_only, os_error_text
from core.progress import ProgressCallback
from core.run.executors.threads import ThreadExecutor
from core.run.record import RunRecord, TensorRecord, read_record
from core.run.verify_report import VerificationFinding, VerificationReport
from core.run.verify_weights import WeightsCheck
from core.small_files import open_regular

__all__ = ["VerificationReport", "verify_output"]

_BLOCK_BYTES = 1024**2
_THREADS = 4


@merge_errors_only()
def verify_output(
    folder: str | Path,
    *,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
) -> VerificationReport:
    """Check that `folder` holds exactly what its run record says, and nothing beside.

    Without a record only its structure is checked, as the report says: sound headers, every shard there, an
    index that agrees with them, a config that can be read. A record of schema 1 lists the tensors alone.

    Args:
        folder: an output folder.
        cancel: looked at between reads.
        progress: called about ten times a second in this thread.

    Raises:
        VerificationError: a file other than README.md is missing, changed or not of the merge, with all
            that was found as its `report`; or the record is not one.
        CheckpointError: a folder without a record, or with one of schema 1, is no sound model.
        Cancelled: after `cancel.cancel()`.
    """
    folder, token = Path(folder), cancel or CancelToken()
    try:
        if not folder.is_dir():
            what = "is not a folder" if os.path.lexists(folder) else "does not exist"
            raise VerificationError(f"{folder} {what}", hint="name the output folder of a merge", path=folder)
    except OSError as error:
        raise VerificationError(f"cannot read {folder}: {os_error_text(error)}", path=folder) from error
    if not os.path.lexists(folder / RECORD_NAME):
        return _structure(folder)
    check = _Check(folder, read_record(folder))
    check.run(token, progress)
    report = check.report()
    wrong = (*report.weights, *report.files)
    if wrong:
        more = f"; {len(wrong) - 1:,} more finding{'s' if len(wrong) > 2 else ''}" if len(wrong) > 1 else ""
        found = VerificationError(
            f"{wrong[0].sentence}{more}",
            hint=_HINTS[wrong[0].what],
            path=folder / wrong[0].name,
            tensor=wrong[0].tensor,
        )
        found.report = report
        raise found
    return report


_HINTS = {
    "missing": "merge again, or copy the folder again from where it is whole",
    "changed": "merge again, or copy the folder again from where it is whole",
    "extra": "look at it before you load the model, and move it elsewhere if it does not belong there",
}


def _structure(folder: Path) -> VerificationReport:
    checkpoint = open_checkpoint(folder)
    if checkpoint.config is None:
        raise VerificationError(
            f"{folder} has neither a run record ({RECORD_NAME}) nor a {CONFIG_NAME}",
            hint="copy or download the folder again",
            path=folder / CONFIG_NAME,
        )
    return VerificationReport(len(checkpoint.tensors), 0)


class _Check:
    """A check of one folder, and what it has found so far."""

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self._folder, self._record = folder, record
        self._found: list[VerificationFinding] = []
        self._bytes_read = 0

    def run(self, token: CancelToken, progress: ProgressCallback | None) -> None:
        if self._record.schema_version > 1:
            self._compare_names()
            for file in self._record.files:
                token.raise_if_cancelled()
                if file.header_digest is None:
                    self._compare_file(file, token)
            stored = self._stored()
        else:
            stored = open_checkpoint(self._folder).tensors
            for name in stored.keys() - {tensor.name for tensor in self._record.tensors}:
                self._add_unrecorded(stored[name])
        self._compare_weights(stored, token, progress)

    def report(self) -> VerificationReport:
        found = sorted(self._found, key=lambda one: (one.name, one.tensor or "", one.sentence))
        weights = {file.name for file in self._record.files if file.header_digest is not None}
        parts: dict[str, list[VerificationFinding]] = {"weights": [], "files": [], "card": []}
        for one in found:
            is_named_so = one.name.endswith((".safetensors", ".safetensors.index.json"))
            of_weights = one.name in weights or one.tensor is not None or is_named_so
            parts["card" if one.name == CARD_NAME else "weights" if of_weights else "files"].append(one)
        return VerificationReport(
            len(self._record.tensors),
            self._bytes_read,
            len(self._record.files),
            schema_version=self._record.schema_version,
            **{part: tuple(all_of_it) for part, all_of_it in parts.items()},
        )

    # -- what is there

    def _compare_names(self) -> None:
        listed = {file.name for file in self._record.files} | {RECORD_NAME}
        for found in files_in(self._folder, VerificationError):
            if not (
                found.name in listed
                or found.kind == "folder"
                or found.name == GIT_NAME
                or is_by_product(found.name)
            ):
                path = self._folder / found.name
                kind = {"link": "a link and ", "special": "no regular file and "}.get(found.kind, "")
                self._add(found.name, "extra", f"{path} is {kind}not in the run record: it was added")

    def _add(self, name: str, what: str, sentence: str, tensor: str | None = None) -> None:
        self._found.append(VerificationFinding(name, what, sentence, tensor))

    def _add_missing(self, name: str) -> None:
        self._add(name, "missing", f"{self._folder / name}, which the run record names, is missing")

    def _add_changed(self, name: str, how: str) -> None:
        self._add(name, "changed", f"{self._folder / name} is not what was written: {how}")

    # -- files as a whole

    def _compare_file(self, file: FileRecord, token: CancelToken) -> None:
        """Its size and digest; it may be a link, as in the Hub's cache, if that is what it leads to."""
        path = self._folder / file.name
        try:
            descriptor = open_regular(path, VerificationError)
            if descriptor is None:
                self._add_missing(file.name)
                return
            with os.fdopen(descriptor, "rb", buffering=0) as opened:
                size = os.fstat(descriptor).st_size
                if size != file.size:
                    self._add_changed(file.name, _other_size(size, file.size))
                elif _digest(opened, size, token) != file.digest:
                    self._add_changed(file.name, "its digest differs")
                self._bytes_read += size if size == file.size else 0
        except VerificationError as error:
            self._add(file.name, "changed", error.message)
        except OSError as error:
            self._add(file.name, "changed", f"cannot read {path}: {os_error_text(error)}")

    # -- weights

    def _stored(self) -> dict[str, StoredTensor]:
        """The tensors of the shards whose headers are as they were written."""
        stored: dict[str, StoredTensor] = {}
        recorded = {tensor.name for tensor in self._record.tensors}
        for file in self._record.files:
            if file.header_digest is None:
                continue
            path = self._folder / file.name
            if not os.path.lexists(path):
                self._add_missing(file.name)
                continue
            try:
                header = read_header_again(path)
            except CheckpointError as error:
                self._add(file.name, "changed", error.message)
                continue
            if header.digest != file.header_digest:
                self._add_changed(file.name, "its header differs")
            elif header.size_bytes != file.size:
                self._add_changed(file.name, _other_size(header.size_bytes, file.size))
            else:
                start = file.name[: file.name.rfind("/") + 1]  # of a part in a folder of its own
                for tensor in header.tensors:
                    name = start + tensor.name
                    if name not in recorded or name in stored:
                        self._add_unrecorded(tensor)
                    stored.setdefault(name, tensor)
        return stored

    def _add_unrecorded(self, tensor: StoredTensor) -> None:
        name = tensor.path.relative_to(self._folder).as_posix()
        sentence = f"tensor {tensor.name!r} of {tensor.path} is not in its run record"
        self._add(name, "extra", sentence, tensor.name)

    def _compare_weights(
        self, stored: dict[str, StoredTensor], token: CancelToken, progress: ProgressCallback | None
    ) -> None:
        whole = not self._found_in_shards()
        pairs = list(self._pairs(stored, whole=whole))
        work = WeightsCheck([tensor for tensor, _ in pairs], [found for _, found in pairs])
        total = sum(found.size_bytes for _, found in pairs)
        ThreadExecutor().run(work, slots=_THREADS, token=token, poll=lambda: work.report(progress, total))
        self._bytes_read += work.bytes_read
        for number, sentence in work.problems.items():
            tensor = pairs[number][1]
            name = tensor.path.relative_to(self._folder).as_posix()
            self._add(name, "changed", sentence, tensor.name)

    def _found_in_shards(self) -> bool:
        shards = {file.name for file in self._record.files if file.header_digest is not None}
        return any(one.name in shards for one in self._found)

    def _pairs(
        self, stored: dict[str, StoredTensor], *, whole: bool
    ) -> Iterator[tuple[TensorRecord, StoredTensor]]:
        """What is recorded and what is stored of each tensor; where a shard is not `whole`, its tensors are
        not looked for."""
        for tensor in self._record.tensors:
            found = stored.get(tensor.name)
            if found is None:
                if whole:
                    sentence = f"tensor {tensor.name!r} of the run record is missing in {self._folder}"
                    self._add("", "missing", sentence, tensor.name)
            elif (found.dtype.name, found.shape) != (tensor.dtype, tensor.shape):
                self._add(
                    found.path.relative_to(self._folder).as_posix(),
                    "changed",
                    f"tensor {found.name!r} of {found.path} is {found.dtype} {list(found.shape)}, "
                    f"and its record says {tensor.dtype} {list(tensor.shape)}",
                    found.name,
                )
            else:
                yield tensor, found


def _other_size(size: int, recorded: int) -> str:
    return f"it has {size:,} bytes, and {recorded:,} were written"


def _digest(file: RawIOBase, size: int, token: CancelToken) -> str:
    digest, left = xxhash.xxh3_128(), size
    while left and (block := file.read(min(left, _BLOCK_BYTES))):
        token.raise_if_cancelled()
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()
