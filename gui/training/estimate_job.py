"""What a training would read, do and take, found out before it begins, by what the training itself asks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal

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
        key: what it was read from: paths, sizes and times of change.
        inputs: as the training reads them; None for nothing yet.
    """

    key: tuple[object, ...] = ()
    inputs: Inputs | None = None


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
        known: what was read before; it is replaced by what is read now. One job at a time changes it.
        """
        super().__init__()
        self._asked, self._known = asked, known
        self._cancelled = False
        self._estimate = Estimate(asked)

    def cancel(self) -> None:
        self._cancelled = True  # a file that is being read is read to its end

    def run(self) -> None:
        from core.train.request import require_accelerate

        for part in (require_accelerate, self._look_at_inputs):
            try:
                part()
            except Exception as error:  # also what is no MergeError is the user's to see
                self._estimate.problems.setdefault(self._field_of(error), Failure.of(error))
        if not self._cancelled:
            self.found.emit(self._estimate)

    def _field_of(self, error: Exception) -> str:
        """The field that `error` is about; "" for none."""
        return (error.field or "") if isinstance(error, MergeError) else ""

    def _look_at_inputs(self) -> None:
        """Say what each field leads to, as far as they are filled in."""
        asked, texts = self._asked, self._estimate.texts
        if asked.base is None or asked.data is None:
            self._look_at_single_ones()
            return
        inputs = self._read(asked.base, asked.data)
        texts["data"] = _data_text(inputs.data)
        texts["base"] = f"{count_text(_parameters(inputs))} parameters."
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
                with addressed(field=name):
                    texts[name] = _data_text(read_data(path, skip_bad_rows=asked.skip_bad_rows))

    def _read(self, base: Path, data: Path) -> Inputs:
        from core.train.request import TrainRequest, read_inputs

        asked = self._asked
        validation = None if asked.validation is None else _stamp(asked.validation)
        key = (base, _stamp(data), validation, asked.out, asked.skip_bad_rows)
        if self._known.inputs is None or self._known.key != key:
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
                )
            )
            self._known.key, self._known.inputs = key, inputs
        return self._known.inputs

    def _out_text(self, inputs: Inputs, out: Path, settings: TrainSettings) -> str:
        """The steps, and what they take, as the training itself reckons it."""
        from core.train.disk import disk_need, memory_sentence, require_disk
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
        if inputs.data.kind != "plain":
            steps = settings.steps_of(len(inputs.data.rows))
            texts.append(f"{grouped(steps)} steps for each of {plural(settings.orders, 'order')}.")
        parameters = _parameters(inputs)
        new_base = inputs.checkpoint.size_bytes if inputs.new_head else 0
        rows = 0 if inputs.data.kind == "plain" else len(inputs.data.rows)
        need = disk_need(parameters, settings, rows=rows, new_base_bytes=new_base)
        disk = require_disk(need, out)
        return " ".join([*texts, *map(_capital, (disk, memory_sentence(parameters)))])


def _parameters(inputs: Inputs) -> int:
    """Those that are trained."""
    tensors = inputs.checkpoint.tensors.values()
    return sum(one.size_bytes // one.dtype.itemsize for one in tensors if one.dtype.is_float)


def _data_text(data: DataSet) -> str:
    """ "1 234 rows: prompts with responses."."""
    if data.kind == "plain":
        return "Plain text, which is cut into windows."
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
