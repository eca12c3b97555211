"""Items of a listening test: drawn alike for every emotion, language and speaker, and telling nothing."""

from __future__ import annotations

import re
import wave
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import soundfile

from emobridge.data.audio import AudioError
from emobridge.data.manifest import write_manifest
from emobridge.errors import UserError
from emobridge.listening.making import make_study, read_rules, session_minutes, summary_lines
from emobridge.listening.questions import QUESTIONS, RULES
from emobridge.listening.records import Rule
from emobridge.listening.settings import NewStudy
from emobridge.listening.study import check_recordings, read_study
from emobridge.types import Utterance

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
LEVELS = dict(zip(EMOTIONS, (0.3, 0.2, 0.1, 0.05)))
RATE = 16_000


@pytest.fixture
def corpus(tmp_path):
    """A function that writes a manifest of tones: of each emotion and speaker so many, as loud as the emotion is."""

    def write(name="emodb", language="de", *, speakers=4, each=3, emotions=EMOTIONS, seconds=0.2, **columns):
        rows = []
        for emotion, speaker, number in product(emotions, range(speakers), range(each)):
            path = tmp_path / "audio" / name / f"{emotion}-{speaker}-{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            tone = np.sin(np.arange(round(seconds * RATE)) * (0.05 + 0.01 * number))
            soundfile.write(path, LEVELS.get(emotion, 0.1) * tone, RATE)
            rows.append(Utterance(f"{name}-{path.stem}", name, str(path), language=language, speaker=str(speaker),
                                  emotion=emotion, **columns))  # fmt: skip
        write_manifest(tmp_path / f"{name}.jsonl", rows)
        return rows

    return write


@pytest.fixture
def new(tmp_path):
    """A function that makes a study of manifests, by the names of their corpora."""

    def make(*corpora, **options):
        manifests = tuple(str(tmp_path / f"{name}.jsonl") for name in corpora)
        out = options.pop("out", str(tmp_path / "study"))
        on_skip = options.pop("on_skip", None)
        return make_study(NewStudy(manifests=manifests, out=out, **options), on_skip=on_skip)

    return make


def items_of(study, kind="item"):
    return [item for item in study.items if item.kind == kind]


def test_as_many_of_each_emotion_language_and_speaker(corpus, new, tmp_path):
    corpus(), corpus("esd", "zh-CN")
    study = new("emodb", "esd", per_emotion=8)
    counts = Counter((item.language, item.emotion, item.speaker) for item in items_of(study))
    assert counts == {(lang, e, str(s)): 2 for lang in ("de", "zh") for e in EMOTIONS for s in range(4)}
    practice = items_of(study, "practice")
    assert sorted(item.emotion for item in practice) == sorted(EMOTIONS)
    assert not {item.utterance for item in practice} & {item.utterance for item in items_of(study)}
    assert len(items_of(study, "attention")) == 2
    assert read_study(tmp_path / "study") == study
    check_recordings(tmp_path / "study", study)


def test_one_item_of_one_speaker_is_a_study(corpus, new):
    corpus(speakers=1, each=1)
    study = new("emodb", per_emotion=1, practice=0, attention=0)
    assert sorted(item.emotion for item in study.items) == sorted(EMOTIONS)


def test_the_same_seed_draws_the_same_and_another_seed_others(corpus, new, tmp_path):
    corpus()
    first = new("emodb", per_emotion=4, out=str(tmp_path / "1"), name="x")
    same = new("emodb", per_emotion=4, out=str(tmp_path / "2"), name="x")
    other = new("emodb", per_emotion=4, out=str(tmp_path / "3"), name="x", seed=1)
    assert first == same
    names = [{item.id for item in study.items} for study in (first, other)]
    drawn = [{item.utterance for item in items_of(study)} for study in (first, other)]
    assert not names[0] & names[1] and drawn[0] != drawn[1]
    fewer = new("emodb", per_emotion=3, out=str(tmp_path / "4"), name="x")
    assert not names[0] & {item.id for item in fewer.items}, "a seed that is known does not tell the names"
    for item in first.items:
        assert (tmp_path / "1/audio" / item.audio).read_bytes() == (tmp_path / "2/audio" / item.audio).read_bytes()


def test_nothing_but_the_sound_tells_what_a_recording_is(corpus, new, tmp_path):
    rows = corpus()
    study = new("emodb", per_emotion=8)
    words = {*EMOTIONS, "emodb", *(row.speaker for row in rows), *(row.id for row in rows)} - set("0123456789")
    for item in study.items:
        assert re.fullmatch("[a-z0-9]{10}", item.id) and item.audio == f"{item.id}.wav"
        path = tmp_path / "study/audio" / item.audio
        content = path.read_bytes()
        assert not any(word.encode() in content for word in words)
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            assert len(content) == 44 + 2 * file.getnframes(), "a header and samples, no metadata"
    assert [item.id for item in study.items] == sorted(item.id for item in study.items)
    emotions = [item.emotion for item in items_of(study)]
    assert max(len(run) for run in re.findall(r"(?:anger )+", " ".join(emotions) + " ")) < 8 * len("anger ")
    times = [(tmp_path / "study/audio" / item.audio).stat().st_mtime_ns for item in study.items]
    assert times == sorted(times), "written in the order of their names"


def test_a_stretch_and_a_channel_are_cut(new, tmp_path):
    rows = []
    for emotion in ("anger", "sadness"):
        silence, tone = np.zeros(RATE), 0.2 * np.sin(np.arange(RATE // 2))
        left = np.concatenate([silence, tone, silence])
        soundfile.write(tmp_path / f"{emotion}.wav", np.stack([np.zeros_like(left) + 0.5, left], 1), RATE)
        rows.append(Utterance(emotion, "calls", str(tmp_path / f"{emotion}.wav"), start=1.0, end=1.5, emotion=emotion,
                              channel=1))  # fmt: skip
    write_manifest(tmp_path / "calls.jsonl", rows)
    study = new("calls", per_emotion=1, practice=0, attention=0, level="none")
    for item in study.items:
        heard, _ = soundfile.read(tmp_path / "study/audio" / item.audio)
        assert item.seconds == 0.5 and np.allclose(heard, tone, atol=1e-4)
        assert item.language == "und" and item.segment is None


@pytest.mark.parametrize(("level", "ratio"), [("corpus", 6.0), ("none", 6.0), ("item", 1.0)])
def test_loud_emotions_stay_loud_but_where_each_recording_is_levelled(corpus, new, tmp_path, level, ratio):
    corpus(), corpus("esd", "zh")
    study = new("emodb", "esd", per_emotion=4, level=level)
    rms = {}
    for item in items_of(study):
        heard, _ = soundfile.read(tmp_path / "study/audio" / item.audio)
        assert np.abs(heard).max() < 1
        rms.setdefault(item.emotion, []).append(np.sqrt(np.mean(heard**2)))
    assert np.mean(rms["anger"]) / np.mean(rms["sadness"]) == pytest.approx(ratio, rel=0.05)


def test_corpora_are_equally_loud_and_none_clips(corpus, tmp_path):
    rows, _ = corpus(speakers=1, each=1, emotions=("anger", "sadness")), corpus("esd", "zh", speakers=1, each=1)
    click = np.zeros(4000)
    click[2000] = 0.9  # a peak far above the level
    for row, peak in zip(rows, (1, 0)):
        soundfile.write(row.path, peak * click + 0.01 * np.sin(np.arange(4000)), RATE)
    notes = []

    def loudness(level):
        manifests = (str(tmp_path / "emodb.jsonl"), str(tmp_path / "esd.jsonl"))
        request = NewStudy(manifests=manifests, out=str(tmp_path / level), per_emotion=1, practice=0, level=level,
                           attention=0, emotions=("anger", "sadness"))  # fmt: skip
        study = make_study(request, on_note=notes.append)
        heard = {}
        for item in study.items:
            samples, _ = soundfile.read(tmp_path / level / "audio" / item.audio)
            assert np.abs(samples).max() < 0.9901
            heard.setdefault(item.corpus, []).append(samples)
        return {name: np.sqrt(np.mean(np.concatenate(parts) ** 2)) for name, parts in heard.items()}

    powers = loudness("corpus")
    assert powers["emodb"] == pytest.approx(powers["esd"], rel=0.02)
    assert len(notes) == 1 and re.search(r"all recordings are \d+ dB quieter than usual", notes[0])
    loudness("item"), loudness("none")
    assert len(notes) == 1


def test_segments_are_kept_and_whole_recordings_played(corpus, new, tmp_path):
    rows = corpus("zed", "en", speakers=2, each=5, start=0.05, end=0.15)
    twice = [replace(rows[0], id="twice", start=0.16, end=0.18)]
    write_manifest(tmp_path / "zed.jsonl", [*rows, *twice])
    study = new("zed", segments=True)
    assert study.wants_segment and study.emotions == ("anger", "happiness", "sadness"), "neutral is left out"
    items = items_of(study)
    assert Counter(item.emotion for item in items) == dict.fromkeys(study.emotions, 8)
    assert {(item.segment, item.seconds) for item in items} == {((0.05, 0.15), 0.2)}
    assert rows[0].id not in {item.utterance for item in study.items}, "two stretches: none is the right one"
    assert "segments: 24 of 24 items have a reference" in "\n".join(summary_lines(study, "s"))
    with pytest.raises(UserError, match="neutral: does not go with --segments"):
        new("zed", segments=True, emotions=("anger", "neutral"), out=str(tmp_path / "2"))


def test_a_segment_beyond_its_recording_is_skipped(corpus, new, tmp_path):
    rows = corpus("zed", "en", speakers=1, each=3, start=0.05, end=0.15, emotions=("anger", "sadness"))
    write_manifest(tmp_path / "zed.jsonl", [replace(rows[0], end=9.0), *rows[1:]])
    skipped = []
    study = new("zed", segments=True, per_emotion=2, practice=0, on_skip=lambda *names: skipped.append(names))
    assert rows[0].id not in {item.utterance for item in study.items}
    assert not skipped or "beyond the end of the file" in skipped[0][1]
    with pytest.raises(UserError, match=r"items in en \(--per-emotion\): expected 3 utterances .* there are anger 2"):
        new("zed", segments=True, per_emotion=3, practice=0, on_skip=lambda *names: None, out=str(tmp_path / "2"))


def test_what_cannot_be_played_is_replaced_or_an_error(corpus, new, tmp_path):
    rows = corpus(each=3)
    for row in rows[::3]:
        with open(row.path, "wb") as file:
            file.write(b"no audio")
    soundfile.write(rows[1].path, np.zeros(4000), RATE)
    soundfile.write(rows[2].path, np.ones(61 * RATE) * 0.1, RATE)
    skipped = []
    study = new("emodb", per_emotion=6, practice=0, on_skip=lambda *names: skipped.append(names))
    assert Counter(item.emotion for item in items_of(study)) == dict.fromkeys(EMOTIONS, 6)
    assert skipped and not {name for name, _ in skipped} & {item.utterance for item in study.items}
    with pytest.raises(AudioError):
        new("emodb", per_emotion=12, out=str(tmp_path / "strict"))
    with pytest.raises(UserError, match="expected 8 utterances of each emotion, there are anger 6"):
        new("emodb", per_emotion=8, on_skip=lambda *names: skipped.append(names), out=str(tmp_path / "few"))
    reasons = " ".join(reason for _, reason in skipped)
    assert "nothing is heard in it" in reasons and "61.0 s; a listening test plays 60 s at most" in reasons


def test_training_speech_and_its_speakers_are_left_out(corpus, new, tmp_path):
    rows = corpus(each=6)
    write_manifest(tmp_path / "train.jsonl", [row for row in rows if row.id.endswith(("0", "1", "2"))])
    train = (str(tmp_path / "train.jsonl"),)
    study = new("emodb", per_emotion=8, exclude=train)
    assert all(item.utterance.endswith(("3", "4", "5")) for item in study.items if item.utterance)
    write_manifest(tmp_path / "train.jsonl", [replace(rows[0], id="other name", corpus="copy", start=0.1)])
    study = new("emodb", per_emotion=23, practice=0, exclude=train, out=str(tmp_path / "2"))
    assert rows[0].id not in {item.utterance for item in study.items}, "the same stretch under another name"
    later = [replace(rows[1], id=f"later {n}", corpus="copy", start=s, end=s + 0.04) for n, s in enumerate((0.1, 0.02))]
    write_manifest(tmp_path / "train.jsonl", later)
    write_manifest(tmp_path / "calls.jsonl", [
        replace(rows[1 + n // 6], id=f"{n}", emotion=EMOTIONS[n // 6], start=s, end=s + 0.02)
        for n, s in enumerate((0.0, 0.04, 0.06, 0.07, 0.13, 0.15) * 4)
    ])  # fmt: skip
    study = new("calls", per_emotion=3, practice=0, exclude=train, out=str(tmp_path / "calls"))
    assert sorted(item.utterance for item in items_of(study) if item.emotion == "anger") == ["0", "2", "3"]
    write_manifest(tmp_path / "train.jsonl", [row for row in rows if row.speaker in "01"])
    study = new("emodb", per_emotion=8, exclude=train, exclude_speakers=True, out=str(tmp_path / "3"))
    assert {item.speaker for item in study.items if item.corpus} == {"2", "3"}
    with pytest.raises(UserError, match="--exclude-speakers: does nothing without --exclude"):
        new("emodb", exclude_speakers=True)


def test_a_dialect_has_words_for_its_emotions(corpus, new, tmp_path):
    corpus("esd", "zh"), corpus("tjd", "zh-x-tianjin", emotions=EMOTIONS[:3])
    study = new("esd", "tjd", per_emotion=4, dialect=("tjd",))
    words = Counter((item.language, item.emotion) for item in items_of(study))
    assert {word: count for (language, word), count in words.items() if language != "zh"} == {
        "negation": 4, "expectation": 4, "question": 4,
    }  # fmt: skip
    assert {item.corpus for item in items_of(study, "practice")} == {"esd"}
    assert read_study(tmp_path / "study") == study
    with pytest.raises(UserError, match="--dialect: unknown corpus 'tdj': did you mean 'tjd'"):
        new("esd", "tjd", dialect=("tdj",))
    corpus("tjd", "zh", emotions=EMOTIONS[:3])
    with pytest.raises(UserError, match="tjd has the language of esd; give it a tag of its own"):
        new("esd", "tjd", per_emotion=4, dialect=("tjd",), out=str(tmp_path / "2"))


def test_emotions_are_those_that_all_corpora_have(corpus, new, tmp_path):
    corpus(emotions=("anger", "sadness", "boredom")), corpus("esd", "zh", emotions=("sadness", "anger", "fear"))
    assert new("emodb", "esd", per_emotion=2).emotions == ("anger", "sadness")
    assert new("emodb", per_emotion=2, emotions=("Wut", "bored"), out=str(tmp_path / "2")).emotions == (
        "anger", "boredom",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"per_emotion": 13},
            r"items in de \(--per-emotion\): expected 13 utterances of each emotion, there are anger 12",
        ),
        ({"per_emotion": 12}, r"practice \(--practice\): expected 1 utterance of each emotion, there are anger 0"),
        ({"emotions": ("angr", "sadness")}, "unknown emotion label 'angr'"),
        ({"emotions": ("anger", "Wut")}, "name an emotion twice"),
        ({"emotions": ("anger",)}, "emotions: expected two or more, got anger"),
        ({"emotions": ("anger", "fear")}, "there are fear 0"),
        ({"per_emotion": -1}, "per_emotion: expected 0 or more"),
        ({"practice": 10**9}, "practice: expected 10,000 at most"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"level": "items"}, "unknown level 'items': did you mean 'item'"),
        ({"interface": ("fr",)}, "unknown language of the pages 'fr'"),
        ({"block": 0}, "block: expected 1 or more"),
        ({"interface": (), "per_emotion": 1}, "interface: expected different languages, got none"),
        ({"interface": ("en", "en"), "per_emotion": 1}, "interface: expected different languages, got en, en"),
        ({"name": "x" * 201, "per_emotion": 1}, "name: expected a line of 200 characters"),
    ],
)
def test_a_request_that_cannot_be(corpus, new, tmp_path, options, message):
    corpus()
    with pytest.raises(UserError, match=message):
        new("emodb", **options)
    assert not (tmp_path / "study").exists(), "nothing is written"


def test_speech_that_cannot_be(corpus, new, tmp_path):
    corpus(), corpus("letters", "und")
    with pytest.raises(UserError, match="corpus letters: its language is not known; give the column 'language'"):
        new("emodb", "letters")
    rows = corpus("calls", "en", speakers=1, each=1)
    write_manifest(tmp_path / "calls.jsonl", [replace(row, emotion=None) for row in rows])
    with pytest.raises(UserError, match=r"calls\.jsonl: no utterance has an emotion; expected labelled speech"):
        new("calls", emotions=("anger", "sadness"))
    with pytest.raises(UserError, match=r"'emodb-anger-0-0' of emodb stands in .*emodb\.jsonl too"):
        new("emodb", "emodb")


def test_a_stretch_that_stands_twice_is_played_once(corpus, tmp_path):
    rows = corpus(speakers=1, each=2, emotions=("anger", "sadness"))
    write_manifest(tmp_path / "copy.jsonl", [replace(row, id=f"copy-{row.id}", corpus="copy") for row in rows])
    notes = []
    manifests = (str(tmp_path / "emodb.jsonl"), str(tmp_path / "copy.jsonl"))
    request = NewStudy(manifests=manifests, out=str(tmp_path / "s"), per_emotion=2, practice=0)
    study = make_study(request, on_note=notes.append)
    assert sorted(item.utterance for item in items_of(study)) == sorted(row.id for row in rows)
    assert notes == ["4 rows left out: the same stretch of the same recording stands there twice"]


def test_a_study_is_not_written_over(corpus, new, tmp_path):
    corpus()
    study = new("emodb", per_emotion=4)
    assert new("emodb", per_emotion=4) == study, "the same again is left as it is"
    with pytest.raises(UserError, match="holds another study already"):
        new("emodb", per_emotion=5)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; expected a folder for the study"):
        new("emodb", per_emotion=4, out=str(tmp_path / "file"))
    (tmp_path / "answered").mkdir()
    (tmp_path / "answered/answers.sqlite").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds answers\.sqlite of another study"):
        new("emodb", per_emotion=4, out=str(tmp_path / "answered"))


def test_a_file_of_rules(corpus, new, tmp_path):
    corpus()
    path = tmp_path / "rules.toml"
    path.write_text(
        '[title]\nen = "Voices"\n[[rules]]\nquestion = "english"\noperator = "at least"\nvalue = 6.5\n'
        '[[rules]]\nquestion = "native"\noperator = "in"\nvalue = "de"\n[[rules]]\nquestion = "languages"\n'
        'operator = "excludes"\nvalue = ["zh"]\ngroup = "de"\n'
    )
    study = new("emodb", per_emotion=4, rules=str(path))
    assert study.rules == (Rule("english", "at least", 6.5), Rule("native", "in", ("de",)),
                           Rule("languages", "excludes", ("zh",), "de"))  # fmt: skip
    assert study.title == {"en": "Voices"} and study.questions == QUESTIONS
    path.write_text("")
    assert read_rules(path).rules == RULES
    path.write_text('rules = []\n[[questions]]\nname = "native"\nkind = "language"')
    assert read_rules(path).rules == () and [question.name for question in read_rules(path).questions] == ["native"]
    for text, message in (
        ("rule = 3", "unknown key 'rule': did you mean 'rules'?"),
        ("rules = 3", "rules: expected a list, got int"),
        ('[[rules]]\nquestion = "job"\noperator = "in"\nvalue = ["x"]', "rule 1: unknown question 'job'"),
        ('[[questions]]\nname = "age"\nkind = "choice"', "question 'age': expected two or more different choices"),
        ('[[questions]]\nname = "native"\nkind = "language"', "questions: expected 'age' too, for the usual rule (age"),
        ("[title]\nen = 3", "title: en: expected text, got int"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=re.escape(message)) as caught:
            read_rules(path)
        assert str(path) in str(caught.value)


def test_a_consent_that_some_pages_lack_is_told(corpus, tmp_path):
    corpus()
    path = tmp_path / "rules.toml"
    path.write_text('[consent]\nen = "Our text"\nde = "Unser Text"')
    options = {"manifests": (str(tmp_path / "emodb.jsonl"),), "per_emotion": 1, "rules": str(path)}
    for interface, notes in ((("en", "de", "zh"), 1), (("de", "en"), 0)):
        lines: list[str] = []
        request = NewStudy(out=str(tmp_path / f"out{notes}"), interface=interface, **options)
        make_study(request, on_note=lines.append)
        assert [line.startswith("consent: there is no text in zh:") for line in lines] == [True] * notes


def test_what_was_drawn_is_told(corpus, new):
    corpus(), corpus("demo-it", "it")
    study = new("emodb", "demo-it", per_emotion=4)
    lines = "\n".join(summary_lines(study, "out"))
    assert "de: 16 items of emodb (anger 4, happiness 4, neutral 4, sadness 4); 4 speakers; 3 s" in lines
    assert "licence of emodb: free for research" in lines and "licence of demo-it: SYNTHETIC" in lines
    assert "next: emobridge listening serve out" in lines
    assert session_minutes(replace(study, wants_segment=True)) > session_minutes(study) > 3
