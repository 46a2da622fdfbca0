"""What this machine makes of a merge: over threads, and on its graphics cards.

    python tests/bench/bench_machine.py --parameters 468M --models 10
    python tests/bench/bench_machine.py --device none

Every line is a merge from end to end, from the first weight read to the last byte synced, beside the floor:
the same reads and writes with no arithmetic. All run in one process, in turn, `--runs` times, once everything
is compiled and the files are in the page cache; the table holds medians. Input and output are in a RAM disk
where there is one. A card's bytes and counts must be the CPU's. The last lines say whether the goals hold.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import count, in_page_cache, merge_of, moved_alone, processor, recipe_for
from checkpoints import make_checkpoints

from core import load_recipe, plan_merge, run_merge
from core.cores import begin_with, usable_cores
from core.devices import Device, usable_devices
from core.dtypes import FLOATS
from core.plan.merge_plan import MergePlan
from core.table import compile_for, warm_up

_STARTED = time.perf_counter()
_RAM_DISK = Path("/dev/shm")
_LINES = ("linear", "n=0", "n=4", "n=9")
_ON_ALL_THREADS = "n=4"


class Machine:
    """The merges that are timed, and what they took.

    Attributes:
        seconds: by (line, device, threads); None for the number that the program chooses.
    """

    def __init__(self, folder: Path, device: Device | None) -> None:
        self._out = folder / "out"
        recipe = load_recipe(folder / "recipe.yaml")
        self._plans = {line: plan_merge(recipe_for(line, recipe)) for line in _LINES}
        self._device = device
        self.seconds: dict[tuple[str, str, int | None], list[float]] = {}

    def lines(self) -> list[tuple[str, str, int | None]]:
        """Every line, the long ones on few threads last."""
        threads = thread_counts()
        few: list[int | None] = [None, *threads[-2:]]
        every = (None, *threads, too_many())
        lines: list[tuple[str, str, int | None]] = [("floor", "", number) for number in every]
        lines += [(line, "cpu", at) for line in _LINES if line != _ON_ALL_THREADS for at in few]
        lines += [(_ON_ALL_THREADS, "cpu", at) for at in every]
        if self._device is not None:
            name = self._device.name
            lines += [(line, name, None) for line in _LINES]
            lines += [(_ON_ALL_THREADS, name, at) for at in threads]
            lines += [(line, "auto", None) for line in _LINES]
        return lines

    def run(self, line: str, device: str, threads: int | None) -> None:
        """Time one line once."""
        shutil.rmtree(self._out, ignore_errors=True)
        if line == "floor":
            seconds = moved_alone(self._plans["n=4"], self._out, threads or usable_cores())
        else:
            seconds = merge_of(self._plans[line], self._out, threads, device)
        shutil.rmtree(self._out, ignore_errors=True)
        self.seconds.setdefault((line, device, threads), []).append(seconds)
        note(f"{line}, {device or 'no arithmetic'}, {threads or 'default'} threads: {seconds:.2f} s")

    def median(self, line: str, device: str, threads: int | None) -> float | None:
        found = self.seconds.get((line, device, threads))
        return statistics.median(found) if found else None

    def best(self, line: str, device: str) -> float:
        medians = [
            statistics.median(s) for (of, on, _), s in self.seconds.items() if (of, on) == (line, device)
        ]
        return min(medians, default=float("nan"))

    def check(self) -> None:
        """Raises SystemExit where the device does not give the CPU's bytes and counts."""
        if self._device is None:
            return
        for line, plan in self._plans.items():
            shutil.rmtree(self._out, ignore_errors=True)
            on_cpu = run_merge(plan, self._out, device="cpu")
            shutil.rmtree(self._out)
            on_card = run_merge(plan, self._out, device=self._device.name)
            shutil.rmtree(self._out)
            if on_cpu.tensors != on_card.tensors:
                print(f"{self._device.name} does not give the CPU's bytes for {line}", file=sys.stderr)
                raise SystemExit(1)
            note(f"{line}: the bytes and counts of {self._device.name} are the CPU's")

    def plans(self) -> Sequence[MergePlan]:
        return list(self._plans.values())


def main() -> None:
    options = _options()
    device = _device(options.device)
    place = options.folder or _place(2 * options.parameters * (options.models + 2))
    folder = place / f"{options.parameters}x{options.models}"
    try:
        if not (folder / "recipe.yaml").exists():
            note(f"making {options.models} + 1 checkpoints of {options.parameters:,} parameters in {folder}")
            maker = "cpu" if device is None else device.name
            hidden = 2048 if options.parameters >= 300_000_000 else 1024
            make_checkpoints(folder, options.parameters, options.models, hidden=hidden, device=maker)
        _time_all(options, folder, device)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _time_all(options: argparse.Namespace, folder: Path, device: Device | None) -> None:
    machine = Machine(folder, device)
    warm_up(FLOATS["BF16"])
    note("the CPU's kernels are compiled")
    if device is not None:
        begun = time.perf_counter()
        jobs = [tensor.job for plan in machine.plans() for tensor in plan.tensors if tensor.job]
        compile_for([device], jobs)
        note(f"{device.title} is awake and its kernels are compiled, in {time.perf_counter() - begun:.1f} s")
    in_page_cache(folder)
    machine.check()
    limit = _STARTED + options.seconds
    rounds = 0
    for at in range(options.runs):
        before = time.perf_counter()
        for line in machine.lines():
            machine.run(*line)
        rounds = at + 1
        if 2 * time.perf_counter() - before > limit:
            note(f"no time for round {at + 2} of {options.runs}")
            break
    _print(options, machine, device, rounds)


def _print(options: argparse.Namespace, machine: Machine, device: Device | None, rounds: int) -> None:
    threads = [*thread_counts(), too_many()]
    print(
        f"\n{options.models} sub-models of {options.parameters / 1e6:.0f} M bf16 parameters and their base, "
        f"{processor()}, {usable_cores()} cores of which {begin_with()} begin, "
        f"{device.title if device else 'no graphics card'}, medians of {rounds} runs, seconds\n"
    )
    print("| | " + " | ".join(f"{at} thread{'s' if at > 1 else ''}" for at in threads) + " | default |")
    print("|---|" + "--:|" * (len(threads) + 1))
    for line, on in dict.fromkeys((line, on) for line, on, _ in machine.lines()):
        cells = [machine.median(line, on, at) for at in (*threads, None)]
        title = "floor" if line == "floor" else f"{on}, {line}"
        print(f"| {title} | " + " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells) + " |")
    print()
    for goal, value, most in _goals(machine, device):
        print(f"{'holds ' if value <= most else 'MISSED'}  {goal}: {value:.2f}, at most {most}")


def _goals(machine: Machine, device: Device | None) -> list[tuple[str, float, float]]:
    """What is asked of a machine: what, the ratio, and the most that it may be."""
    floor, cpu = machine.best("floor", ""), machine.best("n=4", "cpu")
    default = machine.median("n=4", "cpu", None) or float("nan")
    eight = 8 if 8 in thread_counts() else thread_counts()[-1]
    asked = 1.6 if eight == 8 else 2.0
    crowded = machine.median("n=4", "cpu", too_many()) or float("nan")
    goals = [
        ("n=4 on the CPU, default threads / the best number", default / cpu, 1.1),
        (f"n=4 on the CPU, {too_many()} threads / the best number", crowded / cpu, 1.1),
        (
            f"n=4 on the CPU / floor, {eight} threads",
            (machine.median("n=4", "cpu", eight) or float("nan"))
            / (machine.median("floor", "", eight) or float("nan")),
            asked,
        ),
    ]
    if device is not None:
        card = machine.median("n=4", device.name, None) or float("nan")
        goals.append(("n=4 on the card / the best floor", card / floor, 1.3))
        goals.append(("n=4 on the card / the best of the CPU", card / cpu, 1 / 1.5))
        for line in _LINES:
            auto = machine.median(line, "auto", None) or float("nan")
            better = min(machine.best(line, device.name), machine.best(line, "cpu"))
            goals.append((f"{line}, auto / the better of both", auto / better, 1.1))
    return [(goal, round(value, 2), round(most, 2)) for goal, value, most in goals]


def thread_counts() -> list[int]:
    """1, 2, 4, ... and all cores."""
    counts, number = [], 1
    while number < usable_cores():
        counts.append(number)
        number *= 2
    return [*counts, usable_cores()]


def too_many() -> int:
    """More threads than there are cores."""
    return max(16, 2 * usable_cores())


def note(sentence: str) -> None:
    print(f"[{time.perf_counter() - _STARTED:6.1f} s] {sentence}", file=sys.stderr, flush=True)


def _device(asked: str) -> Device | None:
    if asked == "none":
        return None
    found = {device.name: device for device in usable_devices()}
    if asked == "any":
        return next(iter(found.values()), None)
    if asked not in found:
        print(f"there is no device {asked} here", file=sys.stderr)
        raise SystemExit(1)
    return found[asked]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parameters", type=count, default=468_000_000, help="of each model, e.g. 468M")
    parser.add_argument("--models", type=int, default=10, help="K")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=280.0, help="no round is begun that would end later")
    parser.add_argument("--device", default="any", help="any, none, or one as torch calls it")
    parser.add_argument("--folder", type=Path, help="where the models are made; a RAM disk that has room")
    parser.add_argument("--keep", action="store_true", help="leave the models there")
    return parser.parse_args()


def _place(size: int) -> Path:
    """A RAM disk with room for twice as many bytes, which are memory then; else the build folder."""
    try:
        free = shutil.disk_usage(_RAM_DISK).free if os.access(_RAM_DISK, os.W_OK) else 0
        free = min(free, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        free = 0
    return (_RAM_DISK if free > 1.5 * size else Path("build")) / "paramosaic-bench"


if __name__ == "__main__":
    main()
