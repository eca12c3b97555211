"""The demonstration corpus: the same bytes however it is made, alignments, and how hard it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emobridge import corpora, registry
from emobridge.corpora import demo
from emobridge.data.attributes import attributes_of
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError

SPEAKERS = 2
COUNT = 2 * SPEAKERS * 4 * 10  # utterances of two languages


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """English and German of few speakers: 4 emotions, 10 sentences."""
    pytest.importorskip("espeakng_loader")
    folder = tmp_path_factory.mktemp("demo")
    seen: list[tuple[int, int]] = []
    manifests = demo.make_corpora(folder, speakers=SPEAKERS, on_progress=lambda *progress: seen.append(progress))
    assert manifests == [folder / "en.jsonl", folder / "de.jsonl"]
    assert seen == [(number, COUNT) for number in range(COUNT + 1)]
    return folder


def digests(folder: Path) -> dict[str, str]:
    """Of every audio file and alignment, by path in the folder."""
    files = [*folder.glob("*/*/*.flac"), *folder.glob("*/*/*.tsv")]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def phones_of(path: str) -> list[tuple[float, float, str]]:
    header, *rows = Path(path).read_text(encoding="utf-8").splitlines()
    assert header == "start_s\tend_s\tphone"
    return [(float(start), float(end), phone) for start, end, phone in (row.split("\t") for row in rows)]


def test_it_is_a_corpus_like_any_other(corpus):
    module = registry.load("corpora", "demo")
    utterances = list(module.scan(corpus))
    assert len(utterances) == COUNT
    assert {utterance.corpus for utterance in utterances} == {"demo-en", "demo-de"}
    assert set(module.LABELS.values()) <= set(EMOTIONS)
    german = list(module.scan(corpus, languages=["de"]))
    assert {(utterance.corpus, utterance.language) for utterance in german} == {("demo-de", "de")}
    assert {(u.speaker[0], u.gender, u.naturalness) for u in german} == {("f", "female", None), ("m", "male", None)}
    assert len({utterance.speaker for utterance in german}) == SPEAKERS
    texts = {emotion: {u.text for u in german if u.emotion == emotion} for emotion in ("anger", "neutral", "sadness")}
    assert len(texts["anger"]) == 10
    assert texts["anger"] == texts["neutral"] == texts["sadness"]
    assert "SYNTHETIC" in (corpus / "README.txt").read_text()


def test_every_utterance_has_its_phones(corpus):
    for utterance in demo.scan(corpus):
        info = soundfile.info(utterance.path)
        assert (info.samplerate, info.channels) == (16_000, 1)
        phones = phones_of(utterance.phones)
        times = [time for start, end, _ in phones for time in (start, end)]
        assert times == sorted(times)
        assert times[0] >= 0.1
        assert times[-1] <= info.duration - 0.1
        assert all(phone and not set(phone) & set("0123456789.-ˈˌ ") for _, _, phone in phones)


def test_phones_are_where_the_speech_is(corpus):
    """The sample times hold on the 16 kHz axis: vowels are far louder than what precedes the first phone."""
    for utterance in list(demo.scan(corpus))[::40]:
        wave, rate = soundfile.read(utterance.path)
        phones = phones_of(utterance.phones)
        vowels = np.concatenate(
            [wave[int(a * rate) : int(b * rate)] for a, b, phone in phones if phone[0] in "aeiouɑɛɪ"]
        )
        silence = np.concatenate([wave[: int(phones[0][0] * rate)], wave[int((phones[-1][1] + 0.05) * rate) :]])
        assert np.std(vowels) > 3 * np.std(silence)


def test_attributes_follow_the_emotion(corpus):
    rows = list(demo.scan(corpus))
    mean = {
        emotion: np.mean([(u.arousal, u.valence, u.dominance) for u in rows if u.emotion == emotion], axis=0)
        for emotion in ("anger", "happiness", "neutral", "sadness")
    }
    assert mean["anger"][0] > 0.4 > 0.1 > mean["neutral"][0] > -0.1 > -0.3 > mean["sadness"][0]
    assert mean["happiness"][1] > 0.4 > -0.3 > mean["anger"][1]
    assert mean["anger"][2] > 0.3 > -0.3 > mean["sadness"][2]
    values = attributes_of(rows, corpora.attribute_ranges(rows, {}))
    np.testing.assert_allclose(values, [[u.arousal, u.valence, u.dominance] for u in rows], atol=1e-12)  # -1 to 1
    assert len({u.arousal for u in rows if u.emotion == "anger"}) > 20


def test_bytes_do_not_depend_on_order_workers_or_company(corpus, tmp_path):
    """One worker, another order of languages and emotions, fewer speakers: the same bytes as in the large corpus."""
    demo.make_corpora(tmp_path, ["de", "en"], speakers=1, emotions=["sadness", "anger"], workers=1)
    part, all_of_them = digests(tmp_path), digests(corpus)
    assert len(part) == 2 * 2 * 10 * 2
    assert {name: all_of_them[name] for name in part} == part


def test_a_fresh_process_for_each_gives_the_bytes_of_a_fork(corpus, tmp_path):
    from emobridge.corpora import _demo_worker as worker

    plan = worker.DemoPlan(
        str(tmp_path), ("en",), ("anger", "happiness"), 1, 1, 0, first=9, step=2, last=12, forks=False
    )
    home = tmp_path / "home"
    home.mkdir()
    spoken = subprocess.run(
        worker.worker_command(plan), cwd=home, check=True, capture_output=True, text=True
    ).stdout.split()
    assert spoken == ["en_m01_anger_s10_r1", "en_m01_happiness_s02_r1"]
    part, all_of_them = digests(tmp_path), digests(corpus)
    assert len(part) == 4
    assert {name: all_of_them[name] for name in part} == part


def test_another_seed_gives_other_bytes_and_needs_another_folder(corpus, tmp_path):
    with pytest.raises(UserError, match=r"'seed': 0.*'seed': 1.*another folder"):
        demo.make_corpora(corpus, seed=1)
    demo.make_corpora(tmp_path, ["en"], speakers=1, emotions=["anger"], seed=1)
    part, others = digests(tmp_path), digests(corpus)
    assert all(others[name] != digest for name, digest in part.items())


def test_what_was_broken_off_goes_on(corpus, tmp_path):
    """The process is killed in the midst of it; the second run makes what is missing and touches nothing else."""
    script = (
        "import sys; from emobridge.corpora import demo; demo.make_corpora(sys.argv[1], ['en'], speakers=2, workers=1)"
    )
    (tmp_path / "temporary").mkdir()  # a killed process cannot tidy up; here pytest will
    environment = dict(os.environ, TMPDIR=str(tmp_path / "temporary"))
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    while len(list(tmp_path.glob("en/*/*.flac"))) < 5:
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not (tmp_path / "en.jsonl").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("en/*/*_anger_s0[1-4]_r1.flac")}
    assert len(before) >= 4
    demo.make_corpora(tmp_path, ["en"], speakers=2)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    files, expected = digests(tmp_path), digests(corpus)
    assert len(files) == 160
    assert files == {name: expected[name] for name in files}


def test_a_finished_corpus_needs_no_synthesiser(corpus, monkeypatch):
    monkeypatch.setattr(demo, "_speak", lambda *_: pytest.fail("nothing is missing"))
    seen: list[tuple[int, int]] = []
    demo.make_corpora(corpus, ["de", "en"], speakers=SPEAKERS, on_progress=lambda *progress: seen.append(progress))
    assert seen == [(COUNT, COUNT)]


def test_is_synthetic():
    assert demo.is_synthetic("demo-en") and demo.is_synthetic("ravdess+demo-de") and demo.is_synthetic("demo")
    assert not any(map(demo.is_synthetic, ("emodb", "emodb+emovo", "my-demo", "demographics", "")))


def test_importing_it_is_light():
    script = "import sys; import emobridge.corpora.demo; print({'ctypes', 'numpy', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout.strip() == b"set()"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ["en", "dee"]}, "unknown demo language 'dee': did you mean 'de'"),
        ({"emotions": ["angry"]}, "unknown demo emotion 'angry': did you mean 'anger'"),
        ({"languages": ["en", "en"]}, "named twice"),
        ({"speakers": 0}, "speakers = 0: expected 1 or more"),
        ({"workers": -1}, "workers = -1: expected 1 or more"),
    ],
)
def test_mistakes_get_one_line(tmp_path, options, message):
    with pytest.raises(UserError) as caught:
        demo.make_corpora(tmp_path, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        demo.make_corpora(tmp_path / "file" / "corpus")


def test_an_utterance_that_cannot_be_written(tmp_path):
    """What goes wrong in a worker reaches the caller as one line, and no manifest tells of what is not there."""
    pytest.importorskip("espeakng_loader")
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "m01").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"m01.*cannot be written") as caught:
        demo.make_corpora(tmp_path, ["en"], speakers=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "en.jsonl").exists()


def test_without_the_wheel(tmp_path, monkeypatch):
    """A module that fails to import stands before the wheel, for the worker's process too."""
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(UserError, match=r"pip install 'emobridge\[demo\]'"):
        demo.make_corpora(tmp_path / "corpus")


def test_scanning_another_folder(tmp_path):
    with pytest.raises(UserError, match="no demonstration corpus is here"):
        list(demo.scan(tmp_path))


def log_mel(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation over time of 64 log-mel bands (128,), and (2,): level in dB and length in s."""
    wave, rate = soundfile.read(path)
    frames = np.lib.stride_tricks.sliding_window_view(wave, 512)[::160] * np.hanning(512)
    mel = np.linspace(*(2595 * np.log10(1 + np.array([60, 7800]) / 700)), 66)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(512, 1 / rate)
    bands = np.stack([np.interp(bins, edges[band : band + 3], [0, 1, 0]) for band in range(64)])
    decibels = 10 * np.log10(np.abs(np.fft.rfft(frames)) ** 2 @ bands.T + 1e-8)
    level = 10 * np.log10(np.mean(wave**2))
    return np.concatenate([decibels.mean(0), decibels.std(0)]), np.array([level, len(wave) / rate])


def difficulty(corpus: Path, language: str):
    """Features, level and length, emotions and speakers of a language."""
    rows = list(demo.scan(corpus, [language]))
    spectra, levels = zip(*(log_mel(row.path) for row in rows))
    return np.array(spectra), np.array(levels), np.array([r.emotion for r in rows]), np.array([r.speaker for r in rows])


MODEL = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))


def within(features, emotions, speakers):
    """UA on speakers that were not trained on; chance is 0.25."""
    predicted = cross_val_predict(MODEL, features, emotions, groups=speakers, cv=GroupKFold(4))
    return recall_score(emotions, predicted, average="macro")


def across(source, target):
    """UA on a language that was not trained on."""
    return recall_score(target[2], MODEL.fit(source[0], source[2]).predict(target[0]), average="macro")


def test_four_speakers_are_neither_trivial_nor_hopeless(corpus, tmp_path):
    folder = shutil.copytree(corpus, tmp_path / "more")
    demo.make_corpora(folder, ["en"], speakers=4)
    english = difficulty(folder, "en")
    inside = within(english[0], english[2], english[3])
    assert 0.6 < inside < 0.9
    assert 0.35 < across(difficulty(folder, "de"), english) < inside - 0.07
    assert within(english[1], english[2], english[3]) < min(0.6, inside - 0.15)  # level and length alone


@pytest.mark.slow
def test_eight_speakers_are_neither_trivial_nor_hopeless_either_way(tmp_path):
    pytest.importorskip("espeakng_loader")
    demo.make_corpora(tmp_path)
    english, german = difficulty(tmp_path, "en"), difficulty(tmp_path, "de")
    for source, target in ((english, german), (german, english)):
        inside = within(target[0], target[2], target[3])
        assert 0.6 < inside < 0.9
        assert 0.35 < across(source, target) < inside - 0.07
        assert within(target[1], target[2], target[3]) < min(0.6, inside - 0.15)


def test_recordings_tell_nothing_by_their_names_and_a_call_has_a_person_a_channel(tmp_path):
    pytest.importorskip("espeakng_loader")
    emotions = ("anger", "sadness")
    folder, call = demo.make_recordings(tmp_path, "it", speakers=1, emotions=emotions)
    rows = list(read_manifest(tmp_path / "recordings.jsonl"))
    assert len(rows) == 4 * 2 * 10 and {row.emotion for row in rows} == set(emotions)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.flac")) == sorted(
        f"{row.id}.flac" for row in rows
    )
    assert not any(emotion in row.path for row in rows for emotion in emotions)
    assert len({row.emotion for row in rows[:6]}) == 2, "they are in no order of emotions"
    turns = list(read_manifest(tmp_path / "call.jsonl"))
    wave, rate = soundfile.read(call)
    assert wave.shape[1] == 2 and {turn.channel for turn in turns} == {0, 1}
    for turn in turns:
        spoken = wave[round(turn.start * rate) : round(turn.end * rate)]
        levels = np.sqrt(np.mean(np.square(spoken), 0))
        assert levels[turn.channel] > 20 * levels[1 - turn.channel], "the other one is silent"
    before = call.read_bytes()
    assert demo.make_recordings(tmp_path, "it", speakers=1, emotions=emotions)[1].read_bytes() == before
