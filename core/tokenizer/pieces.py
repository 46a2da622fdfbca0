"""The tokens of a SentencePiece model, read without that library: a protocol buffer, a message a piece."""

from __future__ import annotations

__all__ = ["pieces_of"]

_PIECES, _TEXT = 1, 1
"""Numbers of fields: ModelProto.pieces, SentencePiece.piece."""

_MOST_PIECES = 2_000_000


def pieces_of(data: bytes) -> list[str]:
    """The text of each piece in the order of their numbers.

    Raises:
        ValueError: it is no such model.
    """
    pieces: list[str] = []
    for number, inner in _fields(data, 0, len(data)):
        if number == _PIECES:
            begin, end = inner
            text = next((part for field, part in _fields(data, begin, end) if field == _TEXT), None)
            if text is None:
                raise ValueError("has a piece without text")
            pieces.append(data[text[0] : text[1]].decode("utf-8"))
            if len(pieces) > _MOST_PIECES:
                raise ValueError("has too many pieces")
    if not pieces:
        raise ValueError("has no pieces")
    return pieces


def _fields(data: bytes, at: int, end: int) -> list[tuple[int, tuple[int, int]]]:
    """The fields of a message that hold bytes: number, and from where to where."""
    found = []
    while at < end:
        key, at = _number(data, at, end)
        kind = key & 7
        if kind == 0:
            _, at = _number(data, at, end)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        elif kind == 2:
            size, at = _number(data, at, end)
            found.append((key >> 3, (at, at + size)))
            at += size
        else:
            raise ValueError("is no protocol buffer")
    if at != end:
        raise ValueError("ends too early")
    return found


def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("ends too early")
