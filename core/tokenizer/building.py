"""The tokenizer of a result whose tokens no model's tokenizer has: the base's, with those of others added.

Its file is changed as a file, and then loaded, to see that each token is where its row is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import CheckpointError, IncompatibleError
from core.small_files import parse_json, read_if_there
from core.text import one_line
from core.tokenizer.configs import special_tokens, united_config, united_special_map
from core.tokenizer.vocabulary import Vocabulary

__all__ = ["BuiltTokenizer", "TokenizerFolder", "build_tokenizer", "check_tokenizer"]

_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"
_MAP, _ADDED = "special_tokens_map.json", "added_tokens.json"
_MOST_BYTES, _MOST_PARTS = 64_000_000, 4_000_000
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_FAR = 256.0
"""Times the score of an unknown token, which is 10 below the lowest: no token has so many letters."""


@dataclass(frozen=True)
class TokenizerFolder:
    """A model whose tokens go into the result.

    Attributes:
        name: how it is called.
        folder: where its files are.
        vocabulary: its tokens.
    """

    name: str
    folder: Path
    vocabulary: Vocabulary


@dataclass(frozen=True)
class BuiltTokenizer:
    """Files that say the tokens of the result.

    Attributes:
        files: by name; they take the place of those of the base's.
        left_out: of the base's files, those that would say something else.
        notes: sentences for the user.
    """

    files: Mapping[str, bytes]
    left_out: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def build_tokenizer(
    tokens: Mapping[int, str], base: TokenizerFolder, models: Sequence[TokenizerFolder]
) -> BuiltTokenizer:
    """Extend the tokenizer of `base`. Imports tokenizers, and transformers to make a tokenizer.json.

    Args:
        tokens: of the result, by row.
        base: whose tokens come first; models: the others, in the order in which theirs were added.

    Raises:
        CheckpointError: a file cannot be read.
        IncompatibleError: no tokenizer can have these tokens in these places.
    """
    return _Building(tokens, base, models).done()


def check_tokenizer(name: str, folder: Path) -> None:
    """See that the tokenizer.json in `folder` is one, if there is one. Imports tokenizers.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    data = read_if_there(folder / _FILE, _MOST_BYTES, CheckpointError)
    if data is not None:
        _loaded(data.decode("utf-8", "replace"), name, folder)


def _loaded(text: str, name: str, folder: Path) -> Any:
    import tokenizers

    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # pyo3's panics and whatever the library raises
        raise CheckpointError(
            f"the tokenizer of {name} cannot be loaded: {one_line(str(error))}",
            hint="copy or download its tokenizer.json again, or name another model under tokenizer_source",
            path=folder / _FILE,
        ) from error


@dataclass
class _Added:
    """A token that the base's tokenizer lacks."""

    row: int
    text: str
    flags: dict[str, Any] = field(default_factory=dict)
    is_trained: bool = False


class _Building:
    def __init__(
        self, tokens: Mapping[int, str], base: TokenizerFolder, models: Sequence[TokenizerFolder]
    ) -> None:
        self._tokens, self._base = tokens, base
        self._every = [*models, base]
        self._notes: list[str] = []

    def done(self) -> BuiltTokenizer:
        added = self._added()
        config, files = self._config(), {}
        data = self._of_file(self._base.folder)
        left_out: set[str] = set()
        if data is None and any(one.is_trained for one in added):
            data = self._converted()
        if data is not None:
            files[_FILE] = _bytes(self._extended(data, added))
            decoder = {
                str(one["id"]): {"content": one["content"], **{key: one.get(key, False) for key in _FLAGS}}
                for one in sorted(data["added_tokens"], key=lambda one: one["id"])
            }
        elif any(one.is_trained for one in added):
            raise IncompatibleError(
                f"the tokenizer of {self._base.name} has no tokenizer.json, and tokens of other models "
                "cannot be added to it",
                hint="put the model's tokenizer.json into its folder, or write `vocab: base`",
                path=self._base.folder,
                field="base_model",
            )
        else:
            decoder = {
                **{
                    str(number): {"content": text, **dict.fromkeys(_FLAGS, False)}
                    for number in sorted(self._base.vocabulary.added)
                    if (text := self._base.vocabulary.tokens[number]) == self._tokens.get(number)
                },
                **(config.get("added_tokens_decoder") or {}),
                **{str(one.row): {"content": one.text, **one.flags} for one in added},
            }
        if "added_tokens_decoder" in config or _FILE not in files:
            config["added_tokens_decoder"] = decoder
        beside = self._base.folder / _ADDED
        if read_if_there(beside, _MOST_BYTES, CheckpointError) is not None or _FILE not in files:
            files[_ADDED] = _bytes({one["content"]: int(number) for number, one in decoder.items()})
        if config:
            files[_CONFIG] = _bytes(config)
        special = self._special_map()
        if special:
            files[_MAP] = _bytes(special)
        if any(one.is_trained for one in added):
            left_out = {"vocab.json", "merges.txt", "vocab.txt", "encoder.json", "vocab.bpe"}
            left_out |= {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model"}
        return BuiltTokenizer(files, frozenset(left_out), tuple(self._notes))

    # -- what is added

    def _added(self) -> list[_Added]:
        own = self._base.vocabulary.tokens
        described = {id(one): self._described(one.folder) for one in self._every}
        found = []
        for row, text in sorted(self._tokens.items()):
            if own.get(row) == text:
                continue
            one = _Added(row, text, is_trained=True)
            for giver in self._every:
                if text in described[id(giver)]:
                    one.flags, one.is_trained = described[id(giver)][text], False
                    break
            found.append(one)
        return found

    def _described(self, folder: Path) -> dict[str, dict[str, Any]]:
        """The flags of the tokens that were added to the tokenizer in `folder`, by their text."""
        found: dict[str, dict[str, Any]] = {}
        beside, said = self._parsed(folder / _ADDED), self._parsed(folder / _CONFIG)
        special = set(special_tokens(said if isinstance(said, dict) else {}))
        for text in beside if isinstance(beside, dict) else ():
            is_special = text in special
            found[text] = {
                **dict.fromkeys(_FLAGS, False),
                "normalized": not is_special,
                "special": is_special,
            }
        decoder = said.get("added_tokens_decoder") if isinstance(said, dict) else None
        of_file = self._of_file(folder) or {}
        listed = [
            *(decoder.values() if isinstance(decoder, dict) else ()),
            *(of_file.get("added_tokens") or ()),
        ]
        for one in listed:
            if isinstance(one, dict) and isinstance(one.get("content"), str):
                found[one["content"]] = {key: bool(one.get(key, False)) for key in _FLAGS}
        return found

    def _extended(self, data: dict[str, Any], added: Sequence[_Added]) -> dict[str, Any]:
        """`data` with the tokens of the result, and without others that were added to it."""
        model, vocab = data["model"], data["model"].get("vocab")
        kept = [one for one in data["added_tokens"] if self._tokens.get(one.get("id")) == one.get("content")]
        by_name = isinstance(vocab, dict)
        trained = [one for one in added if one.is_trained]
        is_listed = bool(trained) and not by_name and self._lengthen(vocab)
        for one in added:
            if one.is_trained and by_name:
                vocab[one.text] = one.row
            elif not (one.is_trained and is_listed):
                kept.append(
                    {"id": one.row, "content": one.text, **(one.flags or dict.fromkeys(_FLAGS, False))}
                )
        if trained:
            self._notes.append(
                f"text is cut into tokens as the tokenizer of {self._base.name} does it: trained tokens of "
                f"other models ({len(trained):,}) are in the result, and {_becoming(model)}"
            )
        data["added_tokens"] = sorted(kept, key=lambda one: one["id"])
        wrong = self._misplaced(data, added)
        if wrong and by_name:
            # Added tokens are numbered one after the other, wherever their ids have a gap.
            vocab.update({one.text: one.row for one in added})
            wrong = self._misplaced(data, added)
        if wrong:
            raise IncompatibleError(
                f"the tokenizers cannot be united: {_quoted(wrong[0].text)} would not be token "
                f"{wrong[0].row:,} of a {model.get('type')} tokenizer",
                hint="write `vocab: base`, or name a model under tokenizer_source",
                field="vocab",
            )
        return data

    def _lengthen(self, vocab: Any) -> bool:
        """Put the tokens behind a list of tokens with scores into it, where there is one for each place.

        An added token would be found in the midst of words. Their score is so low that text does not become
        them while it can be cut into others.
        """
        rows = range(len(vocab) if isinstance(vocab, list) else 0, max(self._tokens) + 1)
        if not isinstance(vocab, list) or not all(row in self._tokens for row in rows):
            return False
        scores = [one[1] for one in vocab if isinstance(one, list) and isinstance(one[-1], int | float)]
        vocab += [[self._tokens[row], _FAR * (min(scores, default=0.0) - 10.0)] for row in rows]
        return True

    def _misplaced(self, data: Mapping[str, Any], added: Sequence[_Added]) -> list[_Added]:
        """Those of `added` that have another id when the tokenizer is loaded."""
        loaded = _loaded(json.dumps(data), self._base.name, self._base.folder)
        return [one for one in added if loaded.token_to_id(one.text) != one.row]

    # -- files

    def _config(self) -> dict[str, Any]:
        found = [one for one in map(self._config_of, self._every) if one is not None]
        return united_config(found, self._config_of(self._base) or {}, set(self._tokens.values()))

    def _config_of(self, one: TokenizerFolder) -> dict[str, Any] | None:
        said = self._parsed(one.folder / _CONFIG)
        return said if isinstance(said, dict) else None

    def _special_map(self) -> dict[str, Any]:
        found = [said for one in self._every if isinstance(said := self._parsed(one.folder / _MAP), dict)]
        return united_special_map(found, set(self._tokens.values()))

    def _of_file(self, folder: Path) -> dict[str, Any] | None:
        data = self._parsed(folder / _FILE)
        if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
            return None
        if not isinstance(data.get("added_tokens"), list):
            data["added_tokens"] = []
        return data

    def _parsed(self, path: Path) -> Any:
        data = read_if_there(path, _MOST_BYTES, CheckpointError)
        if data is None:
            return None
        try:
            return parse_json(data, _MOST_PARTS)
        except ValueError as error:
            raise CheckpointError(f"{path} {error}", path=path) from error

    def _converted(self) -> dict[str, Any] | None:
        """The tokenizer.json that transformers makes of other files; None where it makes none."""
        import transformers

        try:
            loaded = transformers.AutoTokenizer.from_pretrained(
                str(self._base.folder), local_files_only=True, trust_remote_code=False
            )
            data = json.loads(loaded.backend_tokenizer.to_str())
        except Exception:  # whatever a class of tokenizers raises, and one without such a file
            return None
        if not isinstance(data, dict) or not isinstance(data.get("added_tokens"), list):
            return None
        return data


def _becoming(model: Mapping[str, Any]) -> str:
    """Whether text becomes tokens that were put into a vocabulary."""
    is_joined = model.get("type") not in ("WordLevel", "WordPiece") and not model.get("ignore_merges")
    return "text does not become them" if is_joined else "words that are spelt like them become them"


def _bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _quoted(text: str) -> str:
    return f'"{one_line(text[:80])}"'
