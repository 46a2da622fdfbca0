"""What a check of an output folder found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VerificationFinding", "VerificationReport"]


@dataclass(frozen=True)
class VerificationFinding:
    """One thing that is not as it was written.

    Attributes:
        name: the file, its path from the output folder on; "" for a tensor that is in none.
        what: "missing", "changed" or "extra".
        sentence: the same in words, with the whole path.
        tensor: the tensor of that file, where one can be named.
    """

    name: str
    what: str
    sentence: str
    tensor: str | None = None


@dataclass(frozen=True)
class VerificationReport:
    """What was checked, and what was found.

    Attributes:
        tensors: how many there are.
        bytes_checked: that were read and compared: of weights, and of the other files.
        files_checked: how many the record lists; 0 where it lists none.
        weights: findings about the shards and their index.
        files: about what else is loaded or run with them.
        card: about README.md, which anybody may edit.
        schema_version: of the record; None where there is none, and only the structure was checked.
    """

    tensors: int
    bytes_checked: int
    files_checked: int = 0
    weights: tuple[VerificationFinding, ...] = ()
    files: tuple[VerificationFinding, ...] = ()
    card: tuple[VerificationFinding, ...] = ()
    schema_version: int | None = None

    @property
    def structural(self) -> bool:
        """Whether there was no record to compare with."""
        return self.schema_version is None

    @property
    def lists_files(self) -> bool:
        """Whether the record lists every file, and not only the tensors."""
        return self.schema_version is not None and self.schema_version > 1
