"""How long each merge method takes beside the floor, times how often it reads, and beside mergekit.

    python tests/bench/bench_methods.py --parameters 468M --models 10 --runs 3 [--methods ties,della]

The models are those of bench.py, in the page cache. The floor of a method are the reads of as many inputs and
the writes with no arithmetic, by the same threads. Everything runs in turn, each in a process of its own; the
table holds medians, of seconds and of the seconds of all cores, which say more where other programs want the
cores, too. With `--mergekit PATH` (of a mergekit-yaml) each method is merged by mergekit once; with
`--mergekit-parameters 50M` on smaller models: from their time and that of a merge of next to nothing follows
what larger ones would take if it only depended on their bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import MemoryWatch, Result, count, in_page_cache, merge_of, moved_alone, processor, run_mergekit
from checkpoints import make_checkpoints

from core import load_recipe, plan_merge
from core.devices import CPU
from core.methods import METHODS
from core.plan.chunking import default_threads
from core.plan.merge_plan import MergePlan
from core.table import compile_for

NEXT_TO_NOTHING = 5_000_000
"""Parameters of models whose merges show what mergekit takes to begin."""


@dataclass(frozen=True)
class Row:
    """What a method is measured with.

    Attributes:
        parameters: those that both programs are told.
        models: sub-models at most; None for as many as there are.
        base: whether the recipe has a base, where the method does not need one.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    models: int | None = None
    base: bool = True


ROWS = {
    "linear": Row({"weight": 1.0}, base=False),
    "parameter_selection": Row({"resamples": 4}),
    "passthrough": Row(models=1, base=False),
    "task_arithmetic": Row({"weight": 0.3}),
    "ties": Row({"weight": 1.0, "density": 0.5}),
    "dare_linear": Row({"weight": 0.3, "density": 0.5}),
    "dare_ties": Row({"weight": 0.3, "density": 0.5}),
    "breadcrumbs": Row({"weight": 0.3, "density": 0.5}),
    "breadcrumbs_ties": Row({"weight": 0.3, "density": 0.5}),
    "della": Row({"weight": 1.0, "density": 0.5}),
    "della_linear": Row({"weight": 0.3, "density": 0.5}),
    "sce": Row({"select_topk": 0.5}),
    "ram": Row(),
    "ramplus_tl": Row(),
    "model_stock": Row(),
    "slerp": Row({"t": 0.5}, models=1),
    "nuslerp": Row({"weight": 1.0}, models=2),
    "multislerp": Row({"weight": 1.0}),
    "karcher": Row(base=False),
    "nearswap": Row({"t": 0.001}, models=1),
    "arcee_fusion": Row(models=1),
}
NOT_IN_MERGEKIT = ("parameter_selection",)


def main() -> None:
    options = _options()
    if options.line:
        print(json.dumps(_measure(options)))
        return
    _make(options.folder, options.parameters, options.models)
    chosen = options.methods.split(",") if options.methods else list(ROWS)
    floors: dict[tuple[int, bool], list[Result]] = {}
    merges: dict[str, list[Result]] = {}
    reads: dict[str, int] = {}
    for run in range(options.runs):
        in_page_cache(options.folder)
        kinds = {_inputs(name, options): name for name in chosen}
        for kind, name in kinds.items():
            floors.setdefault(kind, []).append(_in_a_process("floor", name, options)[0])
        for name in chosen:
            result, reads[name] = _in_a_process("merge", name, options)
            merges.setdefault(name, []).append(result)
            print(f"run {run + 1}, {name}: {result.seconds:.2f} s", file=sys.stderr)
    theirs = _all_by_mergekit(chosen, options) if options.mergekit else {}
    _print_table(chosen, floors, merges, reads, theirs, options)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parameters", type=count, default=468_000_000, help="of each model, e.g. 468M")
    parser.add_argument("--models", type=int, default=10, help="K, where a method takes as many")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--device", default="cpu", help="of merges; the floor has none")
    parser.add_argument("--methods", help=f"some of {','.join(ROWS)}; all where it is left out")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where the models are")
    parser.add_argument("--mergekit", metavar="PATH", help="a mergekit-yaml to compare with")
    parser.add_argument("--mergekit-parameters", type=count, help="of the models that mergekit merges")
    parser.add_argument("--line", choices=("floor", "merge"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.line:
        options.root, options.folder = (
            options.folder,
            _place(options.folder, options.parameters, options.models),
        )
    return options


def _place(root: Path, parameters: int, models: int) -> Path:
    return root / f"{parameters}x{models}"


def _make(folder: Path, parameters: int, models: int) -> None:
    if (folder / "recipe.yaml").exists():
        return
    print(f"making {models} + 1 checkpoints of {parameters:,} parameters", file=sys.stderr)
    # The embeddings, of 32,000 rows, are to be a part of the models, and not all of them.
    widths = {300_000_000: 2048, 150_000_000: 1024, 60_000_000: 512, 15_000_000: 256, 0: 64}
    hidden = next(width for least, width in widths.items() if parameters >= least)
    make_checkpoints(folder, parameters, models, hidden=hidden)


def _inputs(name: str, options: Any) -> tuple[int, bool]:
    """How many sub-models a method merges here, and whether it reads a base."""
    row = ROWS[name]
    return min(options.models, row.models or options.models), row.base and METHODS[name].reads_base


def _in_a_process(line: str, name: str, options: Any) -> tuple[Result, int]:
    command = [sys.executable, __file__, "--line", line, "--methods", name, "--folder", str(options.folder)]
    command += ["--threads", str(options.threads), "--models", str(options.models)]
    command += ["--device", options.device]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout)
    return Result(**found["result"]), found["reads"]


def _measure(options: Any) -> dict[str, Any]:
    """One merge, or its floor, in this process; and how often it reads its inputs."""
    folder, name = options.folder, options.methods
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(out.with_name("out.partial"), ignore_errors=True)
    plan = _plan(name, options)
    once = sum(source.bytes_to_read for tensor in plan.tensors for source in tensor.inputs)
    reads = round(plan.bytes_to_read / once)
    # What must be compiled is no part of the merge.
    compile_for([CPU], [tensor.job for tensor in plan.tensors if tensor.job is not None])
    with MemoryWatch() as watch:
        before = time.process_time()
        if options.line == "floor":
            seconds = moved_alone(plan, out, options.threads)
        else:
            seconds = merge_of(plan, out, options.threads, options.device)
        core_seconds = time.process_time() - before
    shutil.rmtree(out, ignore_errors=True)
    moved = plan.bytes_to_read + plan.bytes_to_write
    result = Result(seconds, moved, watch.peak - watch.before, core_seconds)
    return {"result": vars(result), "reads": reads}


def _plan(name: str, options: Any) -> MergePlan:
    models, base = _inputs(name, options)
    recipe = {
        "merge_method": name,
        **({"base_model": "base"} if base else {}),
        "models": [{"model": f"model-{number}"} for number in range(1, models + 1)],
        "parameters": dict(ROWS[name].parameters),
    }
    path = options.folder / f"{name}.yaml"
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return plan_merge(load_recipe(path))


# -- mergekit ------------------------------------------------------------------------------------------------


def _all_by_mergekit(chosen: list[str], options: Any) -> dict[str, Result]:
    """What mergekit takes, or would take, for those of the methods that it has."""
    least = _merged_by_mergekit("linear", options, NEXT_TO_NOTHING) if options.mergekit_parameters else None
    found = {}
    for name in chosen:
        if name in NOT_IN_MERGEKIT:
            continue
        result = _merged_by_mergekit(name, options, options.mergekit_parameters or options.parameters)
        if least is not None:
            sizes = [_model_bytes(options, many) for many in (NEXT_TO_NOTHING, options.mergekit_parameters)]
            times = (_model_bytes(options, options.parameters) - sizes[0]) / (sizes[1] - sizes[0])
            result = replace(
                result,
                seconds=least.seconds + (result.seconds - least.seconds) * times,
                core_seconds=least.core_seconds + (result.core_seconds - least.core_seconds) * times,
            )
        found[name] = result
        print(f"mergekit, {name}: {result.seconds:.1f} s", file=sys.stderr)
    return found


def _merged_by_mergekit(name: str, options: Any, parameters: int) -> Result:
    folder = _place(options.root, parameters, options.models)
    _make(folder, parameters, options.models)
    in_page_cache(folder)
    models, reads_base = _inputs(name, options)
    folders = [folder / f"model-{number}" for number in range(1, models + 1)]
    base = folder / "base" if reads_base else None
    return run_mergekit(options.mergekit, name, folders, base, ROWS[name].parameters)


def _model_bytes(options: Any, parameters: int) -> int:
    folder = _place(options.root, parameters, options.models) / "base"
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


# -- the table -----------------------------------------------------------------------------------------------


def _print_table(
    chosen: list[str],
    floors: Mapping[tuple[int, bool], list[Result]],
    merges: Mapping[str, list[Result]],
    reads: Mapping[str, int],
    theirs: Mapping[str, Result],
    options: Any,
) -> None:
    print(
        f"\n{options.models} sub-models of {options.parameters / 1e6:.0f} M bf16 parameters and their base, "
        f"{options.threads} threads, {processor()}, warm files, medians of {options.runs} interleaved runs\n"
    )
    if scaled := options.mergekit_parameters:
        print(f"mergekit: measured on models of {scaled / 1e6:.0f} M, and multiplied\n")
    print("Pairs are seconds / seconds of all cores.\n")
    print(
        "| method | K | reads | floor | merge | × floor × reads | memory, MiB | mergekit | times as long |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for name in chosen:
        kind = _inputs(name, options)
        floor, merge = _medians(floors[kind]), _medians(merges[name])
        ratios = [one / part / reads[name] for one, part in zip(merge, floor, strict=True)]
        memory = max(result.memory_bytes for result in merges[name]) / 2**20
        compared = " | "
        if other := theirs.get(name):
            longer = [other.seconds / merge[0], other.core_seconds / merge[1]]
            compared = f"{other.seconds:.0f} / {other.core_seconds:.0f} | {longer[0]:.0f} / {longer[1]:.0f}"
        said = ", ".join(f"{key} {value:g}" for key, value in ROWS[name].parameters.items())
        print(
            f"| {name}{f' ({said})' if said else ''} | {kind[0]} | {reads[name]} "
            f"| {floor[0]:.2f} / {floor[1]:.2f} | {merge[0]:.2f} / {merge[1]:.2f} "
            f"| {ratios[0]:.2f} / {ratios[1]:.2f} | {memory:.0f} | {compared} |"
        )


def _medians(results: list[Result]) -> tuple[float, float]:
    """Of the seconds, and of those of all cores."""
    seconds = statistics.median(result.seconds for result in results)
    return seconds, statistics.median(result.core_seconds for result in results)


if __name__ == "__main__":
    main()
