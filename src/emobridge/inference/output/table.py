"""Tables: CSV (RFC 4180) and TSV, a row a prediction, with a column for each probability (p_LABEL) and attribute.

A row without a label has empty cells, and a reason. A text that a spreadsheet would run as a formula gets an
apostrophe before it (`files.escape_cell`), which every reader of tables here takes away.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from emobridge.errors import UserError
from emobridge.files import escape_cell
from emobridge.inference.output.base import Format, Origin, flat_row
from emobridge.types import Prediction


def comma_separated(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of each row, after the header."""
    return _rows(predictions, origin, ",")


def tab_separated(predictions: Iterable[Prediction], origin: Origin) -> Iterator[str]:
    """The text of each row, after the header."""
    return _rows(predictions, origin, "\t")


def _rows(predictions: Iterable[Prediction], origin: Origin, delimiter: str) -> Iterator[str]:
    text = io.StringIO()
    table = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    columns: list[str] = []
    for prediction in predictions:
        row = flat_row(prediction, origin)
        if not columns:
            columns = list(row)
            table.writerow(map(escape_cell, columns))
        if list(row) != columns:
            raise UserError(f"{prediction.id}: a recogniser of other labels; a table holds the answers of one")
        table.writerow(map(escape_cell, row.values()))
        yield text.getvalue()
        text.seek(0)
        text.truncate()


FORMATS = {"csv": Format((".csv",), comma_separated), "tsv": Format((".tsv", ".tab"), tab_separated)}
