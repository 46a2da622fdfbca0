"""What merges teach, over many of them: one that was disturbed decides nothing for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from core.plan.estimate import Throughput, Work
from core.plan.pace import Pace

CPU, CARD = "linear", "linear on cuda"


def simulated(
    expected: Mapping[str, float], truly: Mapping[str, float], disturbed: Mapping[int, float], merges: int
) -> list[str]:
    """What each of so many merges ran on: whatever is expected to be done first.

    Args:
        expected: seconds by the constants of the program, by the kind.
        truly: seconds that it takes.
        disturbed: how many times as long the merges of these numbers took.
        merges: how many.
    """
    machine, ran = Throughput(), list[str]()
    for number in range(merges):
        works = {kind: Work(kind, seconds, 0.0, 1, 0.0, 0, 0) for kind, seconds in expected.items()}
        seconds = {kind: machine.estimate(work).seconds for kind, work in works.items()}
        taken = CARD if seconds[CARD] < 0.95 * seconds[CPU] else CPU
        ran.append(taken)
        machine = machine.updated(truly[taken] * disturbed.get(number, 1.0), works[taken])
        machine = Throughput.from_json(machine.to_json())
    return ran


@pytest.mark.parametrize("at", [0, 1, 2, 5, 20])
@pytest.mark.parametrize("times", [3.0, 6.0, 30.0])
@pytest.mark.parametrize(
    ("cpu", "card", "better"), [(1.0, 2.0, CPU), (1.0, 1.4, CPU), (1.0, 0.5, CARD), (1.0, 0.8, CARD)]
)
def test_one_merge_that_was_disturbed_is_forgotten(
    cpu: float, card: float, better: str, times: float, at: int
) -> None:
    truly = {CPU: cpu, CARD: card}
    ran = simulated(truly, truly, {at: times}, 60)
    lost = sum(truly[kind] - truly[better] for kind in ran)
    assert lost < 0.1 * 60 * truly[better]
    assert ran[at + 25 :] == [better] * (35 - at)


def test_a_device_that_is_truly_slower_than_its_constants_say_is_tried_ever_less_often() -> None:
    ran = simulated({CPU: 1.0, CARD: 0.5}, {CPU: 1.0, CARD: 3.0}, {}, 300)
    tried = [number for number, kind in enumerate(ran) if kind == CARD]
    assert 3 <= len(tried) <= 12
    assert sum(number >= 150 for number in tried) <= 3


def test_what_the_constants_say_too_little_of_is_found_out() -> None:
    """A CPU that takes twice as long as they say: the card is taken nearly always."""
    ran = simulated({CPU: 1.0, CARD: 1.5}, {CPU: 2.0, CARD: 1.5}, {}, 300)
    assert ran[0] == CPU
    assert Counter(ran)[CARD] > 280


def test_disturbances_now_and_then_leave_the_choice_alone() -> None:
    truly = {CPU: 1.0, CARD: 2.0}
    ran = simulated(truly, truly, dict.fromkeys(range(0, 300, 7), 3.0), 300)
    assert Counter(ran)[CPU] > 270


def test_only_what_could_have_been_taken_instead_is_passed_over() -> None:
    work = Work(CPU, 1.0, 0.0, 1, 0.0, 0, 0)
    machine = Throughput(kinds={CARD: Pace(2.0, 1), "slerp": Pace(2.0, 1), "slerp on cuda": Pace(2.0, 1)})
    learned = machine.updated(1.0, work).kinds
    assert learned[CARD].now < 2.0
    assert learned["slerp"] == learned["slerp on cuda"] == Pace(2.0, 1)


def test_merges_that_are_over_at_once_teach_nothing() -> None:
    machine = Throughput()
    quick = Work(CPU, 0.01, 0.0, 1, 0.0, 0, 0)
    for seconds in (0.001, 0.09, 0.4):
        assert machine.updated(seconds, quick) == machine
    late = machine.updated(30.0, quick)  # it was to be over at once and was not: a little
    assert 1.0 < late.kinds[CPU].measured < 1.1
    early = machine.updated(0.1, Work(CPU, 3.0, 0.0, 1, 0.0, 0, 0))
    assert early.kinds[CPU].measured == pytest.approx(0.5)
