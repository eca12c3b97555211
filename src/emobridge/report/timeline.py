"""The page of `diarize`: for each recording its sound, the emotions over time in each channel, and where to listen.

It is one HTML file that loads nothing but copies of long recordings beside it. Colours are told apart by a pattern and
by text too. `timeline_part` is the same of a recording that the browser has: its page draws the pictures.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobridge.data.labels import EMOTIONS
from emobridge.files import whole_file
from emobridge.report.blocks import count, percent, stamp_of
from emobridge.report.plots import COLOURS
from emobridge.report.sound_images import spectrogram_jpeg, waveform_png
from emobridge.report.write import page_environment, style_sheet
from emobridge.types import Prediction

if TYPE_CHECKING:
    import jinja2

    from emobridge.diarization.call import CallRecord

EMOTION_COLOURS = dict(zip(EMOTIONS, (5, 2, 0, 1, 4, 3, 6, 7, 3, 4, 6)))  # of COLOURS; neutral is grey
PATTERNS = 8  # of timeline.css
SUREST = 2  # moments of each emotion that are listed
LEAST_SURE = 8  # moments that are listed
LEAST_MOMENT = 0.3  # s; what is shorter is hardly heard
SPANS = (1800, 600, 300, 120, 60, 20)  # s that the page can show at a time, beside all


@dataclass(frozen=True, slots=True)
class Swatch:
    """How an emotion is drawn."""

    emotion: str
    colour: str
    pattern: int  # of timeline.css, below PATTERNS
    share: str  # of the time with an emotion, in per cent


@dataclass(frozen=True, slots=True)
class ShownStretch:
    """A row as the page shows it."""

    start: float  # s
    end: float
    channel: str
    emotion: int  # the index of the most probable label; -1 where nothing was answered
    name: str  # of the emotion, or the reason why there is none
    confidence: float  # 0 where nothing was answered
    reason: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class DrawnChannel:
    """A channel whose pictures are drawn, which takes less memory than their numbers."""

    number: int | None  # of the file's channels, from 0; None is the mean of all
    rows: tuple[Prediction, ...]
    wave: str = ""  # addresses of images; "" where the page draws them
    spectrogram: str = ""

    @property
    def name(self) -> str:
        """What the page calls it."""
        return "all channels" if self.number is None else f"channel {self.number}"


@dataclass(frozen=True, slots=True)
class DrawnCall:
    """A recording as the page has it."""

    name: str
    seconds: float
    source: str  # the address of its sound; "" where there is none
    is_linked: bool  # whether the sound is a file beside the page
    synthetic: bool
    channels: tuple[DrawnChannel, ...]


def write_timeline_page(path: str | Path, records: Iterable[CallRecord], *, source: str = "") -> Path:
    """Write the page of some recordings, whole or not at all; returns its path.

    source: what answered, such as the folder of the model. Errors: UserError where the page cannot be written.
    """
    path = Path(path)
    text = timeline_html(records, source=source)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def timeline_html(records: Iterable[CallRecord], *, source: str = "") -> str:
    """The page as text; all names in it are escaped. The pictures of a single record are in memory at a time."""
    drawn = [_drawn(record) for record in records]
    amount = f"{count(len(drawn), 'recording')} of {clock(sum(call.seconds for call in drawn))} in all"
    return _template("timeline.html").render(
        **_context(drawn),
        title="Emotions over time",
        subtitle="; ".join(part for part in (amount, source) if part),
        style=style_sheet("style.css", "timeline.css"),
        has_sound=any(call.source for call in drawn),
    )


def timeline_part(name: str, seconds: float, rows: Sequence[Prediction], *, synthetic: bool = False) -> str:
    """The legend and the timeline of a recording as a part of a page, without its sound and its pictures.

    seconds: of the recording, above 0. rows: in order of time. The script of the page gives the sound an address, draws
    waveform and spectrogram of `data-channel` on the canvases, and calls timeline.js.
    """
    by_channel: dict[int | None, list[Prediction]] = {}
    for row in rows:
        by_channel.setdefault(row.channel, []).append(row)
    numbers = sorted(by_channel, key=lambda number: -1 if number is None else number)
    channels = tuple(DrawnChannel(number, tuple(by_channel[number])) for number in numbers)
    call = DrawnCall(name, seconds, "", False, synthetic, channels)
    return _template("timeline_calls.html").render(**_context([call]), has_sound=True, is_part=True)


def _template(name: str) -> jinja2.Template:
    environment = page_environment()
    environment.filters["clock"] = clock
    return environment.get_template(name)


def _context(drawn: Sequence[DrawnCall]) -> dict[str, Any]:
    """What templates show of some recordings."""
    names = dict.fromkeys(row.labels for call in drawn for channel in call.channels for row in channel.rows)
    labels = tuple(dict.fromkeys(itertools.chain.from_iterable(names)))
    shown = [[_stretches(channel, labels) for channel in call.channels] for call in drawn]
    stretches = [stretch for call in shown for channel in call for stretch in channel]
    swatches = _swatches(labels, stretches)
    return {
        "stamp": stamp_of(any(call.synthetic for call in drawn)),
        "lead": _lead(stretches, labels),
        "swatches": swatches,
        "calls": [_call(call, channels, swatches) for call, channels in zip(drawn, shown)],
    }


def _drawn(record: CallRecord) -> DrawnCall:
    source = record.audio_file or (_data_address(record.audio) if record.audio else "")
    channels = tuple(
        DrawnChannel(
            channel.channel,
            channel.rows,
            _data_address(waveform_png(channel.picture)),
            _data_address(spectrogram_jpeg(channel.picture)),
        )
        for channel in record.channels
    )
    return DrawnCall(record.name, record.seconds, source, bool(record.audio_file), record.synthetic, channels)


def clock(seconds: float) -> str:
    """A time as people read it.

    >>> clock(62.34), clock(3723.0), clock(59.96)
    ('1:02.3', '1:02:03.0', '1:00.0')
    """
    tenths = round(seconds * 10)
    minutes, hours = tenths // 600, tenths // 36_000
    head = f"{hours}:{minutes % 60:02}" if hours else f"{minutes}"
    return f"{head}:{tenths % 600 // 10:02}.{tenths % 10}"


def _lead(stretches: Sequence[ShownStretch], labels: Sequence[str]) -> str:
    """How much of the time has which emotion."""
    shares = _shares(stretches)
    seconds = sum(shares.values())
    if not seconds:
        return "No emotion was recognised: nobody speaks, or no answer was sure enough."
    ranked = sorted(shares.items(), key=lambda pair: -pair[1])
    parts = [f"{labels[emotion]} {percent(share / seconds)}\u00a0%" for emotion, share in ranked]
    return f"{clock(seconds)} of speech with an emotion, over all channels: {', '.join(parts)}."


def _shares(stretches: Iterable[ShownStretch]) -> dict[int, float]:
    """The seconds of each emotion, by its index."""
    seconds: dict[int, float] = {}
    for stretch in stretches:
        if not stretch.reason:
            seconds[stretch.emotion] = seconds.get(stretch.emotion, 0.0) + stretch.seconds
    return seconds


def _swatches(labels: Sequence[str], stretches: Sequence[ShownStretch]) -> list[Swatch]:
    """A colour and a pattern for each label: an emotion looks the same on every page."""
    shares = _shares(stretches)
    total = sum(shares.values()) or 1.0
    numbers = {
        label: EMOTIONS.index(label) if label in EMOTIONS else len(EMOTIONS) + at for at, label in enumerate(labels)
    }
    return [
        Swatch(
            label,
            COLOURS[EMOTION_COLOURS.get(label, numbers[label] % len(COLOURS))],
            (numbers[label] - EMOTIONS.index("neutral")) % PATTERNS,
            percent(shares.get(index, 0.0) / total),
        )
        for index, label in enumerate(labels)
    ]


def _call(call: DrawnCall, stretches: Sequence[Sequence[ShownStretch]], swatches: Sequence[Swatch]) -> dict[str, Any]:
    """What the template shows of a recording. stretches: of each of its channels."""
    everything = sorted(itertools.chain.from_iterable(stretches), key=lambda stretch: (stretch.start, stretch.channel))
    return {
        "record": call,
        "channels": list(zip(call.channels, stretches)),
        "stretches": everything,
        "surest": _surest(everything),
        "least_sure": _least_sure(everything),
        "spans": [span for span in SPANS if span < call.seconds],
        "data": _data(call, swatches),
    }


def _stretches(channel: DrawnChannel, labels: Sequence[str]) -> list[ShownStretch]:
    return [_stretch(row, channel.name, labels) for row in channel.rows if row.probabilities]


def _stretch(row: Prediction, channel: str, labels: Sequence[str]) -> ShownStretch:
    best = row.labels[row.probabilities.index(max(row.probabilities))]
    name = f"{best}?" if row.reason else best
    return ShownStretch(row.start, row.end, channel, labels.index(best), name, row.confidence or 0.0, row.reason)


def _surest(stretches: Sequence[ShownStretch]) -> list[ShownStretch]:
    """The surest moments of each emotion, in the order of their confidence."""
    ranked = sorted(_moments(stretches), key=lambda stretch: -stretch.confidence)
    number: Counter[int] = Counter()
    surest = []
    for stretch in ranked:
        if not stretch.reason and number[stretch.emotion] < SUREST:
            number[stretch.emotion] += 1
            surest.append(stretch)
    return surest


def _least_sure(stretches: Sequence[ShownStretch]) -> list[ShownStretch]:
    """The least sure moments that are not among the surest."""
    surest = set(_surest(stretches))
    ranked = sorted(_moments(stretches), key=lambda stretch: stretch.confidence)
    return [stretch for stretch in ranked if stretch not in surest][:LEAST_SURE]


def _moments(stretches: Iterable[ShownStretch]) -> list[ShownStretch]:
    return [stretch for stretch in stretches if stretch.seconds >= LEAST_MOMENT]


def _data_address(content: bytes) -> str:
    """A file as the address of itself."""
    kinds = {b"\x89PNG": "image/png", b"\xff\xd8\xff\xe0": "image/jpeg", b"fLaC": "audio/flac"}
    kind = kinds.get(content[:4], "audio/mpeg")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _data(call: DrawnCall, swatches: Sequence[Swatch]) -> str:
    """What the script needs: for each channel its stretches as [start, end, whether unsure, probabilities in %]."""
    channels = []
    for channel in call.channels:
        rows = []
        for row in channel.rows:
            if row.probabilities:
                shares = dict(zip(row.labels, row.probabilities))
                values = [round(100 * shares.get(swatch.emotion, 0.0)) for swatch in swatches]
                rows.append([round(row.start, 2), round(row.end, 2), int(bool(row.reason)), values])
        channels.append({"name": channel.name, "rows": rows})
    looks = {"labels": [swatch.emotion for swatch in swatches], "colours": [swatch.colour for swatch in swatches]}
    return json.dumps({"seconds": round(call.seconds, 3), **looks, "channels": channels}, separators=(",", ":"))
