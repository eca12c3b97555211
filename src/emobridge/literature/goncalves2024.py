"""Goncalves et al., Interspeech 2024: attributes in two languages by low-rank adaptation."""

from __future__ import annotations

from collections.abc import Iterator

from emobridge.literature.record import Published, decimals, our_corpora, our_encoder, read_table, row_id
from emobridge.types import ATTRIBUTES

GONCALVES = "Goncalves et al. 2024"
PODCAST_LANGUAGES = {"msp": "en", "biic": "zh-TW"}


def read_goncalves() -> Iterator[Published]:
    """Table 1, scored on the first language, and Table 2, scored on the other."""
    rows = read_table("goncalves2024_lora_ccc")
    digits = decimals(row["ccc"] for row in rows)
    for row in rows:
        table, tested = f"Table {row['table']}", row["test_corpus"].removesuffix("-podcast")
        other = "biic" if tested == "msp" else "msp"
        first = tested if table == "Table 1" else other
        sees_both = row["method"] in ("ft-dual", "ft+lora")
        dual = table == "Table 1" and sees_both  # tested on its first language, with labels of both
        target = other if dual else tested
        note = "in domain" if table == "Table 1" else "across languages"
        if dual:
            note += f", {our_corpora(other)} seen as well"
        if row["significant"]:
            note += "; marked significant in print"
        encoder = our_encoder(row["encoder"])
        yield Published(
            id=row_id("goncalves2024", table, tested, row["method"], encoder, row["attribute"]), study=GONCALVES,
            table=table, measure=f"CCC {row['attribute']}", source_language=PODCAST_LANGUAGES[first],
            target_language=PODCAST_LANGUAGES[target], source=our_corpora(first), target=our_corpora(target),
            side="source" if dual else "target", method=row["method"], encoder=encoder, labels=ATTRIBUTES,
            target_labels="all" if sees_both or table == "Table 1" else "0",
            printed=f"{float(row['ccc']):.{digits}f}", note=note, stars="*" if row["significant"] else "",
        )  # fmt: skip
