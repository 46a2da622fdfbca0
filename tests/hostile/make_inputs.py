"""Hostile inputs: model folders, recipes, records, history entries, settings and output folders.

    python tests/hostile/make_inputs.py FOLDER [--seed 0] [--each 16]

makes EACH variations of every kind below in FOLDER, each in a folder of its own, the same for the same seed.
What would run, if anything of an input were ever run, leaves a file called CANARY in that folder.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "Case", "make_inputs"]

NAMES = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight")
CONFIG = {"model_type": "llama", "vocab_size": 4, "torch_dtype": "float32"}
DATE = "2026-01-02T03:04:05.678+00:00"


@dataclass(frozen=True)
class Case:
    """One input: `number` counts the variations of its kind.

    The first of a kind is as large as may be, times `scale`.
    """

    folder: Path
    number: int
    random: random.Random
    scale: float = 1.0

    def pick(self, *values: Any) -> Any:
        """One after the other, so that a few variations have them all."""
        return values[self.number % len(values)]

    def size(self, most: int) -> int:
        """`most` at first, then anything up to a hundredth of it."""
        return int(most * self.scale) if self.number == 0 else self.random.randrange(1, max(2, most // 100))

    def canary(self) -> str:
        return str(self.folder / "CANARY")


Maker = Callable[[Case], None]
KINDS: dict[str, Maker] = {}
"""By name: what it is fed to, a colon, and what is hostile about it."""


def kind(name: str) -> Callable[[Maker], Maker]:
    def add(maker: Maker) -> Maker:
        KINDS[name] = maker
        return maker

    return add


def make_inputs(
    folder: Path, *, seed: int = 0, each: int = 16, kinds: Iterable[str] = KINDS.keys(), scale: float = 1.0
) -> list[Path]:
    """Make `each` variations of `kinds`; returns their folders, in which `kind` says which one it is.

    The largest are made `scale` times as large as they may be.
    """
    made = []
    for name in kinds:
        for number in range(each):
            place = folder / f"{name.replace(':', '-').replace(' ', '_')}-{number}"
            place.mkdir(parents=True)
            (place / "kind").write_text(name)
            KINDS[name](Case(place, number, random.Random(f"{seed} {name} {number}"), scale))
            made.append(place)
    return made


# -- sound ones, to be spoilt


def header(entries: dict[str, Any], *, length: int | None = None) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def sound_weights() -> bytes:
    entries = {
        name: {"dtype": "F32", "shape": [4], "data_offsets": [at * 16, at * 16 + 16]}
        for at, name in enumerate(NAMES)
    }
    return header(entries) + bytes(48)


def model(case: Case, *, weights: bytes | None = None, config: Any = CONFIG) -> Path:
    """A base, and the model that a kind spoils."""
    for name in ("base", "model"):
        folder = case.folder / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(sound_weights())
        (folder / "config.json").write_text(json.dumps(CONFIG))
    folder = case.folder / "model"
    if weights is not None:
        (folder / "model.safetensors").write_bytes(weights)
    write(folder / "config.json", config)
    return folder


def write(path: Path, value: Any) -> None:
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())


def special(case: Case, path: Path) -> None:
    """Something in the place of a file."""
    path.unlink(missing_ok=True)
    what = case.pick("pipe", "nowhere", "circle", "zero", "folder", "null", "long", "tty", "socket", "proc")
    targets = {"nowhere": "gone", "circle": path.name, "zero": "/dev/zero", "null": "/dev/null"}
    targets |= {"long": "x" * 255 + "/y", "tty": "/dev/tty", "proc": "/proc/self/mem"}
    if what in ("pipe", "socket"):
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
        (path / "x").touch()
    else:
        path.symlink_to(targets[what])


def sparse(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def indexed(case: Case, content: Any) -> Path:
    folder = model(case)
    (folder / "model.safetensors").rename(folder / "s.safetensors")
    write(folder / "model.safetensors.index.json", content)
    return folder


ODD: tuple[Any, ...] = (
    *(None, True, [], {}, "", "x", 0, -1, 1.5, 10**400, 2**64, -(2**63), [[]], {"a": {}}, "\ud800", "\0"),
    *("x" * 100_000, "../../etc/passwd", "/etc/passwd", float("nan"), float("inf"), "‮evil", "a\nb", [None]),
)


def odd(case: Case) -> Any:
    return ODD[case.number % len(ODD)] if case.number < len(ODD) else case.random.choice(ODD)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from paths_in(item, (*path, key))


def spoilt(case: Case, value: Any) -> Any:
    """A copy with something odd in one place, or without it."""
    value = json.loads(json.dumps(value))
    *way, last = case.random.choice(list(paths_in(value)))
    holder = value
    for key in way:
        holder = holder[key]
    if case.random.random() < 0.2 and isinstance(holder, dict):
        del holder[last]
    else:
        holder[last] = odd(case)
    return value


def flipped(case: Case, content: bytes) -> bytes:
    """Some bytes changed, cut off or said twice."""
    data = bytearray(content)
    for _ in range(case.random.randrange(1, 9)):
        at = case.random.randrange(len(data))
        what = case.random.randrange(4)
        if what == 0:
            data[at] ^= 1 << case.random.randrange(8)
        elif what == 1:
            data[at:at] = data[at : at + case.random.randrange(1, 40)]
        elif what == 2:
            del data[at : at + case.random.randrange(1, 40)]
        else:
            data[at : at + 1] = case.random.choice(
                [b'"', b"{", b"}", b"[", b"\\", b"\0", b"\xff", b"9" * 400]
            )
        data = data or bytearray(b"x")
    return bytes(data)


# -- weights


@kind("model:weights that are no file")
def _(case: Case) -> None:
    special(case, model(case) / "model.safetensors")


@kind("model:weights of zeros without an end")
def _(case: Case) -> None:
    sparse(model(case) / "model.safetensors", case.pick(0, 7, 8, 9, 10**12, 2**40, 4096))


@kind("model:header of odd length")
def _(case: Case) -> None:
    length = case.pick(0, 2**63, 2**64 - 1, 99_000_000, 25_000_001, 1, case.random.randrange(2**64))
    model(case, weights=struct.pack("<Q", length) + sound_weights()[8:])


@kind("model:header of a hundred million bytes")
def _(case: Case) -> None:
    folder = model(case)
    sparse(folder / "model.safetensors", 99_000_100)
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(struct.pack("<Q", 99_000_000))


@kind("model:header of empty objects")
def _(case: Case) -> None:
    text = b'{"a":[' + b"{}," * case.size(8_000_000) + b"{}]}"
    model(case, weights=struct.pack("<Q", len(text)) + text)


@kind("model:header of as many parts as may be")
def _(case: Case) -> None:
    part = case.pick(b'{"":0}', b"[]", b"1234567", b'"\\ud83d\\ude00"', b"-1.5e300")
    text = b'{"a":[' + (part + b",") * case.size(240_000) + b"0]}"
    model(case, weights=struct.pack("<Q", len(text)) + text)


@kind("model:header with one wide character")
def _(case: Case) -> None:
    text = '{"😀":"'.encode() + b"x" * case.size(24_000_000) + b'"}'
    model(case, weights=struct.pack("<Q", len(text)) + text)


@kind("model:header nested deeply")
def _(case: Case) -> None:
    depth = case.size(240_000)
    text = case.pick(
        b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
    )
    model(case, weights=struct.pack("<Q", len(text)) + text)


@kind("model:header of long numbers")
def _(case: Case) -> None:
    number = b"9" * case.size(5_000_000)
    text = b'{"a":{"dtype":"F32","shape":[' + number + b'],"data_offsets":[0,' + number + b"]}}"
    model(case, weights=struct.pack("<Q", len(text)) + text)


@kind("model:header with one odd value")
def _(case: Case) -> None:
    entries = {"__metadata__": {"format": "pt"}}
    entries |= {
        n: {"dtype": "F32", "shape": [4], "data_offsets": [i * 16, i * 16 + 16]} for i, n in enumerate(NAMES)
    }
    model(case, weights=header(spoilt(case, entries)) + bytes(48))


@kind("model:header with flipped bytes")
def _(case: Case) -> None:
    model(case, weights=flipped(case, sound_weights()))


@kind("model:weights cut short or grown")
def _(case: Case) -> None:
    whole = sound_weights()
    model(case, weights=case.pick(whole[: case.random.randrange(len(whole))], whole + b"x" * case.size(1000)))


@kind("model:names of tensors")
def _(case: Case) -> None:
    name = case.pick("", "x" * 20_000_000, "\ud800", "a\nb", "‮", "\0", "../x", "x" * 2000, "\x1b[31m")
    model(case, weights=header({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}) + bytes(4))


@kind("model:types of tensors")
def _(case: Case) -> None:
    dtype = case.pick("x" * 5_000_000, "I3", "", "F4", "\ud800", "U64", "BOOL", "C64")
    model(case, weights=header({"a": {"dtype": dtype, "shape": [], "data_offsets": [0, 4]}}) + bytes(4))


@kind("model:shapes of tensors")
def _(case: Case) -> None:
    shape = case.pick([2**62, 4], [1] * 65, [1] * 400_000, [0] * 64, [2**63 - 1] * 64, [-1], [1.0], [True])
    model(case, weights=header({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}) + bytes(4))


@kind("model:many tensors")
def _(case: Case) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    model(case, weights=header({f"t{at}": entry for at in range(case.size(60_000))}))


@kind("model:much metadata")
def _(case: Case) -> None:
    model(case, weights=header({"__metadata__": {f"k{at}": "v" for at in range(case.size(400_000))}}))


@kind("model:the same key twice")
def _(case: Case) -> None:
    text = b'{"a":{},' * case.size(40_000) + b'"a":1}'
    model(case, weights=struct.pack("<Q", len(text)) + text)


@kind("model:tensors that overlap")
def _(case: Case) -> None:
    at = case.random.randrange(8)
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [at, at + 8]}
    model(case, weights=header(dict.fromkeys("abc"[: 1 + case.number % 3], entry)) + bytes(16))


@kind("model:a pickle that runs something")
def _(case: Case) -> None:
    folder = model(case)

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (case.canary(),)

    name = case.pick("pytorch_model.bin", "consolidated.00.pth", "model.safetensors", "config.json")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Runs()))


def pickled(case: Case, description: bytes, **others: bytes) -> Path:
    """The model as torch.save writes it, with this data.pkl and these members."""
    folder = model(case)
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        for name, data in {
            "data.pkl": description,
            "byteorder": b"little",
            "data/0": bytes(48),
            **others,
        }.items():
            archive.writestr(f"archive/{name}", data)
    return folder / "pytorch_model.bin"


def sound_description() -> bytes:
    """Of tensors that are parts of one storage."""
    items = b""
    for at, name in enumerate(NAMES):
        storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\x0ctQ"
        items += b"X" + struct.pack("<I", len(name)) + name.encode() + b"ctorch._utils\n_rebuild_tensor_v2\n("
        items += storage + b"K" + bytes([4 * at]) + b"K\4\x85K\1\x85\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\2ccollections\nOrderedDict\n)R(" + items + b"u."


@kind("model:pickle with flipped bytes")
def _(case: Case) -> None:
    path = pickled(case, flipped(case, sound_description()))
    if case.number % 2:
        path.write_bytes(flipped(case, path.read_bytes()))


@kind("model:pickle of many steps")
def _(case: Case) -> None:
    step = case.pick(
        b"}",
        b"]",
        b"(",
        b")\x85",
        b"N",
        b"ccollections\nOrderedDict\n)R",
        b"X\4\0\0\0\xf0\x9f\x98\x80",
        b"}N)s",
    )
    pickled(case, b"\x80\2" + step * case.size(24_000_000 // len(step)) + b".")


@kind("model:pickle that claims much")
def _(case: Case) -> None:
    much = struct.pack("<Q", 2**62)
    pickled(
        case,
        b"\x80\4"
        + case.pick(
            b"X\xff\xff\xff\xff",
            b"\x8d" + much,
            b"\x8e" + much,
            b"\x96" + much,
            b"\x8b\xff\xff\xff\x7f",
            b"Nr\xff\xff\xff\xff",
            b"\x95" + much,
            b"cos\n" + b"x" * case.size(20_000_000) + b"\n",
        )
        + b".",
    )


@kind("model:pickle of wide text")
def _(case: Case) -> None:
    text = "😀".encode() + b"x" * case.size(24_000_000)
    pickled(case, b"\x80\2}X" + struct.pack("<I", len(text)) + text + b"Ns.")


@kind("model:pickle of keys that collide")
def _(case: Case) -> None:
    keys = (
        b"\x8a\x0a" + (at * (2**61 - 1)).to_bytes(10, "little") + b"N" for at in range(case.size(320_000))
    )
    pickled(case, b"\x80\2}(" + b"".join(keys) + b"u.")


@kind("model:pickle that says one thing often")
def _(case: Case) -> None:
    """A long tuple, used again and again."""
    long = b"(" + b"K\1" * case.size(100_000) + b"tq\1"
    use = case.pick(b"ctorch._utils\n_rebuild_parameter\nh\1R0", b"ccollections\nOrderedDict\nh\1\x85R0")
    pickled(case, b"\x80\2" + long + use * case.size(80_000) + b".")


@kind("model:zip of many members")
def _(case: Case) -> None:
    pickled(case, sound_description(), **{f"data/{at}": b"" for at in range(1, case.size(100_000))})


@kind("model:zip with an odd end")
def _(case: Case) -> None:
    path = pickled(case, sound_description())
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\5\6") + case.pick(8, 10, 12, 16, 20)
    content[at : at + 2] = case.pick(b"\xff\xff", b"\0\0", b"\1\0")
    path.write_bytes(bytes(content))


@kind("model:parts of odd value")
def _(case: Case) -> None:
    folder = model(case)
    name = case.pick("modules.json", "model_index.json")
    sound: Any = [
        {"idx": 0, "path": "", "type": "a.Transformer"},
        {"idx": 1, "path": "2_Dense", "type": "a.Dense"},
    ]
    if name == "model_index.json":
        sound = {"_class_name": "P", "unet": ["diffusers", "U"], "vae": [None, None]}
    write(folder / name, spoilt(case, sound) if case.number % 4 else odd(case))


@kind("model:code of its own")
def _(case: Case) -> None:
    folder = model(case, config={**CONFIG, "auto_map": {"AutoModel": "modeling_x.X", "x": odd(case)}})
    (folder / "modeling_x.py").write_text(f"import os\nos.mkdir({case.canary()!r})\n")
    (folder / case.pick("sitecustomize.py", "json.py", "yaml.py", "conftest.py")).write_text(
        "raise SystemExit"
    )


# -- index


@kind("model:index that is no file")
def _(case: Case) -> None:
    special(case, indexed(case, {}) / "model.safetensors.index.json")


@kind("model:index of zeros without an end")
def _(case: Case) -> None:
    sparse(indexed(case, {}) / "model.safetensors.index.json", case.pick(10**11, 20_000_000, 20_000_001, 1))


@kind("model:index of many entries")
def _(case: Case) -> None:
    indexed(case, {"weight_map": {f"{at:020}": f"s{at}" for at in range(case.size(290_000))}})


@kind("model:index with one wide character")
def _(case: Case) -> None:
    wide = "😀" + "x" * case.size(12_000_000)
    text = json.dumps(
        {"a": wide, "weight_map": {f"{at:020}": "s" for at in range(200_000)}}, ensure_ascii=False
    )
    indexed(case, text.encode())


@kind("model:index with one odd value")
def _(case: Case) -> None:
    indexed(
        case,
        spoilt(case, {"metadata": {"total_size": 48}, "weight_map": dict.fromkeys(NAMES, "s.safetensors")}),
    )


@kind("model:index with flipped bytes")
def _(case: Case) -> None:
    whole = json.dumps({"metadata": {"total_size": 48}, "weight_map": dict.fromkeys(NAMES, "s.safetensors")})
    indexed(case, flipped(case, whole.encode()))


@kind("model:index that names other places")
def _(case: Case) -> None:
    name = case.pick(
        "../base/model.safetensors",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a\\b",
        "x" * 300,
        "\0",
        "\ud800",
        "é" * 200,
    )
    indexed(case, {"weight_map": dict.fromkeys(NAMES, name)})


@kind("model:shard that is no file")
def _(case: Case) -> None:
    special(case, indexed(case, {"weight_map": dict.fromkeys(NAMES, "s.safetensors")}) / "s.safetensors")


# -- config


@kind("model:config that is no file")
def _(case: Case) -> None:
    special(case, model(case) / "config.json")


@kind("model:config of zeros without an end")
def _(case: Case) -> None:
    sparse(model(case) / "config.json", case.pick(10**11, 4_000_000, 4_000_001, 0))


@kind("model:config nested deeply")
def _(case: Case) -> None:
    depth = case.pick(99, 100, 101, 900, 990, 100_000)
    model(case, config=b'{"a":' * depth + b"1" + b"}" * depth)


@kind("model:config of many parts")
def _(case: Case) -> None:
    model(case, config={f"{at:06}": case.pick({}, [], "/x", 1) for at in range(case.size(99_000))})


@kind("model:config with one odd value")
def _(case: Case) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 2,
        "text_config": {"num_hidden_layers": 2},
    }
    config |= {"tie_word_embeddings": True, "quantization_config": {"quant_method": "x"}, **CONFIG}
    model(case, config=spoilt(case, config))


@kind("model:config with flipped bytes")
def _(case: Case) -> None:
    model(case, config=flipped(case, json.dumps(CONFIG).encode()))


@kind("model:config with a long kind of model")
def _(case: Case) -> None:
    long = "x" * case.size(3_900_000)
    model(case, config=case.pick({"model_type": long}, {"architectures": [long]}, {"a": long}, {long: 1}))


@kind("model:config of numbers without an end")
def _(case: Case) -> None:
    model(case, config=b'{"num_hidden_layers":' + b"1" * case.pick(400, 4_300, 4_301, 1_000_000) + b"}")


# -- what is copied


COPIED = ("tokenizer.model", "tokenizer.json", "chat_template.jinja", "generation_config.json", "merges.txt")


@kind("model:copied file that is a link elsewhere")
def _(case: Case) -> None:
    (model(case) / case.pick(*COPIED)).symlink_to(
        case.random.choice(["/etc/passwd", "../kind", "/proc/self/environ"])
    )


@kind("model:copied file that is no file")
def _(case: Case) -> None:
    special(case, model(case) / case.random.choice(COPIED))


@kind("model:copied file of forty gigabytes")
def _(case: Case) -> None:
    sparse(
        model(case) / case.random.choice(COPIED), case.pick(40 * 10**9, 256_000_001, 36_000_001, 36_000_000)
    )


@kind("model:hub cache of links")
def _(case: Case) -> None:
    folder = model(case)
    snapshots = case.folder / "models--a--b" / "snapshots"
    snapshots.mkdir(parents=True)
    case.pick(
        lambda: (snapshots.parent / "blobs").symlink_to("/etc"),
        lambda: (snapshots.parent / "blobs").mkdir(),
        lambda: (snapshots.parent / "blobs").symlink_to("."),
    )()
    folder.rename(snapshots / "1")
    folder.symlink_to(snapshots / "1")
    (folder / "tokenizer.model").symlink_to(
        case.pick("../../blobs/passwd", "../../blobs/../blobs/x", "../../../kind")
    )


@kind("model:git-annex of links")
def _(case: Case) -> None:
    folder = model(case)
    (folder / ".git" / "annex").mkdir(parents=True)
    (folder / ".git" / "annex" / "objects").symlink_to(case.pick("/etc", "../../..", "objects"))
    (folder / "tokenizer.model").symlink_to(".git/annex/objects/" + case.pick("passwd", "kind", "x"))


@kind("model:many files to copy")
def _(case: Case) -> None:
    folder = model(case)
    for at in range(case.size(1_100)):
        (folder / f"chat_template.{at}").touch()


@kind("model:tokenizer of many strings")
def _(case: Case) -> None:
    part = case.pick(b'"a",', b'["a"],', b'{"vocab":[]},', b'"/home/x",', b'"vocab":[')
    text = b'{"model":{"vocab":[' + part * (case.size(30_000_000) // len(part)) + b'1]},"a":"/home/x"}'
    write(model(case) / "tokenizer.json", text)


@kind("model:tokenizer with flipped bytes")
def _(case: Case) -> None:
    whole = {
        "added_tokens": [{"content": "/a/b"}],
        "model": {"vocab": {"/a/b": 0}, "merges": [["a", "b"]]},
        "a": "/a/b",
    }
    write(model(case) / case.pick("tokenizer.json", "tekken.json"), flipped(case, json.dumps(whole).encode()))


@kind("model:text that takes a regex long")
def _(case: Case) -> None:
    part = case.pick("/", "~", " ~a", " /a", "=/", "a/", "\\", "C:", "file:", "//a", "<", "~a-", "/a\\")
    write(
        model(case) / case.pick("processor_config.json", "generation_config.json"),
        {"a": part * (case.size(3_600_000) // len(part))},
    )


@kind("model:json to copy with one odd value")
def _(case: Case) -> None:
    value = {
        "eos_token": {"content": "x"},
        "id2label": {"0": "/x"},
        "chat_template": [{"name": "a", "template": "/x"}],
    }
    name = case.pick(
        "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json"
    )
    write(model(case) / name, spoilt(case, {**value, "a": ["/home/x", {"b": "/x/y"}]}))


# -- the folder


@kind("model:folder that is none")
def _(case: Case) -> None:
    folder = model(case)
    folder.rename(case.folder / "away")
    special(case, folder)


@kind("model:folder of odd names")
def _(case: Case) -> None:
    folder = model(case)
    (folder / "model.safetensors").unlink()
    for name in ("‮.safetensors", "a\nb.safetensors", "-.safetensors", os.fsdecode(b"\xff.safetensors"))[
        : 1 + case.number % 4
    ]:
        (folder / name).write_bytes(sound_weights())


@kind("model:adapter or nothing")
def _(case: Case) -> None:
    folder = model(case)
    (folder / "model.safetensors").unlink()
    write(
        folder / case.pick("adapter_config.json", "README.md", "model.gguf", "x.safetensors.index.json"), {}
    )


# -- recipes


def recipe(case: Case, text: str | bytes) -> None:
    (case.folder / "recipe.yaml").write_bytes(
        text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    )


SOUND: dict[str, Any] = {
    "merge_method": "parameter_selection",
    "base_model": "base",
    "models": [{"model": "a", "parameters": {"weight": 1}}, {"model": "b"}],
    "parameters": {"resamples": [{"filter": "mlp", "value": [1, 2]}, {"value": 0}], "weight": 0.5},
    "dtype": "float32",
    "out_dtype": "bfloat16",
    "seed": 3,
    "zero_tolerance": 0.5,
    "nonfinite": "pass",
    "tokenizer_source": "base",
}


@kind("recipe:no file")
def _(case: Case) -> None:
    special(case, case.folder / "recipe.yaml")


@kind("recipe:zeros without an end")
def _(case: Case) -> None:
    sparse(case.folder / "recipe.yaml", case.pick(10**11, 4_000_000, 4_000_001, 1))


@kind("recipe:merge keys of merge keys")
def _(case: Case) -> None:
    lines = [
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}" for n in range(1, case.size(60) + 1)
    ]
    recipe(case, "\n".join(["a0: &a0 {x: 1}", *lines]))


@kind("recipe:aliases of aliases")
def _(case: Case) -> None:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, case.size(60) + 1)]
    recipe(case, "\n".join(["a0: &a0 [x]", *lines]))


@kind("recipe:alias of itself")
def _(case: Case) -> None:
    recipe(
        case,
        case.pick("&a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "&a {*a : 1}", "a: *b", "? &a [*a]\n: 1"),
    )


@kind("recipe:aliases for every model")
def _(case: Case) -> None:
    count = case.size(30_000)
    entry = "- &m {model: a, parameters: {weight: [" + "{value: 1}," * 50 + "]}}\n"
    recipe(case, "merge_method: linear\nmodels:\n" + entry + "- *m\n" * count)


@kind("recipe:thousands of models")
def _(case: Case) -> None:
    models = "".join(f"- model: {case.random.choice(['a', '/b'])}{at}\n" for at in range(case.size(10_000)))
    method = case.pick("linear", "parameter_selection", "slerp")
    recipe(case, f"merge_method: {method}\nbase_model: z\nmodels:\n{models}")


@kind("recipe:nested deeply")
def _(case: Case) -> None:
    depth = case.size(3_900_000)
    recipe(case, case.pick("[", "{", "- " * 2, "? ", "{a: ") * (depth // 4))


@kind("recipe:many values")
def _(case: Case) -> None:
    recipe(
        case, "a: [" + case.pick("1,", "a,", "1.5e3,", "&a a,", "{},", "!!str a,") * case.size(600_000) + "]"
    )


@kind("recipe:numbers without an end")
def _(case: Case) -> None:
    count = case.size(1_900_000)
    number = case.pick(
        "1" + ":1" * count,
        "9" * count,
        "0x" + "f" * count,
        "1." + "0" * count,
        "1_" * count,
        "1e" + "9" * count,
    )
    recipe(case, f"merge_method: linear\nmodels: [{{model: a}}]\nseed: {number}\n")


@kind("recipe:tags that run something")
def _(case: Case) -> None:
    tag = case.pick(
        "python/object/apply:os.mkdir",
        "python/object/new:os.mkdir",
        "python/name:os.mkdir",
        "python/module:os",
    )
    recipe(
        case, f"merge_method: linear\nseed: !!{tag} [{json.dumps(case.canary())}]\nmodels: [{{model: a}}]\n"
    )


@kind("recipe:odd tags")
def _(case: Case) -> None:
    tag = case.pick(
        "set",
        "omap",
        "pairs",
        "binary",
        "timestamp",
        "int",
        "float",
        "bool",
        "null",
        "map",
        "seq",
        "merge",
        "value",
    )
    value = case.random.choice(["x", "{a: 1}", "[1]", "2020-13-45", "=", '""'])
    recipe(case, f"merge_method: !!{tag} {value}\n")


@kind("recipe:one odd value")
def _(case: Case) -> None:
    recipe(case, json.dumps(spoilt(case, SOUND)))


@kind("recipe:one odd key")
def _(case: Case) -> None:
    key = json.dumps(str(odd(case)) + "x")
    where = case.random.choice(
        ["{}: 1\nmerge_method: linear", "merge_method: linear\nmodels: [{{model: a, {}: 1}}]"]
    )
    recipe(
        case,
        where.format(
            key if case.number % 2 else case.random.choice(["[1]", "1", "null", "? a", "2020-01-01"])
        ),
    )


@kind("recipe:flipped bytes")
def _(case: Case) -> None:
    recipe(case, flipped(case, json.dumps(SOUND, indent=1).encode()))


@kind("recipe:long text")
def _(case: Case) -> None:
    long = case.pick("x", "😀", "~", "a/") * (case.size(3_900_000) // 4)
    recipe(
        case,
        case.pick(
            f"merge_method: {long}",
            f"{long}: 1",
            f"merge_method: linear\nmodels: [{{model: {long}}}]",
            f"- {long}",
        ),
    )


@kind("recipe:characters")
def _(case: Case) -> None:
    recipe(
        case,
        case.pick(
            b"\xff\xfe",
            b"a: \0",
            b"\xef\xbb\xbfa: 1",
            "a: 1".encode("utf-16"),
            b"a: \xed\xa0\x80",
            b'a: "\\ud800"',
            b"a\x85b: 1",
            b"%YAML 9.9\n--- a",
            b"---\n" * 9999,
        ),
    )


# -- records


RECORD: dict[str, Any] = {
    "schema_version": 1,
    "recipe": {"merge_method": "linear", "models": [{"model": "a", "parameters": {"weight": 1.0}}]},
    "inputs": [{"name": "a", "role": "sub-model", "files": [{"name": "x", "size": 1, "header_digest": "0"}]}],
    "software": {"python": "3"},
    "device": "cpu",
    "seconds": 1.5,
    "bytes_read": 48,
    "bytes_written": 48,
    "tensors": [
        {
            **{
                "name": name,
                "shape": [4],
                "dtype": "F32",
                "action": "merged",
                "elements": 4,
                "zero_delta": [1],
            },
            **{"changed_by": [1, 3], "zero_after_draw": None, "selected": None, "nonfinite": [0, None]},
            "digest": "0" * 32,
        }
        for name in NAMES
    ],
}


def output(case: Case, record: Any = RECORD) -> Path:
    folder = case.folder / "out"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(sound_weights())
    write(folder / "paramosaic.json", record)
    return folder


@kind("record:no file")
def _(case: Case) -> None:
    special(case, output(case) / "paramosaic.json")


@kind("record:one odd value")
def _(case: Case) -> None:
    output(case, spoilt(case, RECORD))


@kind("record:flipped bytes")
def _(case: Case) -> None:
    output(case, flipped(case, json.dumps(RECORD).encode()))


@kind("record:something else")
def _(case: Case) -> None:
    output(case, odd(case))


@kind("record:nested deeply")
def _(case: Case) -> None:
    depth = case.pick(99, 101, 500, 990, 100_000)
    output(
        case, json.dumps(RECORD)[:-1].encode() + b',"more":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    )


@kind("record:weights that are no file")
def _(case: Case) -> None:
    special(case, output(case) / "model.safetensors")


# -- history


ENTRY: dict[str, Any] = {
    **{"kind": "paramosaic run", "schema_version": 1, "id": "run", "date": DATE, "method": "linear"},
    **{"title": "Average", "models": ["a"], "k": 1, "draws": False, "n": None, "seed": 0, "out": "/out"},
    **{
        "device": "cpu",
        "recipe": SOUND,
        "host": "h",
        "pid": 5,
        "status": "done",
        "message": "",
        "seconds": 1.0,
    },
    **{"bytes_read": 1, "bytes_written": 1, "n_differs": False},
}


def history(case: Case, content: Any) -> Path:
    folder = case.folder / "history"
    folder.mkdir()
    write(folder / "run.json", content)
    write(folder / "sound.json", {**ENTRY, "id": "sound"})
    return folder / "run.json"


@kind("history:no file")
def _(case: Case) -> None:
    special(case, history(case, ENTRY))


@kind("history:zeros without an end")
def _(case: Case) -> None:
    sparse(history(case, ENTRY), case.pick(10**11, 4 * 1024**2, 4 * 1024**2 + 1, 0))


@kind("history:one odd value")
def _(case: Case) -> None:
    history(case, spoilt(case, ENTRY))


@kind("history:odd dates")
def _(case: Case) -> None:
    dates = (
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-01-01",
        "x" * 10**6,
        "2026-W01-1T00+00:00",
        "",
    )
    history(case, {**ENTRY, "date": case.pick(*dates)})


@kind("history:flipped bytes")
def _(case: Case) -> None:
    history(case, flipped(case, json.dumps(ENTRY).encode()))


@kind("history:something else")
def _(case: Case) -> None:
    history(case, odd(case))


@kind("history:nested deeply")
def _(case: Case) -> None:
    depth = case.pick(90, 101, 500, 990, 100_000)
    history(case, json.dumps(ENTRY)[:-1].encode() + b',"more":' + b"[" * depth + b"]" * depth + b"}")


# -- settings


SETTINGS = (
    b"[General]\nversion=1\n[recipes]\nrecent=/a.yaml, /b.yaml\n"
    b"[merge]\nthreads=4\n[window]\nstate=@ByteArray(ab)\n"
)


@kind("settings:no file")
def _(case: Case) -> None:
    special(case, case.folder / "settings.ini")


@kind("settings:zeros without an end")
def _(case: Case) -> None:
    sparse(case.folder / "settings.ini", case.pick(10**11, 1_000_000, 1_000_001, 0))


@kind("settings:values of other types")
def _(case: Case) -> None:
    sign = case.pick("@", "\\x40", "\\100", "\\x00000040", "a, @", "\\\n@", '"@ByteArray(x)", @', '"@', " @")
    size = case.pick("\\x7f\\xff\\xff\\xff", "\\xff\\xff\\xff\\xf0", "\\0\\0\\0\\x1")
    kind = case.random.choice(["\\x9", "\\xb", "\\b", "\\f", "\\x7f", "\\n"])
    key = case.random.choice(["version", "x", "threads"])
    (case.folder / "settings.ini").write_text(f"[General]\n{key}={sign}Variant(\\0\\0\\0{kind}{size})\n")


@kind("settings:flipped bytes")
def _(case: Case) -> None:
    (case.folder / "settings.ini").write_bytes(flipped(case, SETTINGS))


@kind("settings:odd values")
def _(case: Case) -> None:
    value = case.pick(
        "9" * 9000, "-1", "1e9", "0" * 30 + "1", "\\xd800", "a, b", "@Invalid()", "", "%00", "\\0", "²"
    )
    keys = ("General/version", "merge/threads", "merge/shard_size_bytes", "window/geometry", "recipes/recent")
    section, key = case.random.choice(keys).split("/")
    (case.folder / "settings.ini").write_text(f"[General]\nversion=1\n[{section}]\n{key}={value}\n")


# -- output folders


@kind("output:something in its place")
def _(case: Case) -> None:
    special(case, case.folder / "out")


@kind("output:record that is no file")
def _(case: Case) -> None:
    special(case, output(case) / "paramosaic.json")


@kind("output:somebody's files")
def _(case: Case) -> None:
    (
        output(case, case.pick(RECORD, {}, [], b"")) / case.random.choice(["thesis.tex", "sub", ".x"])
    ).write_text("mine")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make hostile inputs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=16)
    options = parser.parse_args()
    print(
        len(make_inputs(options.folder, seed=options.seed, each=options.each)),
        "inputs of",
        len(KINDS),
        "kinds",
    )
