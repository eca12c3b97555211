"""Upadhyay et al., Interspeech 2024: layer anchoring between two corpora of podcasts, labels of one.

The stars of Table 2 compare a method with LAM-GL: * p < 0.1, ** p < 0.05; the paper does not name the test. Table 3 is
of MSP-Podcast -> BIIC-Podcast, each cell one emotion against the rest: its rows have a mean of 72.98, where UAR is
60.21.
"""

from __future__ import annotations

from collections.abc import Iterator

from emobridge.literature.goncalves2024 import PODCAST_LANGUAGES
from emobridge.literature.record import FOUR, Published, decimals, our_corpora, our_encoder, read_table, row_id

UPADHYAY = "Upadhyay et al. 2024"

_STARS = {"0.1": "*", "0.05": "**", "": ""}


def read_upadhyay() -> Iterator[Published]:
    """Table 2, both directions, and Table 3, one."""
    rows = read_table("upadhyay2024_uar")
    digits = decimals(row["uar"] for row in rows)
    for row in rows:
        source, target = row["task"].split(">")
        stars = _STARS[row["p_below_against_LAM-GL"]]
        note = row["group"] + (f"; p < {row['p_below_against_LAM-GL']} against LAM-GL in print" if stars else "")
        yield _row("Table 2", (source, target), row["method"], row["encoder"], "UAR",
                   f"{float(row['uar']):.{digits}f}", note, stars)  # fmt: skip
    rows = read_table("upadhyay2024_per_emotion_uar")
    digits = decimals(row[emotion] for row in rows for emotion in FOUR)
    for row in rows:
        note = f"layers {row['layers']}; one emotion against the rest"
        for emotion in FOUR:
            yield _row("Table 3", ("msp", "biic"), f"LAM, anchored by {row['anchor']}", row["encoder"],
                       f"UAR {emotion}", f"{float(row[emotion]):.{digits}f}", note)  # fmt: skip


def _row(
    table: str, pair: tuple[str, str], method: str, encoder: str, measure: str, printed: str, note: str, stars: str = ""
) -> Published:
    source, target = pair
    ours = our_encoder(encoder)
    emotion = measure.removeprefix("UAR").strip()
    budget = "few" if method == "few-shot" else "0"
    return Published(
        id=row_id("upadhyay2024", table, f"{source}-{target}", method.removeprefix("LAM, anchored by "), ours, emotion),
        study=UPADHYAY, table=table, measure=measure, source_language=PODCAST_LANGUAGES[source],
        target_language=PODCAST_LANGUAGES[target], source=our_corpora(source), target=our_corpora(target),
        side="target", method=method, encoder=ours, labels=FOUR, target_labels=budget, printed=printed, note=note,
        stars=stars, meaning=f"UA {emotion}" if emotion else "",
    )  # fmt: skip
