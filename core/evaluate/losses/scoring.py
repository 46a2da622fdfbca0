"""Per-sample losses of one model on one data set."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.data.encoding import Encoded, Sample, encode
from core.data.rows import DataSet
from core.errors import MergeError
from core.evaluate.losses.batches import Batches
from core.evaluate.losses.forward import Forward
from core.evaluate.losses.passes import counting, try_pass
from core.evaluate.losses.tokens import check_ids, tokens_digest
from core.evaluate.losses.tolerance import narrow_and_measure
from core.evaluate.models.loading import LoadedModel
from core.evaluate.scores import RowLosses, Scores
from core.evaluate.settings import Settings
from core.pretrained.quiet import quiet
from core.progress import Share, ShareCallback

__all__ = ["RowsCallback", "score_model"]

RowsCallback = Callable[[RowLosses], None]
"""Called after each batch with the rows that it finished, in the thread that called the evaluation."""

_BATCH_TOKENS = {"cpu": 2048}
_BATCH_TOKENS_OF_CARDS = 16384

_log = logging.getLogger(__name__)


def score_model(
    model: LoadedModel,
    data: DataSet,
    settings: Settings,
    *,
    model_digest: str = "",
    known: RowLosses | None = None,
    on_rows: RowsCallback | None = None,
    on_note: Callable[[str], None] | None = None,
    cancel: CancelToken | None = None,
    progress: ShareCallback | None = None,
) -> Scores:
    """The loss of every row of `data`, and for classifiers whether the class is right.

    Losses are computed in float32 (or in `settings.dtype`), summed over a row's tokens in float64, and do not
    depend on how samples are batched and padded, within 1e-5 in float32. Deviation from perplexity as it is
    mostly reported: the mean of a data set is over rows and not over tokens, so that rows are the units that
    are compared. Windows of a row are those of lm-evaluation-harness: disjoint, with one token of context.

    Args:
        model: in memory.
        data: the rows.
        settings: as the model was loaded with.
        model_digest: to be noted in the scores.
        known: rows that are finished already, by the same model, data and settings.
        on_rows: is given each row that is finished, in no order.
        on_note: is told what is worth knowing, as it shows.
        cancel: looked at before every layer.
        progress: called for each row as tokens are made of it, and after each batch.

    Raises:
        DataError: the data do not fit the model.
        CheckpointError: the model refuses to work.
        MergeError: there is not enough memory for a single sample.
        Cancelled: after `cancel`; `on_rows` was given what is finished.
    """
    begun = time.monotonic()
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(sentence)
        if on_note is not None:
            on_note(sentence)

    for sentence in model.notes:
        note(sentence)
    with quiet():
        encoded = encode(
            data,
            model.tokenizer,
            max_length=model.window,
            task=model.task,
            labels=model.labels or None,
            chat_prompts=settings.chat_prompts,
            cancel=cancel,
            progress=None if progress is None else lambda share: progress(_before_losses(model, share)),
        )
        check_ids(model, data, encoded)
    for sentence in encoded.notes:
        note(sentence)
    work = _Work(model, data, encoded, settings, note)
    work.take(known)
    with _threads(settings.threads, model.device), quiet():
        work.run(on_rows, cancel, progress)
    return Scores(
        name=model.name,
        path=model.reference,
        model_digest=model_digest,
        data_digest=data.digest,
        settings=settings.key(),
        task=model.task,
        loss=work.row_loss,
        tokens=work.row_tokens,
        text_bytes=work.row_bytes,
        correct=work.row_correct,
        lines=np.array([row.line for row in data.rows], np.int64),
        tokenizer_digest=tokens_digest(encoded.samples) if model.task == "causal" else "",
        seconds=time.monotonic() - begun,
        max_length=model.window,
        notes=tuple(notes),
        given_bytes=work.given_bytes,
    )


def _before_losses(model: LoadedModel, share: Share) -> Share:
    """The losses are nearly all of the time, and none of them is there yet."""
    return Share(0.0, f"{model.name}: {share.text}")


class _Work:
    """The samples of a data set, and what is known of its rows.

    Attributes:
        row_loss, row_tokens, row_bytes, given_bytes, row_correct: [N], as in Scores; the loss of rows that
            are not finished is NaN.
    """

    def __init__(
        self,
        model: LoadedModel,
        data: DataSet,
        encoded: Encoded,
        settings: Settings,
        note: Callable[[str], None],
    ) -> None:
        self._model, self._data, self._settings, self._note = model, data, settings, note
        self._samples = encoded.samples
        count = len(data.rows)
        self._sums = np.zeros(count)
        self._open = np.zeros(count, np.int64)
        self.row_tokens, self.row_bytes = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.given_bytes = np.zeros(count, np.int64)
        self.row_loss = np.full(count, np.nan)
        self.row_correct = np.zeros(count, bool) if model.task == "classifier" else None
        self._finished = np.zeros(count, bool)
        for sample in self._samples:
            scored = int(sample.scored.sum()) if model.task == "causal" else 1
            self.row_tokens[sample.row] += scored
            self.row_bytes[sample.row] += sample.text_bytes
            self.given_bytes[sample.row] += sample.text_bytes + sample.uncounted_bytes
            self._open[sample.row] += scored > 0

    def take(self, known: RowLosses | None) -> None:
        """Leave out rows that are finished already."""
        if known is None:
            return
        self.row_loss[known.rows] = known.loss
        self._finished[known.rows] = True
        if self.row_correct is not None and known.correct is not None:
            self.row_correct[known.rows] = known.correct

    def run(
        self, on_rows: RowsCallback | None, cancel: CancelToken | None, progress: ShareCallback | None
    ) -> None:
        model, settings = self._model, self._settings

        def check() -> None:
            if cancel is not None:
                cancel.raise_if_cancelled("evaluation")

        check()
        forward = Forward(model, side=settings.padding_side, check=check)
        unfinished = [sample for sample in self._samples if not self._finished[sample.row]]
        left = counting(unfinished, model.task)
        most = settings.batch_tokens or _BATCH_TOKENS.get(model.device, _BATCH_TOKENS_OF_CARDS)
        batches = Batches(left, most, most_samples=None if forward.can_pad else 1)
        if settings.dtype != "float32":
            self._note(narrow_and_measure(model, forward, self._samples, most=most, check=check))
        begun = time.monotonic()
        for numbers in batches:
            samples = [left[number] for number in numbers]
            found = self._try(forward, samples)
            if found is None:
                batches.put_back(numbers)
                continue
            losses, correct = found
            finished = self._add(samples, losses, correct)
            if on_rows is not None and len(finished):
                on_rows(self._part(finished))
            if progress is not None:
                progress(self._share(batches, time.monotonic() - begun))
            check()

    def _try(
        self, forward: Forward, samples: Sequence[Sample]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None] | None:
        """What the model makes of a batch; None where it has to be smaller."""
        found = try_pass(self._model, forward, samples)
        if found is not None:
            return found
        longest = max(len(sample.ids) for sample in samples)
        if len(samples) == 1:
            line = self._data.rows[samples[0].row].line
            raise MergeError(
                f"there is not enough memory for the {longest} tokens of line {line} on {self._model.device}",
                hint="choose a smaller greatest length (--max-length), or another device",
                field="max_length",
            )
        self._note(
            f"{self._model.name}: {len(samples)} samples of up to {longest} tokens do not fit into memory at "
            "once: the batch is halved"
        )
        return None

    def _add(
        self,
        samples: Sequence[Sample],
        losses: NDArray[np.float64],
        correct: NDArray[np.bool_] | None,
    ) -> NDArray[np.int64]:
        """Add what came of a batch; returns the rows that it finished."""
        finished = []
        for number, sample in enumerate(samples):
            row = sample.row
            self._sums[row] += losses[number]
            self._open[row] -= 1
            if correct is not None and self.row_correct is not None:
                self.row_correct[row] = correct[number]
            if not self._open[row]:
                self.row_loss[row] = self._sums[row] / self.row_tokens[row]
                self._finished[row] = True
                finished.append(row)
        return np.array(sorted(finished), np.int64)

    def _part(self, rows: NDArray[np.int64]) -> RowLosses:
        correct = None if self.row_correct is None else self.row_correct[rows]
        return RowLosses(rows, self.row_loss[rows], self.row_tokens[rows], self.row_bytes[rows], correct)

    def _share(self, batches: Batches, elapsed_s: float) -> Share:
        fraction = batches.done_tokens / batches.all_tokens if batches.all_tokens else 1.0
        rows = int(self._finished.sum())
        text = f"{self._model.name}: {rows} of {len(self._finished)} rows"
        return Share(fraction, text, elapsed_s * (1 - fraction) / fraction if fraction else None)


@contextlib.contextmanager
def _threads(count: int | None, device: str) -> Iterator[None]:
    """Meanwhile torch's CPU kernels use so many threads, and cards compute float32 as float32."""
    import torch

    before = torch.get_num_threads()
    precision = torch.get_float32_matmul_precision()
    torch.set_num_threads(count or before)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(precision)
