"""What is found out about a merge before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import gui.preflight.preflight
from core import (
    Cancelled,
    CancelToken,
    CheckpointError,
    IncompatibleError,
    MergeError,
    OutputError,
    RecipeError,
    load_recipe,
)
from core.checkpoint import headers
from core.methods import METHODS
from core.plan.estimate import Throughput
from core.recipe.tokenizer_section import TokenizerSection, TokenRow
from gui.document.merge_setup import MergeSetup, ModelChoice, Rule
from gui.document.opening import setup_of_recipe
from gui.preflight.addresses import problem_of
from gui.preflight.preflight import _values_text, look_ahead
from gui.preflight.report import PlanReport

MakeSetup = Callable[..., MergeSetup]


def report_on(setup: MergeSetup) -> PlanReport:
    return look_ahead(setup, Throughput(), CancelToken())


def copy_of(model: Path, folder: Path, **tensors: torch.Tensor) -> Path:
    """A copy of `model` in `folder` with other tensors under the names with _ for each dot."""
    shutil.copytree(model, folder)
    stored = load_file(folder / "model.safetensors")
    for name in list(stored):
        stored[name] = tensors.get(name.replace(".", "_"), stored[name])
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_sound_set_up_is_reported_in_full(make_setup: MakeSetup, models: Path) -> None:
    setup = make_setup()
    report = report_on(setup)
    assert report.setup is setup
    assert (report.errors, report.tensors) == ((), 8)
    assert report.parameters == 50 * 16 + 16 + 3 * (16 * 16 + 48 * 16)
    assert report.bytes_to_read == 4 * 2 * report.parameters
    assert report.bytes_to_write > 2 * report.parameters
    assert 0 < report.memory_bytes < 2**28
    assert report.free_disk_bytes is not None
    assert report.estimate is not None
    assert 0 < report.estimate.seconds < 60
    assert report.actions == {"merged": 8}
    assert report.states == {models / f"run-{number}": None for number in (1, 2, 3)}
    row = next(row for row in report.ledger if row.name == "model.layers.0.mlp.up_proj.weight")
    assert (row.shape, row.dtype, row.elements) == ((48, 16), "BF16", 768)
    assert "resamples 4" in row.values


DOCUMENTS = """\
name: first
merge_method: linear
models: [{model: run-1}, {model: run-2}]
---
merge_method: linear
models: [{model: first}, {model: run-3}]
"""


def test_merges_that_come_before_are_counted(
    make_setup: MakeSetup, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "documents.yaml").write_text(DOCUMENTS)
    setup = setup_of_recipe(load_recipe(models / "documents.yaml"), make_setup())
    report, one = report_on(setup), report_on(make_setup(method="linear", parameters={}, k=2))
    assert report.errors == ()
    assert (report.bytes_to_read, report.bytes_to_write) == (2 * one.bytes_to_read, 2 * one.bytes_to_write)
    assert report.estimate is not None
    assert one.estimate is not None
    assert report.estimate.seconds == pytest.approx(2 * one.estimate.seconds, rel=0.5)
    assert any("is merged first" in warning.message for warning in report.warnings)
    for module in ("gui.preflight.preflight", "core.plan.planning"):
        monkeypatch.setattr(f"{module}.free_disk_bytes", lambda out: report.bytes_to_write - 1)
    (error,) = report_on(setup).errors
    assert ("what is merged before it" in error.message, error.target) == (True, "out")


@pytest.mark.parametrize(
    ("changes", "target"),
    [({"base": None}, "base"), ({"models": ()}, "models"), ({"seed": None}, "seed"), ({"out": ""}, "out")],
)
def test_what_is_missing_is_named(make_setup: MakeSetup, changes: dict[str, object], target: str) -> None:
    (error,) = report_on(make_setup(**changes)).errors
    assert (error.target, error.missing) == (target, True)


def test_without_an_output_folder_the_numbers_are_there_already(make_setup: MakeSetup) -> None:
    report = report_on(make_setup(out=""))
    assert report.tensors == 8
    assert report.free_disk_bytes is None


def test_every_model_that_does_not_fit_is_named(make_setup: MakeSetup, models: Path, tmp_path: Path) -> None:
    smaller = copy_of(models / "run-1", tmp_path / "smaller", model_norm_weight=torch.zeros(8).bfloat16())
    missing = tmp_path / "missing"
    choices = tuple(ModelChoice(folder) for folder in (smaller, models / "run-2", missing))
    for base, method in ((models / "base", "parameter_selection"), (models / "base", "linear")):
        report = report_on(make_setup(models=choices, base=base, method=method, parameters={}))
        assert [error.path for error in report.errors] == [smaller, missing]
        assert {error.target for error in report.errors} == {"models"}
        assert "model.norm.weight" in report.errors[0].message
        assert report.states[models / "run-2"] is None
        assert report.states[smaller] == report.errors[0].message
        assert report.plan is None


def test_without_a_base_models_are_compared_with_the_first_that_is_one(
    make_setup: MakeSetup, models: Path, tmp_path: Path
) -> None:
    smaller = copy_of(models / "run-1", tmp_path / "smaller", model_norm_weight=torch.zeros(8).bfloat16())
    choices = tuple(ModelChoice(folder) for folder in (tmp_path / "missing", models / "run-2", smaller))
    report = report_on(make_setup(models=choices, base=None, method="linear", parameters={}))
    assert [error.path for error in report.errors] == [tmp_path / "missing", smaller]


def test_a_base_that_is_none_is_the_only_error(make_setup: MakeSetup, tmp_path: Path) -> None:
    report = report_on(make_setup(base=tmp_path))
    assert [(error.target, error.path) for error in report.errors] == [("base", tmp_path)]
    assert report.states == {}


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"device": "cuda:9999"}, "device"),
        ({"shard_size_bytes": 0}, "shard_size_bytes"),
        ({"parameters": {"resamples": 1000}}, "resamples"),
        ({"seed": -1}, "seed"),
        ({"zero_tolerance": -1.0}, "zero_tolerance"),
        ({"dtype": "int7"}, "dtype"),
        ({"out_dtype": "int7"}, "out_dtype"),
        ({"tokenizer_source": Path("/no/such/folder")}, "tokenizer_source"),
        ({"out": "/proc/merged"}, "out"),
        ({"tokenizer": TokenizerSection((TokenRow("<x>"),))}, "tokenizer"),
        ({"method": "task_arithmetic", "parameters": {"lambda": 1e300}}, "lambda"),
        ({"method": "task_arithmetic", "parameters": {"normalize": 2}}, "normalize"),
        ({"method": "slerp", "k": 1, "parameters": {"t": float("nan")}}, "t"),
        ({"method": "slerp", "k": 3, "parameters": {}}, "models"),
        ({"rules": (Rule("resamples", None, "mlp", (1000,)),)}, "rules"),
        ({"rules": (Rule("weight", None, "mlp", (-1.0,)),)}, "rules"),
        ({"rules": (Rule("weight", None, "mlp", (0.0,)),)}, "rules"),
        ({"rules": (Rule("weight", None, "mlp", (1e300,)),), "method": "task_arithmetic"}, "rules"),
    ],
)
def test_errors_lead_to_their_field(make_setup: MakeSetup, changes: dict[str, object], target: str) -> None:
    errors = report_on(make_setup(**changes)).errors
    assert [error.target for error in errors] == [target]


def test_a_weight_leads_to_its_model(make_setup: MakeSetup, models: Path) -> None:
    choices = (
        ModelChoice(models / "run-3", enabled=False),
        ModelChoice(models / "run-1"),
        ModelChoice(models / "run-2", weight=-1.0),
    )
    (error,) = report_on(make_setup(models=choices, k=2)).errors
    assert (error.target, error.path) == ("models", models / "run-2")
    rules = (Rule("weight", models / "run-1", "mlp", (0.5,)),)  # which is sound, and not the reason
    (error,) = report_on(make_setup(models=choices, k=2, rules=rules)).errors
    assert (error.target, error.path) == ("models", models / "run-2")


def test_weights_that_make_no_sense_together_lead_to_the_models(make_setup: MakeSetup, models: Path) -> None:
    choices = tuple(ModelChoice(models / f"run-{at}", weight) for at, weight in ((1, 1.0), (2, -1.0)))
    (error,) = report_on(make_setup(models=choices, k=2, method="linear", parameters={})).errors
    assert (error.target, error.path) == ("models", None)


def test_entries_are_counted_without_the_base(make_setup: MakeSetup, models: Path, tmp_path: Path) -> None:
    """A link to the base in the list is no sub-model, and an error of the plan does not count it."""
    (tmp_path / "link").symlink_to(models / "base")
    choices = tuple(ModelChoice(folder) for folder in (tmp_path / "link", models / "run-1", models / "run-2"))
    setup = make_setup(models=choices)
    error = IncompatibleError("it does not fit", field="models", entry=1)
    assert problem_of(error, setup).path == models / "run-1"
    assert problem_of(error, setup, setup.recipe()).path == models / "run-2"


@pytest.mark.parametrize(
    ("error", "target", "name"),
    [
        (RecipeError("models, weight and seed are wrong"), "", None),
        (RecipeError("something else", field="sources"), "", None),
        (RecipeError("no such layers", field="slices", entry=1), "slices", None),
        (RecipeError("no such method", field="merge_method"), "method", None),
        (RecipeError("no base", field="base_model"), "base", "base"),
        (CheckpointError("damaged", field="models", entry=2), "models", "run-3"),
        (CheckpointError("damaged", field="base_model"), "base", "base"),
        (CheckpointError("damaged", path=Path("run-2", "config.json")), "models", "run-2"),
        (CheckpointError("damaged", path=Path("base", "config.json")), "base", "base"),
        (CheckpointError("damaged", path=Path("elsewhere")), "", None),
        (IncompatibleError("no type", field="dtype", tensor="mlp"), "dtype", None),
        (RecipeError("too many", field="resamples"), "resamples", None),
        (RecipeError("too heavy", field="weight", entry=0), "models", "run-1"),
        (OutputError("full", field="out"), "out", None),
        (OutputError("too small", field="shard_size"), "shard_size_bytes", None),
        (MergeError("NaN", field="nonfinite", tensor="mlp"), "nonfinite", None),
        (RecipeError("too many models", field="models", entry=99), "models", None),
    ],
)
def test_an_error_leads_where_its_address_says(
    make_setup: MakeSetup, models: Path, error: MergeError, target: str, name: str | None
) -> None:
    """And nowhere without one: its sentence is not read."""
    if error.path is not None:
        error.path = models / error.path
    problem = problem_of(error, make_setup())
    assert (problem.target, problem.path) == (target, models / name if name is not None else None)


def test_an_output_folder_that_exists_is_an_error(make_setup: MakeSetup, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    report = report_on(make_setup())
    assert [error.target for error in report.errors] == ["out"]
    assert report.free_disk_bytes is not None


@pytest.mark.parametrize(
    ("method", "parameters", "copies"),
    [
        ("parameter_selection", {}, True),
        ("linear", {}, True),
        ("linear", {"normalize": False}, False),
        ("task_arithmetic", {}, False),
        ("slerp", {}, False),
    ],
)
def test_one_sub_model_is_worth_a_warning_where_it_is_copied(
    make_setup: MakeSetup, method: str, parameters: dict[str, object], copies: bool
) -> None:
    report = report_on(make_setup(k=1, method=method, parameters=parameters))
    assert report.plan is not None
    assert any("copy of run-1" in warning.message for warning in report.warnings) == copies
    if method != "slerp":
        assert not any("copy of" in warning.message for warning in report_on(make_setup()).warnings)


def test_models_that_the_method_does_not_take_are_worth_a_warning(
    make_setup: MakeSetup, models: Path
) -> None:
    slerp = make_setup(k=1, method="slerp", parameters={})
    (warning,) = (one for one in report_on(slerp).warnings if "takes" in one.message)
    assert warning.message == (
        "Spherical interpolation takes exactly 1 sub-model, here run-1: the first of 3 that are ticked."
    )
    assert (warning.target, warning.path) == ("models", models / "run-1")
    alone = replace(slerp, models=slerp.models[:1])
    assert not [one for one in report_on(alone).warnings if "takes" in one.message]


def test_every_model_fits_a_method_that_takes_several(
    make_setup: MakeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that take no part are looked at one by one all the same."""
    several = replace(METHODS["linear"], name="several", title="Several", least_models=3)
    monkeypatch.setitem(METHODS, "several", several)
    report = report_on(make_setup(k=2, method="several", parameters={}))
    assert [error.message for error in report.errors] == ["Several takes 3 sub-models or more: raise K to 3."]
    assert list(report.states.values()) == [None, None, None]


def test_a_weight_of_nothing_is_no_reason_not_to_fit(
    make_setup: MakeSetup, models: Path, tmp_path: Path
) -> None:
    choices = (ModelChoice(models / "run-1", 0.0), ModelChoice(tmp_path / "missing"))
    report = report_on(make_setup(models=choices, k=2))
    assert [error.path for error in report.errors] == [tmp_path / "missing"]
    assert report.states[models / "run-1"] is None


def test_a_model_that_is_there_twice_stands_in_the_way_and_is_shown(
    make_setup: MakeSetup, models: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(models / "run-1")
    choices = tuple(ModelChoice(folder) for folder in (models / "run-1", models / "run-2", link))
    report = report_on(make_setup(models=choices))
    (error,) = report.errors
    assert (error.target, error.path) == ("models", link)
    assert "entries 1 and 3 are the same model" in error.message
    assert list(report.states.values()) == [None, None, None]  # each of them fits the base
    assert report_on(make_setup(models=choices[:2], k=2)).errors == ()


def test_a_warning_leads_to_the_model_that_it_names(
    make_setup: MakeSetup, models: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run-9"
    shutil.copytree(models / "base", copy)
    choices = (ModelChoice(models / "run-1"), ModelChoice(copy))
    report = report_on(make_setup(models=choices, k=2))
    assert [warning.path for warning in report.warnings if "run-9" in warning.message] == [copy]


@pytest.mark.parametrize("changes", [{"k": 1}, {"k": 1, "seed": None}, {"k": 1, "out": ""}])
def test_every_model_in_the_list_is_known_to_fit_or_not(
    make_setup: MakeSetup, models: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Whether it takes part or not, and whatever else is missing."""
    choices = (
        ModelChoice(models / "run-1"),
        ModelChoice(models / "run-2", enabled=False),
        ModelChoice(tmp_path / "nothing"),
        ModelChoice(models / "run-3"),
    )
    states = report_on(make_setup(models=choices, **changes)).states
    assert {folder.name: state is None for folder, state in states.items()} == {
        "run-1": True,
        "run-2": True,
        "nothing": False,
        "run-3": True,
    }


def test_a_link_to_the_base_is_worth_a_warning(make_setup: MakeSetup, models: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(models / "base")
    report = report_on(make_setup(models=(ModelChoice(models / "run-1"), ModelChoice(link)), k=2))
    assert ("link is the base, and is left out.", link) in [(w.message, w.path) for w in report.warnings]


def test_a_disk_that_gets_full_is_worth_a_warning(
    make_setup: MakeSetup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    total = shutil.disk_usage(tmp_path).total
    monkeypatch.setattr(gui.preflight.preflight, "free_disk_bytes", lambda _: total // 20)
    assert any(warning.target == "out" for warning in report_on(make_setup()).warnings)
    monkeypatch.setattr(gui.preflight.preflight, "free_disk_bytes", lambda _: total // 2)
    assert not any(warning.target == "out" for warning in report_on(make_setup()).warnings)


def test_looking_ahead_can_be_stopped(make_setup: MakeSetup) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        look_ahead(make_setup(), Throughput(), token)


def test_headers_are_read_again_only_when_a_file_is_another(
    make_setup: MakeSetup, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_of(models / "run-1", tmp_path / "own")
    setup = make_setup(models=(ModelChoice(own),), k=1)
    report_on(setup)
    read: list[Path] = []
    open_file = headers.ReadFile

    def noting(path: Path) -> headers.ReadFile:
        read.append(path)
        return open_file(path)

    monkeypatch.setattr(headers, "ReadFile", noting)
    report_on(replace(setup, seed=5))
    assert read == []
    stored = load_file(own / "model.safetensors")
    save_file(stored | {"model.norm.weight": torch.zeros(4).bfloat16()}, own / "model.safetensors")
    assert report_on(setup).errors
    assert read == [own / "model.safetensors"]


def test_what_is_one_number_is_said_before_the_weights_of_all_models(models: Path) -> None:
    text = _values_text(METHODS["parameter_selection"], [("weight", (1.0, 0.5, 2.0)), ("resamples", 4)])
    assert text == "resamples 4; weight 1, 0.5, 2"


def test_values_that_make_no_sense_together_lead_to_a_field(make_setup: MakeSetup) -> None:
    setup = make_setup(method="della", parameters={"density": 0.95, "epsilon": 0.15})
    (problem,) = report_on(setup).errors
    assert problem.target == "epsilon"
    assert not report_on(replace(setup, parameters={"density": 0.95, "epsilon": 0.01})).errors
    (problem,) = report_on(make_setup(method="ties", parameters={"density": -0.5})).errors
    assert problem.target == "density"


def test_what_is_read_more_than_once_is_said_so(make_setup: MakeSetup) -> None:
    once, thrice = report_on(make_setup()), report_on(make_setup(method="ties", parameters={"density": 0.5}))
    assert (once.passes, once.bytes_of_a_pass) == (1, once.bytes_to_read)
    assert thrice.passes > 1
    assert thrice.bytes_of_a_pass == once.bytes_to_read
    assert thrice.bytes_to_read == thrice.passes * once.bytes_to_read
