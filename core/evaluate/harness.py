"""Tasks of lm-evaluation-harness, whose right and wrong answers take part in the same verdicts.

The harness (Gao et al., github.com/EleutherAI/lm-evaluation-harness) has hundreds of tasks; the package
`lm-eval` is not among ours and is asked for by name. Its own comparison of two models treats their answers as
if they were to different questions; here they are paired, question by question.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.cancel import CancelToken
from core.checkpoint.model import model_names
from core.errors import CheckpointError, DataError, IncompatibleError, MergeError
from core.evaluate.answers.prompting import has_chat_template
from core.evaluate.harness_answers import answers_of, of_task
from core.evaluate.harness_package import harness_package, named_tasks, run_tasks, task_digest, task_manager
from core.evaluate.models.digests import FileDigests, reference_digest
from core.evaluate.models.loading import load_model
from core.evaluate.one_task import check_one_task
from core.evaluate.scores import Scores
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import ScoreStore, score_key
from core.evaluate.store.task_answers import KeptAnswers
from core.progress import Share, ShareCallback

__all__ = ["TaskScores", "evaluate_tasks"]


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
    store: ScoreStore | None = None,
    recompute: bool = False,
    on_note: Callable[[str], None] | None = None,
    progress: ShareCallback | None = None,
    cancel: CancelToken | None = None,
) -> tuple[TaskScores, ...]:
    """What models answer in tasks of lm-evaluation-harness; one model in memory.

    Nothing is downloaded unless HF_HUB_OFFLINE says so: data have to be in the cache of the Hub, or beside
    the task. Of the metrics of a task the first counts that says of each answer whether it is right, and of
    several filters of an answer the first. A group of tasks (as mmlu) is one, of all questions.

    Models with a chat template are asked through it. What a model answered is kept when it has answered all
    tasks, by its digest, the task and the settings. Where kept answers turn out to be to other questions than
    those that another model is asked now, the model is asked again.

    Args:
        references: folders, models in the Hub's cache, BASE+ADAPTER, or recipes.
        tasks: names that the harness knows, or task files (.yaml), whose folder is searched for what they
            include.
        settings: device, dtype, max_length, chat_prompts, and limit: of each task only so many questions,
            from the first.
        store: where answers are kept; None for nowhere.
        recompute: whether to leave aside what the store has.
        on_note: told what is worth knowing.
        progress: told how many models are done.
        cancel: looked at before each pass through a model.

    Raises:
        MergeError: `lm-eval` is not installed.
        DataError: there is no such task, its data are not here, or nothing in it is right or wrong.
        IncompatibleError: a model is a classifier.
        CheckpointError: a model was changed while it was evaluated.
        Cancelled: after `cancel`.
    """
    settings = settings or Settings()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when its library is imported
    harness = harness_package()
    named = named_tasks(tasks)
    check_one_task(references)
    asking = _Asking(harness, task_manager(harness, named), named, settings, store, on_note, cancel)
    models = model_names([Path(reference) for reference in references])
    found: list[dict[str, KeptAnswers]] = []
    digests: list[str] = []
    begun = time.monotonic()
    for number, (reference, model) in enumerate(zip(references, models, strict=True)):
        if progress is not None:
            elapsed = time.monotonic() - begun
            left = elapsed * (len(models) - number) / number if number else None
            progress(Share(number / len(models), f"{model}: {', '.join(named)}", left))
        digests.append(asking.digest(reference))
        kept = {} if recompute else asking.known(digests[-1])
        found.append(
            kept | asking.ask(reference, model, digests[-1], [one for one in named if one not in kept])
        )
    for name in named:
        if len({answers[name].questions for answers in found}) > 1:
            asking.note(f"the questions of {name} are others than they were, and are asked again")
            for reference, model, digest, answers in zip(references, models, digests, found, strict=True):
                if name not in asking.asked[digest]:
                    answers |= asking.ask(reference, model, digest, [name])
        _check_alike(name, models, [answers[name] for answers in found])
    for name in named:
        first = found[0][name]
        asking.note(f"{name}: what is right is said by {first.metric}, of {len(first.answers)} questions")
    asking.note(_chat_note(models, [next(iter(answers.values())).chat for answers in found]))
    rows = list(zip(models, references, digests, found, strict=True))
    return tuple(
        TaskScores(
            name,
            found[0][name].metric,
            tuple(_scores(*row[:3], name, row[3][name], settings) for row in rows),
        )
        for name in named
    )


class _Asking:
    """What is the same for all models.

    Attributes:
        asked: the tasks that a model was asked now, by its digest.
    """

    def __init__(
        self,
        harness: Any,
        manager: Any,
        named: Mapping[str, Path | None],
        settings: Settings,
        store: ScoreStore | None,
        on_note: Callable[[str], None] | None,
        cancel: CancelToken | None,
    ) -> None:
        self._harness, self._manager, self._settings = harness, manager, settings
        self._store, self._on_note, self._cancel = store, on_note, cancel
        self._files = FileDigests(None) if store is None else store.digests
        self._tasks = {name: task_digest(name, path) for name, path in named.items()}
        self.asked: dict[str, set[str]] = {}

    def digest(self, reference: str) -> str:
        return reference_digest(reference, self._files, cancel=self._cancel)

    def known(self, digest: str) -> dict[str, KeptAnswers]:
        """What the store has of a model, by task."""
        if self._store is None:
            return {}
        kept = {name: self._store.task_answers(self._key(digest, name)) for name in self._tasks}
        return {name: answers for name, answers in kept.items() if answers is not None}

    def ask(self, reference: str, model: str, digest: str, names: Sequence[str]) -> dict[str, KeptAnswers]:
        """Load a model and have it answer; what it answered is kept."""
        self.asked.setdefault(digest, set()).update(names)
        if not names:
            return {}
        with load_model(reference, settings=self._settings, cancel=self._cancel) as loaded:
            if loaded.task != "causal":
                raise IncompatibleError(
                    f"{model} is a classifier, and tasks of lm-evaluation-harness are for language models",
                    hint="evaluate it on labelled texts (--data)",
                    field="task",
                )
            chat = self._settings.chat_prompts and has_chat_template(loaded.tokenizer)
            started = time.monotonic()
            samples = run_tasks(
                self._harness,
                self._manager,
                loaded,
                names,
                limit=self._settings.limit,
                chat=chat,
                cancel=self._cancel,
            )
            seconds, window = round(time.monotonic() - started, 3), loaded.window
        if self.digest(reference) != digest:
            raise CheckpointError(
                f"{model} was changed while it was evaluated",
                hint="evaluate it again when nothing writes to it",
            )
        found = {}
        for name in names:
            metric, answers = answers_of(name, of_task(name, samples))
            found[name] = KeptAnswers(metric, tuple(answers), chat, window, seconds)
            self._keep(model, digest, name, found[name])
        return found

    def note(self, sentence: str) -> None:
        if self._on_note is not None and sentence:
            self._on_note(sentence)

    def _keep(self, model: str, digest: str, name: str, answers: KeptAnswers) -> None:
        if self._store is None:
            return
        try:
            self._store.put_task_answers(self._key(digest, name), answers)
        except MergeError as error:  # the disk is full, perhaps: no reason to lose what was computed
            self.note(f"the answers of {model} to {name} are not kept for another time: {error.message}")

    def _key(self, digest: str, name: str) -> str:
        return score_key(digest, self._tasks[name], _settings_of(self._settings))


def _check_alike(name: str, models: Sequence[str], answers: Sequence[KeptAnswers]) -> None:
    """Raises DataError: what is right is not said by the same metric for all models."""
    for model, one in zip(models, answers, strict=True):
        if one.metric != answers[0].metric:
            raise DataError(
                f"the task {name} counted {one.metric} for {model}, and {answers[0].metric} before"
            )


def _chat_note(models: Sequence[str], chats: Sequence[bool]) -> str:
    """Which models were asked through their chat templates; "" for none."""
    if not any(chats):
        return ""
    if all(chats):
        return "questions went through the chat template of each model"
    asked, rest = (
        ", ".join(model for model, chat in zip(models, chats, strict=True) if chat is which)
        for which in (True, False)
    )
    return (
        f"questions went through the chat template of {asked}, and without one to {rest}: a difference "
        "may be that of the template"
    )


def _settings_of(settings: Settings) -> dict[str, Any]:
    """What answers depend on, of what can be set."""
    key = settings.key()
    return {
        part: key[part] for part in ("dtype", "max_length", "limit", "chat_prompts", "device") if part in key
    }


def _scores(
    name: str, reference: str, digest: str, task: str, kept: KeptAnswers, settings: Settings
) -> Scores:
    count = len(kept.answers)
    return Scores(
        name=name,
        path=reference,
        model_digest=digest,
        data_digest=kept.questions,
        settings=_settings_of(settings) | {"task": task, "metric": kept.metric, "chat_template": kept.chat},
        task="causal",
        loss=np.full(count, np.nan),
        tokens=np.zeros(count, np.int64),
        text_bytes=np.zeros(count, np.int64),
        correct=np.array([answer.right for answer in kept.answers], bool),
        lines=np.arange(1, count + 1),
        tokenizer_digest="",
        seconds=kept.seconds,
        max_length=kept.max_length,
        notes=("its questions went through its chat template",) if kept.chat else (),
    )
