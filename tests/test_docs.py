"""The documents: what they show is run, and what they point to is there."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from method_checks import check_method, edge_settings, make_models, model_numbers
from whole_tensor import fine_tunes, numbers, ordered_sum, special, torch_only, words_of

from core.dtypes import DTYPES
from core.kernels.interface import Values, Workspace
from core.methods import METHODS, MethodSpec
from core.methods.folds import FoldTotal
from core.table import trial_job, workspace

ROOT = Path(__file__).parents[1]
ADDING = ROOT / "docs" / "adding-a-method.md"
DOCUMENTS = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
OF_DOCUMENTS = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


# -- the worked example --------------------------------------------------------------------------------------


def python_blocks(document: Path) -> list[str]:
    return re.findall(
        r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_models(folder, 3, rows=140)
    return folder


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A folder of this test's own, with links to the models."""
    for model in models.iterdir():
        (tmp_path / model.name).symlink_to(model)
    return tmp_path


@pytest.fixture
def method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MethodSpec:
    """The method of the page, in a file of its own and registered as its one line would."""
    (source,) = (block for block in python_blocks(ADDING) if "SPEC = MethodSpec(" in block)
    place = tmp_path / "norm_average.py"
    place.write_text(source, encoding="utf-8")
    found = importlib.util.spec_from_file_location("core.methods.norm_average", place)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found.loader.exec_module(module)
    spec: MethodSpec = module.SPEC
    monkeypatch.setitem(METHODS, spec.name, spec)
    return spec


SETTINGS: list[tuple[int, dict[str, Any]]] = [
    (1, {}),
    (3, {}),
    (3, {"weight": [2.0, 0.0, 0.5], "preserve": "largest", "strength": 0.3}),
    (3, {"preserve": "none"}),
]


@pytest.mark.parametrize(("count", "values"), SETTINGS, ids=str)
def test_the_example_passes_what_every_method_passes(
    count: int, values: dict[str, Any], method: MethodSpec, folder: Path
) -> None:
    assert count in model_numbers(method)
    assert check_method(method, folder, count, values)


def test_the_example_refuses_in_words(method: MethodSpec, folder: Path) -> None:
    assert not check_method(method, folder, 1, {"weight": [0.0]})


def test_the_settings_above_have_every_parameter(method: MethodSpec) -> None:
    tried = {name for _, values in SETTINGS for name in values}
    assert tried == {name for values in edge_settings(method, 3) for name in values}


def by_hand(inputs: list[np.ndarray], dtype: str, values: dict[str, Any]) -> tuple[float, np.ndarray]:
    """The factor and the words of the result: as the page's text says it, on the whole tensor in numpy."""
    kind = np.float64 if dtype in ("F32", "F64") else np.float32
    rows = [numbers(words, dtype) for words in inputs]
    total = math.fsum(values["weight"])
    shares = [weight / total for weight in values["weight"]]
    parts = [at for at, share in enumerate(shares) if share]
    norms = {at: math.sqrt(ordered_sum(rows[at], rows[at])) for at in parts}
    wanted = {"largest": max(norms.values()), "mean": 0.0, "none": 0.0}
    squares = 0.0
    for at in parts:
        wanted["mean"] += shares[at] * norms[at]
        for other in parts:
            squares += shares[at] * shares[other] * ordered_sum(rows[at], rows[other])
    factor = 1.0
    keep = wanted[values["preserve"]]
    if values["preserve"] != "none" and math.isfinite(squares) and squares > (1e-6 * keep) ** 2:
        factor = (keep / math.sqrt(squares)) ** values["strength"]
    with np.errstate(all="ignore"):
        mean = np.zeros(rows[0].shape, kind)
        for at in parts:
            mean = mean + kind(shares[at]) * rows[at].astype(kind)
        return factor, words_of(kind(factor) * mean, dtype)


def by_engine(
    method: MethodSpec,
    inputs: list[np.ndarray],
    dtype: str,
    values: dict[str, Any],
    space: Workspace,
    chunk: int,
) -> tuple[float, np.ndarray]:
    """The same by the engine: the fold over all chunks, then the map over all chunks."""
    job = trial_job(method, DTYPES[dtype], len(inputs), values)
    total, merged = FoldTotal(method.folds_of(job)[0]), []
    for step, start in itertools.product(range(2), range(0, inputs[0].size, chunk)):
        if step and not job.found:
            job = replace(job, found=Values.from_mapping(total.finish(job)))
        parts = [words[start : start + chunk] for words in inputs]
        for buffer, part in zip(space.begin(job.input_dtypes, parts[0].size), parts, strict=True):
            buffer[:] = part.tobytes()
        if step:
            merged.append(np.frombuffer(bytes(space.run(job, start).data), inputs[0].dtype))
        else:
            total.add(space.fold(job, 0, start))
    return job.found["factor"], np.concatenate(merged)


@pytest.mark.parametrize("preserve", ["mean", "largest", "none"])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_the_example_gives_the_numbers_that_the_page_describes(
    dtype: str, preserve: str, method: MethodSpec
) -> None:
    """With the fold's kernel and without, in one chunk and in several."""
    values = {"weight": [2.0, 0.0, 0.7], "strength": 0.6, "preserve": preserve}
    inputs = fine_tunes(dtype, 9001, 3, 1.0, seed=5)[:3]
    factor, expected = by_hand(inputs, dtype, values)
    assert (factor > 1.01) == (preserve != "none")
    for space, chunk in itertools.product((workspace(), torch_only()), (4096, 9001)):
        found, merged = by_engine(method, inputs, dtype, values, space, chunk)
        assert found == factor
        np.testing.assert_array_equal(merged, expected)


def test_the_example_restores_the_length(method: MethodSpec) -> None:
    inputs = fine_tunes("F64", 9001, 2, 1.0, seed=6)[:2]
    norms = [float(np.linalg.norm(numbers(words, "F64"))) for words in inputs]
    for preserve, wanted in (("mean", sum(norms) / 2), ("largest", max(norms))):
        values = {"weight": [1.0, 1.0], "preserve": preserve}
        _, merged = by_engine(method, inputs, "F64", values, workspace(), 9001)
        assert np.linalg.norm(numbers(merged, "F64")) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", ["opposite", "zero", "not finite"])
def test_the_example_leaves_a_mean_without_a_length_alone(name: str, method: MethodSpec) -> None:
    (one,) = fine_tunes("BF16", 5000, 0, 1.0)
    inputs = {
        "opposite": [one, one ^ np.uint16(0x8000)],
        "zero": [np.zeros_like(one)] * 2,
        "not finite": special("BF16", 5000, 2, nonfinite=True),
    }[name]
    values = {"weight": [1.0, 1.0], "strength": 1.0, "preserve": "mean"}
    found, merged = by_engine(method, inputs, "BF16", values, workspace(), 4096)
    assert found == 1.0
    np.testing.assert_array_equal(merged, by_hand(inputs, "BF16", values)[1])


def test_the_fold_of_its_own_sums_magnitudes(method: MethodSpec) -> None:
    """The page's second piece of code."""
    (source,) = (block for block in python_blocks(ADDING) if "MAGNITUDES" in block)
    names: dict[str, Any] = {}
    exec(source, names)
    fold, inputs = names["MAGNITUDES"], fine_tunes("F32", 9001, 2, 1.0)[:2]
    read, total = fold.load_reading(), FoldTotal(fold)
    job = trial_job(method, DTYPES["F32"])
    for start in (0, 8192):
        parts = [torch.from_numpy(words[start : start + 8192].view(np.float32)) for words in inputs]
        total.add(read(job, start, parts, None))
    rows = [np.abs(numbers(words, "F32")) for words in inputs]
    assert total.finish(job) == {"largest": max(ordered_sum(row, np.ones(row.size)) for row in rows)}


# -- what the documents point to -----------------------------------------------------------------------------


@OF_DOCUMENTS
def test_python_in_a_document_can_be_parsed(document: Path) -> None:
    for block in python_blocks(document):
        ast.parse(block)


@OF_DOCUMENTS
def test_lines_are_short(document: Path) -> None:
    """But pictures and what `make study` writes: tables, and sentences below them."""
    lines = document.read_text(encoding="utf-8").splitlines()
    if document.parent.parent != ROOT / "docs" / "study":
        assert not [line for line in lines if len(line) > 120 and not line.startswith("![")]


def links(document: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def headings(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@OF_DOCUMENTS
def test_relative_links_lead_somewhere(document: Path) -> None:
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in headings(target), f"{link} names no heading"


def quoted(document: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


@OF_DOCUMENTS
def test_files_that_are_named_exist(document: Path) -> None:
    for name in quoted(document):
        if re.fullmatch(r"(core|gui|tests|docs|resources|packaging)/[\w./-]*", name):
            of_example = name.endswith("norm_average.py")
            assert of_example or (ROOT / name).exists(), f"there is no {name}"


@OF_DOCUMENTS
def test_modules_and_what_is_in_them_exist(document: Path) -> None:
    for name in quoted(document):
        if re.fullmatch(r"(core|gui)(\.\w+)+", name) and name.rpartition(".")[2] not in ("md", "py", "yaml"):
            assert exists(name), f"there is no {name}"


def exists(dotted: str) -> bool:
    """Whether it is a module, or a name in one, or in a class of one; read from the source, not imported."""
    parts = dotted.split(".")
    for at in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:at])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.exists():
            return defines(ast.parse(file.read_text(encoding="utf-8")).body, parts[at:])
    return False


def defines(body: list[ast.stmt], names: list[str]) -> bool:
    if not names:
        return True
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == names[0]:
            return defines(node.body, names[1:])
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign):
            found = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found = [node.target.id]
        else:
            continue
        if names[0] in found and len(names) == 1:
            return True
    return False


@pytest.mark.parametrize(
    "name", ["core.draws.nothing", "core.nothing", "core.run.work.Slot.nothing", "gui.x.y"]
)
def test_what_is_not_there_is_noticed(name: str) -> None:
    assert not exists(name)


@pytest.mark.parametrize(
    "name", ["core.draws", "core.plan", "core.run.work.Slot.fill", "core.table.workspace"]
)
def test_what_is_there_is_found(name: str) -> None:
    assert exists(name)


def test_code_cites_sections_that_exist() -> None:
    """`docs/design.md, 2.1` in a comment of the code means a section that is there."""
    sections = set(
        re.findall(r"^#+ ([\d.]+)", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.M)
    )
    sections = {section.rstrip(".") for section in sections}
    cited = 0
    for top in ("core", "gui", "tests"):
        for path in (ROOT / top).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "DES" + "IGN" not in text, f"{path} cites a document that is not here"
            for section in re.findall(r"docs/design\.md, (\d+(?:\.\d+)*)", text):
                cited += 1
                assert section in sections, f"{path} cites docs/design.md, {section}"
    assert cited


def test_recipes_in_the_documents_are_yaml() -> None:
    found = 0
    for document in sorted((ROOT / "docs").rglob("*.md")):
        lines = document.read_text(encoding="utf-8").splitlines()
        for at, line in enumerate(lines):
            if line.strip() == "cat > recipe.yaml <<END":
                end = next(n for n in range(at, len(lines)) if lines[n].strip() == "END")
                recipe = yaml.safe_load("\n".join(line[4:] for line in lines[at + 1 : end]))
                assert recipe["models"][0]["model"].startswith("resources/demo"), document
                found += 1
    assert found
