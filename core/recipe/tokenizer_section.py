"""The keys that say which tokens the result has: vocab, tokenizer_source, and mergekit's tokenizer.

`vocab: union` is short for `tokenizer: {source: union}`, and so is `tokenizer_source: union`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import RecipeError, addressed
from core.recipe.fields import read_choice
from core.recipe.keys import refuse_unknown
from core.recipe.reasons import Reasons
from core.recipe.references import read_path, same_folder
from core.text import is_text, shown

__all__ = ["TokenRow", "TokenizerSection", "TokenizerWish", "read_tokenizer", "tokenizer_data"]

_KEYS = ("source", "tokens", "pad_to_multiple_of")
_TOKEN_KEYS = ("source", "force")
_KINDS: Mapping[str, tuple[str, ...]] = {"zero": (), "model_token": ("model", "token", "token_id")}
_MOST_MULTIPLE = 1 << 20


@dataclass(frozen=True)
class TokenRow:
    """Which row the models that lack a token get for it.

    Attributes:
        token: its text.
        model: the folder of the model whose row it is; None for zeros.
        token_of_model, id_of_model: whose row of that model; neither for that of the token itself.
        force: whether the models that have the token get it too.
    """

    token: str
    model: Path | None = None
    token_of_model: str | None = None
    id_of_model: int | None = None
    force: bool = False


@dataclass(frozen=True)
class TokenizerSection:
    """mergekit's `tokenizer`, beside the folder that it may name: that is the recipe's tokenizer_source.

    Attributes:
        tokens: rows for tokens by name.
        pad_to_multiple_of: of which the rows of the result are a multiple; None for any number.
    """

    tokens: tuple[TokenRow, ...] = ()
    pad_to_multiple_of: int | None = None


@dataclass(frozen=True)
class TokenizerWish:
    """What the three keys say together.

    Attributes:
        vocab: "union" or "base" where the recipe says `vocab`; None where it does not.
        source: the folder whose tokens the result has; None for a union, or where nothing is said.
        section: of the key `tokenizer`, or of `tokenizer_source: union`; None without these.
    """

    vocab: str | None = None
    source: Path | None = None
    section: TokenizerSection | None = None


def read_tokenizer(
    data: Mapping[str, Any], base: Path | None, folder: Path, models: Sequence[Path]
) -> TokenizerWish:
    """What a recipe says of the result's tokens.

    Args:
        data: the recipe.
        base: its base, or None.
        folder: what relative paths are relative to.
        models: the folders of its sub-models.

    Raises:
        RecipeError: a value is not understood, or two of the keys say different things.
    """
    vocab = read_choice(data, "vocab", ("union", "base"))
    short = _source(data.get("tokenizer_source"), "tokenizer_source", base, folder)
    value, section, long = data.get("tokenizer"), None, None
    if value is not None:
        with addressed(field="tokenizer"):
            section, long = _section(value, base, folder)
            inputs = [*models, *([base] if base is not None else [])]
            section = replace(section, tokens=tuple(_of_input(row, inputs) for row in section.tokens))
    if vocab == "base" and base is None:
        raise RecipeError(
            "vocab is base, and the recipe has no base_model",
            hint="add base_model: the folder of the base, or write vocab: union",
            field="vocab",
        )
    said: dict[str, str | Path] = {}
    # Version 0.1 wrote `vocab: union` into every recipe, also beside a model whose tokenizer was wanted.
    if vocab is not None and not (vocab == "union" and isinstance(short, Path) and long is None):
        said["vocab"] = "union" if vocab == "union" or base is None else base
    if short is not None:
        said["tokenizer_source"] = short
    if long is not None:
        said["tokenizer"] = long
    first = next(iter(said), None)
    for key in said:
        if first is not None and not _same(said[first], said[key]):
            raise RecipeError(
                f"{first} and {key} say different things: the result has one vocabulary",
                hint=f"leave {first} or {key} out",
                field=key,
            )
    source = said[first] if first is not None else None
    if short == "union" and section is None and vocab is None:
        section = TokenizerSection()
    return TokenizerWish(vocab, source if isinstance(source, Path) else None, section)


def tokenizer_data(wish: TokenizerWish, path_text: Callable[[Path], str]) -> dict[str, Any]:
    """The keys as `read_tokenizer` understands them."""
    result: dict[str, Any] = {}
    if wish.vocab is not None:
        result["vocab"] = wish.vocab
    if wish.section is not None:
        said: dict[str, Any] = {"source": wish.vocab or "union"}
        if wish.source is not None and wish.vocab != "base":
            said["source"] = path_text(wish.source)
        if wish.section.tokens:
            said["tokens"] = {row.token: _token_data(row, path_text) for row in wish.section.tokens}
        if wish.section.pad_to_multiple_of is not None:
            said["pad_to_multiple_of"] = wish.section.pad_to_multiple_of
        result["tokenizer"] = said
    elif wish.source is not None and wish.vocab != "base":
        result["tokenizer_source"] = path_text(wish.source)
    return result


def _same(one: str | Path, other: str | Path) -> bool:
    if isinstance(one, Path) and isinstance(other, Path):
        return same_folder(one, other)
    return one == other


def _source(value: Any, key: str, base: Path | None, folder: Path) -> str | Path | None:
    """ "union", a folder, or None where nothing is said."""
    if value is None or value == "union":
        return None if value is None else "union"
    with addressed(field=key.partition(".")[0]):
        if value == "base":
            if base is None:
                raise RecipeError(f"{key} is base, and the recipe has no base_model")
            return base
        return read_path(value, folder, key)


def _section(value: Any, base: Path | None, folder: Path) -> tuple[TokenizerSection, str | Path]:
    if not isinstance(value, dict):
        raise RecipeError(
            f"tokenizer must be a mapping, not {shown(value)}",
            hint="write tokenizer: {source: union}, or tokenizer_source with a model's folder",
        )
    reasons = Reasons()
    source: str | Path = "union"
    with reasons.noted():
        refuse_unknown(value, _KEYS, "tokenizer: ")
    with reasons.noted():
        source = _source(value.get("source"), "tokenizer.source", base, folder) or "union"
    multiple = value.get("pad_to_multiple_of")
    with reasons.noted():
        if multiple is not None and (type(multiple) is not int or not 1 <= multiple <= _MOST_MULTIPLE):
            raise RecipeError(
                f"tokenizer.pad_to_multiple_of must be a whole number above 0, not {shown(multiple)}",
                hint="64 is what most use",
            )
    tokens, rows = value.get("tokens"), []
    with reasons.noted():
        if tokens is not None and not isinstance(tokens, dict):
            raise RecipeError(f"tokenizer.tokens must be a mapping of tokens, not {shown(tokens)}")
        for token, said in (tokens or {}).items():
            with reasons.noted():
                rows.append(_row(token, said, folder))
    reasons.refuse()
    return TokenizerSection(tuple(rows), multiple), source


def _row(token: Any, value: Any, folder: Path) -> TokenRow:
    if not isinstance(token, str) or not is_text(token):
        raise RecipeError(
            f"tokenizer.tokens: {shown(token)} is not a text", hint="put the token into quotation marks"
        )
    where = f"tokenizer.tokens.{shown(token)}"
    if not isinstance(value, dict):
        raise RecipeError(f"{where} must be a mapping, not {shown(value)}", hint="write {source: MODEL}")
    refuse_unknown(value, _TOKEN_KEYS, f"{where}: ")
    force = value.get("force")
    if force is not None and not isinstance(force, bool):
        raise RecipeError(f"{where}.force must be true or false, not {shown(force)}")
    source = value.get("source")
    if source is None:
        raise RecipeError(f"{where} has no source", hint="name a model, or write {kind: zero}")
    if isinstance(source, dict) and "kind" in source:
        kind = source["kind"]
        if kind not in _KINDS:
            raise RecipeError(f"{where}.source: {shown(kind)} is no kind", hint="zero or model_token")
        refuse_unknown(source, ("kind", *_KINDS[kind]), f"{where}.source: ")
        if kind == "zero":
            return TokenRow(token, force=bool(force))
        text, number = source.get("token"), source.get("token_id")
        if (text is None) == (number is None):
            raise RecipeError(f"{where}.source needs a token or a token_id, and not both")
        if text is not None and not isinstance(text, str):
            raise RecipeError(f"{where}.source.token must be a text, not {shown(text)}")
        if number is not None and (type(number) is not int or number < 0):
            raise RecipeError(f"{where}.source.token_id must be a whole number, not {shown(number)}")
        model = read_path(source.get("model"), folder, f"{where}.source.model")
        return TokenRow(token, model, text, number, bool(force))
    return TokenRow(token, read_path(source, folder, f"{where}.source"), force=bool(force))


def _of_input(row: TokenRow, inputs: Sequence[Path]) -> TokenRow:
    """The same with the folder as the models have it."""
    if row.model is None:
        return row
    found = next((path for path in inputs if same_folder(path, row.model)), None)
    if found is None:
        raise RecipeError(
            f"tokenizer.tokens.{shown(row.token)} takes a row of {row.model}, which is none of the models",
            hint="name one of the models of the recipe, or its base",
        )
    return replace(row, model=found)


def _token_data(row: TokenRow, path_text: Callable[[Path], str]) -> dict[str, Any]:
    source: Any
    if row.model is None:
        source = {"kind": "zero"}
    elif row.token_of_model is None and row.id_of_model is None:
        source = path_text(row.model)
    else:
        source = {"kind": "model_token", "model": path_text(row.model)}
        if row.token_of_model is not None:
            source["token"] = row.token_of_model
        else:
            source["token_id"] = row.id_of_model
    return {"source": source} | ({"force": True} if row.force else {})
