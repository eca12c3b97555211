"""Han et al., ICASSP 2025: listeners against self-supervised models. PAVOQUE has ONE speaker.

The paper has 14 confusion matrices in Table III; nine of them are here.
"""

from __future__ import annotations

from collections.abc import Iterator

from emobridge.literature.record import (
    FOUR,
    NOT_STATED,
    Published,
    PublishedConfusion,
    decimals,
    our_encoder,
    read_table,
    row_id,
)

HAN = "Han et al. 2025"

_EMOTIONS = {"angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness"}
_CORPORA = {"cn": "esd", "de": "pavoque", "en": "iemocap", "tj": "tjd"}
_LANGUAGES = {"cn": "zh", "tj": "zh-x-tianjin"}
_DIALECT = ("question", "negation", "expectation")


def read_han() -> Iterator[Published]:
    """Tables I (strategies), II (UA of listeners) and IV (error rates of diarization)."""
    yield from _strategies()
    yield from _listeners()
    yield from _diarization()


def _strategies() -> Iterator[Published]:
    rows = read_table("han2024_peft_ua")
    digits = decimals(row["ua"] for row in rows)
    for row in rows:
        trained, tested = row["train_language"], row["test_language"]
        staged = row["strategy"] == "two-stage"
        source = row["encoder"].removeprefix("w2v2-") if staged else trained
        note = f"setting {row['setting']}; five folds, 400 training utterances an emotion"
        encoder = our_encoder(row["encoder"])
        yield Published(
            id=row_id("han2024", "Table I", row["setting"], f"{_language(source)}-{_language(tested)}",
                      row["strategy"], encoder),
            study=HAN, table="Table I", measure="UA", source_language=_language(source),
            target_language=_language(tested), source=_CORPORA[source], target=_CORPORA[tested], side="target",
            method=row["strategy"], encoder=encoder, labels=FOUR,
            target_labels="0" if row["setting"] == "cross" else "all", printed=f"{float(row['ua']):.{digits}f}",
            note=note + ("; one speaker" if "pavoque" in (_CORPORA[source], _CORPORA[tested]) else ""),
        )  # fmt: skip


def _listeners() -> Iterator[Published]:
    rows = read_table("han2024_humans_ua")
    for row in rows:
        native = _language(row["listeners"])
        for tested in ("cn", "de", "en", "tj"):
            yield Published(
                id=row_id("han2024", "listeners", native, _language(tested)), study=HAN, table="Table II",
                measure="UA", source_language="", target_language=_language(tested), source="",
                target=_CORPORA[tested], side="target", method=f"listeners, native {native}", encoder="",
                labels=_DIALECT if tested == "tj" else FOUR, target_labels=NOT_STATED,
                printed=f"{float(row[tested]):.1f}", note="mean over listeners; 12 utterances an emotion",
            )  # fmt: skip


def _diarization() -> Iterator[Published]:
    """The average of the model's three cells is 38.1; the table prints 38.2."""
    for row in read_table("han2024_eder"):
        for column in ("wavlm-large", "cn-listeners", "de-listeners"):
            listens = column.endswith("-listeners")
            who = f"listeners, native {_language(column[:2])}" if listens else "diarization"
            yield Published(
                id=row_id("han2024", "diarization", row["emotion"], who if listens else column), study=HAN,
                table="Table IV", measure="EDER", source_language="en", target_language="en", source="",
                target="zed", side="target", method=f"{who}, {row['emotion']}", encoder="" if listens else column,
                labels=("anger", "happiness", "sadness"), target_labels=NOT_STATED,
                printed=f"{float(row[column]):.1f}", note="24 utterances; lower is better",
                meaning=f"EDER {_EMOTIONS[row['emotion']]}" if row["emotion"] in _EMOTIONS else "EDER",
            )  # fmt: skip


def confusions() -> tuple[PublishedConfusion, ...]:
    """Nine of the matrices of Table III."""
    conditions: dict[str, dict[tuple[str, str], float]] = {}
    for row in read_table("han2024_confusion"):
        pair = _EMOTIONS[row["true"]], _EMOTIONS[row["predicted"]]
        conditions.setdefault(row["condition"], {})[pair] = float(row["share"])
    return tuple(_confusion(condition, shares) for condition, shares in conditions.items())


def _confusion(condition: str, shares: dict[tuple[str, str], float]) -> PublishedConfusion:
    """The matrix of a condition, such as "model cn cross (on de)"; without "on" the native language is tested."""
    model, _, tested = condition.removesuffix(")").partition(" (on ")
    who, native, setting = model.split()
    tested = tested or native
    rows = tuple(tuple(shares[true, predicted] for predicted in FOUR) for true in FOUR)
    listens = who == "human"
    return PublishedConfusion(
        id=row_id("han2024", "Table III", who, _language(native), setting, _language(tested)), study=HAN,
        table="Table III", who=who, native=_language(native), setting="trans" if setting == "l2" else setting,
        test_language=_language(tested), encoder="" if listens else our_encoder(f"w2v2-{native}"),
        source="" if listens else _CORPORA[native if setting == "cross" else tested], target=_CORPORA[tested],
        labels=FOUR, shares=rows,
    )  # fmt: skip


def _language(code: str) -> str:
    return _LANGUAGES.get(code, code)
