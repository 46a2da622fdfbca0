"""What is to be evaluated, as the command line is told it. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.evaluate.settings import DTYPES, Settings

__all__ = ["DEVICES", "Choices", "Request"]

DEVICES = ("auto", "cpu")


@dataclass(frozen=True)
class Choices:
    """How models are evaluated.

    Attributes:
        max_length: tokens of the longest sample; None for what each model takes.
        limit: only so many of the first rows; None for all.
        dtype: what is computed in, of core.evaluate.settings.DTYPES.
        exact_match: whether answers are made and compared with those of the data.
        skip_bad_rows: whether rows that cannot be used are left out.
        device: of DEVICES, or a card.
        max_new_tokens: of an answer.
    """

    max_length: int | None = None
    limit: int | None = None
    dtype: str = DTYPES[0]
    exact_match: bool = False
    skip_bad_rows: bool = False
    device: str = DEVICES[0]
    max_new_tokens: int = Settings.max_new_tokens

    def settings(self) -> Settings:
        """The same as the engine takes it. Raises MergeError for a number that it does not take."""
        return Settings(
            dtype=self.dtype,
            max_length=self.max_length,
            device=self.device,
            exact_match=self.exact_match,
            max_new_tokens=self.max_new_tokens,
            limit=self.limit,
        )

    @property
    def summary(self) -> str:
        """What is not as usual, in words; "" for nothing."""
        said = [
            f"at most {self.max_length} tokens" if self.max_length is not None else "",
            f"the first {self.limit} rows" if self.limit is not None else "",
            self.dtype if self.dtype != DTYPES[0] else "",
            f"on {self.device}" if self.device != DEVICES[0] else "",
            f"exact match in {self.max_new_tokens} tokens" if self.exact_match else "",
            "bad rows are skipped" if self.skip_bad_rows else "",
        ]
        return ", ".join(filter(None, said))


@dataclass(frozen=True)
class Request:
    """An evaluation.

    Attributes:
        data: the file.
        models: folders, or "base+adapter"; the reference is among them. At least one.
        reference: with which the others are compared.
        choices: how.
    """

    data: Path
    models: tuple[Path, ...]
    reference: Path
    choices: Choices

    @property
    def title(self) -> str:
        """For a list of what runs."""
        models = "1 model" if len(self.models) == 1 else f"{len(self.models)} models"
        return f"Evaluate {models} on {self.data.name}"

    def arguments(self) -> list[str]:
        """Of `paramosaic evaluate`: the models, whose paths are absolute and so no options, then the options
        with their values behind a sign."""
        choices = self.choices
        said = [f"--data={self.data}", f"--reference={self.reference}", f"--dtype={choices.dtype}"]
        if choices.max_length is not None:
            said.append(f"--max-length={choices.max_length}")
        if choices.limit is not None:
            said.append(f"--limit={choices.limit}")
        if choices.device != DEVICES[0]:
            said.append(f"--device={choices.device}")
        if choices.exact_match:
            said += ["--exact-match", f"--max-new-tokens={choices.max_new_tokens}"]
        if choices.skip_bad_rows:
            said.append("--skip-bad-rows")
        return [*map(str, self.models), *said]

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Request | None:
        """The request with these `arguments`, of a child process that was found again; None for others."""
        options = dict(item.partition("=")[::2] for item in arguments if item.startswith("--"))
        models = tuple(Path(item) for item in arguments if not item.startswith("--"))
        try:
            choices = Choices(
                _whole(options.get("--max-length")),
                _whole(options.get("--limit")),
                options.get("--dtype", DTYPES[0]),
                "--exact-match" in options,
                "--skip-bad-rows" in options,
                options.get("--device", DEVICES[0]),
                _whole(options.get("--max-new-tokens")) or Choices.max_new_tokens,
            )
            data, reference = Path(options["--data"]), Path(options["--reference"])
        except (KeyError, ValueError):
            return None
        return cls(data, models, reference, choices) if reference in models else None


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
