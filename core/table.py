"""Which implementation serves which method on which device: the one place that knows both.

A method without a line here runs on its own torch arithmetic, on every device. A kernel must give its bytes
and counts to the bit, which trials show on each card before it is used: one of each method for the card, and
one of each kind of kernel that a merge needs before the merge.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from core.devices import CPU, Device
from core.draws import BLOCK
from core.dtypes import DTYPES, DType
from core.errors import DeviceError
from core.kernels.interface import MapJob, Values, Workspace
from core.methods import METHODS, MethodSpec
from core.methods.folds import Fold, found_by
from core.methods.nearswap import NEAREST
from core.methods.presets import CHOICES
from core.methods.reference import Reference
from core.methods.sparsify import keeping_of
from core.methods.task_vectors import Choices, weights_sum

__all__ = [
    "calibration_job",
    "compile_for",
    "device_s",
    "device_workspace",
    "element_s",
    "has_card_kernel",
    "has_kernel",
    "has_triton",
    "runs_kernels",
    "scratch_bytes",
    "trial_job",
    "try_again",
    "warm_up",
    "workspace",
]

_log = logging.getLogger(__name__)

_TORCH_S = 7e-9
"""An element of one sub-model, by torch's arithmetic."""

_PAIR_S = 0.1e-9
"""An element of one pair of inputs whose products are summed."""

_TASK_VECTOR_S, _ELECTED_S, _COUNTED_S, _SUMMED_S, _CHANGE_S = 0.12e-9, 0.1e-9, 0.7e-9, 0.3e-9, 0.4e-9
"""An element of one sub-model: of its task vector, more where a sign is elected, where codes are counted,
where magnitudes are summed, and where it may be a change of its own."""

_VARIED_S = 0.3e-9
"""An element of one sub-model whose variance among all of them is found."""

_MOVED_S = 1.5e-9
"""An element of one sub-model whose result is there to be drawn."""

_KEPT_S = {"none": 0.0, "magnitude": 0.1e-9, "outliers": 0.1e-9, "random": 0.5e-9, "ranked": 2.5e-9}
"""To find out which elements of a task vector are kept, where two thirds of them are zero."""

_PRODUCT_S = 0.4e-9
"""An element times a factor, and its rounding."""

_COPIED_BYTES_PER_S = 4.1e12
"""What a card copies within its memory, reads and writes together: measured on an H200."""

_TORCH_PASSES = 12
"""How often torch's arithmetic on a card reads or writes the numbers of each input, about; not measured."""


def _nothing(_: MapJob) -> bool:
    """Kernels run every job."""
    return False


@dataclass(frozen=True)
class Kernels:
    """What a method has beside its torch arithmetic.

    Attributes:
        cpu: imports numba and returns a core.kernels.cpu.workspace.MapKernel.
        gpu: imports Triton and returns a core.kernels.gpu.launch.MapKernel; None where there is none.
        element_s: seconds of one thread of the machine that was measured an element, without reading, writing
            and conversions; see tests/bench/README.md.
        copies: how many times as long as a copy of the same bytes the kernel on a card takes.
        trial: parameters with three sub-models with which a device is tried; none without a kernel for it.
        declines: whether the kernel for the CPU leaves a job to torch's arithmetic.
    """

    cpu: Callable[[], Any]
    gpu: Callable[[], Any] | None
    element_s: Callable[[MapJob], float]
    copies: Callable[[MapJob], float] | None = None
    trial: Values = field(default_factory=Values)
    declines: Callable[[MapJob], bool] = _nothing


@dataclass(frozen=True)
class FoldKernels:
    """What a fold has beside its torch reading.

    Attributes:
        cpu: imports numba and returns a core.kernels.cpu.workspace.FoldKernel.
        element_s, declines: as for Kernels.
    """

    cpu: Callable[[], Any]
    element_s: Callable[[MapJob], float]
    declines: Callable[[MapJob], bool] = _nothing


def _cpu_selection() -> Any:
    from core.kernels.cpu.selection import selection

    return selection


def _gpu_selection() -> Any:
    from core.kernels.gpu.selection import selection

    return selection


def _cpu_averaging() -> Any:
    from core.kernels.cpu.averaging import averaging

    return averaging


def _gpu_averaging() -> Any:
    from core.kernels.gpu.averaging import averaging

    return averaging


def _selection_s(job: MapJob) -> float:
    marking = 0.1e-9 if job.zero_tolerance is None else 4.6e-9
    return 0.15e-9 + marking * job.models + 0.27e-9 * job.draws


def _selection_copies(job: MapJob) -> float:
    """47, 45, 36 and 27 % of the speed of a copy were measured for n = 0, 1, 4 and 9, and 24 % for n = 4 with
    weights that differ."""
    weights = job.parameters.get("weight", ())
    each = 0.17 if all(weight == weights[0] for weight in weights) else 0.51
    return 2.13 + each * (job.draws - 1)


def _averaging_copies(_: MapJob) -> float:
    """86 % of the speed of a copy were measured."""
    return 1.16


def _averaging_s(job: MapJob) -> float:
    widened = conversion_s(job.merge_dtype) if job.merge_dtype.name in {"F16", "F8_E4M3"} else 0.0
    return (0.1e-9 * job.merge_dtype.itemsize / 2 + widened) * job.models


def _cpu_passing() -> Any:
    from core.kernels.cpu.passing import passing

    return passing


def _passing_s(job: MapJob) -> float:
    changes = job.parameters.get("scale", (1.0,))[0] != 1 or job.out_dtype != job.merge_dtype
    return 0.05e-9 + (_PRODUCT_S + conversion_s(job.merge_dtype) if changes else 0.0)


def _gram_s(job: MapJob) -> float:
    inputs = len(job.input_dtypes)
    return _PAIR_S * inputs * (inputs + 1) / 2


def _norms_s(job: MapJob) -> float:
    return job.models * (_SUMMED_S + _KEPT_S[CHOICES[job.method](job.parameters).sparsify])


def _selects(job: MapJob) -> bool:
    return 0 < float(job.parameters["select_topk"]) < 1


def _varied_s(job: MapJob) -> float:
    return _VARIED_S * job.models


def _squares_s(job: MapJob) -> float:
    return job.models * _SUMMED_S + (_varied_s(job) if _selects(job) else 0.0)


def _sce_s(job: MapJob) -> float:
    return job.models * (_TASK_VECTOR_S + _ELECTED_S) + (_varied_s(job) if _selects(job) else 0.0)


def _changes_s(job: MapJob) -> float:
    return job.models * _CHANGE_S


def _task_vectors(choices_of: Callable[[Mapping[str, Any]], Choices]) -> Kernels:
    """The kernels of a method of the family whose loops are loaded, and compiled, by the first merge."""

    def merge(buffers: Any, job: MapJob, first_element: int) -> Any:
        from core.kernels.cpu.task_vectors import merged_task_vectors

        choices = choices_of(job.parameters)
        keepings = keeping_of(job, choices.sparsify)
        divisor = weights_sum(job.parameters["weight"])
        return merged_task_vectors(buffers, job, first_element, choices, keepings, divisor)

    def declines(job: MapJob) -> bool:
        choices, values = choices_of(job.parameters), job.parameters
        by_chance = choices.sparsify == "ranked" and values["rescale"] and values["rescale_by"] == "density"
        # Distances are those of the merge dtype's own computing type, which is not always the job's.
        far = choices.combine == "selection" and job.zero_tolerance and job.computing.name == "F64"
        return by_chance or bool(far and job.merge_dtype.name != "F64")

    def merging_s(job: MapJob) -> float:
        choices = choices_of(job.parameters)
        if choices.combine == "selection":
            copied = choices.sparsify == choices.elect == "none" and job.parameters["lambda"] == 1
            moving = 0.0 if copied else _MOVED_S + _KEPT_S[choices.sparsify]
            return _selection_s(job) + moving * job.models
        elected = 0.0 if choices.elect == "none" else _ELECTED_S
        return job.models * (_TASK_VECTOR_S + elected + _KEPT_S[choices.sparsify])

    return Kernels(cpu=lambda: merge, gpu=None, element_s=merging_s, declines=declines)


def _combination(
    what_of: Callable[[MapJob], dict[str, Any] | None], sums: Callable[[MapJob], int]
) -> Kernels:
    """The kernels of a method that combines its inputs with a few numbers.

    Args:
        what_of: what a core.kernels.cpu.spans.Combination is made of; None where not all elements have the
            same numbers.
        sums: how many products are added for an element, about.
    """

    def combine(buffers: Any, job: MapJob, first_element: int) -> Any:
        from core.kernels.cpu.spans import Combination, combined

        what = what_of(job)
        return None if what is None else combined(buffers, job, Combination(**what))

    def declines(job: MapJob) -> bool:
        return job.row > 1 or any(fold.name not in _FOLD_KERNELS for fold in folds_read(job))

    def combining_s(job: MapJob) -> float:
        return _TASK_VECTOR_S * sums(job)

    return Kernels(cpu=lambda: combine, gpu=None, element_s=combining_s, declines=declines)


def _of_models(job: MapJob) -> dict[str, Any] | None:
    """Of karcher and multislerp."""
    if job.models == 1:
        return None
    has_base = job.base_dtype is not None
    return {
        "coefficients": job.found["coefficients"],
        "of_task_vectors": has_base,
        "of_base": 1.0 if has_base else None,
    }


def _of_two(job: MapJob) -> dict[str, Any] | None:
    """Of nuslerp."""
    return {**(_of_models(job) or {}), "first": -0.0} if "coefficients" in job.found else None


def _of_average(job: MapJob) -> dict[str, Any] | None:
    """Of model_stock."""
    if "of_average" not in job.found:
        return None
    ones = (1.0,) * job.models
    found = {"scale": job.found["of_average"], "of_base": job.found["of_base"]}
    return {"coefficients": ones, "divisor": float(job.models), **found}


def _of_arc(job: MapJob) -> dict[str, Any] | None:
    """Of slerp."""
    return {"coefficients": (job.found["of_model"],), "first": -0.0, "of_base": job.found["of_base"]}


def _swapped(buffers: Any, job: MapJob, first_element: int) -> Any:
    from core.kernels.cpu.changes import swapped

    return swapped(buffers, job, first_element, NEAREST)


def _later(module: str, name: str) -> Callable[[], Any]:
    """Loads a kernel that imports what it is made of when it is called, so that only what is used is."""

    def load() -> Any:
        def call(*arguments: Any) -> Any:
            return getattr(importlib.import_module(f"core.kernels.cpu.{module}"), name)(*arguments)

        return call

    return load


_KERNELS: Mapping[str, Kernels] = {
    "parameter_selection": Kernels(
        cpu=_cpu_selection,
        gpu=_gpu_selection,
        element_s=_selection_s,
        copies=_selection_copies,
        trial=Values.of(weight=[1.0, 1.0, 1.0], resamples=2),
    ),
    "linear": Kernels(
        cpu=_cpu_averaging,
        gpu=_gpu_averaging,
        element_s=_averaging_s,
        copies=_averaging_copies,
        trial=Values.of(weight=[1.0, -0.3, 0.5], normalize=True),
    ),
    "passthrough": Kernels(cpu=_cpu_passing, gpu=None, element_s=_passing_s),
    **{name: _task_vectors(choices_of) for name, choices_of in CHOICES.items()},
    "sce": Kernels(_later("task_vectors", "merged_sce"), None, _sce_s),
    "ram": Kernels(_later("changes", "changed"), None, _changes_s),
    "ramplus_tl": Kernels(_later("changes", "changed"), None, _changes_s),
    "nearswap": Kernels(lambda: _swapped, None, lambda job: 3 * _TASK_VECTOR_S),
    "slerp": _combination(_of_arc, lambda job: 2),
    "nuslerp": _combination(_of_two, lambda job: 2),
    "multislerp": _combination(_of_models, lambda job: job.models),
    "karcher": _combination(_of_models, lambda job: job.models),
    "model_stock": _combination(_of_average, lambda job: job.models + 1),
}
"""Kernels of maps by the method's name."""

_AT_ONCE = ("parameter_selection", "linear", "passthrough")
"""Methods whose kernels are compiled before anybody asks for one of them."""

_CODES = FoldKernels(_later("task_vectors", "code_counts"), lambda job: _COUNTED_S * job.models)

_VARIANCES = FoldKernels(_later("task_vectors", "variance_counts"), lambda job: _COUNTED_S + _varied_s(job))

_FOLD_KERNELS: Mapping[str, FoldKernels] = {
    "gram": FoldKernels(_later("spans", "dot_products"), _gram_s),
    "task_gram": FoldKernels(_later("spans", "task_dot_products"), _gram_s),
    **{f"magnitudes {digit}": _CODES for digit in range(4)},
    "magnitudes places": FoldKernels(_later("task_vectors", "code_places"), _CODES.element_s),
    **{f"variances {digit}": _VARIANCES for digit in range(4)},
    "variances places": FoldKernels(_later("task_vectors", "variance_places"), _VARIANCES.element_s),
    "kept norms": FoldKernels(_later("task_vectors", "kept_norms"), _norms_s),
    "kept squares": FoldKernels(_later("task_vectors", "sce_squares"), _squares_s),
    "changes": FoldKernels(_later("changes", "counted_changes"), _changes_s),
}
"""Kernels of folds by the fold's name, for the CPU."""


def trial_job(
    method: MethodSpec,
    dtype: DType,
    models: int = 2,
    parameters: Mapping[str, Any] | None = None,
    *,
    out_dtype: DType | None = None,
    found: Values | None = None,
) -> MapJob:
    """A job of `method` on inputs stored as `dtype`, with the defaults of parameters that are not given."""
    values: dict[str, Any] = {
        spec.name: [spec.default] * models if spec.scope == "model" else spec.default
        for spec in method.parameters
    }
    values |= parameters or {}
    given = Values.from_mapping(values)
    return MapJob(
        method=method.name,
        model_dtypes=(dtype,) * models,
        base_dtype=dtype if method.reads_base else None,
        merge_dtype=dtype,
        out_dtype=out_dtype or dtype,
        parameters=given,
        counts=method.counts_of(given),
        draws=method.most_draws(given),
        found=found or Values(),
    )


def calibration_job() -> MapJob:
    """What a machine's pace is measured by: four sub-models and four resamples, a bit of everything."""
    return trial_job(METHODS["parameter_selection"], DTYPES["BF16"], 4, {"resamples": 4})


def workspace(device: Device = CPU, methods: Mapping[str, MethodSpec] = METHODS) -> Workspace:
    """The buffers and the arithmetic of one worker on `device`. Imports what they need."""
    if device.kind == "cuda" and runs_kernels(device.name):
        return device_workspace(device.name, methods)
    if device.kind != "cpu":
        from core.kernels.cpu.workspace import CpuWorkspace

        return CpuWorkspace({}, Reference(device.name, methods))
    return _cpu_workspace(methods)


def device_workspace(name: str, methods: Mapping[str, MethodSpec] = METHODS) -> Workspace:
    """A workspace of the Triton kernels on the device of that name; on "cpu" they are interpreted."""
    from core.kernels.gpu.workspace import GpuWorkspace

    return GpuWorkspace(name, _gpu_maps(), Reference(name, methods))


def compile_for(devices: Sequence[Device], jobs: Iterable[MapJob]) -> None:
    """Compile what merging as `jobs` say needs, one of each kind, so that it is no part of the merge.

    Raises:
        DeviceError: a kernel for a GPU does not give what the method's own arithmetic gives.
    """
    kinds = {replace(job, key=(0, 0), elements=2 * job.row, columns=1) for job in jobs}
    for device in devices:
        space = workspace(device)
        tried: set[Hashable] = set()
        for job in kinds:
            if device.kind == "cuda" and job.method in _gpu_maps() and runs_kernels(device.name):
                _compile_and_try(space, device, job, tried)
                continue
            for row in space.begin(job.input_dtypes, job.elements):
                row[:] = bytes(len(row))
            space.run(_with_found(space, job), 0)


def _with_found(space: Workspace, job: MapJob) -> MapJob:
    """The job with what its folds find in the buffers."""
    folds = METHODS[job.method].folds_of(job)
    return found_by(folds, job, lambda job, number: [space.fold(job, number, 0)])


def _compile_and_try(space: Workspace, device: Device, job: MapJob, tried: set[Hashable]) -> None:
    """Run the kernel of `job` on a GPU where no job of its kind was `tried`; see `compile_for`."""
    kind = _gpu_maps()[job.method].compiled_as(job)
    if kind in tried:
        return
    tried.add(kind)
    if not _gives_the_same(space, job, device.name):
        raise DeviceError(
            f"the device {device.name} computes {job.method} on {job.merge_dtype.name} otherwise "
            "than the CPU",
            hint="use the CPU, or another version of the device's driver",
        )


def warm_up(dtype: DType) -> None:
    """Compile what any merge of models stored as `dtype` needs, before the first one does."""
    methods = [METHODS[name] for name in _AT_ONCE]
    compile_for([CPU], [trial_job(method, dtype, min(2, method.most_models or 2)) for method in methods])


def element_s(job: MapJob) -> float:
    """Seconds of one thread an element on the CPU: conversions, folds and map; no reading, no writing."""
    converted = sum(conversion_s(dtype) for dtype in job.model_dtypes if dtype != job.merge_dtype)
    kernels = _map_kernels(job)
    mapping = _TORCH_S * job.models if kernels is None else kernels.element_s(job)
    inputs = len(job.input_dtypes)
    folds = [_fold_kernels(job, fold) for fold in folds_read(job)]
    folding = sum(_TORCH_S * inputs if kernel is None else kernel.element_s(job) for kernel in folds)
    return mapping + folding + converted * (1 + len(folds))


def scratch_bytes(job: MapJob) -> int:
    """Bytes an element that the arithmetic on the CPU takes beside inputs, conversions and output."""
    if _map_kernels(job) and all(_fold_kernels(job, fold) for fold in folds_read(job)):
        return 8 * job.computing.itemsize
    # Torch widens, keeps, stacks and marks all inputs at a time: up to 24 bytes of each were measured where
    # float32 is computed, and codes, words and places beside them.
    return len(job.input_dtypes) * (6 * job.computing.itemsize + 2) + 10 * 8


def _map_kernels(job: MapJob) -> Kernels | None:
    """Those that compute its map on the CPU; None for torch."""
    kernels = _KERNELS.get(job.method)
    return None if kernels is None or kernels.declines(job) else kernels


def _fold_kernels(job: MapJob, fold: Fold) -> FoldKernels | None:
    """Those that read for it on the CPU; None for torch."""
    kernels = _FOLD_KERNELS.get(fold.name)
    return None if kernels is None or kernels.declines(job) else kernels


def device_s(job: MapJob) -> float:
    """Seconds an element of the arithmetic on a card whose memory holds the inputs: folds and map."""
    kernels = _KERNELS.get(job.method)
    stored = sum(dtype.itemsize for dtype in (*job.input_dtypes, job.out_dtype))
    if kernels is not None and kernels.gpu is not None and kernels.copies is not None:
        return kernels.copies(job) * stored / _COPIED_BYTES_PER_S
    passes = 1 + len(folds_read(job))
    widened = _TORCH_PASSES * job.computing.itemsize * len(job.input_dtypes)
    return passes * (stored + widened) / _COPIED_BYTES_PER_S


def folds_read(job: MapJob) -> tuple[Fold, ...]:
    """The folds for which the tensor of `job` is read, as plans count them."""
    method = METHODS.get(job.method)
    return () if method is None else tuple(fold for fold in method.folds_of(job) if fold.when is None)


def has_kernel(method: str, device: Device = CPU) -> bool:
    """Whether it runs there by more than torch's arithmetic; a card's kernels are not tried for that."""
    kernels = _KERNELS.get(method)
    if kernels is None or device.kind == "cpu":
        return kernels is not None
    return device.kind == "cuda" and has_card_kernel(method) and has_triton()


def has_card_kernel(method: str) -> bool:
    """Whether there is a kernel for cards, whose bytes each card is tried for before it is used."""
    kernels = _KERNELS.get(method)
    return kernels is not None and kernels.gpu is not None


def has_triton() -> bool:
    """Whether what compiles kernels for cards is installed; it is not imported."""
    return importlib.util.find_spec("triton") is not None


def conversion_s(dtype: DType) -> float:
    """Seconds to convert an element that is stored as `dtype`."""
    return {"BF16": 0.35e-9, "F32": 0.2e-9, "F64": 0.3e-9, "F16": 2.6e-9}.get(dtype.name, 1.2e-9)


_trials: dict[str, bool] = {}
"""Whether the kernels run, by the name of a device that was tried."""


def runs_kernels(name: str) -> bool:
    """Whether the GPU kernels run on the device and give what the methods' own arithmetic gives.

    Tried once, because Triton needs a driver, a card and a C compiler that it can work with, and says so in
    a different way each time; and because the bytes of a merge must not depend on any of these. Each trial
    compiles a kernel, so that there is one a method; `compile_for` tries what a merge needs besides. Why
    they do not run is in the log.
    """
    if name not in _trials:
        _trials[name] = name.startswith("cuda") and has_triton() and _pass_trials(name)
    return _trials[name]


def try_again() -> None:
    """Let what was tried in vain be tried once more: another program may have had the card's memory."""
    for name in [name for name, ran in _trials.items() if not ran]:
        _trials.pop(name, None)


def _pass_trials(name: str) -> bool:
    trials = [
        trial_job(METHODS[method], DTYPES["BF16"], 3, kernels.trial)
        for method, kernels in _KERNELS.items()
        if kernels.gpu is not None
    ]
    try:
        tried = device_workspace(name)
        return all(_gives_the_same(tried, job, name) for job in trials)
    except Exception:
        _log.warning("the kernels do not run on %s", name, exc_info=True)
        return False


def _gives_the_same(space: Workspace, job: MapJob, name: str) -> bool:
    """Whether a workspace on the device of that name gives what the method's own arithmetic does."""
    (tried, counted), (expected, counts) = _trial(space, job), _trial(_reference(), job)
    if (tried, counted) == (expected, counts):
        return True
    if tried != expected:
        pairs = enumerate(zip(tried, expected, strict=False))
        at = next((at for at, (one, other) in pairs if one != other), min(len(tried), len(expected)))
        differs = f"the bytes of {len(expected):,} differ from byte {at:,} on"
    else:
        differs = f"the counts are {counted}, and not {counts}"
    _log.warning("%s computes %s otherwise than the CPU: %s", name, job, differs)
    return False


def _reference() -> Workspace:
    """The methods' own arithmetic."""
    from core.kernels.cpu.workspace import CpuWorkspace

    return CpuWorkspace({}, Reference("cpu", METHODS))


def _trial(space: Workspace, job: MapJob) -> tuple[bytes, str]:
    """The bytes and counts of a small merge, of any bits: NaNs and infinities are among them."""
    buffers = space.begin(job.input_dtypes, BLOCK + 100)
    base = random.Random(1).randbytes(max(len(buffer) for buffer in buffers))
    for at, buffer in enumerate(buffers):
        row = bytearray(base[: len(buffer)])
        for position in range(at, len(row), at + 5):
            row[position] ^= 1
        buffer[:] = row
    merged = space.run(job, BLOCK)
    return bytes(merged.data), repr(vars(merged.counts))


@lru_cache(maxsize=1)
def _cpu_maps() -> dict[str, Any]:
    return {name: kernels.cpu() for name, kernels in _KERNELS.items()}


@lru_cache(maxsize=1)
def _cpu_folds() -> dict[str, Any]:
    return {name: kernels.cpu() for name, kernels in _FOLD_KERNELS.items()}


@lru_cache(maxsize=1)
def _gpu_maps() -> dict[str, Any]:
    return {name: kernels.gpu() for name, kernels in _KERNELS.items() if kernels.gpu is not None}


def _cpu_workspace(methods: Mapping[str, MethodSpec]) -> Workspace:
    from core.kernels.cpu.workspace import CpuWorkspace

    kernels = _cpu_folds()

    def folds(job: MapJob, number: int) -> tuple[Any, Any] | None:
        fold = methods[job.method].folds_of(job)[number]
        kernel = kernels.get(fold.name)
        return None if kernel is None else (kernel, None if fold.asks is None else fold.asks(job))

    return CpuWorkspace(_cpu_maps(), Reference("cpu", methods), folds)
