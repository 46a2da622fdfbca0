"""Tasks of lm-evaluation-harness, whose right and wrong answers take part in the same verdicts.

The harness (Gao et al., github.com/EleutherAI/lm-evaluation-harness) has hundreds of tasks; the package
`lm-eval` is not among ours and is asked for by name. Its own comparison of two models treats their answers as
if they were to different questions; here they are paired, question by question.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from core.cancel import CancelToken
from core.checkpoint.model import model_names
from core.errors import DataError, IncompatibleError, MergeError, error_of_memory
from core.evaluate.harness_answers import TaskAnswer, answers_of, of_task
from core.evaluate.models.digests import FileDigests, reference_digest
from core.evaluate.models.loading import LoadedModel, load_model
from core.evaluate.one_task import check_one_task
from core.evaluate.scores import Scores
from core.evaluate.settings import Settings
from core.pretrained.quiet import first_line, is_of_memory, quiet
from core.progress import Share, ShareCallback
from core.small_files import read_small
from core.text import nearest, shown

__all__ = ["TaskScores", "evaluate_tasks"]

_INSTALL = "install it: pip install 'lm-eval[hf]'"
_DOWNLOAD = (
    "where its data are not here yet, let them be downloaded once: HF_HUB_OFFLINE=0 paramosaic evaluate …"
)
_BATCH = 16
_GROUP, _TASK = (re.compile(rf"^{key}:[ \t]*[\"']?([^\s\"'#\[]+)", re.MULTILINE) for key in ("group", "task"))
"""Task files have tags of the harness's own, which no other reader of YAML knows."""
_MOST_YAML_BYTES = 1_000_000


@dataclass(frozen=True)
class TaskScores:
    """All models on one task.

    Attributes:
        task: its name.
        metric: what says whether an answer is right ("acc", "exact_match"), with the filter that the answer
            goes through where the task has one.
        scores: of the models, in the order asked; without losses, with what is right.
    """

    task: str
    metric: str
    scores: tuple[Scores, ...]


def evaluate_tasks(
    references: Sequence[str],
    tasks: Sequence[str],
    *,
    settings: Settings | None = None,
    on_note: Callable[[str], None] | None = None,
    progress: ShareCallback | None = None,
    cancel: CancelToken | None = None,
) -> tuple[TaskScores, ...]:
    """What models answer in tasks of lm-evaluation-harness; one model in memory.

    Nothing is downloaded unless HF_HUB_OFFLINE says so: data have to be in the cache of the Hub, or beside
    the task. Of the metrics of a task the first counts that says of each answer whether it is right, and of
    several filters of an answer the first. A group of tasks (as mmlu) is one, of all questions. Nothing is
    kept: the harness does not say what its tasks read before it has.

    Args:
        references: folders, models in the Hub's cache, BASE+ADAPTER, or recipes.
        tasks: names that the harness knows, or task files (.yaml), whose folder is searched for what they
            include.
        settings: device, dtype, max_length, and limit: of each task only so many questions, from the first.
        on_note: told what is worth knowing.
        progress: told how many models are done.
        cancel: looked at before each pass through a model.

    Raises:
        MergeError: `lm-eval` is not installed.
        DataError: there is no such task, its data are not here, or nothing in it is right or wrong.
        IncompatibleError: a model is a classifier.
        Cancelled: after `cancel`.
    """
    settings = settings or Settings()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when its library is imported
    harness = _harness()
    names, folders = _tasks(tasks)
    check_one_task(references)
    manager = _manager(harness, names, folders)
    models = model_names([Path(reference) for reference in references])
    digests = FileDigests(None)
    found: dict[str, list[Scores]] = {name: [] for name in names}
    metrics: dict[str, str] = {}
    begun = time.monotonic()
    for number, (reference, model) in enumerate(zip(references, models, strict=True)):
        if progress is not None:
            elapsed = time.monotonic() - begun
            left = elapsed * (len(models) - number) / number if number else None
            progress(Share(number / len(models), f"{model}: {', '.join(names)}", left))
        digest = reference_digest(reference, digests, cancel=cancel)
        with load_model(reference, settings=settings, cancel=cancel) as loaded:
            if loaded.task != "causal":
                raise IncompatibleError(
                    f"{model} is a classifier, and tasks of lm-evaluation-harness are for language models",
                    hint="evaluate it on labelled texts (--data)",
                    field="task",
                )
            started = time.monotonic()
            samples = _run(harness, loaded, manager, names, settings, cancel)
            seconds = round(time.monotonic() - started, 3)
        for name in names:
            metric, answers = answers_of(name, of_task(name, samples))
            if metrics.setdefault(name, metric) != metric:
                raise DataError(f"the task {name} counted {metric} for {model}, and {metrics[name]} before")
            found[name].append(
                _scores(model, reference, digest, name, metric, answers, settings, loaded, seconds)
            )
    for name, metric in metrics.items():
        if on_note is not None:
            on_note(f"{name}: what is right is said by {metric}, of {len(found[name][0].loss)} questions")
    return tuple(TaskScores(name, metrics[name], tuple(found[name])) for name in names)


def _harness() -> Any:
    """The package, or the sentence that it is missing."""
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


def _tasks(tasks: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of the tasks, and the folders of those that are files."""
    names, folders = [], []
    for task in tasks:
        path = Path(task)
        if path.suffix.lower() not in (".yaml", ".yml"):
            names.append(task)
            continue
        text = read_small(path, _MOST_YAML_BYTES, DataError).decode("utf-8", "replace")
        said = _GROUP.search(text) or _TASK.search(text)
        if said is None:
            raise DataError(f"{path} has no line task: NAME, so it is no task", path=path, field="task")
        names.append(said[1])
        folders.append(str(path.absolute().parent))
    return list(dict.fromkeys(names)), list(dict.fromkeys(folders))


def _manager(harness: Any, names: Sequence[str], folders: Sequence[str]) -> Any:
    """What knows the tasks. Raises DataError: it does not know one."""
    with _silent():
        manager = harness.tasks.TaskManager(include_path=list(folders) or None)
    known = getattr(manager, "all_tasks", ())
    for name in names:
        if known and name not in known:
            raise DataError(
                f"lm-evaluation-harness knows no task {shown(name)}",
                hint=nearest(name, known) or "`lm-eval ls tasks` lists those that it knows",
                field="task",
            )
    return manager


def _run(
    harness: Any,
    loaded: LoadedModel,
    manager: Any,
    names: Sequence[str],
    settings: Settings,
    cancel: CancelToken | None,
) -> dict[str, Any]:
    """What the harness says of one model."""

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
                limit=settings.limit,
                bootstrap_iters=0,
                log_samples=True,
                task_manager=manager,
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


def _scores(
    name: str,
    reference: str,
    digest: str,
    task: str,
    metric: str,
    answers: Sequence[TaskAnswer],
    settings: Settings,
    loaded: LoadedModel,
    seconds: float,
) -> Scores:
    count = len(answers)
    data = blake2b(digest_size=16)
    for answer in answers:
        data.update(
            f"{answer.task}\n{answer.number}\n{answer.question}\n".encode("utf-8", "backslashreplace")
        )
    key = dict(settings.key())
    return Scores(
        name=name,
        path=reference,
        model_digest=digest,
        data_digest=data.hexdigest(),
        settings={part: key[part] for part in ("dtype", "max_length", "limit")}
        | {"task": task, "metric": metric},
        task="causal",
        loss=np.full(count, np.nan),
        tokens=np.zeros(count, np.int64),
        text_bytes=np.zeros(count, np.int64),
        correct=np.array([answer.right for answer in answers], bool),
        lines=np.arange(1, count + 1),
        tokenizer_digest="",
        seconds=seconds,
        max_length=loaded.window,
    )


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
