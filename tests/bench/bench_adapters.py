"""What adapters cost as sub-models, beside plain models of the same number, and beside what bounds them.

    python tests/bench/bench_adapters.py --parameters 1000M --adapters 8 --rank 64 --runs 3

Makes a Llama-shaped bf16 base, adapters on all of its linear layers and two plain models, which stand for
all plain ones by links. Reads them once so that they are in the page cache, then runs the lines in turn,
each in a process of its own, `--runs` times. Seconds go from the first weight read to the last byte synced;
those of the cores say more where other programs want them, too. Memory is the peak of anonymous memory
above what the imports take. The bound is reading the base and the factors once, and the sums of the factors
at the rate that as many threads reach on data in their caches.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import MemoryWatch, count, in_page_cache, merge_of, moved_alone, processor
from checkpoints import llama_shapes, make_checkpoints
from safetensors.torch import save_file

from core import parse_recipe, plan_merge
from core.devices import CPU
from core.dtypes import FLOATS
from core.plan.chunking import default_threads, peak_memory_bytes
from core.plan.estimate import Throughput, measured_core
from core.plan.merge_plan import MergePlan
from core.plan.work import work_of
from core.sources.adapted import Adapted, compile_for
from core.table import warm_up

LINES = {
    "plain": "plain models",
    "adapters": "adapters",
    "moved": "reads and writes of the plain models alone",
}
METHODS = {
    "linear": {"merge_method": "linear", "parameters": {"weight": 1}},
    "selection": {"merge_method": "parameter_selection", "parameters": {"resamples": 4}},
}


def main() -> None:
    options = _options()
    if options.line:
        print(json.dumps(_measure(options)))
        return
    if not (options.folder / "done").exists():
        _make(options)
    results: dict[str, list[dict[str, float]]] = {line: [] for line in (*LINES, "rates")}
    for run in range(options.runs):
        for line in results:
            in_page_cache(options.folder)
            results[line].append(_in_a_process(line, options))
            print(f"run {run + 1}, {line}: {results[line][-1]}", file=sys.stderr)
    _print(results, options)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parameters", type=count, default=1_000_000_000, help="of the base, e.g. 1000M")
    parser.add_argument("--adapters", type=int, default=8, help="K")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--method", choices=METHODS, default="linear")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--folder", type=Path, default=Path("build/bench-adapters"), help="where they are")
    parser.add_argument("--line", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.line:
        options.folder = options.folder / f"{options.parameters}x{options.adapters}x{options.rank}"
    return options


def _make(options: Any) -> None:
    print(
        f"making a base of {options.parameters:,} parameters and {options.adapters} adapters", file=sys.stderr
    )
    folder, hidden = options.folder, 2048 if options.parameters >= 300_000_000 else 1024
    make_checkpoints(folder, options.parameters, 2, hidden=hidden)
    for number in range(1, options.adapters + 1):
        shutil.copytree(folder / f"model-{number % 2 + 1}", folder / f"plain-{number}", copy_function=os.link)
        random = np.random.default_rng(number)
        factors = {}
        for name, shape in llama_shapes(options.parameters, hidden):
            if "_proj" in name:
                module = f"base_model.model.{name.removesuffix('.weight')}"
                for part, size in (("A", (options.rank, shape[1])), ("B", (shape[0], options.rank))):
                    values = random.normal(0, 0.02, size).astype(np.float32)
                    factors[f"{module}.lora_{part}.weight"] = torch.from_numpy(values)
        (folder / f"adapter-{number}").mkdir(exist_ok=True)
        save_file(factors, folder / f"adapter-{number}" / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": options.rank, "lora_alpha": options.rank}
        (folder / f"adapter-{number}" / "adapter_config.json").write_text(json.dumps(config))
    (folder / "done").touch()


def _in_a_process(line: str, options: Any) -> dict[str, float]:
    command = [sys.executable, __file__, "--line", line]
    for name in ("folder", "threads", "adapters", "rank", "method"):
        command += [f"--{name}", str(getattr(options, name))]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(options: Any) -> dict[str, float]:
    """One line, in this process."""
    if options.line == "rates":
        return _rates(options)
    plan = _plan(options, "adapter" if options.line == "adapters" else "plain")
    out = options.folder / "out"
    for place in (out, out.with_name("out.partial")):
        shutil.rmtree(place, ignore_errors=True)
    warm_up(FLOATS["BF16"])
    compile_for(source for tensor in plan.tensors for source in tensor.inputs)
    work = work_of(plan, CPU, options.threads)
    busy = time.process_time()
    with MemoryWatch() as watch:
        if options.line == "moved":
            seconds = moved_alone(plan, out, options.threads)
        else:
            seconds = merge_of(plan, out, options.threads, "cpu")
    busy = time.process_time() - busy
    shutil.rmtree(out, ignore_errors=True)
    return {
        "seconds": seconds,
        "busy": busy,
        "memory": watch.peak - watch.before,
        "foreseen_memory": peak_memory_bytes(plan, [CPU], options.threads),
        "foreseen_seconds": Throughput(core=measured_core()).estimate(work).merge_s,
    }


def _plan(options: Any, kind: str) -> MergePlan:
    models = [{"model": f"{kind}-{number}"} for number in range(1, options.adapters + 1)]
    recipe = {**METHODS[options.method], "base_model": "base", "models": models}
    return plan_merge(parse_recipe(recipe, options.folder))


def _rates(options: Any) -> dict[str, float]:
    """Seconds of reading the base and the factors once, and of the sums, by so many threads."""
    from core.sources.loops import add_low_rank_to_values

    plan = _plan(options, "adapter")
    terms = sum(
        tensor.elements * source.rank
        for tensor in plan.tensors
        for source in tensor.inputs
        if isinstance(source, Adapted)
    )
    pending = sorted({shard.path for model in plan.models for shard in model.every_shard})

    def read() -> None:
        buffer = memoryview(bytearray(4 * 1024**2))
        with contextlib.suppress(IndexError):
            while True:
                with pending.pop().open("rb", buffering=0) as file:
                    while file.readinto(buffer):
                        pass

    rows, columns, rank = 32, 1024, options.rank
    added = []

    def add() -> None:
        values = np.zeros(rows * columns, np.float32)
        left, right = np.full((rows, rank), 1e-3, np.float32), np.full((rank, columns), 1e-3, np.float32)
        of_part = np.array([rank]), np.ones(1, np.float32)
        begun = time.perf_counter()
        while time.perf_counter() < begun + 1:
            add_low_rank_to_values(values, 0, columns, left, right, *of_part)
            added.append(rows * columns * rank)

    add_low_rank_to_values(
        np.zeros(4, np.float32),
        0,
        4,
        np.zeros((4, 1), np.float32),
        np.zeros((1, 4), np.float32),
        np.array([1]),
        np.ones(1, np.float32),
    )
    reading, busy_reading = _by_threads(read, options.threads)
    adding, busy_adding = _by_threads(add, options.threads)
    each = terms / sum(added)
    return {
        "seconds": reading + adding * each,
        "busy": busy_reading + busy_adding * each,
        "sums": adding * each,
    }


def _by_threads(work: Callable[[], None], threads: int) -> tuple[float, float]:
    """Seconds that they take together, and of the processor."""
    every = [threading.Thread(target=work) for _ in range(threads)]
    begun, busy = time.perf_counter(), time.process_time()
    for thread in every:
        thread.start()
    for thread in every:
        thread.join()
    return time.perf_counter() - begun, time.process_time() - busy


def _print(results: dict[str, list[dict[str, float]]], options: Any) -> None:
    def median(line: str, what: str) -> float:
        return statistics.median(result[what] for result in results[line])

    def most(line: str) -> float:
        return max(result["memory"] for result in results[line]) / 2**20

    print(
        f"\n{options.adapters} adapters of rank {options.rank} on {options.parameters / 1e6:.0f} M bf16 "
        f"parameters, {options.method}, {options.threads} threads, {processor()}, {platform.system()}, "
        f"medians of {options.runs} interleaved runs\n"
    )
    print("| | seconds | of the cores | foreseen | memory, MiB | foreseen |\n|---|--:|--:|--:|--:|--:|")
    for line, title in LINES.items():
        first = results[line][0]
        print(
            f"| {title} | {median(line, 'seconds'):.2f} | {median(line, 'busy'):.2f} "
            f"| {first['foreseen_seconds']:.2f} | {most(line):.0f} | {first['foreseen_memory'] / 2**20:.0f} |"
        )
    bound, sums = (median("rates", what) for what in ("seconds", "sums"))
    print(f"| reading and sums | {bound:.2f} ({sums:.2f} of sums) | {median('rates', 'busy'):.2f} | | | |")
    of_time, of_cores = (median("adapters", on) / median("rates", on) for on in ("seconds", "busy"))
    print(f"\nadapters take {of_time:.2f} x reading and sums, {of_cores:.2f} x on the cores (goal: 1.3)")
    more = most("adapters") - most("plain")
    print(f"memory above that of plain models: {more:.0f} MiB (goal: 64)")


if __name__ == "__main__":
    main()
