"""Output folders from outside: whether one may be made, and what an earlier merge left of one."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core import disk
from core.checkpoint.contents import is_by_product, read_listing
from core.checkpoint.journal import read_journal
from core.checkpoint.ownership import OWN_FOLDER, Owner, Ownership, is_locked, is_run_id, read_owner, running
from core.checkpoint.record_file import RECORD_NAME
from core.checkpoint.removal import remove_files, remove_output, remove_own_folder, replaceable
from core.checkpoint.stage_folders import STAGES_END, find_stages, remove_stages, stage_places
from core.checkpoint.staging import JOURNAL_NAME, aside_path, output_names, staging_path
from core.disk import OpenFolder, sync_folder
from core.errors import (
    MergeError,
    OutputError,
    UnfinishedError,
    addressed,
    merge_errors_only,
    os_error_text,
)
from core.text import is_text, shown
from core.units import duration_text

__all__ = [
    "Leftover",
    "check_name",
    "check_output",
    "discard",
    "discard_command",
    "free_disk_bytes",
    "held_bytes",
    "leftover_of",
    "settle",
]

_log = logging.getLogger(__name__)

_STAGING_END = ".partial"


def discard_command(folder: Path) -> str:
    """What to type to remove the staging folder `folder`."""
    return f"paramosaic discard {shlex.quote(str(folder))}"


@dataclass(frozen=True)
class Leftover:
    """A staging folder, as it is found.

    Attributes:
        path: where it is.
        owner: the process that works in it, or did last; None where nothing says so.
        runs: whether that process does so now.
        fraction: how much of the merge is finished and can be gone on with; 0 where nothing is.
        age_s: seconds since something was last finished.
    """

    path: Path
    owner: Owner | None
    runs: bool
    fraction: float
    age_s: float

    def __str__(self) -> str:
        """ "cut off at 63 %, 2 min ago" or "running as pid 4711 on atlas since 2025-01-31 14:03"."""
        if self.runs:
            return f"running as {self.owner or 'another process'}"
        where = f"at {int(100 * self.fraction)} %" if self.fraction else "before anything was finished"
        return f"cut off {where}, {duration_text(self.age_s)} ago"


@merge_errors_only()
def leftover_of(out: Path) -> Leftover | None:
    """What there is of a merge into `out`; None where there is no staging folder of one.

    Raises:
        OutputError: it cannot be read, or something else has its name.
    """
    path = staging_path(out.absolute())
    if not os.path.lexists(path):
        return _left_stages(out.absolute())
    _refuse_what_is_none(path)
    runs = is_locked(path)
    entries = read_journal(path / JOURNAL_NAME)
    done = [entry["done"] for entry in entries if type(entry.get("done")) is float]
    fraction = done[-1] if done and 0 <= done[-1] <= 1 else 0.0
    newest = max(_modified_s(place) for place in (path, path / JOURNAL_NAME))
    return Leftover(path, read_owner(path), runs, fraction, max(0.0, time.time() - newest))


@addressed(field="out")
def settle(out: Path, inputs: Iterable[Path]) -> list[str]:
    """Finish or undo what a merge into `out` left when it was cut off while it put its result in place.

    Only what a journal or a record says is ours is touched. Returns a sentence for each thing done.

    Raises:
        OutputError: an old output cannot be put back.
    """
    inputs = list(inputs)
    if not out.name or not is_text(out.name) or _is_called_as_work(out):
        return []
    if not os.path.lexists(out):
        return _put_back(out)
    try:
        run_id = read_listing(out).run_id
    except OutputError:
        return []
    if run_id is None or not is_run_id(run_id):
        return []
    return [*_remove_leftover_own_folder(out), *_remove_replaced(out, aside_path(out, run_id), inputs)]


@addressed(field="out")
def check_name(out: Path) -> None:
    """Raises OutputError where no output can have the name of `out`."""
    if out.name in {"", ".."}:
        raise OutputError(f"the output folder {out} has no name", hint="name a new folder", path=out)
    if not is_text(out.name):
        raise OutputError(
            f"the name of the output folder {out} is not valid text", hint="choose another name", path=out
        )
    if _is_called_as_work(out):  # of another merge, whose journal would be taken for a leftover of this one
        raise OutputError(
            f"the output folder {out} has the name of unfinished work, which ends in {_STAGING_END}",
            hint=f"name the output itself, as {out.name[: -len(_STAGING_END)] or 'out'}",
            path=out,
        )


@addressed(field="out")
def check_output(out: Path, inputs: Iterable[Path], *, overwrite: bool, resume: bool = False) -> None:
    """Refuse an output folder that exists, that another merge left unfinished, or that is an input.

    Args:
        out: the folder to be made.
        inputs: the models' folders.
        overwrite: whether an output that is there may be replaced.
        resume: whether what a merge into it left is to be gone on with.

    Raises:
        UnfinishedError: a merge into it was cut off, and `resume` was not asked for.
        RunningError: another process merges into it now.
        OutputError: with what to do.
    """
    check_name(out)
    _refuse_input_folders(out, inputs)
    left = leftover_of(out)
    if left is not None and left.runs:
        raise running(left.path, left.owner)
    if left is not None and not resume:
        raise UnfinishedError(
            f"an earlier merge into {out} was {left}",
            hint=f"go on with it (--resume), or remove what it left: {discard_command(left.path)}",
            path=left.path,
        )
    if os.path.lexists(out):
        if not overwrite:
            raise OutputError(
                f"the output folder {out} exists already",
                hint="choose another name, or ask for it to be overwritten",
                path=out,
            )
        if not out.is_dir():
            raise OutputError(
                f"{out} is not the result of a merge, and will not be overwritten",
                hint="choose another output folder, or move that one away yourself",
                path=out,
            )
        replaceable(out)
    parent = _existing_parent(out)
    if not parent.is_dir():
        raise OutputError(f"{parent} is not a folder, so {out} cannot be made in it", path=parent)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"the output folder {out} cannot be made: {parent} is not writable",
            hint="choose an output folder elsewhere",
            path=parent,
        )


@merge_errors_only()
def discard(folder: Path, *, take_over: bool = False) -> Leftover:
    """Remove the staging folder that a merge left. Returns what it was.

    Args:
        folder: the staging folder, `<out>.partial`, or what is between several merges, `<out>.stages`.
        take_over: see Ownership.

    Raises:
        RunningError: a merge works in it.
        OutputError: it is none, holds files that no merge made, or cannot be removed.
    """
    folder = folder.absolute()
    if folder.name.endswith(STAGES_END):
        return _discard_stages(folder)
    if not folder.name.endswith(_STAGING_END) or not os.path.lexists(folder):
        what = "does not exist" if not os.path.lexists(folder) else "is not what a merge leaves"
        raise OutputError(f"{folder} {what}", hint="name a folder OUT.partial", path=folder)
    out = folder.with_name(folder.name.removesuffix(_STAGING_END))
    settle(out, ())  # the journal that is to be removed says whose an old output is that was set aside
    left = leftover_of(out)
    if left is None:
        raise OutputError(f"{folder} is not what a merge leaves", path=folder)
    try:
        with OpenFolder(folder) as opened:
            if OWN_FOLDER not in opened.names():
                disk.system.make_folder(opened.name(OWN_FOLDER), within=opened.descriptor)
            ownership = Ownership(opened, "discard", take_over=take_over)
            try:
                names = [*output_names(read_journal(folder / JOURNAL_NAME)), RECORD_NAME]
                inner = {name.partition("/")[0] for name in names}
                others = [
                    name
                    for name in opened.names()
                    if name not in {OWN_FOLDER, *inner} and not is_by_product(name)
                ]
                if others:
                    raise OutputError(
                        f"{folder} holds {shown(others[0])}, which no merge made, and is not removed",
                        hint="move that away, or remove the folder yourself",
                        path=folder,
                    )
                if not opened.is_at(folder):
                    raise OutputError(f"{folder} is another folder by now", path=folder)
                remaining = remove_files(opened, names, is_work=True)
            finally:
                ownership.release()
    except OSError as error:
        raise OutputError(f"cannot remove {folder}: {os_error_text(error)}", path=folder) from error
    if remaining:
        raise OutputError(
            f"{folder} holds {shown(remaining[0])}, which no merge made, and stays", path=folder
        )
    with contextlib.suppress(OutputError):
        sync_folder(folder.parent)
    _log.info("removed %s", folder)
    if find_stages(out) is not None:
        remove_stages(out, discard)
    return left


def _left_stages(out: Path) -> Leftover | None:
    """What there is of a merge that was cut off in one of its stages."""
    found = find_stages(out)
    if found is None:
        return None
    fraction = found.finished / (found.finished + found.begun + 1)
    return Leftover(found.path, None, found.runs, fraction, max(0.0, time.time() - _modified_s(found.path)))


def _discard_stages(folder: Path) -> Leftover:
    """The same for what stages left."""
    out = folder.with_name(folder.name.removesuffix(STAGES_END))
    left = _left_stages(out)
    if left is None:
        raise OutputError(f"{folder} is not what a merge leaves", path=folder)
    remaining = remove_stages(out, discard)
    if remaining:
        raise OutputError(f"{folder} holds {remaining[0]}, which no merge made, and stays", path=folder)
    _log.info("removed %s", folder)
    return left


@addressed(field="out")
def free_disk_bytes(out: Path) -> int:
    """Free space where `out` is to be."""
    parent = _existing_parent(out)
    try:
        return shutil.disk_usage(parent).free
    except OSError as error:
        raise OutputError(
            f"cannot look at the disk of {parent}: {os_error_text(error)}", path=parent
        ) from error


def held_bytes(out: Path) -> int:
    """Disk space that the staging folder of `out` has already, and what the merges before it have."""
    out = out.absolute()
    return _files_bytes(staging_path(out)) + sum(map(_files_bytes, stage_places(out)))


def _files_bytes(folder: Path) -> int:
    try:
        with os.scandir(folder) as found:
            return sum(
                item.stat(follow_symlinks=False).st_size
                for item in found
                if item.is_file(follow_symlinks=False)
            )
    except OSError:
        return 0


def _put_back(out: Path) -> list[str]:
    """Where a merge had set the old output aside and was cut off before its own took the name."""
    staging = staging_path(out)
    if not os.path.lexists(staging) or is_locked(staging):
        return []
    try:
        run_id = next((entry.get("run_id") for entry in read_journal(staging / JOURNAL_NAME)), None)
    except OutputError:
        return []
    if not isinstance(run_id, str) or not is_run_id(run_id):
        return []
    aside = aside_path(out, run_id)
    if not os.path.lexists(aside):
        return []
    try:
        disk.system.rename(aside, out)
    except OSError as error:
        raise OutputError(
            f"cannot put back {out}, which an interrupted overwrite set aside as {aside}: "
            f"{os_error_text(error)}",
            hint="give that folder its old name",
            path=out,
        ) from error
    sync_folder(out.parent)
    return [f"put back {out}, which an interrupted overwrite had set aside as {aside}"]


def _remove_leftover_own_folder(out: Path) -> list[str]:
    if not os.path.lexists(out / OWN_FOLDER) or is_locked(out):
        return []
    try:
        with OpenFolder(out) as opened:
            remove_own_folder(opened)
    except (OSError, OutputError) as error:
        text = os_error_text(error) if isinstance(error, OSError) else error.message
        return [f"{out / OWN_FOLDER} is left over, and cannot be removed: {text}"]
    return [f"removed {out / OWN_FOLDER}, which was left over"]


def _remove_replaced(out: Path, aside: Path, inputs: Iterable[Path]) -> list[str]:
    """Remove the output that the finished `out` replaced."""
    if not os.path.lexists(aside) or is_locked(out):
        return []
    try:
        _refuse_input_folders(aside, inputs)
        sync_folder(out.parent)  # whoever was cut off may not have: the new name is to last first
        left = remove_output(aside, [] if aside.is_symlink() else replaceable(aside))
    except MergeError as error:
        return [f"{aside} holds what {out} replaced, and is not removed: {error.message}"]
    if left:
        return [f"{aside} holds what is not of the output that was replaced: {', '.join(left[:5])}"]
    return [f"removed {aside}, which {out} replaced"]


def _refuse_what_is_none(path: Path) -> None:
    """Raises OutputError where `path` has the name of a staging folder and is none."""
    try:
        if path.is_dir() and not path.is_symlink() and (not any(path.iterdir()) or _has_own_folder(path)):
            return
    except OSError as error:
        raise OutputError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    raise OutputError(
        f"{path} is in the way: it has the name of a merge's work, and is none",
        hint="move it away, or choose another output folder",
        path=path,
    )


def _is_called_as_work(out: Path) -> bool:
    return out.name.casefold().endswith(_STAGING_END)


def _has_own_folder(path: Path) -> bool:
    own = path / OWN_FOLDER
    return own.is_dir() and not own.is_symlink()


def _modified_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _refuse_input_folders(out: Path, inputs: Iterable[Path]) -> None:
    target = _followed(out)
    for folder in inputs:
        source = _followed(folder)
        if _same(target, source) or any(_same(parent, source) for parent in target.parents):
            raise OutputError(
                f"the output folder {out} is {'' if target == source else 'inside '}the input {folder}, "
                "and inputs are never written to",
                hint="choose an output folder elsewhere",
                path=out,
            )
        if any(_same(parent, target) for parent in source.parents):
            raise OutputError(
                f"the output folder {out} holds the input {folder}",
                hint="choose an output folder elsewhere",
                path=out,
            )


def _same(one: Path, other: Path) -> bool:
    """Whether both are the same folder, whatever the spelling on a disk that ignores case."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _followed(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
        raise OutputError(
            f"the links of {path} cannot be followed", hint="choose a folder without such links", path=path
        ) from error


def _existing_parent(out: Path) -> Path:
    parent = out.absolute().parent
    while not os.path.lexists(parent) and parent != parent.parent:
        parent = parent.parent
    return parent
