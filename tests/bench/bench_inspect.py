"""How long inspecting models takes beside the floor: the same reads with no arithmetic, same threads.

    python tests/bench/bench_inspect.py --parameters 300M --models 10 --runs 5

Makes the checkpoints of bench.py, reads them once so that they are in the page cache, then runs the
lines in turn, `--runs` times, in one process. Seconds are those of a whole call, the reading of headers
included; the table holds medians. Beside them stands the processor time that the call took, which says more
where other programs want the cores, too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import count, in_page_cache, processor
from checkpoints import make_checkpoints

from core import inspect_models, load_recipe, plan_merge
from core.cancel import CancelToken
from core.deltas.survey import WHOLE_BLOCK
from core.dtypes import DTYPES
from core.kernels.deltas.workspace import compile_measures
from core.plan.chunking import default_threads
from core.plan.merge_plan import MergePlan, TensorPlan
from core.run.executors.threads import ThreadExecutor
from core.run.work import IteratedWork
from core.sources.ahead import ReadAhead
from core.sources.files import OpenInputs

LINES = {"floor": "floor: reads alone", "counts": "counts alone", "details": "details"}


def main() -> None:
    options = _options()
    if not (options.folder / "recipe.yaml").exists():
        print(
            f"making {options.models} + 1 checkpoints of {options.parameters:,} parameters", file=sys.stderr
        )
        hidden = 2048 if options.parameters >= 300_000_000 else 1024
        make_checkpoints(options.folder, options.parameters, options.models, hidden=hidden)
    plan = plan_merge(load_recipe(options.folder / "recipe.yaml"))
    compile_measures(DTYPES["BF16"])
    in_page_cache(options.folder)
    work: dict[str, Callable[[], object]] = {
        "floor": lambda: _floor(plan, options.threads),
        "counts": lambda: _inspect(options, details=False),
        "details": lambda: _inspect(options, details=True),
    }
    seconds: dict[str, list[float]] = {line: [] for line in LINES}
    busy: dict[str, list[float]] = {line: [] for line in LINES}
    for run in range(options.runs):
        for line, call in work.items():
            started, busy_before = time.perf_counter(), time.process_time()
            call()
            seconds[line].append(time.perf_counter() - started)
            busy[line].append(time.process_time() - busy_before)
        figures = ", ".join(f"{line} {times[-1]:.2f} s" for line, times in seconds.items())
        print(f"run {run + 1}: {figures}", file=sys.stderr)
    _print_table(seconds, busy, plan, options)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parameters", type=count, default=300_000_000, help="of each model, e.g. 300M")
    parser.add_argument("--models", type=int, default=10, help="K")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where the models are")
    options = parser.parse_args()
    options.folder = options.folder / f"{options.parameters}x{options.models}"
    return options


def _inspect(options: Any, *, details: bool) -> None:
    models = [options.folder / f"model-{number}" for number in range(1, options.models + 1)]
    inspect_models(options.folder / "base", models, details=details, threads=options.threads)


def _floor(plan: MergePlan, threads: int) -> None:
    """The same blocks read by as many threads, and nothing done with them."""
    blocks = (
        (tensor, first, min(WHOLE_BLOCK, tensor.elements - first))
        for tensor in plan.tensors
        for first in range(0, tensor.elements, WHOLE_BLOCK)
    )

    ahead = ReadAhead()

    class Reading(IteratedWork[tuple[TensorPlan, int, int], None]):
        def slot(self) -> Reader:
            return Reader()

        def collect(self, done: None) -> None:
            """Nothing comes back."""

    class Reader:
        def __init__(self) -> None:
            self._inputs = OpenInputs(plan.headers, ahead=ahead)
            self._buffer = memoryview(bytearray(WHOLE_BLOCK * (len(plan.models) + 1) * 8))

        def fill(self, block: tuple[TensorPlan, int, int]) -> None:
            tensor, first, elements = block
            buffers, position = [], 0
            for stored in tensor.inputs:
                size = elements * stored.dtype.itemsize
                buffers.append(self._buffer[position : position + size])
                position += size
            self._inputs.read(tensor.inputs, first, buffers)

        def compute(self, block: tuple[TensorPlan, int, int]) -> None:
            """Nothing is done."""

        def finish(self, block: tuple[TensorPlan, int, int]) -> None:
            """Nothing is written."""

        def close(self) -> None:
            self._inputs.close()

    ThreadExecutor().run(Reading(blocks), slots=threads, token=CancelToken(), poll=lambda: None)


def _print_table(
    seconds: dict[str, list[float]], busy: dict[str, list[float]], plan: MergePlan, options: Any
) -> None:
    print(
        f"\n{options.models} sub-models of {options.parameters / 1e6:.0f} M bf16 parameters and their base, "
        f"{options.threads} threads, {processor()}, warm files, "
        f"medians of {options.runs} interleaved runs\n"
    )
    print("| | seconds | GB/s | × floor | processor, s | × floor |\n|---|--:|--:|--:|--:|--:|")
    for line, title in LINES.items():
        wall, used = statistics.median(seconds[line]), statistics.median(busy[line])
        rate = plan.bytes_to_read / wall / 1e9
        ratios = [figure / statistics.median(of["floor"]) for figure, of in ((wall, seconds), (used, busy))]
        print(f"| {title} | {wall:.2f} | {rate:.2f} | {ratios[0]:.2f} | {used:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
