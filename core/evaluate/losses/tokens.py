"""The tokens that a data set becomes, beside the model that reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from core.data.encoding import Encoded, Sample
from core.data.rows import DataSet
from core.errors import CheckpointError
from core.evaluate.models.loading import LoadedModel
from core.text import shown

__all__ = ["check_ids", "tokens_digest"]


def check_ids(model: LoadedModel, data: DataSet, encoded: Encoded) -> None:
    """Raises CheckpointError: there are tokens that the embedding has no row for."""
    for sample in encoded.samples:
        if len(sample.ids) and int(sample.ids.max()) >= model.rows:
            number, line = int(sample.ids.max()), data.rows[sample.row].line
            token = model.tokenizer.convert_ids_to_tokens(number)
            raise CheckpointError(
                f"{model.name}: its tokenizer makes token {number} ({shown(token)}) of line {line}, "
                f"and its embedding has {model.rows} rows: they do not belong together",
                hint="copy the tokenizer's files of the model that it was made from into its folder",
                path=model.folder,
            )


def tokens_digest(samples: Sequence[Sample]) -> str:
    """Of the tokens that are scored, row by row: of two models with the same one, the losses a token are of
    the same tokens."""
    digest = hashlib.blake2b(digest_size=16)
    row = -1
    for sample in samples:
        if sample.row != row:  # however its tokens are spread over windows
            row = sample.row
            digest.update(b"row" + row.to_bytes(8, "little"))
        digest.update(sample.ids[sample.scored].astype("<i4").tobytes())
    return digest.hexdigest()
