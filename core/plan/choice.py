"""On what a merge runs, and why: the device that is expected to be done first, unless one is named."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core import devices
from core.devices import CPU, Device
from core.plan.cold_files import cold_files
from core.plan.estimate import Throughput, TimeEstimate, Work
from core.plan.merge_plan import MergePlan
from core.plan.work import work_of
from core.table import has_card_kernel
from core.units import about_text

__all__ = ["Choice", "Expected", "choose"]

_CLEARLY = 0.95
"""A card that takes more than this share of the CPU's time is not worth it: estimates are not that good."""

_UNKNOWN = (
    "which graphics cards there are cannot be told without asking for one; "
    "name one as the device (--device cuda)"
)


@dataclass(frozen=True)
class Expected:
    """What is expected of one device.

    Attributes:
        device: it.
        work: what it would have to do.
        estimate: how long it would take.
    """

    device: Device
    work: Work
    estimate: TimeEstimate

    @property
    def seconds(self) -> float:
        """Of the whole merge, getting ready and the merges that come before included."""
        return self.estimate.seconds


@dataclass(frozen=True)
class Choice:
    """On what a merge runs.

    Attributes:
        asked: "auto", or the device that was named.
        expected: what is expected of each device that is known, the CPU first.
        fastest: of these, what "auto" takes.
        chosen: of these, what does the arithmetic; the first of it, where there are several.
        reason: why, in words without figures, the same for every merge of this kind on this machine.
        devices: what does the arithmetic.
        is_whole: whether it does all of the merge, and not what a card left that failed.
    """

    asked: str
    expected: tuple[Expected, ...]
    fastest: Expected
    chosen: Expected
    reason: str
    devices: tuple[Device, ...]
    is_whole: bool = True

    @property
    def is_automatic_card(self) -> bool:
        """Whether it is a card that nobody named, so that the CPU may take its place."""
        return self.asked == "auto" and self.chosen.device.kind != "cpu"

    @property
    def why(self) -> str:
        """ "cpu: the merge would be over before the card is ready", for a record."""
        return f"{self.chosen.device.name}: {self.reason}"

    @property
    def reason_now(self) -> str:
        """ "about 0.6 s, the CPU takes about 1.1 s" where the times decide, else `reason`."""
        if not self.is_automatic_card:
            return self.reason
        return f"{about_text(self.chosen.seconds)}, the CPU takes {about_text(self.expected[0].seconds)}"

    @property
    def sentence(self) -> str:
        """The device and `reason_now`, for a person."""
        return f"{self.chosen.device.name}: {self.reason_now}"

    def on_cpu_instead(self, *, begun: bool = False) -> Choice:
        """The same where what was chosen cannot be used after all; `begun` where it has done a part."""
        name = self.chosen.device.name
        reason = f"{name} failed in the middle of the merge" if begun else f"{name} could not be used"
        cpu = self.expected[0]
        return replace(self, chosen=cpu, reason=reason, devices=(cpu.device,), is_whole=not begun)


def choose(
    plan: MergePlan,
    asked: str = "auto",
    threads: int | None = None,
    throughput: Throughput | None = None,
    *,
    warms_up: bool = False,
    measures_disk: bool = False,
) -> Choice:
    """Choose what `plan` runs on. Imports torch only for a device that is named.

    One card is enough: the host fills its bus, and not that of two.

    Args:
        plan: the merge.
        asked: "auto" for the fastest, or the name of a device.
        threads: workers at most; None for one a core.
        throughput: what was learned of this machine; None for nothing.
        warms_up: whether this process makes the CPU's kernels ready in any case.
        measures_disk: whether to read a little of files that are not in memory; see `cold_files`.

    Raises:
        DeviceError: the device that is asked for is not known, or not there.
    """
    named = [] if asked == "auto" else devices.choose_devices(asked)
    known = devices.known_devices()
    by_name = {device.name: device for device in (CPU, *(known or []), *named)}
    files = [cold_files(one, measure=measures_disk) for one in plan.merges]
    pace = throughput or Throughput()
    expected = []
    for device in by_name.values():
        *before, work = (
            work_of(one, device, threads, files=cold, warms_up=warms_up)
            for one, cold in zip(plan.merges, files, strict=True)
        )
        before_s = sum(pace.estimate(one).merge_s for one in before)
        expected.append(Expected(device, work, replace(pace.estimate(work), before_s=before_s)))
    fastest, reason = _fastest(plan, known is None, expected)
    if not named:
        return Choice(asked, tuple(expected), fastest, fastest, reason, (fastest.device,))
    chosen = next(entry for entry in expected if entry.device == named[0])
    return Choice(asked, tuple(expected), fastest, chosen, "it was asked for", tuple(named))


def _fastest(plan: MergePlan, is_unknown: bool, expected: list[Expected]) -> tuple[Expected, str]:
    cpu, *others = expected
    cards = [entry for entry in others if entry.device.kind == "cuda"]  # others are not tried for their bytes
    if is_unknown:
        return cpu, _UNKNOWN
    if not cards and (without := devices.given_up()):
        return cpu, f"{', '.join(without)} did not work a short while ago"
    if not cards:
        return cpu, "there is no graphics card here that torch can use with CUDA"
    methods = [one.recipe.method for one in plan.merges]
    if not all(method.same_everywhere for method in methods):
        return cpu, "this method does not promise the same bytes on a graphics card"
    if not all(has_card_kernel(method.name) for method in methods):  # torch there: neither tried nor measured
        return cpu, "this method has no kernel for a graphics card"
    card = min(cards, key=lambda entry: entry.seconds)
    if card.seconds < _CLEARLY * cpu.seconds:
        return card, "it is expected to be done before the CPU"
    if card.estimate.start_s >= cpu.seconds:
        return cpu, "the merge would be over before the card is ready"
    if card.estimate.merge_s >= _CLEARLY * cpu.estimate.merge_s:
        return cpu, "a graphics card would not be faster"
    return cpu, "a graphics card would be faster, but not by the time that it takes to get ready"
