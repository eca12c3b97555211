"""Agarla et al., Expert Systems with Applications 2024: English to four languages by pseudo-labels.

What the paper calls unweighted accuracy is PLAIN ACCURACY of one run on one split: every printed German value is a
whole number of 71, every Italian one of 140 and most French ones of 162 utterances, the sizes of SERAB's test parts.
So its numbers are compared with our WA.
"""

from __future__ import annotations

from collections.abc import Iterator

from emobridge.literature.record import (
    FIVE,
    FOUR,
    NOT_STATED,
    Published,
    decimals,
    our_encoder,
    read_table,
    row_id,
)

AGARLA = "Agarla et al. 2024"

_CORPORA = {"en": "ravdess+savee+tess", "fr": "cafe", "de": "emodb", "it": "emovo", "fa": "shemo"}
_NOTE = (
    "printed as unweighted accuracy, but its fractions are plain accuracy (WA) of one run on one test part, that of "
    "SERAB's split by speaker"
)
_REPORTED = "by its own authors, on their corpora and splits"


def read_agarla() -> Iterator[Published]:
    """Tables 4 to 8."""
    yield from _english_only()
    yield from _all_labels()
    yield from _other_methods()
    yield from _thresholds()
    yield from _rebalancing()


def _english_only() -> Iterator[Published]:
    rows = read_table("agarla2024_zero_label_ua")
    digits = decimals(row[name] for row in rows for name in ("emotioncnn", "byol-s", "hubert"))
    for row in rows:
        for encoder in ("emotioncnn", "byol-s", "hubert"):
            yield _row("Table 4", row["language"], "target", "English only", encoder, "0", row[encoder], digits)


def _all_labels() -> Iterator[Published]:
    """Of the model that was trained on English alone the table prints the scores on English."""
    rows = read_table("agarla2024_all_label_ua")
    digits = decimals(value for row in rows for name, value in row.items() if name != "training")
    for row in rows:
        target = row["training"].removeprefix("en").removeprefix("+") or "en"
        method, budget = ("English only", "0") if target == "en" else ("all target labels", "all")
        for column, value in row.items():
            side, _, encoder = column.partition("_")
            if value and side in ("source", "new"):
                where = "target" if side == "new" else "source"
                yield _row("Table 5", target, where, method, encoder, budget, value, digits)


def _other_methods() -> Iterator[Published]:
    rows = read_table("agarla2024_state_of_the_art_ua")
    digits = decimals(row[target] for row in rows for target in ("fr", "de", "it", "fa"))
    for row in rows:
        name = row["method"]
        method, _, encoder = name.partition(" ") if "pseudo" in name else (name, "", NOT_STATED)
        budget = "few" if method.startswith("fluda") else "0"
        for target in ("fr", "de", "it", "fa"):
            if row[target]:
                yield _row("Table 6", target, "target", method, encoder, budget, row[target], digits)


def _thresholds() -> Iterator[Published]:
    yield from _ablation("Table 7", "agarla2024_threshold_ua", "{}")


def _rebalancing() -> Iterator[Published]:
    yield from _ablation("Table 8", "agarla2024_rebalance_ua", "{} rebalancing")


def _ablation(table: str, name: str, pattern: str) -> Iterator[Published]:
    """Hard pseudo-labels with 100 target labels, on HuBERT."""
    rows = read_table(name)
    columns = [column for column in rows[0] if column not in ("pair", "side")]
    digits = decimals(row[column] for row in rows for column in columns)
    for row in rows:
        target, side = row["pair"].removeprefix("en-"), "target" if row["side"] == "new" else "source"
        for column in columns:
            method = "pseudo-labels, " + pattern.format(column.replace("_", " "))
            yield _row(table, target, side, method, "hubert", "100", row[column], digits)


def _row(
    table: str, target: str, side: str, method: str, encoder: str, budget: str, value: str, digits: int
) -> Published:
    """One number. Only Table 6 has four emotions, and only its methods need a name in the id."""
    others = table == "Table 6"
    reported = "(reported)" in method
    notes = [_REPORTED if reported else _NOTE, "without fear" if others else ""]
    if table == "Table 8" and "with reb" in method and target != "fr":
        notes.append("the same number as with tau 0.65 in Table 7, though the caption has tau 0.5")
    ours = our_encoder(encoder)
    named = table in ("Table 6", "Table 7", "Table 8")
    return Published(
        id=row_id(
            "agarla2024", table, target, method.removeprefix("pseudo-labels, ") if named else "",
            "" if encoder == NOT_STATED else ours, side,
        ),
        study=AGARLA, table=table, measure="UA", source_language="en", target_language=target,
        source=NOT_STATED if reported else _CORPORA["en"], target=_CORPORA[target], side=side, method=method,
        encoder=ours, labels=FOUR if others else FIVE, target_labels=budget, printed=f"{float(value):.{digits}f}",
        note="; ".join(filter(None, notes)), meaning="" if reported else "WA",
    )  # fmt: skip
