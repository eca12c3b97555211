import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance

FILES = {
    "wav.scp": "call-1 /data/call 1.wav\ncall-2\tb/call-2.flac\n",
    "segments": "anna-1 call-1 0.5 2.0\nanna-2 call-1 2 -1\nbob-1 call-2 0 1.25 1\n",
    "utt2spk": "anna-1 anna\nanna-2 anna\nbob-1 bob-1\n",
    "utt2emotion": "anna-1 anger\nbob-1 sad\n",
    "text": "anna-1 go  away\n",
    "utt2lang": "anna-1 de\nanna-2 german\n",
    "spk2gender": "anna f\n",
    "spk2utt": "anna anna-1 anna-2\n",
    "feats.scp": "anna-1 raw.ark:12\n",
}


@pytest.fixture
def directory(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def test_segments_with_all_that_is_said_of_them(directory):
    reading = import_("kaldi", directory)
    first, second, third = reading
    assert first == Utterance(
        "anna-1",
        "train",
        "/data/call 1.wav",
        start=0.5,
        end=2.0,
        language="de",
        speaker="anna",
        emotion="anger",
        split="train",
        text="go  away",
        gender="female",
    )
    assert (second.start, second.end, second.emotion, second.language) == (2.0, None, None, "de")
    assert (third.path, third.end, third.speaker, third.channel) == (str(directory / "b/call-2.flac"), 1.25, None, 1)
    assert reading.intake.notes == [
        f"speakers named as their utterance, taken for not known: 1 (the first: {directory}/segments:3)",
        f"files that are not read: 1 (the first: {directory}/feats.scp)",
    ]


def test_lines_of_no_utterance_are_counted(directory):
    (directory / "utt2spk").write_text("anna-1 anna\nann-2 anna\n")
    reading = import_("kaldi", directory)
    assert [row.speaker for row in reading] == ["anna", None, None]
    assert f"lines of utt2spk for no utterance, ignored: 1 (the first: {directory}/utt2spk:2)" in reading.intake.notes


def test_without_segments_recordings_are_utterances(directory):
    (directory / "segments").unlink()
    rows = list(import_("kaldi", directory, root="/elsewhere", corpus="c"))
    assert [(row.id, row.path, row.end) for row in rows] == [
        ("call-1", "/data/call 1.wav", None),
        ("call-2", "/elsewhere/b/call-2.flac", None),
    ]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "wav.scp",
            "a sox x.wav -t wav - |\n",
            r"wav\.scp:1: a command makes 'a' \(sox x\.wav -t wav - \|\), which is",
        ),
        ("wav.scp", "a | touch ran\n", r"wav\.scp:1: a command makes 'a'"),
        ("wav.scp", "a raw.ark:123\n", r"wav\.scp:1: expected the audio file of 'a', not 'raw\.ark:123'"),
        ("wav.scp", "a\n", r"wav\.scp:1: expected the audio file of 'a'"),
        ("wav.scp", "a x.wav\na y.wav\n", r"wav\.scp:2: the id 'a' is there twice"),
        ("wav.scp", "\n", "no recordings|is not in wav.scp"),
        ("segments", "a call-9 0 1\n", r"segments:1: the recording 'call-9' is not in wav\.scp"),
        ("segments", "a call-1 0\n", r"segments:1: expected an utterance, its recording, start and end"),
        ("segments", "a call-1 0 x\n", r"segments:1: 'call-1 0 x' has no times"),
        ("segments", "a call-1 2 1\n", r"segments:1: 'end' is 1 s; expected more than 'start'"),
        ("segments", "a call-1 nan 1\n", r"segments:1: 'start' is nan"),
    ],
)
def test_mistakes_are_named_and_nothing_is_run(directory, monkeypatch, file, text, message):
    monkeypatch.chdir(directory)
    (directory / file).write_text(text)
    with pytest.raises(UserError, match=message):
        list(import_("kaldi", directory))
    assert not (directory / "ran").exists()


def test_it_is_written_sorted_and_with_a_speaker_for_each(tmp_path, clips):
    rows = [
        Utterance("b", "c", clips[0], start=0.25, end=0.75, emotion="anger", speaker="s", language="de"),
        Utterance("B", "c", clips[5], text="go"),
        Utterance("c", "c", clips[1]),
    ]
    done = export("kaldi", tmp_path / "train", rows)
    assert done.lost == ("corpus",)
    read = {file.name: file.read_text() for file in done.path.iterdir()}
    assert read == {
        "wav.scp": f"a {clips[5]}\na-2 {clips[0]}\nb_c {clips[1]}\n",
        "segments": "B a 0.0 -1\nb a-2 0.25 0.75\nc b_c 0.0 -1\n",
        "utt2spk": "B B\nb s\nc c\n",
        "utt2emo": "b anger\n",
        "utt2lang": "b de\n",
        "text": "B go\n",
    }
    with pytest.raises(UserError, match="holds a data directory already"):
        export("kaldi", tmp_path / "train", rows)
    export("kaldi", tmp_path / "whole", [Utterance("u", "c", clips[0])])
    assert (tmp_path / "whole" / "wav.scp").read_text() == f"u {clips[0]}\n"
    assert not (tmp_path / "whole" / "segments").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"id": "a b"}, "the id 'a b' has white space"),
        ({"speaker": "John Doe"}, "the speaker 'John Doe' has white space"),
        ({"speaker": "a"}, "the speaker has the name of the utterance"),
        ({"text": "two\nlines"}, "the text 'two.nlines' does not fit"),
    ],
)
def test_what_kaldi_cannot_hold_is_refused(tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        export("kaldi", tmp_path / "d", [Utterance(**({"id": "a", "corpus": "c", "path": "/a.wav"} | changed))])
    assert list(tmp_path.iterdir()) == []
