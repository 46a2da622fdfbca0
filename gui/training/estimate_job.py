"""What a training would read, do and take, found out before it begins, by what the training itself asks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal

from core.cancel import CancelToken
from core.errors import MergeError
from core.train.settings import TrainSettings
from core.units import count_text
from gui.failure import Failure, sentence
from gui.jobs import Job
from gui.training.request import Asked
from gui.words import grouped, plural

if TYPE_CHECKING:
    from core.data.rows import DataSet
    from core.train.request import Inputs

__all__ = ["Estimate", "EstimateJob", "Known"]

_KINDS = {
    "text": "texts",
    "prompt": "prompts with responses",
    "chat": "conversations",
    "label": "texts with labels",
}


@dataclass
class Known:
    """What was read last, so that it need not be read again after every key.

    Attributes:
        read: what it was read from (paths, sizes and times of change), and the inputs as the training reads
            them; None for nothing yet. One value: several jobs may be at work, of which all but the last were
            cancelled.
    """

    read: tuple[tuple[object, ...], Inputs] | None = None


@dataclass(frozen=True)
class Estimate:
    """What is known of a training before it begins.

    Attributes:
        asked: what it is about.
        texts: what is said below a field, by its name: "base", "data", "validation", "out".
        problems: why it cannot begin, by the name of the field; "" for what is about none of them.
    """

    asked: Asked
    texts: dict[str, str] = field(default_factory=dict)
    problems: dict[str, Failure] = field(default_factory=dict)


class EstimateJob(Job):
    """Reads the data, and the headers of the base.

    Signals:
        found(object): an Estimate, once, unless it was cancelled.
    """

    found = Signal(object)

    def __init__(self, asked: Asked, known: Known) -> None:
        """Args:
        asked: what is filled in.
        known: what was read before; it is replaced by what is read now.
        """
        super().__init__()
        self._asked, self._known = asked, known
        self._cancel = CancelToken()
        self._estimate = Estimate(asked)

    def cancel(self) -> None:
        self._cancel.cancel()  # a file that is being read is read to its end, and no other is begun

    def run(self) -> None:
        from core.train.request import require_accelerate

        for part in (require_accelerate, self._look_at_inputs):
            try:
                part()
            except Exception as error:  # also what is no MergeError is the user's to see
                self._estimate.problems.setdefault(self._field_of(error), Failure.of(error))
        if not self._cancel.cancelled:
            self.found.emit(self._estimate)

    def _field_of(self, error: Exception) -> str:
        """The field that `error` is about; "" for none."""
        return (error.field or "") if isinstance(error, MergeError) else ""

    def _look_at_inputs(self) -> None:
        """Say what each field leads to, as far as they are filled in."""
        from core.train.foreseen import foresee

        asked, texts = self._asked, self._estimate.texts
        if asked.base is None or asked.data is None:
            self._look_at_single_ones()
            return
        inputs = self._read(asked.base, asked.data)
        texts["data"] = _data_text(inputs.data)
        parameters = foresee(inputs, TrainSettings(orders=1)).parameters
        texts["base"] = f"{count_text(parameters)} parameters."
        if inputs.validation is not None:
            texts["validation"] = _data_text(inputs.validation)
        if inputs.new_head:
            texts["base"] += (
                f" Gets a new head for {len(inputs.labels or ())} labels, the same in all orders."
            )
        if asked.out is not None and asked.settings is not None:
            texts["out"] = self._out_text(inputs, asked.out, asked.settings)

    def _look_at_single_ones(self) -> None:
        from core.checkpoint.model import open_checkpoint
        from core.data.rows import read_data
        from core.errors import addressed

        asked, texts = self._asked, self._estimate.texts
        if asked.base is not None:
            with addressed(field="base"):
                open_checkpoint(asked.base)
        for name, path in (("data", asked.data), ("validation", asked.validation)):
            if path is not None:
                self._cancel.raise_if_cancelled("training")
                texts[name] = _data_text(read_data(path, skip_bad_rows=asked.skip_bad_rows, field=name))

    def _read(self, base: Path, data: Path) -> Inputs:
        from core.train.request import TrainRequest, read_inputs

        asked = self._asked
        validation = None if asked.validation is None else _stamp(asked.validation)
        key = (base, _stamp(data), validation, asked.out, asked.skip_bad_rows)
        known = self._known.read
        if known is None or known[0] != key:
            settings = TrainSettings(orders=1)  # with which any data can be read
            out = asked.out or base.with_name(f"{base.name}-sub-models")
            inputs = read_inputs(
                TrainRequest(
                    base,
                    data,
                    out,
                    settings,
                    validation=asked.validation,
                    skip_bad_rows=asked.skip_bad_rows,
                ),
                self._cancel,
            )
            known = self._known.read = key, inputs
        return known[1]

    def _out_text(self, inputs: Inputs, out: Path, settings: TrainSettings) -> str:
        """The steps, and what they take, as the training itself reckons it."""
        from core.train.disk import memory_sentence, require_disk
        from core.train.foreseen import foresee
        from core.train.request import TrainRequest, existing_document, refuse_others
        from core.train.runs_folder import done_path

        asked = self._asked
        assert asked.base is not None
        assert asked.data is not None
        texts = []
        document = existing_document(out)
        if document is not None:
            request = TrainRequest(asked.base, asked.data, out, settings, validation=asked.validation)
            refuse_others(document, request, inputs, out)
            done = sum(done_path(out, number).is_file() for number in range(1, settings.orders + 1))
            if done == settings.orders:
                return f"All {plural(done, 'order')} are finished there already."
            texts.append(f"Goes on with what is there: {done} of {settings.orders} orders are finished.")
        foreseen = foresee(inputs, settings)
        steps = f"{grouped(foreseen.steps)} steps for each of {plural(settings.orders, 'order')}"
        if foreseen.more_steps:
            steps = f"{steps}, and more where a text has more than {grouped(settings.max_length)} tokens"
        disk = require_disk(foreseen.disk, out)
        return " ".join([*texts, f"{steps}.", *map(_capital, (disk, memory_sentence(foreseen.parameters)))])


def _data_text(data: DataSet) -> str:
    """ "1 234 rows: prompts with responses."."""
    if data.kind == "plain":
        return sentence(f"{plural(len(data.rows), 'passage')} of plain text")
    counted = f"{plural(len(data.rows), 'row')}: {_KINDS.get(data.kind, data.kind)}"
    return " ".join([sentence(counted), *map(sentence, data.notes)])


def _capital(text: str) -> str:
    """A sentence of what begins with a word and a colon."""
    return sentence(f"{text[0].upper()}{text[1:]}")


def _stamp(path: Path) -> tuple[Path, int, int]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return path, -1, -1  # which reading says better
    return path, status.st_size, status.st_mtime_ns
