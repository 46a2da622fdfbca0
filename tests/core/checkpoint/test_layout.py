from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from core.checkpoint.headers import read_header
from core.checkpoint.shard_layout import OutputTensor, index_files, lay_out
from core.dtypes import DTYPES

tensors = st.lists(
    st.tuples(st.sampled_from(["F64", "F32", "BF16", "U8"]), st.lists(st.integers(0, 9), max_size=3)),
    max_size=12,
)


def output(name: str, dtype: str, shape: list[int]) -> OutputTensor:
    size = int(np.prod(shape, dtype=np.int64)) * DTYPES[dtype].itemsize
    return OutputTensor(name, DTYPES[dtype], tuple(shape), size)


@given(tensors, st.integers(1, 500))
def test_every_tensor_has_a_place_of_its_own(entries: list, shard_size: int) -> None:
    wanted = [output(f"t{at}", *entry) for at, entry in enumerate(entries)]
    shards, placements = lay_out(wanted, shard_size)
    assert set(placements) == {tensor.name for tensor in wanted}
    by_name = {tensor.name: tensor for tensor in wanted}
    for number, shard in enumerate(shards):
        position = len(shard.header)
        for name in shard.tensors:
            assert placements[name].shard == number
            assert placements[name].offset == position
            assert position % by_name[name].dtype.itemsize == 0
            position += by_name[name].size_bytes
        assert position == shard.size_bytes
        data = shard.size_bytes - len(shard.header)
        assert data <= shard_size or sum(by_name[name].size_bytes > 0 for name in shard.tensors) == 1


@given(tensors)
def test_files_are_what_the_safetensors_library_reads(entries: list) -> None:
    import tempfile

    wanted = [output(f"t{at}", *entry) for at, entry in enumerate(entries)]
    (shard,), _ = lay_out(wanted, 10**9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, shard.file_name)
        path.write_bytes(shard.header + bytes(shard.size_bytes - len(shard.header)))
        with safe_open(path, "pt") as file:
            assert set(file.keys()) == {tensor.name for tensor in wanted}
            assert file.metadata() == {"format": "pt"}
            for tensor in wanted:
                assert tuple(file.get_slice(tensor.name).get_shape()) == tensor.shape
        assert {stored.name for stored in read_header(path).tensors} == set(
            wanted and [t.name for t in wanted]
        )


def test_shards_are_named_and_indexed_as_transformers_has_it() -> None:
    wanted = [output("a", "BF16", [4]), output("b", "BF16", [4]), output("c", "BF16", [40])]
    shards, _ = lay_out(wanted, 16)
    assert [shard.file_name for shard in shards] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    index = json.loads(index_files(shards)["model.safetensors.index.json"])
    assert index["metadata"]["total_size"] == 96
    assert index["weight_map"] == {
        "a": "model-00001-of-00002.safetensors",
        "b": "model-00001-of-00002.safetensors",
        "c": "model-00002-of-00002.safetensors",
    }
