"""How exactly, and on what, a merge is computed: what most people leave alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QWidget

from core.cores import usable_cores
from core.dtypes import FLOATS
from core.plan.planning import DEFAULT_SHARD_SIZE_BYTES
from core.text import one_line
from core.units import about_text, bytes_text
from gui.document.merge_setup import MergeSetup
from gui.jobs import JobKeeper
from gui.numbers import NumberKind, Unread
from gui.recipe.devices_job import DevicesJob
from gui.widgets.fields import NumberEdit, NumberField, defer_to_window, form_layout, name_field
from gui.widgets.plain import PlainLabel
from gui.words import plural, weight_text

if TYPE_CHECKING:
    from core.devices import Device
    from core.plan.choice import Choice

__all__ = ["PrecisionForm"]

_GB = 1e9
_MAX_THREADS = 1024


class PrecisionForm(QWidget):
    """Zero tolerance, types, device, threads, and the size of the output's files.

    Devices other than the CPU are looked up each time the form comes into sight; what each would take is
    said beside it.

    Attributes:
        fields: by the names that they have in a MergeSetup.
        form: their layout.

    Signals:
        changed(): a field changed.
        devices_found(): there are devices beside the CPU, so that it is worth saying what they would take.
    """

    changed = Signal()
    devices_found = Signal()

    def __init__(self, jobs: JobKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._looking = False
        self._titles = {"auto": "Fastest", "cpu": "CPU"}
        self._times: dict[str, str] = {}
        self.zero_tolerance = NumberEdit(NumberKind("Zero tolerance", minimum=0, optional=True))
        self.zero_tolerance.setPlaceholderText("exact")
        self.dtype = _choices(
            [("As the models", None), *((d.torch_name, d.torch_name) for d in FLOATS.values())]
        )
        self.out_dtype = _choices(
            [("As the merge type", None), *((d.torch_name, d.torch_name) for d in FLOATS.values())]
        )
        self.vocab = _choices([("As the models", None), ("Of all models", "union"), ("Of the base", "base")])
        self.nonfinite = _choices([("Pass through", "pass"), ("Stop the merge", "error")])
        self.device = _choices([("Fastest", "auto"), ("CPU", "cpu")])
        self.threads = NumberField(
            NumberKind("Threads", whole=True, minimum=1, maximum=_MAX_THREADS, optional=True)
        )
        self.threads.edit.setPlaceholderText(f"One a core ({usable_cores()})")
        self.shard_size = NumberField(
            NumberKind("File size", minimum=0.001, maximum=100_000, unit="GB"), DEFAULT_SHARD_SIZE_BYTES / _GB
        )
        self.fields: dict[str, QWidget] = {}
        self.form = form_layout(self)
        for name, title, field, tip in (
            (
                "zero_tolerance",
                "Zero tolerance",
                self.zero_tolerance,
                "A parameter whose distance from the base is not larger than this counts as left as it was. "
                "Empty: only one that is equal to the base's.",
            ),
            (
                "dtype",
                "Merge type",
                self.dtype,
                "The number type in which the models are compared and merged.",
            ),
            ("out_dtype", "Output type", self.out_dtype, "The number type of the merged model."),
            (
                "vocab",
                "Tokens",
                self.vocab,
                "Which tokens the result has, where the models have others than the base. As the models: "
                "all, where they have only added some; else rows of the same number are merged, or the "
                "merge is refused. Of all models, of the base: rows of the same tokens are merged.",
            ),
            (
                "nonfinite",
                "NaN, infinity",
                self.nonfinite,
                "What to do where a model holds a value that is no finite number.",
            ),
            (
                "device",
                "Device",
                self.device,
                "Where the merge is computed; the result is the same. Fastest: what is expected to be done "
                "first, with the time that a graphics card takes to get ready.",
            ),
            (
                "threads",
                "Threads",
                self.threads,
                "At most so many work at the same time; of them, as many as get the most done. Empty: at "
                "most one for each core.",
            ),
            (
                "shard_size_bytes",
                "File size",
                self.shard_size,
                "The largest size of one file of the merged model. Default 5 GB.",
            ),
        ):
            label = PlainLabel(title)
            label.setBuddy(field)
            defer_to_window(field)
            name_field(field, title, tip)
            self.form.addRow(label, field)
            self.fields[name] = field
        for box in (self.dtype, self.out_dtype, self.vocab, self.nonfinite, self.device):
            box.currentIndexChanged.connect(self.changed)
        self._numbers: dict[str, NumberEdit | NumberField] = {
            "zero_tolerance": self.zero_tolerance,
            "threads": self.threads,
            "shard_size_bytes": self.shard_size,
        }
        for number in self._numbers.values():
            number.changed.connect(self.changed)

    def read_into(self, setup: MergeSetup) -> MergeSetup:
        return replace(
            setup,
            zero_tolerance=self.zero_tolerance.value,
            dtype=self.dtype.currentData(),
            out_dtype=self.out_dtype.currentData(),
            vocab=self.vocab.currentData(),
            nonfinite=self.nonfinite.currentData(),
            device=self.device.currentData(),
            threads=None if self.threads.value is None else int(self.threads.value),
            shard_size_bytes=round((self.shard_size.value or 0) * _GB),
        )

    def unread(self) -> dict[str, Unread]:
        """What was typed and cannot be taken, by the names of the fields."""
        return {name: field.unread for name, field in self._numbers.items() if field.unread is not None}

    def apply(self, setup: MergeSetup) -> None:
        numbers = (setup.zero_tolerance, setup.threads, setup.shard_size_bytes / _GB)
        for (name, field), number in zip(self._numbers.items(), numbers, strict=True):
            field.show_number(number, setup.unread.get(name))
        for box, data in (
            (self.dtype, setup.dtype),
            (self.out_dtype, setup.out_dtype),
            (self.vocab, setup.vocab),
            (self.nonfinite, setup.nonfinite),
        ):
            box.setCurrentIndex(box.findData(data))
        self._offer(setup.device)
        self.device.setCurrentIndex(self.device.findData(setup.device))

    def summary(self) -> str:
        """What differs from the defaults, for when the form is not in sight."""
        default = MergeSetup("", None, (), 0)
        setup = self.read_into(default)
        parts = [
            (setup.zero_tolerance, default.zero_tolerance, f"zero tolerance {self.zero_tolerance.text()}"),
            (setup.dtype, default.dtype, f"merged as {setup.dtype}"),
            (setup.out_dtype, default.out_dtype, f"written as {setup.out_dtype}"),
            (setup.vocab, default.vocab, f"tokens {self.vocab.currentText().lower()}"),
            (setup.nonfinite, default.nonfinite, "stops at NaN"),
            (setup.device, default.device, setup.device.upper() if setup.device == "cpu" else setup.device),
            (setup.threads, default.threads, plural(setup.threads or 0, "thread")),
            (
                setup.shard_size_bytes,
                default.shard_size_bytes,
                f"files of {weight_text(setup.shard_size_bytes / _GB)} GB",
            ),
        ]
        return ", ".join(text for value, usual, text in parts if value != usual)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous() and not self._looking:
            self._looking = True
            job = DevicesJob()
            job.found.connect(self._on_found)
            self._jobs.start(job)

    @Slot(object)
    def _on_found(self, devices: Sequence[Device]) -> None:
        """Offer `devices`; the chosen one stays chosen, whether it is there or not."""
        self._looking = False
        for device in devices:
            self._titles[device.name] = f"{device.title} ({device.name})"
            self._offer(device.name)
            if device.free_bytes is not None and device.total_bytes is not None:
                free = f"{bytes_text(device.free_bytes)} of {bytes_text(device.total_bytes)} free"
                self.device.setItemData(self.device.findData(device.name), free, Qt.ItemDataRole.ToolTipRole)
        self._show_texts()
        if devices:
            self.devices_found.emit()

    def show_times(self, choice: Choice | None) -> None:
        """Say beside each device how long the merge would take on it; None where there is no merge yet."""
        self._titles["auto"], self._times = "Fastest", {}
        for entry in () if choice is None else choice.expected:
            device = entry.device
            if device.name not in self._titles:
                self._titles[device.name] = f"{device.title} ({device.name})"
            self._offer(device.name)
            self._times[device.name] = about_text(entry.seconds)
        if choice is not None:
            name = choice.fastest.device.name
            self._titles["auto"] = f"Fastest ({'CPU' if name == 'cpu' else name})"
            self._times["auto"] = self._times[name]
        self._show_texts()

    def _offer(self, name: str) -> None:
        if self.device.findData(name) < 0:
            self.device.addItem(self._text(name), name)

    def _show_texts(self) -> None:
        for at in range(self.device.count()):
            text = self._text(self.device.itemData(at))
            if text != self.device.itemText(at):
                self.device.setItemText(at, text)

    def _text(self, name: str) -> str:
        """ "NVIDIA H200 (cuda:0), about 0.6 s"."""
        return one_line(", ".join(filter(None, (self._titles.get(name, name), self._times.get(name)))))


def _choices(entries: Sequence[tuple[str, str | None]]) -> QComboBox:
    box = QComboBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    for text, data in entries:
        box.addItem(text, data)
    return box
