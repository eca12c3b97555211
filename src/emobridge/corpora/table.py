"""Any corpus that comes with a table: CSV, TSV, other text with columns, JSON lines, a JSON list, Excel's .xlsx.

One utterance a row. Encoding, delimiter, quoting and header are found out (`data.tables`), and columns are understood
by their names (`data.columns`): path, emotion, speaker, start, end or duration ... and usual other names for them. What
was applied, ignored or is missing is told. The option `columns` names others: `columns="path=file,emotion=mood"` reads
`path` from the column "file". Words for emotions are those of data.emotion_words;
`labels="W=anger,exc=other"` explains others. Audio paths are relative to the table, or to `root`. Without an id
column the path (and start) makes the id.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from emobridge.data.columns import TableOptions, table_values
from emobridge.data.intake import Intake
from emobridge.data.labels import EMOTIONS
from emobridge.errors import UserError
from emobridge.types import Utterance

LANGUAGES = ("und",)  # whatever the table says
LABELS = {emotion: emotion for emotion in EMOTIONS}
LICENCE = "that of your recordings"
CITATION = "that of your recordings"
OBTAIN = "Write a CSV with the columns path, emotion and speaker (and language, start, end, text ... where known)."


def scan(root: Path, *, intake: Intake, table: TableOptions) -> Iterator[Utterance]:
    """The utterances of the table `root`, in its order.

    The default corpus is the name of the table. Options: those of `data.intake.Intake` and `data.columns.TableOptions`.
    Errors: UserError naming `file:row` for what a manifest would refuse, and for unknown fields and columns.
    """
    if not root.is_file():
        raise UserError(f"{root}: {'not a file' if root.exists() else 'no such file'}; expected a table. {OBTAIN}")
    for where, values in table_values(root, table, intake):
        values["corpus"] = values["corpus"] or root.stem
        yield from intake.utterances(values, where, os.path.abspath(root.parent))
    if not intake.rows:
        raise UserError(f"{root}: an empty table. {OBTAIN}")
