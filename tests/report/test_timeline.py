"""The page of a call: what it shows of each recording, and that nothing in a file's name or a label is obeyed."""

from __future__ import annotations

import io
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from sounds import RATE, syllables

from emobridge.data.labels import EMOTIONS
from emobridge.diarization.call import CallRecord, ChannelTimeline
from emobridge.diarization.pictures import MELS, PICTURE_COLUMNS, SoundPainter, SoundPicture
from emobridge.errors import UserError
from emobridge.report.plots import COLOURS
from emobridge.report.sound_images import spectrogram_jpeg, waveform_png
from emobridge.report.timeline import EMOTION_COLOURS, PATTERNS, timeline_html, timeline_part, write_timeline_page
from emobridge.types import Prediction

LABELS = ("anger", "neutral", "sadness")
WAVE = syllables(4)


def picture_of(wave, seconds=None):
    painter = SoundPainter(len(wave) if seconds is None else seconds * RATE)
    painter.add(wave)
    return painter.picture()


PICTURE = picture_of(WAVE)


def row(start, end, shares, channel=0, reason="", labels=LABELS):
    return Prediction("a", start, end, labels, shares, path="a.wav", channel=channel, reason=reason)


def record(*rows, name="a.wav", **facts):
    """A recording of 4 s with a timeline for each channel of the rows."""
    numbers = sorted({answer.channel for answer in rows}, key=str)
    channels = tuple(ChannelTimeline(c, tuple(r for r in rows if r.channel == c), PICTURE) for c in numbers)
    return CallRecord(name, 4.0, channels, **facts)


CALL = record(
    row(0, 1, (0.9, 0.05, 0.05)),
    row(1, 2, (), reason="no speech"),
    row(2, 4, (0.2, 0.5, 0.3)),
    row(1, 2, (0.3, 0.3, 0.4), channel=1, reason="unsure: 0.4 is below 0.5"),
    row(2, 2.5, (0.1, 0.1, 0.8), channel=1),
)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])


def test_stretches_stand_where_they_are_and_as_high_as_they_are_sure():
    page = timeline_html([CALL])
    look = r'class="stretch ([^"]*)" style="left:([\d.]+)%;width:([\d.]+)%;--sure:([\d.]+);--colour:(#\w+)"'
    places = re.findall(look, page)
    assert [(float(left), float(width), float(sure)) for _, left, width, sure, _ in places] == [
        (0, 25, 0.9), (50, 50, 0.5), (25, 25, 0.4), (50, 12.5, 0.8),
    ]  # fmt: skip
    emotions = ("anger", "neutral", "sadness", "sadness")
    assert [colour for *_, colour in places] == [COLOURS[EMOTION_COLOURS[emotion]] for emotion in emotions]
    assert [kind.endswith("unsure") for kind, *_ in places] == [False, False, True, False]
    assert "neutral 57.1\u00a0%, anger 28.6\u00a0%, sadness 14.3\u00a0%" in page
    assert "0:03.5 of speech with an emotion" in page, "what it was not sure of has no emotion"


def test_the_script_has_the_probabilities_of_each_channel():
    data = data_of(timeline_html([CALL]))
    assert data["labels"] == list(LABELS) and data["seconds"] == 4
    assert [channel["name"] for channel in data["channels"]] == ["channel 0", "channel 1"]
    assert data["channels"][1]["rows"] == [[1, 2, 1, [30, 30, 40]], [2, 2.5, 0, [10, 10, 80]]]


def test_the_surest_of_each_emotion_and_the_least_sure_are_listed():
    many = [row(k / 10, k / 10 + 0.4, (0.4 + k / 100, 0.3, 0.3 - k / 100)) for k in range(30)]
    page = timeline_html([record(*many, row(0, 0.1, (1, 0, 0)), row(3.4, 4, (0.1, 0.8, 0.1)))])
    surest, least = (re.findall(r"<li .*?</span> (.*?),", part) for part in page.split("<ol>")[1:3])
    assert surest == ["neutral 0.80", "anger 0.69", "anger 0.68"], "what is too short is no moment"
    assert least == [f"anger 0.{40 + k}" for k in range(8)]


def test_a_part_of_another_page_has_neither_style_nor_sound_and_is_the_same_else():
    rows = tuple(itertools.chain.from_iterable(channel.rows for channel in CALL.channels))
    part = timeline_part(CALL.name, CALL.seconds, rows, synthetic=True)
    assert " style=" not in part and "<style" not in part and " src=" not in part
    assert re.findall(r'<canvas class="(\w+)".*? data-channel="(\d)"', part) == [
        ("wave", "0"), ("spectrogram", "0"), ("wave", "1"), ("spectrogram", "1"),
    ]  # fmt: skip
    page = timeline_html([CALL])
    assert data_of(part) == data_of(page) and "SYNTHETIC run. Surest moments" in part
    assert sorted(re.findall(r'data-style="(.*?)"', part)) == sorted(re.findall(r' style="(.*?)"', page))


def test_a_recording_without_an_answer_has_a_page():
    page = timeline_html([record(row(0, 4, (), reason="no speech", channel=None))])
    assert "No emotion was recognised" in page and "all channels" in page
    assert page.count("<p>none</p>") == 2 and "All 0 stretches" in page
    assert "<audio" not in page and "The sound is not part of this page" in page


def test_what_is_made_up_is_said_in_every_caption():
    page = timeline_html([record(*CALL.channels[0].rows, synthetic=True)], source="run/diarizer")
    captions = re.findall(r"<caption>(.*?)</caption>|<h3>(.*?)</h3>|\"lead\">(.*?)</p>", page, flags=re.DOTALL)
    assert len(captions) == 4 and all("SYNTHETIC run. " in "".join(caption) for caption in captions)
    assert "SYNTHETIC" not in timeline_html([CALL]) and "run/diarizer" in page


def test_names_and_labels_are_text_and_nothing_is_loaded():
    bad = '</script><img src=x onerror="alert(1)">'
    rows = (row(0, 1, (0.7, 0.3), labels=(bad, "neutral")),)
    page = timeline_html([record(*rows, name=bad, audio_file="a-audio/a%22b.mp3"), CALL], source=bad)
    assert bad not in page and 'onerror="' not in page
    assert data_of(page)["labels"] == [bad, "neutral", "anger", "sadness"]
    names, attributes = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, pairs: (names.append(tag), attributes.extend(pairs))
    parser.feed(page)
    addresses = {
        value for name, value in attributes if name in ("src", "href") and not value.startswith(("data:", "#"))
    }
    assert addresses == {"a-audio/a%22b.mp3"} and names.count("script") == 3, "one that runs, and the data of two calls"
    assert not [name for name, _ in attributes if name.startswith("on")]
    assert "url(" not in page and "@import" not in page


def test_emotions_differ_without_their_colour():
    page = timeline_html([record(row(0, 4, tuple([1 / 11] * 11), labels=EMOTIONS))])
    drawn = re.findall(r'<li style="--colour:(#\w+)"><span class="swatch p(\d)"></span> (\w+),', page)
    assert [name for _, _, name in drawn] == list(EMOTIONS) == list(EMOTION_COLOURS)
    assert len({pattern for _, pattern, _ in drawn[:PATTERNS]}) == PATTERNS
    assert len({(pattern, colour) for colour, pattern, _ in drawn}) == len(EMOTIONS)


def test_images_have_a_pixel_a_column_and_stay_small():
    wave, spectrogram = waveform_png(PICTURE), spectrogram_jpeg(PICTURE)
    assert imread(io.BytesIO(wave)).shape == (64, 80, 4) and imread(io.BytesIO(spectrogram), "jpg").shape == (96, 80, 3)
    assert imread(io.BytesIO(wave))[..., 3].any(0).all(), "silence is a line"
    noise = np.random.default_rng(0).random((PICTURE_COLUMNS, MELS)).astype(np.float32)
    worst = SoundPicture(600.0, -noise[:, 0], noise[:, 1], -60 * noise)
    assert len(waveform_png(worst)) + len(spectrogram_jpeg(worst)) < 800_000
    for flat in (picture_of(np.zeros(RATE, np.float32)), picture_of(np.ones(1, np.float32))):
        assert waveform_png(flat) and spectrogram_jpeg(flat)


def test_the_page_is_written_whole(tmp_path):
    path = write_timeline_page(tmp_path / "out" / "call.html", iter([CALL]))
    assert path.read_text(encoding="utf-8") == timeline_html([CALL])
    with pytest.raises(UserError, match="cannot be written"):
        write_timeline_page(path / "below.html", [CALL])
