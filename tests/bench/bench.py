"""How long merges take beside the floor: the same reads and writes with no arithmetic, same threads.

    python tests/bench/bench.py --parameters 468M --models 10 --runs 3

Makes Llama-shaped bf16 checkpoints (two thirds of the deltas are zero), reads them once so that they
are in the page cache, then runs every line in turn, each in a process of its own, `--runs` times. The
table holds medians. Seconds go from the first weight read to the last byte synced to disk; memory is
anonymous memory above what the imports take.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from checkpoints import make_checkpoints

from core import load_recipe, plan_merge, run_merge
from core.cancel import CancelToken
from core.checkpoint.files import WriteFile
from core.checkpoint.page_cache import drop
from core.methods import METHODS
from core.plan.chunking import CHUNK_BYTES, MEMORY_BUDGET_BYTES, chunk_elements, default_threads
from core.plan.merge_plan import MergePlan, TensorPlan
from core.recipe.recipe import Recipe
from core.run.executors.threads import ThreadExecutor
from core.run.work import IteratedWork
from core.sources.ahead import ReadAhead
from core.sources.files import OpenInputs

MERGEKIT = ("linear", "dare_linear")
LINES = ("floor", "linear", "n=0", "n=1", "n=4", "n=9", "torch")


@dataclass(frozen=True)
class Result:
    """One run: seconds, bytes read and written, anonymous bytes above the imports, seconds of all cores."""

    seconds: float
    bytes: int
    memory_bytes: int
    core_seconds: float = 0.0


def main() -> None:
    options = _options()
    if options.line:
        measured = _measure(options.line, options.folder, options.models, options.threads, options.device)
        print(json.dumps(vars(measured)))
        return
    recipe = options.folder / "recipe.yaml"
    if not recipe.exists():
        print(
            f"making {options.models} + 1 checkpoints of {options.parameters:,} parameters", file=sys.stderr
        )
        hidden = 2048 if options.parameters >= 300_000_000 else 1024
        make_checkpoints(options.folder, options.parameters, options.models, hidden=hidden)
    if options.curves:
        _print_curves(options)
        return
    lines = options.lines.split(",") + ([f"mergekit {m}" for m in MERGEKIT] if options.mergekit else [])
    results: dict[str, list[Result]] = {}
    for run in range(options.runs):
        for line in lines:
            if run > 0 and line not in LINES[:-1]:
                continue  # the others take minutes, and nobody doubts them
            _prepare(options.folder, cold=options.cold)
            results.setdefault(line, []).append(_in_a_process(line, options))
            print(f"run {run + 1}, {line}: {results[line][-1].seconds:.2f} s", file=sys.stderr)
    _print_table(results, options)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parameters", type=count, default=468_000_000, help="of each model, e.g. 468M")
    parser.add_argument("--models", type=int, default=10, help="K")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--device", default="cpu", help="of merges; the floor has none")
    parser.add_argument("--lines", default=",".join(LINES), help=f"some of {','.join(LINES)}")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where the models are")
    parser.add_argument(
        "--cold", action="store_true", help="drop the files from the page cache before each run"
    )
    parser.add_argument("--curves", action="store_true", help="time a byte over K and n instead")
    parser.add_argument("--mergekit", metavar="PATH", help="a mergekit-yaml to compare with (adds two lines)")
    parser.add_argument("--line", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder = (
        options.folder / f"{options.parameters}x{options.models}" if not options.line else options.folder
    )
    return options


def count(text: str) -> int:
    return int(float(text.rstrip("MB")) * {"M": 1e6, "B": 1e9}.get(text[-1], 1))


def _in_a_process(line: str, options: Any) -> Result:
    if line.startswith("mergekit"):
        return _mergekit(line.removeprefix("mergekit "), options)
    command = [sys.executable, __file__, "--line", line, "--folder", str(options.folder)]
    command += ["--threads", str(options.threads), "--models", str(options.models)]
    command += ["--device", options.device]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return Result(**json.loads(done.stdout))


def _mergekit(method: str, options: Any) -> Result:
    share = {"weight": 1 / options.models} | ({"density": 0.5} if method != "linear" else {})
    folders = [options.folder / f"model-{number}" for number in range(1, options.models + 1)]
    base = None if method == "linear" else options.folder / "base"
    return run_mergekit(options.mergekit, method, folders, base, share)


def run_mergekit(
    program: str, method: str, folders: Sequence[Path], base: Path | None, parameters: Mapping[str, Any]
) -> Result:
    """The whole process, imports included, with the flags that are best on a CPU; bfloat16 throughout."""
    place = folders[0].parent
    config, out = place / f"mergekit-{method}.yaml", place / "out"
    recipe = {
        "merge_method": method,
        **({} if base is None else {"base_model": str(base)}),
        "models": [{"model": str(folder), "parameters": dict(parameters)} for folder in folders],
        "parameters": dict(parameters),
        "dtype": "bfloat16",
    }
    config.write_text(json.dumps(recipe))  # JSON is YAML
    flags = ["--no-copy-tokenizer", "--lazy-unpickle", "--low-cpu-memory", "--async-write", "--quiet"]
    started = time.perf_counter()
    process = subprocess.Popen([program, str(config), str(out), *flags], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    shutil.rmtree(out, ignore_errors=True)
    if status:
        raise SystemExit(f"mergekit failed with {method}")
    inputs = [*folders, *([] if base is None else [base])]
    size = sum(path.stat().st_size for folder in inputs for path in folder.glob("*.safetensors"))
    moved = size + size // len(inputs)
    return Result(seconds, moved, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)


def _measure(line: str, folder: Path, models: int, threads: int, device: str) -> Result:
    """Run one line on the first `models` sub-models, in this process."""
    recipe = load_recipe(folder / "recipe.yaml")
    recipe = replace(recipe, models=recipe.models[:models])
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(out.with_name("out.partial"), ignore_errors=True)
    work = {"floor": moved_alone, "torch": _naive_torch}.get(line, merge_of)
    plan = plan_merge(recipe_for(line, recipe))
    if work is _naive_torch:
        import safetensors.torch  # noqa: F401
    else:
        from core.dtypes import FLOATS
        from core.table import warm_up

        warm_up(FLOATS["BF16"])
    with MemoryWatch() as watch:
        seconds = merge_of(plan, out, threads, device) if work is merge_of else work(plan, out, threads)
    shutil.rmtree(out, ignore_errors=True)
    return Result(seconds, plan.bytes_to_read + plan.bytes_to_write, watch.peak - watch.before)


def recipe_for(line: str, recipe: Recipe) -> Recipe:
    if line == "linear":
        return replace(recipe, method=METHODS["linear"], parameters={})
    resamples = int(line.removeprefix("n=")) if line.startswith("n=") else 4
    return replace(recipe, parameters={"resamples": resamples})


def merge_of(plan: MergePlan, out: Path, threads: int | None, device: str) -> float:
    """Seconds of the whole merge, once everything is imported and compiled."""
    return run_merge(plan, out, threads=threads, device=device).seconds


def moved_alone(plan: MergePlan, out: Path, threads: int) -> float:
    """The same chunks read and written by as many threads, and nothing done with them."""
    chunks = [
        (tensor, first, min(size, tensor.elements - first))
        for tensor in plan.tensors
        for size in [chunk_elements(tensor, threads, MEMORY_BUDGET_BYTES, CHUNK_BYTES)]
        for first in range(0, tensor.elements, size)
    ]
    largest = max(elements * sum(s.dtype.itemsize for s in tensor.inputs) for tensor, _, elements in chunks)
    out.mkdir()
    shards = [WriteFile(out / shard.file_name, shard.size_bytes) for shard in plan.shards]

    ahead = ReadAhead()

    class Moving(IteratedWork[tuple[TensorPlan, int, int], None]):
        def slot(self) -> Mover:
            return Mover()

        def collect(self, done: None) -> None:
            """Nothing comes back."""

    class Mover:
        def __init__(self) -> None:
            self._buffer = memoryview(bytearray(largest))
            self._inputs = OpenInputs(plan.headers, ahead=ahead)

        def fill(self, chunk: tuple[TensorPlan, int, int]) -> None:
            tensor, first, elements = chunk
            buffers, position = [], 0
            for stored in tensor.inputs:
                size = elements * stored.dtype.itemsize
                buffers.append(self._buffer[position : position + size])
                position += size
            self._inputs.read(tensor.inputs, first, buffers)

        def compute(self, chunk: tuple[TensorPlan, int, int]) -> None:
            """Nothing is done."""

        def finish(self, chunk: tuple[TensorPlan, int, int]) -> None:
            tensor, first, elements = chunk
            itemsize = tensor.output.dtype.itemsize
            place = tensor.placement
            shards[place.shard].write_at(self._buffer[: elements * itemsize], place.offset + first * itemsize)

        def close(self) -> None:
            self._inputs.close()

    started = time.perf_counter()
    ThreadExecutor().run(Moving(iter(chunks)), slots=threads, token=CancelToken(), poll=lambda: None)
    for shard in shards:
        shard.sync()
        shard.close()
    return time.perf_counter() - started


def _naive_torch(plan: MergePlan, out: Path, threads: int) -> float:
    """Parameter selection as one writes it at first: stack, randint, gather, whole tensors."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    torch.set_num_threads(threads)
    started = time.perf_counter()
    merged = {}
    for tensor in plan.tensors:
        name = tensor.output.name
        loaded = [safe_open(s.stored[0].path, "pt").get_tensor(name) for s in tensor.inputs]
        stacked, base = torch.stack(loaded[:-1]), loaded[-1]
        pick = torch.randint(len(loaded) - 1, base.shape)
        value = stacked.gather(0, pick[None])[0]
        for _ in range(plan.recipe.resamples):
            again = torch.randint(len(loaded) - 1, base.shape)
            value = torch.where(value == base, stacked.gather(0, again[None])[0], value)
        merged[name] = value
    out.mkdir()
    save_file(merged, out / "model.safetensors")
    os.sync()
    return time.perf_counter() - started


class MemoryWatch:
    """The peak of this process's anonymous memory while it is entered (Linux; 0 elsewhere)."""

    def __enter__(self) -> MemoryWatch:
        self.before = self.peak = _anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, _anonymous_bytes())


def _anonymous_bytes() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def _prepare(folder: Path, *, cold: bool) -> None:
    """Have all lines find the files in the page cache, or none of them."""
    if not cold:
        in_page_cache(folder)
        return
    for path in folder.glob("*/*.safetensors"):
        with path.open("rb", buffering=0) as file:
            drop(file.fileno(), 0, 0)


def in_page_cache(folder: Path) -> None:
    """Read every checkpoint below `folder` once."""
    buffer = memoryview(bytearray(8 * 1024**2))
    for path in folder.glob("*/*.safetensors"):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _print_table(results: dict[str, list[Result]], options: Any) -> None:
    median: Callable[[str], float] = lambda line: statistics.median(r.seconds for r in results[line])  # noqa: E731
    floor = median("floor") if "floor" in results else None
    print(
        f"\n{options.models} sub-models of {options.parameters / 1e6:.0f} M bf16 parameters and their base, "
        f"{options.threads} threads, {processor()}, {platform.system()}, "
        f"{'cold' if options.cold else 'warm'} files, "
        f"medians of {options.runs} interleaved runs\n"
    )
    print("| | seconds | GB/s | × floor | memory, MiB |\n|---|--:|--:|--:|--:|")
    for line, runs in results.items():
        seconds = median(line)
        rate = runs[0].bytes / seconds / 1e9
        ratio = f"{seconds / floor:.2f}" if floor else ""
        memory = max(run.memory_bytes for run in runs) / 2**20
        title = {"floor": "floor: reads and writes alone", "torch": "n=4 in plain torch, whole tensors"}.get(
            line, line
        )
        print(f"| {title} | {seconds:.2f} | {rate:.2f} | {ratio} | {memory:.0f} |")


def _print_curves(options: Any) -> None:
    """Nanoseconds per byte read, over one thing at a time: K up to --models, and n."""
    ks = [k for k in (2, 5, 10, 20, 50) if k <= options.models]
    usual = min(10, options.models)
    points = [("K", k, "n=4", k, options.threads) for k in ks]
    points += [("n", n, f"n={n}", usual, options.threads) for n in (0, 1, 2, 4, 9)]
    times: dict[tuple[str, int, str], list[float]] = {}
    for _ in range(options.runs):
        for name, value, line, models, count in points:
            for measured in ("floor", line):
                _prepare(options.folder, cold=options.cold)
                used = argparse.Namespace(**vars(options) | {"models": models, "threads": count})
                result = _in_a_process(measured, used)
                part = "floor" if measured == "floor" else "merge"
                times.setdefault((name, value, part), []).append(1e9 * result.seconds / result.bytes)
    print("| | | floor, ns/byte | merge, ns/byte | × floor |\n|---|--:|--:|--:|--:|")
    for name, value, *_ in points:
        floor, merge = (statistics.median(times[name, value, part]) for part in ("floor", "merge"))
        print(f"| {name} | {value} | {floor:.3f} | {merge:.3f} | {merge / floor:.2f} |")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    main()
