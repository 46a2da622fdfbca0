"""Several models on one data set: what is known is not computed again, what was cut off goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.cancel import CancelToken
from core.checkpoint.model import model_names
from core.data.encoding import encode
from core.data.rows import DataSet
from core.errors import CheckpointError, IncompatibleError, MergeError
from core.evaluate.answers.exact_match import check_has_answers, expected_answer, generate_answers
from core.evaluate.answers.matching import is_match
from core.evaluate.losses.scoring import score_model
from core.evaluate.models.digests import FileDigests, model_digest, reference_digest
from core.evaluate.models.loading import LoadedModel, load_folder
from core.evaluate.models.references import ModelFolder, model_folder
from core.evaluate.one_task import check_one_task
from core.evaluate.progress_reporter import ProgressReporter
from core.evaluate.scores import Scores
from core.evaluate.settings import Settings
from core.evaluate.store.partial_scores import PartialScoresWriter
from core.evaluate.store.score_store import PartialScores, ScoreStore, StoredScores, is_of, score_key
from core.evaluate.store.taken_over import taken_over, with_more
from core.progress import Share, ShareCallback

__all__ = ["evaluate_models"]

_ANSWER_TOKENS = 4096
"""Of a batch of prompts and answers, where nothing else is asked for."""

_OF_LOSSES = 0.3
"""The share of the time that losses take where answers are generated as well: one token at a time."""


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
    come to the end of is gone on with; so are losses and answers of the same rows with another `limit`, and
    losses with or without answers beside them. All models are digested before the first is loaded, so that
    one that is not there is found at once; a model that is named twice, or lies in two places, is evaluated
    once.

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
    names = model_names([Path(reference) for reference in references])
    reporter = ProgressReporter(progress)
    digests = work.digests(references, names, reporter)
    made: dict[str, Scores] = {}
    if store is not None and not recompute:
        for digest in dict.fromkeys(digests):
            if (known := work.known(store, digest)) is not None:
                made[digest] = known.scores
    reporter.begin(len({*digests} - made.keys()))
    done: list[Scores] = []
    for reference, name, digest in zip(references, names, digests, strict=True):
        if digest not in made:
            made[digest] = work.evaluate(reference, name, digest, recompute, reporter.part())
            reporter.next(name)
        done.append(replace(made[digest], name=name, path=reference))
        if on_scores is not None:
            on_scores(done[-1])
    reporter.end()
    return tuple(done)


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
        self._files = FileDigests(None) if store is None else store.digests
        self._on_note, self._cancel = on_note, cancel
        self._said: set[str] = set()

    def digests(
        self, references: Sequence[str], names: Sequence[str], reporter: ProgressReporter
    ) -> list[str]:
        """The digest of each model."""
        found = []
        for reference, name in zip(references, names, strict=True):
            reporter.say(f"{name}: reading its files")
            found.append(reference_digest(reference, self._files, cancel=self._cancel))
        return found

    def _refuse_changed(
        self, reference: str, name: str, digest: str, kept: PartialScoresWriter | None = None
    ) -> None:
        """Raises CheckpointError: other weights were loaded, or might have been, than `digest` is of."""
        if reference_digest(reference, self._files, cancel=self._cancel) != digest:
            if kept is not None:
                kept.forget()
            raise CheckpointError(
                f"{name} was changed while it was evaluated",
                hint="evaluate it again when nothing writes to it",
            )

    def evaluate(
        self,
        reference: str,
        name: str,
        digest: str,
        recompute: bool,
        part: Callable[[float, float], ShareCallback | None],
    ) -> Scores:
        """Load a model and score it; what was finished before is taken over.

        What has to be merged first has two digests: that of what is asked for, and that of the merge as it
        lies there. Its scores are kept under both, so that a folder with the same bytes has them as well.
        """
        settings = self._settings
        with model_folder(
            reference,
            work_folder=settings.work_folder,
            device=settings.device,
            threads=settings.threads,
            cancel=self._cancel,
            progress=part(0.0, 0.0),
        ) as folder:
            made = model_digest(folder.folder, cancel=self._cancel) if folder.merged else digest
            digests = tuple(dict.fromkeys((digest, made)))
            known = None if self._store is None or recompute else self.known(self._store, made)
            if known is not None:
                self._refuse_changed(reference, name, digest)
                scores, answers = known.scores, known.answers
            else:
                scores, answers = self._score(folder, name, digests, recompute, part)
        if self._store is not None:
            try:
                for one in digests:
                    self._store.put(replace(scores, model_digest=one), data=self._data.path, answers=answers)
            except MergeError as error:  # the disk is full, perhaps: no reason to lose what was computed
                self.note(f"the scores of {name} are not kept for another time: {error.message}")
        return replace(scores, model_digest=digest)

    def _score(
        self,
        folder: ModelFolder,
        name: str,
        digests: Sequence[str],
        recompute: bool,
        part: Callable[[float, float], ShareCallback | None],
    ) -> tuple[Scores, tuple[str, ...] | None]:
        """Load the model of a folder and score it; also its answers, where they are asked for.

        Args:
            digests: under which it is known, that of what is asked for first.
        """
        reference, digest = folder.reference, digests[0]
        key = score_key(digest, self._data.digest, self._settings.key())
        begun = None if self._store is None or recompute else self._begun(self._store, key, digests)
        kept = PartialScoresWriter(self._store, key, begun)
        try:
            with load_folder(
                folder, settings=self._settings, cancel=self._cancel, progress=part(0.0, 0.0)
            ) as model:
                self._refuse_changed(reference, name, digest, kept)
                model.name = name
                scores = score_model(
                    model,
                    self._data,
                    self._settings,
                    model_digest=digest,
                    known=None if begun is None else begun.losses,
                    on_rows=kept.add_rows,
                    on_note=self.note,
                    cancel=self._cancel,
                    progress=part(0.0, _OF_LOSSES if self._settings.exact_match else 1.0),
                )
                answers = None
                if self._settings.exact_match:
                    scores, answers = self._with_answers(model, scores, kept, part(_OF_LOSSES, 1.0))
                # Weights that need no conversion may be read from the file until the end.
                self._refuse_changed(reference, name, digest, kept)
        except BaseException:
            kept.keep()  # an interrupt too: nothing that is finished is lost
            raise
        return replace(scores, seconds=round(kept.seconds, 3)), answers

    def known(self, store: ScoreStore, digest: str) -> StoredScores | None:
        """All scores of a model, where the store has them; what they say of the data is noted again."""
        found = store.stored(score_key(digest, self._data.digest, self._settings.key()))
        if found is None or not is_of(found, self._data):
            return None
        for sentence in found.scores.notes:  # what was cut is as true the second time
            self.note(sentence)
        return found

    def _begun(self, store: ScoreStore, key: str, digests: Sequence[str]) -> PartialScores | None:
        """What is known of a model: what was finished of this evaluation, and what others had."""
        begun = store.partial(key)
        if begun is not None and not begun.fits(len(self._data.rows)):
            begun = None
        for digest in digests:
            beside = taken_over(store, digest, self._data, self._settings)
            begun = begun if beside is None else with_more(begun, beside)
        return begun

    def _with_answers(
        self, model: LoadedModel, scores: Scores, kept: PartialScoresWriter, share: ShareCallback | None
    ) -> tuple[Scores, tuple[str, ...]]:
        """The scores with what is right of what the model answers, and the answers."""
        rows, settings = self._data.rows, self._settings
        if model.task != "causal":
            raise IncompatibleError(
                f"{model.name} is a classifier, which writes no answers",
                hint="leave exact match out: whether its class is right is counted anyway",
                field="exact_match",
            )
        encoded = encode(
            self._data,
            model.tokenizer,
            max_length=model.window,
            task=model.task,
            chat_prompts=settings.chat_prompts,
            cancel=self._cancel,
        )
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
            on_note=self.note,
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
            self.note(
                f"{long} of {len(lengths)} answers have more than {most} tokens, so that no model can be "
                f"right there: --max-new-tokens {max(lengths) + 1} lets them"
            )

    def note(self, sentence: str) -> None:
        """Each once, however many models it is said of."""
        if self._on_note is not None and sentence not in self._said:
            self._said.add(sentence)
            self._on_note(sentence)
