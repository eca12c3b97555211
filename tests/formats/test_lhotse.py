import gzip
import json

import numpy as np
import pytest
import soundfile

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance

RECORDING = {
    "id": "r1",
    "sources": [{"type": "file", "channels": [0], "source": "wav/r1.wav"}],
    "sampling_rate": 16000,
    "num_samples": 64000,
    "duration": 4.0,
}
SUPERVISION = {
    "id": "r1-1",
    "recording_id": "r1",
    "start": 0.5,
    "duration": 1.5,
    "channel": 0,
    "text": "hello",
    "language": "German",
    "speaker": "s1",
    "custom": {"emotion": "anger", "arousal": 3.5},
}
CUT = {"id": "c1", "start": 1.0, "duration": 3.0, "channel": 0, "recording": RECORDING, "type": "MonoCut"}


def lines(path, *items):
    text = "".join(json.dumps(item) + "\n" for item in items)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_supervisions_with_their_recordings(tmp_path, suffix):
    lines(tmp_path / f"calls_recordings_train.{suffix}", RECORDING)
    lines(tmp_path / f"calls_supervisions_train.{suffix}", SUPERVISION)
    (row,) = import_("lhotse", tmp_path)
    assert row == Utterance(
        "r1-1",
        tmp_path.name,
        str(tmp_path / "wav" / "r1.wav"),
        start=0.5,
        end=2.0,
        language="de",
        speaker="s1",
        emotion="anger",
        arousal=3.5,
        split="train",
        text="hello",
    )


def test_times_of_a_supervision_count_from_its_cut(tmp_path):
    path = lines(
        tmp_path / "cuts.jsonl",
        CUT | {"supervisions": [SUPERVISION, SUPERVISION | {"id": "x", "start": -0.5, "duration": 0.1}]},
        CUT | {"id": "c2", "supervisions": []},
        CUT | {"id": "c3", "start": 0.0, "duration": 4.0, "supervisions": [], "custom": {"emotion": "fear"}},
        {"id": "c4", "type": "MixedCut", "tracks": []},
        CUT | {"id": "c5", "recording": RECORDING | {"transforms": [{"name": "Speed"}]}},
    )
    reading = import_("lhotse", path)
    assert [(row.id, row.start, row.end, row.emotion) for row in reading] == [
        ("r1-1", 1.5, 3.0, "anger"),
        ("x", 0.5, 0.6, "anger"),
        ("c2", 1.0, 4.0, None),
        ("c3", 0.0, None, "fear"),
    ]
    notes = "\n".join(reading.lines())
    assert "mixtures of cuts and padding, left out: 1" in notes and "with transforms" in notes


def test_the_emotion_may_be_the_text_or_another_key(tmp_path):
    path = lines(
        tmp_path / "cuts.jsonl", CUT | {"supervisions": [SUPERVISION | {"text": "sad", "custom": {"x": "fear"}}]}
    )
    (row,) = import_("lhotse", path, emotion="text")
    assert (row.emotion, row.text) == ("sadness", None)
    (row,) = import_("lhotse", path, emotion="x")
    assert (row.emotion, row.text) == ("fear", "sad")


@pytest.mark.parametrize(
    ("sources", "channel", "expected"),
    [
        ([[0]], 0, ("a0.wav", None)),
        ([[0, 1]], 1, ("a0.wav", 1)),
        ([[0, 1]], [0, 1], ("a0.wav", None)),
        ([[0, 1]], None, ("a0.wav", None)),
        ([[0], [1]], 1, ("a1.wav", None)),
        ([[0, 1], [2, 3]], 3, ("a1.wav", 1)),
    ],
)
def test_a_channel_is_one_of_a_file_or_all_of_it(tmp_path, sources, channel, expected):
    files = [{"type": "file", "channels": own, "source": f"a{n}.wav"} for n, own in enumerate(sources)]
    path = lines(tmp_path / "cuts.jsonl", CUT | {"channel": channel, "recording": RECORDING | {"sources": files}})
    (row,) = import_("lhotse", path)
    assert (row.path.rsplit("/", 1)[1], row.channel) == expected


def test_mistakes_are_named(tmp_path):
    command = RECORDING | {"sources": [{"type": "command", "channels": [0], "source": "sox a.wav -t wav -"}]}
    two = RECORDING | {"sources": [{"type": "file", "channels": [n], "source": f"{n}.wav"} for n in (0, 1)]}
    for item, message in (
        (SUPERVISION, r"cuts\.jsonl:1: the recording 'r1' is in another file; name it with recordings="),
        (CUT | {"recording": command}, r"cuts\.jsonl:1: .*type 'command', which is not run"),
        (CUT | {"recording": two, "channel": [0, 1]}, "expected one channel, or all those of one file"),
        (CUT | {"duration": 9}, r"cuts\.jsonl:1: 'end' is 10 s, after the end of wav/r1\.wav \(4\.000 s\)"),
        (CUT | {"start": -2}, "'start' is -2 s"),
        (CUT | {"supervisions": [3]}, "expected a JSON object, not int"),
        (CUT | {"channel": "left"}, 'a channel is "left"'),
        ({"id": "x"}, r"neither a cut nor a supervision \(there are id\)"),
    ):
        with pytest.raises(UserError, match=message):
            list(import_("lhotse", lines(tmp_path / "cuts.jsonl", item)))
    (tmp_path / "cuts.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        list(import_("lhotse", tmp_path / "cuts.jsonl.gz"))


def test_it_is_written_as_cuts(tmp_path):
    wav = tmp_path / "stereo.wav"
    soundfile.write(wav, np.zeros((8000, 2)), 8000)
    rows = [
        Utterance("a", "c", str(wav), emotion="anger", speaker="s", text="go"),
        Utterance("b", "c", str(wav), start=0.25, end=0.75, channel=1, arousal=0.5),
    ]
    done = export("lhotse", tmp_path / "out.jsonl.gz", rows)
    first, second = map(json.loads, gzip.decompress(done.path.read_bytes()).splitlines())
    assert (first["type"], first["channel"], first["duration"]) == ("MultiCut", [0, 1], 1.0)
    assert (second["type"], second["channel"], second["start"], second["duration"]) == ("MonoCut", 1, 0.25, 0.5)
    assert second["recording"]["sources"] == [{"type": "file", "channels": [0, 1], "source": "stereo.wav"}]
    assert first["supervisions"][0]["custom"] == {"corpus": "c", "emotion": "anger"}
    assert (first["supervisions"][0]["speaker"], first["supervisions"][0]["start"]) == ("s", 0.0)
    assert list(import_("lhotse", done.path)) == rows
    with pytest.raises(UserError, match=r"stereo\.wav has no channel 2"):
        export("lhotse", tmp_path / "out.jsonl", [Utterance("a", "c", str(wav), channel=2)])
    with pytest.raises(UserError, match="expected a file that ends in"):
        export("lhotse", tmp_path / "out.json", rows)
