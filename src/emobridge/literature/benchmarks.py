"""Numbers of collections of corpora, EmoBox and CAMEO, and anchors: single numbers of public tools."""

from __future__ import annotations

from collections.abc import Iterator

from emobridge.languages import language_tag
from emobridge.literature.record import (
    BIG_SIX,
    CORPUS_LABELS,
    EIGHT,
    FOUR,
    MANY,
    NOT_STATED,
    SEVEN,
    SIX,
    Published,
    decimals,
    our_corpora,
    read_table,
    row_id,
)

CAMEO = "CAMEO (Christop & Czajka 2025)"
EMOBOX = "EmoBox (Ma et al. 2024)"

_LEADERBOARD = "leaderboard of the track in corpus"
_SHARED_FOLDS = ("emodb", "shemo")  # whose folds in EmoBox share speakers
# More corpora of EmoBox; the labels of others are not all among ours.
_EMOBOX_LABELS = CORPUS_LABELS | {
    "crema-d": ("anger", "disgust", "fear", "happiness", "neutral", "sadness"),
    "emozionalmente": BIG_SIX,
    "ravdess": EIGHT,
    "savee": BIG_SIX,
    "subesco": BIG_SIX,
    "tess": BIG_SIX,
    "urdu": FOUR,
}
_POLISH = "cameo-pl"
_BEFORE_POLISH = "+".join(f"cameo-{code}" for code in ("bn", "en", "fr", "de", "it", "ru", "es"))


def read_emobox() -> Iterator[Published]:
    """The authors' leaderboard of the track in corpus; UA and F1 (macro) of the corpora that it shows them for."""
    rows = {row["corpus"]: row for row in read_table("emobox2024_wa")}
    more = read_table("emobox2024_ua_f1")
    facts = ("corpus", "language", "emotions", "utterances")
    cells = [
        (corpus, encoder, "WA", value)
        for corpus, row in rows.items()
        for encoder, value in row.items()
        if encoder not in facts
    ]
    cells += [(row["corpus"], row["encoder"], name, row[name.lower()]) for row in more for name in ("UA", "F1")]
    digits = decimals(value for *_, value in cells)
    for printed, encoder, measure, value in cells:
        language, corpus = language_tag(rows[printed]["language"]), our_corpora(printed)
        note = "its own folds share speakers" if corpus in _SHARED_FOLDS else "its own folds"
        yield Published(
            id=row_id("emobox2024", "leaderboard", corpus, encoder, measure), study=EMOBOX, table=_LEADERBOARD,
            measure=measure, source_language=language, target_language=language, source=corpus, target=corpus,
            side="target", method="frozen features", encoder=encoder, labels=_EMOBOX_LABELS.get(corpus, ()),
            target_labels="all", printed=f"{float(value):.{digits}f}", note=note,
        )  # fmt: skip


def read_cameo() -> Iterator[Published]:
    """The baseline of PolEval 2025, a challenge on CAMEO: Polish after its other seven languages, column "dev"."""
    for row in read_table("cameo2025_poleval"):
        for measure, column in (("F1", "f1_macro"), ("WA", "accuracy")):
            yield Published(
                id=row_id("cameo2025", "PolEval baseline", "pl", row["system"], measure), study=CAMEO,
                table="PolEval 2025, table Baseline, column dev", measure=measure, source_language=MANY,
                target_language="pl", source=_BEFORE_POLISH, target=_POLISH, side="target", method=row["system"],
                encoder=NOT_STATED, labels=SIX, target_labels="0", printed=f"{float(row[column]):.2f}",
                note="a generative model that is asked for the emotion; PolEval 2025, dev",
            )  # fmt: skip


def read_anchors() -> Iterator[Published]:
    """Single numbers: of SpeechBrain as printed, and of public tools as measured by us."""
    sets = {"four": FOUR, "seven": SEVEN, "eight": EIGHT, "zed": ("anger", "happiness", "sadness")}
    for row in read_table("anchors"):
        yield Published(
            id=row_id("anchors", row["study"], f"{row['source_language']}-{row['target_language']}", row["method"],
                      row["encoder"]),
            study=row["study"], table="", measure=row["measure"], source_language=row["source_language"],
            target_language=row["target_language"], source=our_corpora(row["source"]),
            target=our_corpora(row["target"]), side="target", method=row["method"], encoder=row["encoder"],
            labels=sets[row["labels"]], target_labels=row["target_labels"] or NOT_STATED, printed=row["value"],
            note=row["note"], kind=row["kind"],
        )  # fmt: skip
