"""Draw the picture of README.md and of the first page: the way of the data, and the timeline of a call.

    make demo
    emobridge diarize demo/run/bundle demo/call.wav --channels each --language it --out demo/call.jsonl
    python docs/picture.py demo/call.jsonl docs/images/overview.svg

The call is SYNTHETIC, and so is the speech that its recogniser learnt from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN = 560, 384, 16
SECONDS = 48.0  # of the call that are shown
FILLS = {"anger": "#d55e00", "happiness": "#e6ab02", "neutral": "#b8bec9", "sadness": "#3b6fb6"}
INK, PALE, BORDER = "#1c2333", "#f4f6fb", "#4051b5"


def text(x: float, y: float, words: str, *, size: int = 15, anchor: str = "middle", bold: bool = False) -> str:
    """A line of text."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def box(x: float, y: float, width: float, lines: tuple[str, ...]) -> Iterator[str]:
    """A box whose first line is bold."""
    height = 14 + 20 * len(lines)
    yield f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height}" rx="8" fill="{PALE}" stroke="{BORDER}"/>'
    for number, line in enumerate(lines):
        yield text(x + width / 2, y + 22 + 20 * number, line, bold=not number)


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """An arrow from one point to another."""
    return f'<path d="M{x1:g} {y1:g} L{x2:g} {y2:g}" stroke="{BORDER}" stroke-width="2" marker-end="url(#tip)"/>'


def timeline(rows: list[dict[str, Any]], channel: int, y: float) -> Iterator[str]:
    """The segments of one channel, each coloured and named by its emotion; without speech a line."""
    left, right = MARGIN + 78, WIDTH - MARGIN
    scale = (right - left) / SECONDS
    yield text(MARGIN, y + 20, f"channel {channel}", size=14, anchor="start")
    yield f'<path d="M{left} {y + 15:g} L{right} {y + 15:g}" stroke="{INK}" stroke-opacity="0.4"/>'
    for row in rows:
        if row["channel"] == channel and row["label"] and row["start"] < SECONDS:
            width = (min(row["end"], SECONDS) - row["start"]) * scale
            x = left + row["start"] * scale
            yield (
                f'<rect x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="30" fill="{FILLS[row["label"]]}" '
                f'stroke="white"><title>{row["label"]} {row["start"]:g} to {row["end"]:g} s</title></rect>'
            )


def legend(y: float) -> Iterator[str]:
    """The colours of the emotions."""
    for number, (emotion, fill) in enumerate(FILLS.items()):
        x = MARGIN + 78 + 112 * number
        yield f'<rect x="{x}" y="{y - 12:g}" width="14" height="14" fill="{fill}"/>'
        yield text(x + 20, y, emotion, size=14, anchor="start")


def picture(rows: list[dict[str, Any]]) -> str:
    """The whole picture as SVG."""
    middle, half = WIDTH / 2, (WIDTH - 3 * MARGIN) / 2
    parts = [
        *box(MARGIN, MARGIN, half, ("English speech", "with labels")),
        *box(2 * MARGIN + half, MARGIN, half, ("Italian recordings", "without a label")),
        arrow(MARGIN + half / 2, 72, middle - 60, 104),
        arrow(WIDTH - MARGIN - half / 2, 72, middle + 60, 104),
        *box(middle - 110, 108, 220, ("emobridge adapt",)),
        arrow(middle, 144, middle, 168),
        *box(middle - 200, 172, 400, ("a recogniser for Italian, and a report",)),
        arrow(middle, 208, middle, 232),
        text(middle, 252, f"who sounds how, when: the first {SECONDS:g} s of a SYNTHETIC call", size=14),
        *timeline(rows, 0, 266),
        *timeline(rows, 1, 306),
        *legend(366),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="system-ui, sans-serif" fill="{INK}">'
        "<title>English speech with labels and Italian recordings without become a recogniser for Italian, which tells "
        "the emotions of a SYNTHETIC call over time</title>"
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{BORDER}"/></marker></defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    )
    return "\n".join((head, *parts, "</svg>\n"))


if __name__ == "__main__":
    answers = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    Path(sys.argv[2]).write_text(picture(answers), encoding="utf-8")
