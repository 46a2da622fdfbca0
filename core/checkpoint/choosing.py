"""From whose folder each small file of an output comes, and what is said about those that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.checkpoint.companion_names import Kind
from core.checkpoint.folder_files import MODULES_NAME, PIPELINE_NAME, FolderFiles, json_of
from core.checkpoint.model import CONFIG_NAME, read_config
from core.checkpoint.model_code import code_files, named_modules
from core.checkpoint.same_files import digest_of, says_the_same
from core.errors import CheckpointError
from core.small_files import is_there, parse_json, read_small
from core.text import one_line

__all__ = ["Choice", "GivenTokenizer", "Givers", "choose", "templates_of"]

_MOST_NAMED = 4
_MOST_WARNINGS = 20
_TEMPLATE_NAME = "chat_template.jinja"
_NOT_COMPARED = ("license", "licence", "notice", "copying", "use_policy")

_MAX_TEMPLATE_BYTES, _MAX_TEMPLATE_PARTS = 1_000_000, 100_000


@dataclass(frozen=True)
class GivenTokenizer:
    """The tokenizer of a result whose tokens are matched with those of its models.

    Attributes:
        owner: the folder whose files it has.
        written: files that take the place of its own.
        left_out: of its files, those that would say something else.
        is_united: whether it has the tokens of all models, so that any of their chat templates suits it.
        ids: of each model's folder, which token of the result each of its tokens is that is another there;
            None for one that the result lacks.
        notes: sentences on it.
    """

    owner: Path
    written: Mapping[str, bytes] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    is_united: bool = False
    ids: Mapping[Path, Mapping[int, int | None]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Givers:
    """The folders whose small files may go into an output.

    Attributes:
        models: the sub-models', in the recipe's order.
        base: the base's, or None.
        tokenizer_source: whose config, tokenizer, chat template and generation config are taken; or None.
        names: how the folders are called.
        tokenizer: whose tokenizer is taken, where tokens are matched; None where that is found out here.
        has_template: whether the recipe says which chat template the output has, so that nobody's is taken.
    """

    models: tuple[Path, ...]
    base: Path | None = None
    tokenizer_source: Path | None = None
    names: Mapping[Path, str] = field(default_factory=dict)
    tokenizer: GivenTokenizer | None = None
    has_template: bool = False

    def name(self, folder: Path) -> str:
        return self.names.get(folder, folder.name)


@dataclass
class Choice:
    """What goes into an output beside the weights.

    Attributes:
        config: the folder whose config.json is taken, or None.
        files: the folder that each other file is taken from, by name.
        written: files that are no copies, by name.
        left_out: what is not copied, and why.
        warnings: sentences for the user.
    """

    config: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)
    written: dict[str, bytes] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def choose(givers: Givers, *, full: bool) -> Choice:
    """Decide it, from names and digests.

    Args:
        givers: the folders.
        full: whether large files are compared whole.

    Raises:
        CheckpointError: a folder cannot be read, or a file of it is none.
    """
    return _Choosing(givers, full).done()


def _classes(folder: Path) -> object:
    return (read_config(folder) or {}).get("architectures")


class _Choosing:
    def __init__(self, givers: Givers, full: bool) -> None:
        self._givers, self._full = givers, full
        every = [*givers.models, *(one for one in (givers.base, givers.tokenizer_source) if one)]
        self._found = {folder: FolderFiles.of(folder) for folder in dict.fromkeys(every)}
        self._models = [self._found[folder] for folder in dict.fromkeys(givers.models)]
        base = givers.base
        self._last = [self._found[base]] if base is not None and base not in givers.models else []
        self._source = self._found[givers.tokenizer_source] if givers.tokenizer_source else None
        self._digests: dict[Path, tuple[int, str]] = {}
        self._choice = Choice()
        self._said: dict[str, None] = {}

    def done(self) -> Choice:
        choice = self._choice
        choice.config = self._config()
        owner = self._tokenizer()
        given = self._givers.tokenizer
        if owner is not None and not (given is not None and given.is_united):
            self._template(owner)
        self._others()
        self._code(owner)
        self._unusable()
        self._left_out()
        said = list(self._said)
        if len(said) > _MOST_WARNINGS:
            said = [*said[:_MOST_WARNINGS], f"{len(said) - _MOST_WARNINGS:,} more files differ"]
        choice.warnings = tuple(said)
        return choice

    def _say(self, sentence: str) -> None:
        self._said[one_line(sentence)] = None

    def _say_of_template(self, sentence: str) -> None:
        if not self._givers.has_template:
            self._say(sentence)

    def _config(self) -> Path | None:
        for found in [*self._models, *self._last]:
            if is_there(found.folder / CONFIG_NAME, CheckpointError):
                first = found.folder
                break
        else:
            first = None
        source = self._source.folder if self._source else None
        if source is None or not is_there(source / CONFIG_NAME, CheckpointError):
            return first
        if first is not None and _classes(source) != _classes(first):
            return first  # the weights are of another head than the source's
        return source

    # -- the tokenizer, which is a set

    def _tokenizer(self) -> FolderFiles | None:
        """Whose tokenizer is taken; None where nobody has one."""
        given = self._givers.tokenizer
        if given is not None and given.is_united:
            return self._united(given)
        order = [self._source] if self._source else [*self._models, *self._last]
        owner = next((found for found in order if found.has_tokenizer), None)
        if owner is None:
            first = self._source or self._models[0]
            self._say(f"{self._name(first)} has no tokenizer, so the result has none either")
            owner = next((found for found in order if found.of_kind(Kind.TOKENIZER, Kind.TEMPLATE)), None)
        if owner is None:
            return None
        kinds = (Kind.TOKENIZER, Kind.TEMPLATE)
        self._choice.files |= dict.fromkeys(owner.of_kind(*kinds), owner.folder)
        differing: dict[str, None] = {}
        others: dict[str, None] = {}
        if self._source is None:
            for found in self._models:
                if found is owner:
                    continue
                names = found.of_kind(Kind.TOKENIZER)
                unlike = [
                    name for name in names if name in owner.names and not self._same(owner, found, name)
                ]
                if found.has_tokenizer and (not any(name in owner.names for name in names) or unlike):
                    differing |= dict.fromkeys(unlike or names[:1])
                    others[self._name(found)] = None
        if others:
            self._say(
                f"the tokenizer comes from {self._name(owner)}: {_listed(differing)} of {_listed(others)} "
                f"{'differ' if len(differing) > 1 or len(others) > 1 else 'differs'}; "
                "tokenizer_source takes another one"
            )
        return owner

    def _united(self, given: GivenTokenizer) -> FolderFiles:
        """The files of a tokenizer with the tokens of all models."""
        owner = self._found[given.owner]
        names = [name for name in owner.of_kind(Kind.TOKENIZER) if name not in given.left_out]
        self._choice.files |= {name: owner.folder for name in names if name not in given.written}
        self._choice.written |= given.written
        for note in given.notes:
            self._say(note)
        having = next((one for one in [*self._models, *self._last] if templates_of(one)), None)
        if having is None:
            return owner
        own = templates_of(having)
        unlike = [
            one for one in self._models if one is not having and (said := templates_of(one)) and said != own
        ]
        if unlike:
            self._say_of_template(
                f"the chat template comes from {self._name(having)}: {_listed(map(self._name, unlike))} "
                f"{_have(unlike)} another one"
            )
        self._take_template(having, own)
        return owner

    def _template(self, owner: FolderFiles) -> None:
        """The chat template goes with its tokenizer, and comes from another where that has none."""
        templates = {id(found): templates_of(found) for found in [owner, *self._models, *self._last]}
        own = templates[id(owner)]
        having = [found for found in self._models if templates[id(found)]]
        name = self._name(owner)
        if own:
            unlike = [found for found in having if found is not owner and templates[id(found)] != own]
            if unlike and self._source is None:
                others = _listed(map(self._name, unlike))
                self._say_of_template(
                    f"the chat template comes from {name}: {others} {_have(unlike)} another one"
                )
            lacking = [found for found in self._models if not templates[id(found)]]
            if lacking and self._source is None and having:
                others = _listed(map(self._name, lacking))
                self._say_of_template(f"the chat template comes from {name}: {others} {_have(lacking)} none")
            return
        givers = having or [found for found in self._last if templates[id(found)]]
        if not givers:
            return
        if self._source is None:
            for giver in givers:
                if self._same_tokens(owner, giver):
                    self._take_template(giver, templates[id(giver)])
                    self._say_of_template(
                        f"the chat template comes from {self._name(giver)}: {name} has none"
                    )
                    return
        self._say_of_template(
            f"the result has no chat template, as {name}, whose tokenizer is taken, has none; "
            f"{_listed(map(self._name, givers))} {_have(givers)} one, and tokenizer_source takes it"
        )

    def _take_template(self, giver: FolderFiles, template: Mapping[str, str]) -> None:
        for name in giver.of_kind(Kind.TEMPLATE):
            self._choice.files[name] = giver.folder
        if not giver.of_kind(Kind.TEMPLATE) and "default" in template:
            self._choice.written[_TEMPLATE_NAME] = template["default"].encode("utf-8", "replace")

    def _same_tokens(self, one: FolderFiles, other: FolderFiles) -> bool:
        names = [
            name
            for name in one.of_kind(Kind.TOKENIZER)
            if name in other.names and name not in ("tokenizer_config.json", "special_tokens_map.json")
        ]
        return bool(names) and all(self._same(one, other, name) for name in names)

    # -- files of their own

    def _others(self) -> None:
        for name in dict.fromkeys(
            name for found in [*self._models, *self._last] for name in found.of_kind(Kind.OTHER)
        ):
            self._per_file(name)
        generation = "generation_config.json"
        if self._source is not None and generation in self._source.names:
            self._choice.files[generation] = self._source.folder
        elif any(generation in found.names for found in [*self._models, *self._last]):
            self._per_file(generation)
        for name in (MODULES_NAME, PIPELINE_NAME):
            if (folder := self._choice.files.get(name)) is None:
                continue
            files, modules = self._found[folder].of_part(name)
            for other in self._models:
                if other.folder == folder or name not in other.names:
                    continue
                unlike = [file for file in files if not self._same(self._found[folder], other, file)]
                if unlike:
                    self._say(
                        f"{_listed(unlike)} of {self._name(other)} differ{'s' if len(unlike) == 1 else ''}: "
                        f"that of {self._givers.name(folder)} goes into the result"
                    )
            for file in files:
                self._choice.files.setdefault(file, folder)
            self._add_code(folder, modules, name)

    def _per_file(self, name: str) -> None:
        having = [found for found in self._models if name in found.names] or [
            found for found in self._last if name in found.names
        ]
        giver = having[0]
        self._choice.files[name] = giver.folder
        if name.lower().startswith(_NOT_COMPARED) and len(having) > 1:
            return
        unlike = [found for found in having[1:] if not self._same(giver, found, name)]
        if unlike:
            self._say(
                f"{name} comes from {self._name(giver)}: that of {_listed(map(self._name, unlike))} differs"
            )

    # -- code

    def _code(self, owner: FolderFiles | None) -> None:
        choice = self._choice
        if choice.config is not None:
            config = self._found[choice.config].config
            self._add_code(choice.config, named_modules(config or {}), CONFIG_NAME)
        for folder in dict.fromkeys([*([owner.folder] if owner else []), *choice.files.values()]):
            names = [name for name, giver in choice.files.items() if giver == folder and "/" not in name]
            self._add_code(folder, self._found[folder].modules_of(names), "auto_map")

    def _add_code(self, folder: Path, modules: Iterable[str], what: str) -> None:
        files, missing = code_files(folder, modules)
        name_of = self._givers.name
        for name in files:
            known = self._choice.files.setdefault(name, folder)
            if known != folder and not self._same(self._found[known], self._found[folder], name):
                self._say(f"{name} comes from {name_of(known)}: that of {name_of(folder)} differs")
        for name in missing:
            self._say(
                f"{what} of {name_of(folder)} names {name}, which is missing, so the result does not load "
                "until that file is put beside it"
            )

    # -- what stays behind

    def _unusable(self) -> None:
        for found in self._found.values():
            for name, why in found.unusable.items():
                instead = self._choice.files.get(name)
                then = (
                    f"that of {self._givers.name(instead)} is taken"
                    if instead is not None
                    else "it is left out, and copying or downloading it again mends that"
                )
                self._say(f"{name} of {self._name(found)} {why}, with which the model does not load: {then}")

    def _left_out(self) -> None:
        unknown: dict[str, None] = {}
        for found in self._models:
            for name, why in found.left_out.items():
                if name in self._choice.files or name in self._choice.left_out:
                    continue
                if any(file.startswith(name + "/") for file in self._choice.files):
                    continue
                self._choice.left_out[name] = why or "nothing says that the model needs it"
                if not why:
                    unknown[name] = None
        if unknown:
            self._say(
                f"not copied, as nothing says that the model needs them: {_listed(unknown)}; "
                "copy them into the result if it does"
            )

    # -- comparing

    def _name(self, found: FolderFiles) -> str:
        return self._givers.name(found.folder)

    def _same(self, one: FolderFiles, other: FolderFiles, name: str) -> bool:
        paths = one.folder / name, other.folder / name
        try:
            first, second = map(self._digest, paths)
        except CheckpointError:  # it says so when it is copied
            return False
        return first == second or says_the_same(*paths)

    def _digest(self, path: Path) -> tuple[int, str]:
        if path not in self._digests:
            self._digests[path] = digest_of(path, full=self._full)
        return self._digests[path]


def templates_of(found: FolderFiles) -> dict[str, str]:
    """The chat templates of a model, by name; what is in a file counts before what is in the config."""
    files = found.of_kind(Kind.TEMPLATE)
    if files:
        return {_template_name(name): _template_text(found.folder / name) for name in files}
    said = (json_of(found.folder, "tokenizer_config.json") or {}).get("chat_template")
    if isinstance(said, str) and said:
        return {"default": said}
    if isinstance(said, list):
        return {str(one.get("name")): str(one.get("template")) for one in said if isinstance(one, dict)}
    return {}


def _template_name(file: str) -> str:
    """As configs of tokenizers call it: "default" for chat_template.jinja."""
    return "default" if file.startswith("chat_template.") else Path(file).stem


def _template_text(path: Path) -> str:
    try:
        data = read_small(path, _MAX_TEMPLATE_BYTES, CheckpointError).decode(errors="replace")
    except CheckpointError:
        return str(digest_of(path, full=True))  # too large to be one, and copied all the same
    if path.suffix != ".json":
        return data
    try:
        said = parse_json(data.encode(), _MAX_TEMPLATE_PARTS)
    except ValueError:
        return data
    return str(said.get("chat_template")) if isinstance(said, dict) else data


def _have(found: Sequence[object]) -> str:
    return "has" if len(found) == 1 else "have"


def _listed(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    if len(every) <= _MOST_NAMED + 1:
        return ", ".join(every)
    return f"{', '.join(every[:_MOST_NAMED])} and {len(every) - _MOST_NAMED:,} others"
