import dataclasses
import functools
import json

import numpy as np
import pytest
import soundfile
from sounds import RATE, syllables

from emobridge.audit.findings import audit, lines
from emobridge.corpora import scan
from emobridge.data.audio import AudioError
from emobridge.errors import UserError
from emobridge.types import Utterance

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def corpus(name="c", speakers=4, copies=2, emotions=EMOTIONS):
    return [
        Utterance(f"{s}{e}{n}", name, f"/{name}/{s}{e}{n}.wav", language="de", speaker=f"{name}{s}", emotion=e)
        for s in range(speakers)
        for e in emotions
        for n in range(copies)
    ]


class Waves:
    """A reader of voices, 1 s and 0.1 loud, different for every path, except what is set."""

    def __init__(self, **special):
        self.special = special
        self.read = []

    def __call__(self, utterance):
        path = utterance.path
        self.read.append(path)
        wave = self.special.get(path.rpartition("/")[2].removesuffix(".wav"))
        if isinstance(wave, Exception):
            raise wave
        if wave is None:
            wave = voice(path)
        return [np.asarray(wave, dtype=np.float32)]


@functools.cache
def voice(path):
    seed = list(path.encode())
    return syllables(1, pitch=float(np.random.default_rng(seed).uniform(90, 260)), seed=seed)


def findings(result, kind):
    return [finding for finding in result.findings if finding.kind == kind]


def only(result, kind):
    """The single finding of a kind."""
    (finding,) = findings(result, kind)
    return finding


def noise(seconds, scale=0.1, seed=0):
    return np.random.default_rng(seed).normal(0, scale, round(seconds * RATE))


def test_a_clean_corpus_has_no_findings_and_each_file_is_read_once():
    rows, calls, waves = corpus(), [], Waves()
    result = audit({"clean": rows}, read=waves, on_progress=lambda *call: calls.append(call))
    assert result.findings == ()
    assert waves.read == [row.path for row in rows]
    assert calls == [(n + 1, 32) for n in range(32)]
    assert {(c.column, c.value, c.n) for c in result.counts} == {
        *(("emotion", emotion, 8) for emotion in EMOTIONS),
        *(("speaker", f"c{s}", 8) for s in range(4)),
        ("language", "de", 32),
    }
    (sound,) = result.sounds
    assert (sound.utterances, sound.readable, sound.seconds, sound.shortest) == (32, 32, 32.0, 1.0)
    assert sound.level == pytest.approx(-20, abs=0.2)
    assert [c.features for c in result.confounds] == ["loudness and length", "loudness", "length"]
    assert json.loads(json.dumps(dataclasses.asdict(result)))["counts"][0]["value"] == "anger"


def test_bad_sounds_are_found():
    waves = Waves(
        **{
            "0anger0": np.zeros(RATE),
            "0anger1": np.zeros(RATE),  # no duplicate of the other silence
            "1anger0": np.clip(syllables(1, level=2), -1, 1),
            "1anger1": noise(0.2),
            "2anger0": AudioError("/c/2anger0.wav: is cut short"),
            "2anger1": AudioError("/c/2anger1.wav: no such file"),
        }
    )
    result = audit({"c": corpus()}, read=waves)
    assert {f.kind: (f.severity, f.ids) for f in result.findings} == {
        "silent": ("error", ("0anger0", "0anger1")),
        "truncated": ("error", ("2anger0",)),
        "unreadable": ("error", ("2anger1",)),
        "clipped": ("warning", ("1anger0",)),
        "short": ("warning", ("1anger1",)),
    }
    assert "no such file" in only(result, "unreadable").message
    assert result.sounds[0].readable == 30
    severities = [finding.severity for finding in result.findings]
    assert severities == sorted(severities)  # errors first


def test_sounds_without_speech_are_named_and_are_not_silent():
    t = np.arange(RATE) / RATE
    waves = Waves(
        **{
            "0anger0": noise(1),
            "0anger1": 0.1 * np.sin(2 * np.pi * 440 * t),
            "1anger0": 0.1 * sum(np.exp(-3 * t) * np.sin(2 * np.pi * hertz * t) for hertz in (262, 330, 392)),
            "1anger1": np.zeros(RATE),
            "2anger0": 0.01 * syllables(1),  # quiet speech is speech
        }
    )
    finding = only(audit({"c": corpus()}, read=waves), "no speech")
    assert (finding.severity, finding.ids) == ("warning", ("0anger0", "0anger1", "1anger0"))
    assert finding.message.startswith("c: 3 hold no speech that can be found")


@pytest.mark.parametrize(("pause", "differ"), [(0.2, False), (1.0, True)])
def test_shares_of_speech_that_differ_are_noted(pause, differ):
    """A pause before each utterance of a second manifest, whose speech is not otherwise different."""
    voice = Waves()

    def read(utterance):
        (wave,) = voice(utterance)
        return [np.zeros(round(pause * RATE), np.float32), wave] if utterance.corpus == "d" else [wave]

    result = audit({"c": corpus("c", copies=1), "d": corpus("d", copies=1)}, read=read)
    assert [sound.speech for sound in result.sounds] == pytest.approx([1, 1 / (1 + pause)], abs=0.12)
    notes = findings(result, "share of speech")
    assert [note.severity for note in notes] == ["note"] * differ
    assert not differ or notes[0].message.startswith("c and d: ")


def test_speakers_of_two_corpora_in_one_manifest_are_told_apart():
    """Each corpus has four speakers of the same names, and each shows one emotion: eight speakers, eight one-sided."""
    rows = [
        dataclasses.replace(row, id=f"{row.corpus} {row.id}", speaker=row.id[0])
        for name in ("c", "d")
        for row in corpus(name)
        if row.emotion == EMOTIONS[int(row.id[0])]
    ]
    result = audit({"both": rows}, read=Waves())
    assert {c.value: c.n for c in result.counts if c.column == "speaker"} == {
        f"{name} {speaker}": 2 for name in ("c", "d") for speaker in range(4)
    }
    assert "8 of 8 show mostly one: c 0, c 1, c 2 and 5 more;" in only(result, "speakers tell the emotion").message
    assert "8 speakers; " in lines(result)[0]
    assert {c.speakers for c in result.confounds} == {8}


def test_real_files(tmp_path):
    rows = []
    for name in ("whole", "cut", "empty", "text", "absent"):
        path = tmp_path / f"{name}.wav"
        rows.append(Utterance(name, "c", str(path), speaker=name))
        soundfile.write(path, noise(1), RATE)
    data = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "absent.wav").unlink()
    result = audit({"c": rows})
    assert only(result, "truncated").ids == ("cut",)
    assert only(result, "unreadable").ids == ("empty", "text", "absent")
    assert result.sounds[0].readable == 1


def test_a_wrong_header_and_floats_beyond_full_scale_are_told(tmp_path):
    for name, subtype, scale in (("short", "PCM_16", 0.1), ("loud", "FLOAT", 3000.0)):
        soundfile.write(tmp_path / f"{name}.wav", noise(2, scale), RATE, subtype=subtype)
    content = bytearray((tmp_path / "short.wav").read_bytes())
    content[40:44] = (1000 * 2).to_bytes(4, "little")
    (tmp_path / "short.wav").write_bytes(content)
    result = audit({"c": [Utterance(name, "c", str(tmp_path / f"{name}.wav")) for name in ("short", "loud")]})
    assert result.sounds[0].seconds == 4
    header, loud = only(result, "header"), only(result, "full scale")
    assert header.message.endswith("its header says 2000 bytes of samples, it holds 64000; short")
    assert (header.severity, loud.severity, loud.ids) == ("warning", "warning", ("loud",))
    assert not findings(result, "clipped")


def test_only_the_stretch_of_an_utterance_is_heard():
    wave = noise(3)

    def read(utterance):
        start, end = utterance.start, utterance.end
        return [wave[round(start * RATE) : None if end is None else round(end * RATE)]]

    rows = [Utterance("a", "c", "/x.wav", 0, 1), Utterance("b", "c", "/x.wav", 1)]
    result = audit({"c": rows}, read=read)
    assert (result.sounds[0].shortest, result.sounds[0].longest) == (1, 2)
    assert not findings(result, "duplicate audio")


def test_duplicates_within_and_across():
    same = noise(1, seed=5)
    result = audit({"c": corpus()}, read=Waves(**{"0anger0": same, "0anger1": same}))
    duplicate = only(result, "duplicate audio")
    assert (duplicate.severity, duplicate.ids) == ("warning", ("0anger0", "0anger1"))
    assert duplicate.message == "c: 1 recording(s) are there more than once: 0anger0 = 0anger1"
    result = audit({"c": corpus()}, read=Waves(**{"0anger0": same, "0sadness1": same, "1sadness1": same}))
    duplicate = only(result, "duplicate audio")
    assert duplicate.severity == "error"
    assert "with different emotions, with different speakers" in duplicate.message
    a, b = corpus("a", copies=1), corpus("b", copies=1)
    b[0] = dataclasses.replace(b[0], path=a[7].path, emotion=a[7].emotion)
    duplicate = only(audit([("left", a), ("right", b)], read=Waves()), "duplicate audio")
    assert (duplicate.severity, duplicate.ids) == ("error", (a[7].id, b[0].id))
    assert duplicate.message.startswith("left and right: 1 recording(s)")
    assert "in several manifests" in duplicate.message


def test_an_unknown_speaker_is_no_other_speaker():
    same = noise(1, seed=5)
    rows = corpus()
    rows[0] = dataclasses.replace(rows[0], speaker=None)
    duplicate = only(audit({"c": rows}, read=Waves(**{"0anger0": same, "0anger1": same})), "duplicate audio")
    assert (duplicate.severity, "different speakers" in duplicate.message) == ("warning", False)
    nobody = [dataclasses.replace(row, speaker=None, corpus=row.id) for row in rows]
    duplicate = only(audit({"c": nobody}, read=Waves(**{"0anger0": same, "0anger1": same})), "duplicate audio")
    assert duplicate.severity == "warning"


def test_namesakes_of_two_corpora_are_not_shared():
    """Both corpora have the speakers 00 to 03, within a manifest and across two: 8 people, and no split shares one."""
    rows = [
        Utterance(f"{name}{speaker}{emotion}", name, f"/{name}{speaker}{emotion}.wav", language="de",
                  speaker=f"{speaker:02}", emotion=emotion, split=split, text="a text")
        for name, split in (("a", "train"), ("b", "test")) for speaker in range(4) for emotion in EMOTIONS
    ]  # fmt: skip
    both = audit({"both": rows}, read=Waves())
    assert len([count for count in both.counts if count.column == "speaker"]) == 8
    assert [finding.kind for finding in both.findings] == ["same text"]
    assert "1 of 1 texts are said by all 8 speakers" in both.findings[0].message
    assert {baseline.speakers for baseline in both.confounds} == {8}
    apart = audit({name: [row for row in rows if row.corpus == name] for name in "ab"}, read=Waves())
    assert {finding.kind for finding in apart.findings} == {"same text"}


def test_one_utterance():
    (row,) = corpus(speakers=1, copies=1, emotions=("anger",))
    result = audit({"c": [row]}, read=Waves())
    assert {finding.kind: finding.severity for finding in result.findings} == {
        "single speaker": "warning",
        "confound": "note",
    }
    assert lines(result)[0] == "c: 1 utterance, 0.00 h (100% speech), de, 1 speaker; anger 1"
    unreadable = audit({"c": [row]}, read=Waves(**{"0anger0": AudioError("/c/0anger0.wav: no such file")}))
    assert unreadable.sounds[0].readable == 0
    assert "c: 0 emotions" in only(unreadable, "confound").message
    twice = audit({"c": [row], "d": [row]}, read=Waves())
    assert only(twice, "shared speakers").message == "c and d: 1 speaker in both: c0"


def test_speakers_on_both_sides():
    a, b = corpus("a", copies=1), corpus("b", copies=1)
    assert not findings(audit({"a": a, "b": b}, read=Waves()), "shared speakers")
    namesake = [dataclasses.replace(row, speaker="a0") if row.speaker == "b0" else row for row in b]
    assert not findings(audit({"a": a, "b": namesake}, read=Waves()), "shared speakers")  # of another corpus
    b = [dataclasses.replace(row, corpus="a", speaker="a0") if row.speaker == "b0" else row for row in b]
    shared = only(audit({"one": a, "other": b}, read=Waves()), "shared speakers")
    assert (shared.severity, shared.ids) == ("error", ("a0",))
    rows = [dataclasses.replace(row, split=("train", "test")[row.speaker == "c0"]) for row in corpus(copies=1)]
    assert audit({"c": rows}, read=Waves()).findings == ()
    rows[0] = dataclasses.replace(rows[0], split="train")
    split = only(audit({"c": rows}, read=Waves()), "splits share speakers")
    assert (split.severity, split.ids) == ("error", ("c0",))


def test_labels_and_speakers():
    rows = corpus()
    rows[0] = dataclasses.replace(rows[0], emotion="hapiness")
    rows[1] = dataclasses.replace(rows[1], emotion=None, speaker=None)
    result = audit({"c": rows}, read=Waves())
    assert only(result, "unknown label").message == "c: 1 have the emotion 'hapiness'; did you mean 'happiness'?"
    assert only(result, "unknown label").severity == "error"
    assert only(result, "unlabelled").ids == only(result, "missing speaker").ids == (rows[1].id,)
    lone = audit({"c": corpus(speakers=1)}, read=Waves())
    assert only(lone, "single speaker").ids == ("c0",)
    assert "no baseline" in only(lone, "confound").message
    assert lone.confounds == ()


def test_speakers_of_one_emotion():
    rows = [row for row in corpus(copies=4) if row.emotion == "anger" or row.speaker == "c0"]
    result = audit({"c": rows}, read=Waves())
    assert {(f.ids, f.severity) for f in findings(result, "class of one speaker")} == {(("c0",), "warning")}
    assert len(findings(result, "class of one speaker")) == 3
    sided = only(result, "speakers tell the emotion")
    assert (sided.ids, sided.severity) == (("c1", "c2", "c3"), "warning")
    assert "normalisation by speaker" in sided.message


def test_unlabelled_manifest():
    rows = [dataclasses.replace(row, emotion=None) for row in corpus()]
    result = audit({"c": rows}, read=Waves())
    assert [(f.kind, f.severity) for f in result.findings] == [("confound", "note")]
    assert "0 emotions" in result.findings[0].message


def test_texts_and_loudness():
    rows = [dataclasses.replace(row, text=row.emotion) for row in corpus(copies=1)]
    assert "4 of 4 texts are said by all 4 speakers" in only(audit({"c": rows}, read=Waves()), "same text").message
    rows = [dataclasses.replace(row, text=row.id) for row in corpus(copies=1)]
    assert audit({"c": rows}, read=Waves()).findings == ()
    quiet = {row.id: noise(1, scale=0.01, seed=n) for n, row in enumerate(corpus(copies=1))}

    def read(utterance):
        return Waves(**(quiet if utterance.path.startswith("/b") else {}))(utterance)

    assert (
        "mean levels differ by 20 dB"
        in only(audit({"a": corpus("a", copies=1), "b": corpus("b", copies=1)}, read=read), "loudness").message
    )
    scaled = {row.id: (wave := noise(1, seed=n)) / np.abs(wave).max() for n, row in enumerate(corpus(copies=1))}
    assert "scaled to the same peak" in only(audit({"c": corpus(copies=1)}, read=Waves(**scaled)), "loudness").message


def test_confounds_become_findings():
    rows = corpus(speakers=6, copies=4)
    long = {row.id: noise(1 + EMOTIONS.index(row.emotion), seed=n) for n, row in enumerate(rows)}
    result = audit({"c": rows}, read=Waves(**long))
    assert {f.severity for f in findings(result, "confound")} == {"warning"}
    assert any("lengths betray the emotion" in f.message for f in result.findings)
    assert any("scores on this corpus mean little" in f.message for f in result.findings)
    loud = {row.id: noise(1, scale=0.1 * 0.7 ** EMOTIONS.index(row.emotion), seed=n) for n, row in enumerate(rows)}
    result = audit({"c": rows}, read=Waves(**loud))
    assert not any("lengths betray" in f.message for f in result.findings)
    assert any("mean little" in f.message for f in result.findings)


def test_lines_tell_it_all():
    text = lines(audit({"c": corpus(), "d": [Utterance("x", "d", "/x.wav", speaker="s")]}, read=Waves()))
    assert text[0].startswith("c: 32 utterances, 0.01 h (100% speech), de, 4 speakers; anger 8, happiness 8, neutral 8")
    assert text[1] == "d: 1 utterance, 0.00 h (100% speech), und, 1 speaker; unlabelled 1"
    assert text[2].startswith("c: loudness and length alone reach UA ")
    assert text[3].startswith("c: loudness alone reaches UA ") and text[4].startswith("c: length alone reaches UA ")
    assert any(line.startswith("WARNING single speaker: d: ") for line in text)
    assert all("\n" not in line for line in text)


def test_nothing_to_audit():
    with pytest.raises(UserError, match="nothing to audit: no manifest"):
        audit({})
    with pytest.raises(UserError, match="nothing to audit: b"):
        audit({"a": corpus(), "b": []})


def test_the_double_of_ravdess(shared):
    rows = [row for row in scan("ravdess", shared / "corpora" / "ravdess") if row.speaker == "07"]
    result = audit({"ravdess": rows})
    duplicate = only(result, "duplicate audio")
    assert duplicate.ids == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert duplicate.severity == "warning"
    assert {f.kind for f in result.findings} == {"duplicate audio", "single speaker", "confound"}


def test_a_real_pair(shared):
    emodb = [row for row in scan("emodb", shared / "corpora" / "emodb") if row.speaker in ("03", "08", "14")]
    emovo = [row for row in scan("emovo", shared / "corpora" / "emovo") if row.speaker in ("f1", "m1")]
    result = audit({"emodb": emodb, "emovo": emovo})
    assert not {"duplicate audio", "shared speakers", "unreadable", "silent", "clipped"} & {
        f.kind for f in result.findings
    }
    assert [f.message.partition(":")[0] for f in findings(result, "loudness")] == ["emodb", "emodb and emovo"]
    assert all(0 <= c.low <= c.ua <= c.high <= 1 for c in result.confounds)
