"""D'Asaro et al., CLiC-it 2024: large speech models as frozen features, one corpus at a time.

Its two tables do not agree: the nine scores of Whisper small in Table 3 have the mean 65.96, where Table 2 prints
60.87. Both stand as printed.
"""

from __future__ import annotations

from collections.abc import Iterator

from emobridge.languages import language_tag
from emobridge.literature.record import CORPUS_LABELS, MANY, Published, decimals, our_encoder, read_table, row_id

DASARO = "D'Asaro et al. 2024"

_NOTE = "speaker-independent 80/10/10; macro or weighted F1 is not stated"
_MEANS = "the mean of Table 3 over the nine corpora is {:.2f} for this encoder, with the head {}"


def read_dasaro() -> Iterator[Published]:
    """Table 2, the means of three heads, and Table 3, the corpora with the best of them."""
    corpora = read_table("dasaro2024_corpora")
    rows = read_table("dasaro2024_corpora_f1")
    yield from _heads(rows, "+".join(row["corpus"].casefold() for row in corpora))
    sizes = {row["corpus"]: row["emotions"] for row in corpora}
    digits = decimals(row["f1"] for row in rows)
    for row in rows:
        language, corpus, encoder = language_tag(row["language"]), row["corpus"].casefold(), our_encoder(row["encoder"])
        yield Published(
            id=row_id("dasaro2024", "Table 3", corpus, encoder), study=DASARO, table="Table 3", measure="F1",
            source_language=language, target_language=language, source=corpus, target=corpus, side="target",
            method=f"{row['head']} head", encoder=encoder, labels=CORPUS_LABELS.get(corpus, ()), target_labels="all",
            printed=f"{float(row['f1']):.{digits}f}", note=f"{sizes[row['corpus']]} emotions; {_NOTE}",
        )  # fmt: skip


def _heads(corpora: list[dict[str, str]], together: str) -> Iterator[Published]:
    rows = read_table("dasaro2024_probe_heads_f1")
    heads = [name for name in rows[0] if name != "encoder"]
    digits = decimals(row[head] for row in rows for head in heads)
    for row in rows:
        same = [other for other in corpora if other["encoder"] == row["encoder"]]
        mean = sum(float(other["f1"]) for other in same) / len(same)
        encoder = our_encoder(row["encoder"])
        for head in heads:
            note = f"over nine corpora; {_NOTE}"
            if same[0]["head"] == head:
                note += f"; {_MEANS.format(mean, head)}"
            yield Published(
                id=row_id("dasaro2024", "Table 2", head, encoder), study=DASARO, table="Table 2", measure="F1",
                source_language=MANY, target_language=MANY, source=together, target=together, side="target",
                method=f"{head} head", encoder=encoder, labels=(), target_labels="all",
                printed=f"{float(row[head]):.{digits}f}", note=note,
            )  # fmt: skip
