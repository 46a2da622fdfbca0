"""The package lm-eval as it is used here: whether it is there, which tasks it knows, and what these are."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from core.cancel import CancelToken
from core.errors import DataError, MergeError, error_of_memory
from core.evaluate.models.loading import LoadedModel
from core.pretrained.quiet import first_line, is_of_memory, quiet
from core.small_files import read_small
from core.text import nearest, shown

__all__ = ["harness_package", "named_tasks", "run_tasks", "task_digest", "task_manager"]

_INSTALL = "install it: pip install 'lm-eval[hf]'"
_DOWNLOAD = (
    "where its data are not here yet, let them be downloaded once: HF_HUB_OFFLINE=0 paramosaic evaluate …"
)
_BATCH = 16
_GROUP, _TASK = (re.compile(rf"^{key}:[ \t]*[\"']?([^\s\"'#\[]+)", re.MULTILINE) for key in ("group", "task"))
"""Task files have tags of the harness's own, which no other reader of YAML knows."""
_WORD = re.compile(r"[^\s\"'\[\]{},]+")
_YAML = (".yaml", ".yml")
_MOST_YAML_BYTES = 1_000_000


def harness_package() -> Any:
    """The package. Raises MergeError: it is missing, or something that it needs."""
    try:
        import lm_eval
        import lm_eval.models.huggingface
        import lm_eval.tasks
    except ImportError as error:
        missing = error.name or "lm_eval"
        what = (
            "is not installed"
            if missing.startswith("lm_eval")
            else f"needs {missing}, which is not installed"
        )
        raise MergeError(f"lm-evaluation-harness {what}", hint=_INSTALL, field="task") from error
    return lm_eval


def named_tasks(tasks: Sequence[str]) -> dict[str, Path | None]:
    """The names of tasks, each once, and the files of those that are given as such.

    Raises DataError: a file cannot be read, or names no task.
    """
    found: dict[str, Path | None] = {}
    for task in tasks:
        path = Path(task)
        if path.suffix.lower() not in _YAML:
            found.setdefault(task, None)
            continue
        text = read_small(path, _MOST_YAML_BYTES, DataError).decode("utf-8", "replace")
        said = _GROUP.search(text) or _TASK.search(text)
        if said is None:
            raise DataError(f"{path} has no line task: NAME, so it is no task", path=path, field="task")
        found.setdefault(said[1], path.absolute())
    return found


def task_manager(harness: Any, tasks: Mapping[str, Path | None]) -> Any:
    """What knows the tasks. Raises DataError: it does not know one."""
    folders = list(dict.fromkeys(str(path.parent) for path in tasks.values() if path is not None))
    with _silent():
        manager = harness.tasks.TaskManager(include_path=folders or None)
    known = getattr(manager, "all_tasks", ())
    for name in tasks:
        if known and name not in known:
            raise DataError(
                f"lm-evaluation-harness knows no task {shown(name)}",
                hint=nearest(name, known) or "`lm-eval ls tasks` lists those that it knows",
                field="task",
            )
    return manager


def task_digest(name: str, path: Path | None) -> str:
    """What stands for a task before it has been read, 32 hexadecimal digits.

    Of its own tasks the package says the version by its own. A task file is told by the bytes of the task
    files and programs in its folder, and by size and date of the files that these name. Data that are
    downloaded are not told: whoever compares models with kept answers looks at the questions as well.
    """
    said = [name, _version()]
    if path is not None:
        for beside in sorted(path.parent.iterdir()):
            if beside.suffix.lower() not in (*_YAML, ".py") or not beside.is_file():
                continue
            try:
                content = read_small(beside, _MOST_YAML_BYTES, DataError)
            except DataError:  # no task file, as far as anybody can tell
                said += _files_named(beside.name, path.parent)
                continue
            said += [beside.name, blake2b(content, digest_size=16).hexdigest()]
            if beside.suffix != ".py":
                said += _files_named(content.decode("utf-8", "replace"), path.parent)
    return blake2b(repr(said).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def run_tasks(
    harness: Any,
    manager: Any,
    loaded: LoadedModel,
    names: Sequence[str],
    *,
    limit: int | None = None,
    chat: bool = False,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """What the package says of one model.

    Args:
        limit: of each task only so many questions, from the first.
        chat: whether questions go through the model's chat template.
        cancel: looked at before each pass through the model.

    Raises:
        DataError: a task cannot be carried out.
        MergeError: memory ends.
        Cancelled: after `cancel`.
    """

    def check(*_: Any) -> None:
        if cancel is not None:
            cancel.raise_if_cancelled("evaluation")

    hook = loaded.model.register_forward_pre_hook(check)
    try:
        with quiet(), _silent():
            model = harness.models.huggingface.HFLM(
                pretrained=loaded.model,
                tokenizer=loaded.tokenizer,
                batch_size=_BATCH,
                max_length=loaded.window,
            )
            found = harness.simple_evaluate(
                model=model,
                tasks=list(names),
                limit=limit,
                bootstrap_iters=0,
                log_samples=True,
                task_manager=manager,
                apply_chat_template=chat,
            )
    except MergeError:
        raise
    except Exception as error:  # the harness and what it loads data with raise what they like
        if is_of_memory(error):
            raise error_of_memory(error) from error
        said = first_line(error)
        raise DataError(
            f"lm-evaluation-harness cannot carry out {', '.join(names)}: {said}",
            hint=_DOWNLOAD if "Offline" in said or "Hub" in said else None,
            field="task",
        ) from error
    finally:
        hook.remove()
    return dict(found)


def _version() -> str:
    try:
        return importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _files_named(text: str, folder: Path) -> list[str]:
    """Files that exist among the words of a text, by folder or from where the program runs."""
    found = []
    for word in dict.fromkeys(_WORD.findall(text)):
        for place in (folder / word, Path(word)):
            with contextlib.suppress(OSError, ValueError):
                if place.is_file():
                    status = place.stat()
                    found += [word, str(status.st_size), str(status.st_mtime_ns)]
    return found


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Meanwhile nothing goes to the standard error: bars, warnings, and what git says of no repository."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        kept = os.dup(2)
    except OSError:
        kept = -1
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        with open(nowhere, "w", closefd=False) as unheard, contextlib.redirect_stderr(unheard):
            if kept >= 0:
                os.dup2(nowhere, 2)  # for what writes there itself
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 2)
            os.close(kept)
        os.close(nowhere)
        logger.setLevel(level)
