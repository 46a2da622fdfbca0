"""How fast the GPU kernels are beside a copy on the same card.

    python tests/bench/bench_gpu.py --elements 128M --models 10
    python tests/bench/bench_gpu.py --variants

First the kernels merge small chunks of every kind and must give the CPU kernels' bytes and counts.
Then each line of the table is the median of many launches on data that lies on the card: bf16, two
thirds of the deltas zero. Bytes are those of every input and of the output, once each; a copy's are
those read and those written. The last lines go through the workspaces: pinned buffers, copies both
ways, three threads, with buffers that are filled beforehand.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import torch
from gpu_jobs import check_jobs, make_job

from core import table
from core.devices import Device
from core.kernels.interface import MapJob, Workspace

_SUFFIXES = {"K": 10**3, "M": 10**6, "G": 10**9}
_WARM_UPS = 3
_IN_FLIGHT = 3
_CHUNK_BYTES = 32 * 1024**2


def main() -> None:
    options = _options()
    if not torch.cuda.is_available():
        print("There is no CUDA device here that torch can use.", file=sys.stderr)
        raise SystemExit(1)
    device = torch.device(options.device)
    torch.cuda.set_device(device)
    started = time.perf_counter()
    checked = _check(options.device)
    seconds = time.perf_counter() - started
    print(
        f"{torch.cuda.get_device_name(device)}: the bytes and counts of {checked} chunks are the CPU's "
        f"({seconds:.0f} s, kernels compiled)"
    )
    print(f"{options.models} models of {options.elements:,} bf16 elements")
    print(f"{'':<24}{'ms':>10}{'GB/s':>10}{'of copy':>10}")
    copied = _copy(options.elements * (options.models + 2), options.runs)
    rows = _fine_tuned(options.elements, options.models, device)
    size = options.elements * 2 * (options.models + 2)
    _line("copy", copied, size, copied / size)
    for name, out, larger in (("linear", "BF16", 0), ("linear, to float32", "F32", 2)):
        job = make_job("linear", options.models, out=out)
        moved = size + (larger - 2) * options.elements
        _line(name, _time(_launcher(job, rows[:-1]), options.runs), moved, copied / size)
    for resamples in (0, 1, 4, 9):
        job = make_job("parameter_selection", options.models, resamples)
        _line(f"n={resamples}", _time(_launcher(job, rows), options.runs), size, copied / size)
    if options.variants:
        _variants(options.models, rows, size, copied, options.runs)
        return
    unequal = make_job("parameter_selection", options.models, 4, unequal=True)
    _line("n=4, unequal weights", _time(_launcher(unequal, rows), options.runs), size, copied / size)
    del rows
    for name, job in {
        "linear, host to host": make_job("linear", options.models),
        "n=4, host to host": make_job("parameter_selection", options.models, 4),
    }.items():
        seconds, moved = _through_workspaces(job, options.device)
        _line(name, seconds, moved, copied / size)


def _check(device: str) -> int:
    """Compare chunks with the CPU kernels'; returns how many. Exits where anything differs."""
    gpu, cpu = _gpu_workspace(device), table.workspace()
    generator = np.random.default_rng(5)
    number = 0
    for number, job in enumerate(check_jobs(), 1):
        elements = (1, 4096, 9 * 4096 + 1237, 70000, 300)[number % 5]
        width = job.merge_dtype.itemsize
        base = generator.bytes(elements * width)  # any bits: NaNs, infinities and subnormals among them
        rows = []
        for _ in job.input_dtypes:
            row = np.frombuffer(base, np.uint8).copy().reshape(elements, width)
            row[generator.random(elements) < 0.3, 0] ^= 1
            rows.append(row.tobytes())
        rows[-1] = base
        first_element = (0, 2**34 - 4096, 4096)[number % 3]
        if _run(gpu, job, rows, first_element) != _run(cpu, job, rows, first_element):
            print(f"The GPU's result is not the CPU's for {job}", file=sys.stderr)
            raise SystemExit(1)
    return number


def _run(workspace: Workspace, job: MapJob, rows: list[bytes], first_element: int) -> tuple[bytes, str]:
    elements = len(rows[0]) // job.merge_dtype.itemsize
    for buffer, row in zip(workspace.begin(job.input_dtypes, elements), rows, strict=True):
        buffer[:] = row
    merged = workspace.run(job, first_element)
    found = {name: None if count is None else count.tolist() for name, count in vars(merged.counts).items()}
    return bytes(merged.data), str(found)


def _gpu_workspace(device: str) -> Workspace:
    """What a merge gets for the device, which has to run the kernels."""
    if not table.runs_kernels(device):
        print(f"{device} does not run the kernels, or not rightly", file=sys.stderr)
        raise SystemExit(1)
    return table.workspace(Device(device, "", "cuda"))


def _fine_tuned(elements: int, models: int, device: torch.device) -> list[torch.Tensor]:
    """Sub-models of which a third is changed, then the base, one behind the other. [elements] bf16."""
    generator = torch.Generator(device).manual_seed(1)
    stored = torch.empty((models + 1, elements), dtype=torch.int16, device=device)
    base = torch.randn(elements, generator=generator, device=device).mul_(0.02).bfloat16().view(torch.int16)
    for row in stored:
        changed = torch.rand(elements, generator=generator, device=device) < 1 / 3
        row.copy_(base + changed)
    stored[-1] = base
    return list(stored.view(torch.bfloat16))


def _launcher(job: MapJob, rows: list[torch.Tensor]) -> Callable[[], object]:
    from core.kernels.gpu.averaging import averaging
    from core.kernels.gpu.memory import DeviceMemory
    from core.kernels.gpu.selection import selection

    kernel = averaging if job.method == "linear" else selection
    memory = DeviceMemory(rows[0].device, lambda: None)
    prepared = kernel.prepare(job, rows, rows[0].numel(), memory)
    return lambda: prepared.launch(0, job.key)


def _variants(models: int, rows: list[torch.Tensor], size: int, copied: float, runs: int) -> None:
    """Other ways to compile and launch the selection than the one it has."""
    from core.kernels.gpu import selection

    jobs = [make_job("parameter_selection", models, resamples) for resamples in (0, 4)]
    kept = selection.STAGES, selection.WARPS
    print("share of copy by models on their way (STAGES) and warps a multiprocessor (WARPS)")
    print(f"{'':<24}{'n=0':>10}{'n=4':>10}")
    for stages, warps in itertools.product((1, 2, 3, 4, 6), (12, 16, 20, 32)):
        selection.STAGES, selection.WARPS = stages, warps
        seconds = [_time(_launcher(job, rows), runs) for job in jobs]
        shares = "".join(f"{copied / second:>10.0%}" for second in seconds)
        mark = "  as it is" if (stages, warps) == kept else ""
        print(f"{f'STAGES={stages}, WARPS={warps}':<24}{shares}{mark}", flush=True)
    selection.STAGES, selection.WARPS = kept


def _copy(elements: int, runs: int) -> float:
    """Seconds of a device-to-device copy that reads and writes `elements` bf16 elements together."""
    source = torch.randn(elements // 2, device="cuda").bfloat16()
    target = torch.empty_like(source)
    return _time(lambda: target.copy_(source), runs)


def _time(work: Callable[[], object], runs: int) -> float:
    """The median seconds of `work`, by the device's own clock."""
    for _ in range(_WARM_UPS):
        work()
    times = []
    for _ in range(runs):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop) / 1000)
    return statistics.median(times)


def _through_workspaces(job: MapJob, device: str, chunks: int = 60) -> tuple[float, int]:
    """Seconds and bytes of `chunks` chunks, from and to host memory, by several threads."""
    elements = _CHUNK_BYTES // (2 * job.models) // 4096 * 4096
    generator = np.random.default_rng(2)
    workspaces = [_gpu_workspace(device) for _ in range(_IN_FLIGHT)]
    for workspace in workspaces:
        for buffer in workspace.begin(job.input_dtypes, elements):
            buffer[:] = generator.integers(0, 2**14, elements, dtype=np.uint16).tobytes()
        workspace.run(job, 0)

    def work(workspace: Workspace) -> None:
        for chunk in range(chunks // _IN_FLIGHT):
            workspace.begin(job.input_dtypes, elements)
            assert workspace.run(job, chunk * elements).data

    threads = [threading.Thread(target=work, args=(workspace,)) for workspace in workspaces]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    return seconds, chunks * elements * 2 * (len(job.input_dtypes) + 1)


def _line(name: str, seconds: float, size: int, copy_seconds_per_byte: float) -> None:
    rate = size / seconds
    print(f"{name:<24}{seconds * 1000:>10.3f}{rate / 1e9:>10.1f}{rate * copy_seconds_per_byte:>10.0%}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--elements", type=_count, default=128 * 10**6, help="of each model, e.g. 128M")
    parser.add_argument("--models", type=int, default=10, help="K")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument(
        "--variants", action="store_true", help="time other ways to launch the selection, to pick from"
    )
    return parser.parse_args()


def _count(text: str) -> int:
    """A number of elements, in whole draw blocks."""
    value = int(float(text.rstrip("KMG")) * _SUFFIXES.get(text[-1], 1))
    return max(1, value // 4096) * 4096


if __name__ == "__main__":
    main()
