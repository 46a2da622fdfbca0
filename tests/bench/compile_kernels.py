"""What the GPU kernels are compiled to, and how long that takes. No card is needed.

    python tests/bench/compile_kernels.py
    python tests/bench/compile_kernels.py --check      # every kernel that the check of bench_gpu.py runs

Prints for each kind of kernel, compiled for one architecture (90: H100, H200): seconds; registers a thread;
bytes of a thread's stack (spilt registers); loads and stores of these in all loops but the outermost; bytes
of shared memory a block; warps that a multiprocessor holds at one time (of 64); instructions in all; how many
each loop has, from the shortest to the one over tiles. An instruction counts once however often it runs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import triton
from gpu_jobs import check_jobs, make_job
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from core.kernels.gpu import launch as launching
from core.kernels.gpu.averaging import averaging
from core.kernels.gpu.memory import DeviceMemory
from core.kernels.gpu.selection import selection
from core.kernels.interface import MapJob
from core.torch_values import torch_dtype

_MAPS: dict[str, Any] = {"linear": averaging, "parameter_selection": selection}
_TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_POINTERS = {
    torch.int8: "*i8",
    torch.uint8: "*u8",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
}
_REGISTERS, _SHARED, _BLOCKS, _WARPS = 65536, 227 * 1024, 32, 64
"""Of a multiprocessor of compute capability 9.0."""

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def main() -> None:
    options = _options()
    jobs = (
        {
            "n=4, K=10": make_job("parameter_selection", 10, 4),
            "n=4, K=10, unequal": make_job("parameter_selection", 10, 4, unequal=True),
            "n=4, K=50": make_job("parameter_selection", 50, 4),
            "n=4, K=10, F32": make_job("parameter_selection", 10, 4, dtype="F32"),
            "linear, K=10": make_job("linear", 10),
            "linear, K=10, F32": make_job("linear", 10, dtype="F32"),
        }
        if not options.check
        else {_name(job): job for job in check_jobs()}
    )
    print(f"Triton {triton.__version__}, sm_{options.arch}")
    heads = ("seconds", "registers", "stack", "spills", "shared", "warps", "SASS", "loops")
    width = max(len(name) for name in jobs) + 2
    print(f"{'':<{width}}" + "".join(f"{head:>10}" for head in heads))
    seconds = 0.0
    for name, job in jobs.items():
        done, took = compiled(*call_of(job), arch=options.arch)
        seconds += took
        found = figures_of(done)
        loops = " ".join(str(count) for count in found["loops"])
        figures = (
            found[head] for head in ("registers", "stack", "spills", "shared", "warps", "instructions")
        )
        print(
            f"{name:<{width}}{took:>10.2f}" + "".join(f"{figure:>10}" for figure in figures) + f"    {loops}"
        )
    print(f"{len(jobs)} kernels in {seconds:.1f} s")


def call_of(job: MapJob) -> Call:
    """The kernel of `job`, what it is launched with on a GPU (tensors without memory), and its options."""
    device = torch.device("meta")
    rows = [torch.empty(4096, dtype=torch_dtype(dtype), device=device) for dtype in job.input_dtypes]
    calls: list[Call] = []
    real = launching.launch
    launching.launch = lambda kernel, _grid, *call: calls.append((kernel, *call))
    try:
        prepared = _MAPS[job.method].prepare(job, rows, 4096, DeviceMemory(device, lambda: None))
        prepared.launch(0, job.key)
    finally:
        launching.launch = real
    return calls[0]


def compiled(
    kernel: Any, arguments: tuple[Any, ...], options: dict[str, Any], *, arch: int = 90
) -> tuple[Any, float]:
    """What Triton makes of a launch, without a card and without what was compiled before, and the seconds."""
    source, rest = _source(kernel, arguments, options)
    with tempfile.TemporaryDirectory() as folder:
        triton.knobs.cache.dir = folder
        started = time.perf_counter()
        done = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=rest)
        return done, time.perf_counter() - started


def figures_of(done: Any) -> dict[str, Any]:
    """registers, stack, spills, shared, warps, instructions, loops and sass of what was compiled."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(done.asm["cubin"])
        usage, sass = (_said_of(cubin, what) for what in ("-res-usage", "-sass"))
    registers, warps, shared = _number("REG", usage), done.metadata.num_warps, done.metadata.shared
    blocks = min(
        _BLOCKS,
        _WARPS // warps,
        _REGISTERS // (-(-registers // 8) * 8 * 32 * warps),
        _SHARED // (shared + 1024),
    )
    lines = re.findall(r"^\s+/\*([0-9a-f]{4,5})\*/\s+(.*?);", sass, re.M)
    loops = sorted(_loops(lines), key=len)
    return {
        "registers": registers,
        "stack": _number("STACK", usage),
        "spills": sum("LDL" in text or "STL" in text for loop in loops[:-1] for text in loop),
        "shared": shared,
        "warps": blocks * warps,
        "instructions": len(lines),
        "loops": [len(loop) for loop in loops],
        "sass": sass,
    }


def _name(job: MapJob) -> str:
    """The kind of kernel that `job` needs, in words."""
    method, width, *options = _MAPS[job.method].compiled_as(job)
    shown = [f"{name} {value}" for name, value in options if name in ("KIND", "WIDE", "MANY", "EQUAL")]
    return f"{method}, {width} bytes, {', '.join(shown).lower()}"


def _source(
    kernel: Any, arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[ASTSource, dict[str, Any]]:
    """What Triton makes of a launch: types, and what it knows of the arguments."""
    names = kernel.arg_names
    signature: dict[str, str] = {}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    parameters = [parameter for parameter in kernel.params if not parameter.is_constexpr]
    for parameter, argument in zip(parameters, arguments, strict=True):
        at = (names.index(parameter.name),)
        if isinstance(argument, torch.Tensor):
            signature[parameter.name] = _POINTERS[argument.dtype]
            attributes[at] = [["tt.divisibility", 16]]
        else:
            short = -(2**31) <= argument < 2**31
            signature[parameter.name] = parameter.annotation_type or ("i32" if short else "i64")
            if not parameter.do_not_specialize and argument % 16 == 0:
                attributes[at] = [["tt.divisibility", 16]]
    constants = {name: value for name, value in options.items() if name in names}
    signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(
        kernel, signature, {(names.index(name),): value for name, value in constants.items()}, attributes
    )
    return source, {name: value for name, value in options.items() if name not in names}


def _said_of(cubin: Path, what: str) -> str:
    done = subprocess.run(
        [_TOOLS / "cuobjdump", what, cubin], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout + done.stderr


def _number(name: str, usage: str) -> int:
    found = re.search(rf"{name}:(\d+)", usage)
    return int(found.group(1)) if found else 0


def _loops(lines: list[tuple[str, str]]) -> Iterator[list[str]]:
    """The instructions of each loop, from a jump's target to the jump. Behind the end is a jump to itself."""
    for at, (address, text) in enumerate(lines):
        target = re.search(r"\bBRA\b.*0x([0-9a-f]+)", text)
        if target and int(target.group(1), 16) < int(address, 16):
            first = at - (int(address, 16) - int(target.group(1), 16)) // 16
            yield [text for _, text in lines[first : at + 1]]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="the kernels of the check of bench_gpu.py")
    parser.add_argument("--arch", type=int, default=90)
    return parser.parse_args()


if __name__ == "__main__":
    main()
