"""Several models on one data set: what is known is not computed again, what was cut off goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.adapter_paths import split_adapters
from core.cancel import CancelToken
from core.checkpoint.model import model_names, read_config
from core.data.encoding import encode
from core.data.rows import DataSet
from core.errors import IncompatibleError, MergeError
from core.evaluate.answers import check_has_answers, expected_answer, generate_answers, is_match
from core.evaluate.digests import FileDigests, is_recipe, reference_digest
from core.evaluate.loading import LoadedModel, load_model
from core.evaluate.losses import score_model
from core.evaluate.scores import RowLosses, Scores
from core.evaluate.settings import Settings
from core.evaluate.store import Begun, ScoreStore, score_key
from core.progress import Share, ShareCallback

__all__ = ["evaluate_models", "reference_names"]

_KEEP_EVERY_S = 10.0
"""Seconds of work that a process that is killed may lose."""

_TELL_EVERY_S = 0.2

_ANSWER_TOKENS = 4096
"""Of a batch of prompts and answers, where nothing else is asked for."""

_OF_LOSSES = 0.3
"""The share of the time that losses take where answers are generated as well: one token at a time."""

_log = logging.getLogger(__name__)


def evaluate_models(
    references: Sequence[str],
    data: DataSet,
    *,
    settings: Settings | None = None,
    store: ScoreStore | None = None,
    recompute: bool = False,
    on_scores: Callable[[Scores], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    progress: ShareCallback | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Scores, ...]:
    """The scores of every model on the rows of `data`, in the order of `references`; one model in memory.

    What the store has is taken from there, and what an earlier evaluation finished of a model that it did not
    come to the end of is gone on with. All models are digested before the first is loaded, so that one that
    is not there is found at once; a model that is named twice, or lies in two places, is evaluated once.

    Args:
        references: folders, models in the Hub's cache, BASE+ADAPTER, or recipes.
        data: the rows.
        settings: how.
        store: where scores are kept; None for nowhere.
        recompute: whether to leave aside what the store has.
        on_scores: called with each model's scores when they are there.
        on_note: told what is worth knowing, as it shows.
        progress: told how far all of it is.
        cancel: what is finished of the model in hand is kept.

    Raises:
        DataError: the data do not fit, or have no answers to compare with.
        IncompatibleError: there are classifiers and language models among them.
        MergeError: a model cannot be read, merged, loaded or evaluated. The scores of those before it are
            kept.
        Cancelled: after `cancel`.
    """
    settings = settings or Settings()
    if settings.exact_match:
        check_has_answers(data)
    check_one_task(references)
    work = _Evaluation(data, settings, store, on_note, cancel)
    names = reference_names(references)
    told = _Told(progress)
    digests = work.digests(references, names, told)
    made: dict[str, Scores] = {}
    if store is not None and not recompute:
        for digest in dict.fromkeys(digests):
            if (found := store.get(score_key(digest, data.digest, settings.key()))) is not None:
                made[digest] = found
    told.begin(len({*digests} - made.keys()))
    done: list[Scores] = []
    for reference, name, digest in zip(references, names, digests, strict=True):
        if digest not in made:
            made[digest] = work.evaluate(reference, name, digest, recompute, told.part())
            told.next(name)
        done.append(replace(made[digest], name=name, path=reference))
        if on_scores is not None:
            on_scores(done[-1])
    told.end()
    return tuple(done)


def reference_names(references: Sequence[str]) -> tuple[str, ...]:
    """A short name for each model; a recipe is called by its file, without the ending."""
    places = [Path(reference) for reference in references]
    return tuple(model_names([place.with_suffix("") if is_recipe(place) else place for place in places]))


def check_one_task(references: Sequence[str]) -> None:
    """Refuse classifiers beside language models, as far as their configs say what they are.

    Raises:
        IncompatibleError: there are both.
    """
    found: dict[bool, str] = {}
    for reference, name in zip(references, reference_names(references), strict=True):
        classifies = _is_classifier(reference)
        if classifies is not None:
            found.setdefault(classifies, name)
    if len(found) == 2:
        raise IncompatibleError(
            f"{found[True]} is a classifier and {found[False]} is a language model: what they make of a text "
            "cannot be compared",
            hint="evaluate them one after the other, each kind with data of its own",
            field="models",
        )


def _is_classifier(reference: str) -> bool | None:
    """None where that is not known before it is loaded."""
    if is_recipe(reference):
        return None
    try:
        config = read_config(split_adapters(Path(reference))[0]) or {}
    except MergeError:
        return None
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        return None
    return str(architectures[0]).endswith("ForSequenceClassification")


class _Evaluation:
    """What is the same for all models."""

    def __init__(
        self,
        data: DataSet,
        settings: Settings,
        store: ScoreStore | None,
        on_note: Callable[[str], None] | None,
        cancel: CancelToken | None,
    ) -> None:
        self._data, self._settings, self._store = data, settings, store
        self._on_note, self._cancel = on_note, cancel
        self._said: set[str] = set()

    def digests(self, references: Sequence[str], names: Sequence[str], told: _Told) -> list[str]:
        """The digest of each model."""
        files = FileDigests(None) if self._store is None else self._store.digests
        found = []
        for reference, name in zip(references, names, strict=True):
            told.say(f"{name}: reading its files")
            found.append(reference_digest(reference, files, cancel=self._cancel))
        return found

    def evaluate(
        self,
        reference: str,
        name: str,
        digest: str,
        recompute: bool,
        part: Callable[[float, float], ShareCallback | None],
    ) -> Scores:
        """Load a model and score it; what was finished before is taken over."""
        key = score_key(digest, self._data.digest, self._settings.key())
        begun = None if self._store is None or recompute else self._store.begun(key)
        kept = _Kept(self._store, key, begun)
        try:
            loading = part(0.0, 0.0)
            with load_model(
                reference, settings=self._settings, cancel=self._cancel, progress=loading
            ) as model:
                model.name = name
                scores = score_model(
                    model,
                    self._data,
                    self._settings,
                    model_digest=digest,
                    known=None if begun is None else begun.losses,
                    on_rows=kept.add_rows,
                    on_note=self._note,
                    cancel=self._cancel,
                    progress=part(0.0, _OF_LOSSES if self._settings.exact_match else 1.0),
                )
                answers = None
                if self._settings.exact_match:
                    scores, answers = self._with_answers(model, scores, kept, part(_OF_LOSSES, 1.0))
        except BaseException:
            kept.keep()  # an interrupt too: nothing that is finished is lost
            raise
        scores = replace(scores, seconds=round(kept.seconds, 3))
        if self._store is not None:
            self._store.put(scores, data=self._data.path, answers=answers)
        return scores

    def _with_answers(
        self, model: LoadedModel, scores: Scores, kept: _Kept, share: ShareCallback | None
    ) -> tuple[Scores, tuple[str, ...]]:
        """The scores with what is right of what the model answers, and the answers."""
        rows, settings = self._data.rows, self._settings
        if model.task != "causal":
            raise IncompatibleError(
                f"{model.name} is a classifier, which writes no answers",
                hint="leave exact match out: whether its class is right is counted anyway",
                field="exact_match",
            )
        encoded = encode(self._data, model.tokenizer, max_length=model.window, task=model.task)
        expected = [expected_answer(row) or "" for row in rows]
        self._note_long(model, expected)

        def add(found: Mapping[int, str]) -> None:
            kept.add_answers(found)
            if share is not None:
                done = len(kept.answers) / len(rows)
                share(Share(done, f"{model.name}: {len(kept.answers)} of {len(rows)} answers"))

        answers = generate_answers(
            model,
            encoded,
            max_new_tokens=settings.max_new_tokens,
            batch_tokens=settings.batch_tokens or _ANSWER_TOKENS,
            known=kept.answers,
            on_answers=add,
            on_note=self._note,
            cancel=self._cancel,
        )
        said = tuple(answers.get(number, "") for number in range(len(rows)))
        correct = np.array([is_match(one, other) for one, other in zip(said, expected, strict=True)], bool)
        return replace(scores, correct=correct), said

    def _note_long(self, model: LoadedModel, expected: Sequence[str]) -> None:
        most = self._settings.max_new_tokens
        lengths = [
            len(model.tokenizer(text.strip(), add_special_tokens=False)["input_ids"]) for text in expected
        ]
        if long := sum(length > most for length in lengths):
            self._note(
                f"{long} of {len(lengths)} answers have more than {most} tokens, so that no model can be "
                f"right there: --max-new-tokens {max(lengths) + 1} lets them"
            )

    def _note(self, sentence: str) -> None:
        """Each once, however many models it is said of."""
        if self._on_note is not None and sentence not in self._said:
            self._said.add(sentence)
            self._on_note(sentence)


class _Kept:
    """What is finished of one model, and written down every now and then."""

    def __init__(self, store: ScoreStore | None, key: str, begun: Begun | None) -> None:
        self._store, self._key = store, key
        self._parts: list[RowLosses] = [begun.losses] if begun and begun.losses is not None else []
        self.answers: dict[int, str] = dict(begun.answers or {}) if begun else {}
        self._before_s = begun.seconds if begun else 0.0
        self._began = self._last = time.monotonic()
        self._is_new = False

    @property
    def seconds(self) -> float:
        """Of all processes that worked at it."""
        return self._before_s + time.monotonic() - self._began

    def add_rows(self, rows: RowLosses) -> None:
        self._parts.append(rows)
        self._changed()

    def add_answers(self, answers: Mapping[int, str]) -> None:
        self.answers |= answers
        self._changed()

    def _changed(self) -> None:
        self._is_new = True
        if time.monotonic() - self._last >= _KEEP_EVERY_S:
            self.keep()

    def keep(self) -> None:
        """Write it down. A disk that is full is no reason to stop the work."""
        if self._store is None or not self._is_new:
            return
        self._parts = [joined(self._parts)] if self._parts else []
        begun = Begun(self._parts[0] if self._parts else None, self.answers, self.seconds)
        try:
            self._store.put_begun(self._key, begun)
        except MergeError as error:
            _log.warning("what is finished is not kept: %s", error)
        self._last, self._is_new = time.monotonic(), False


def joined(parts: Sequence[RowLosses]) -> RowLosses:
    """One value of several."""
    correct = None
    if all(part.correct is not None for part in parts):
        correct = np.concatenate([part.correct for part in parts if part.correct is not None])
    return RowLosses(
        rows=np.concatenate([part.rows for part in parts]),
        loss=np.concatenate([part.loss for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        text_bytes=np.concatenate([part.text_bytes for part in parts]),
        correct=correct,
    )


class _Told:
    """Tells how far all models together are; what is known already takes no time and counts for nothing."""

    def __init__(self, progress: ShareCallback | None) -> None:
        self._progress = progress
        self._models, self._done = 1, 0
        self._began = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """What is done before the first model is loaded."""
        if self._progress is not None:
            self._progress(Share(0.0, text))

    def begin(self, models: int) -> None:
        """Begin with so many models that are not known."""
        self._models, self._began = models, time.monotonic()

    def next(self, name: str) -> None:
        """The model is done."""
        self._done += 1
        self._last = 0.0
        self._tell(0.0, f"{name}: done")

    def end(self) -> None:
        if self._progress is not None:
            self._progress(Share(1.0, "done", 0.0))

    def part(self) -> Callable[[float, float], ShareCallback | None]:
        """Makes what to tell of a part of the model in hand, from `start` to `stop` of it."""

        def part(start: float, stop: float) -> ShareCallback | None:
            if self._progress is None:
                return None
            return lambda share: self._tell(start + (stop - start) * share.fraction, share.text)

        return part

    def _tell(self, fraction: float, text: str) -> None:
        now = time.monotonic()
        if self._progress is None or (now - self._last < _TELL_EVERY_S and fraction < 1.0):
            return
        self._last = now
        whole = min(1.0, (self._done + fraction) / max(1, self._models))
        elapsed = now - self._began
        self._progress(Share(whole, text, elapsed * (1 - whole) / whole if whole > 0 else None))
