"""What the window asks of the command is what the command understands."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from core.cli.commands import _paramosaic
from core.train.presets import PRESETS
from gui.training.request import Request, out_of

REQUEST = Request(
    base=Path("/b"),
    data=Path("/d.jsonl"),
    validation=Path("/v.csv"),
    out=Path("/runs"),
    preset="gsm8k",
    orders=8,
    epochs=2,
    learning_rate=1.5e-5,
    batch=16,
    max_length=300,
    keep="best",
    same_batches=True,
    skip_bad_rows=True,
)
PLAIN = Request(
    base=Path("/--b"),
    data=Path("/d"),
    validation=None,
    out=Path("/--out"),
    preset="small",
    orders=1,
    epochs=1,
    learning_rate=3e-7,
    batch=1,
    max_length=2,
    keep="all",
    same_batches=False,
    skip_bad_rows=False,
)


@pytest.mark.parametrize("request_", [REQUEST, PLAIN])
def test_the_command_gets_what_was_asked(request_: Request) -> None:
    command = _paramosaic.get_command(click.Context(_paramosaic), "train")
    assert command is not None
    told = ["--progress", "/p", "--background", "--json"]
    values = command.make_context("train", [*request_.arguments(), *told]).params
    names = {"lr": "learning_rate"}
    for name in ("base", "data", "validation", "out", "preset", "orders", "epochs", "lr", "batch"):
        assert values[name] == getattr(request_, names.get(name, name)), name
    for name in ("max_length", "keep", "same_batches", "skip_bad_rows"):
        assert values[name] == getattr(request_, name), name
    assert (values["progress"], values["background"], values["as_json"]) == (Path("/p"), True, True)
    assert request_.preset in PRESETS
    assert out_of(request_.arguments()) == request_.out


def test_arguments_of_others_name_no_folder() -> None:
    assert out_of([]) is None
    assert out_of(["/b", "--out"]) is None
