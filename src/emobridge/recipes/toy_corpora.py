"""Fabricated corpora in the place of a recipe's: SYNTHETIC buzzes of 0.3 s, with every column filled.

Each has the name of the corpus it stands for after TOY_PREFIX, its language and emotions, and ten speakers. Pitch,
level and formant follow from the emotion, so that there is something to learn; nobody speaks, and a score says nothing
of people. Corpora of one language share their audio, which spares most of the encoding.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from emobridge import registry
from emobridge.corpora import describe
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import SPLITS, write_manifest
from emobridge.files import whole_file
from emobridge.literature.published import corpus_key, published
from emobridge.probe.splits import fold_path
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import Recipe, RecipeCorpus
from emobridge.types import SAMPLE_RATE, TOY_PREFIX, Utterance

_SPEAKERS = 10
_SINGLE = ("pavoque",)  # corpora of a single speaker
_FOLDS = 2  # of corpora whose format has folds
_SECONDS = (0.24, 0.3, 0.36)
_LEAST_SHARE = 0.6  # of the speakers train, whatever the split: every fold has the labels of the largest budget
_PHONES = ("a", "t", "ɛ", "n", "ə", "s", "i", "k", "o", "m", "u", "l")  # of every utterance, each as long


@dataclass(frozen=True, slots=True)
class ToyCorpus:
    """What is fabricated for a corpus."""

    name: str  # the recipe's
    language: str  # BCP 47
    emotions: tuple[str, ...]
    speakers: int
    repetitions: int  # utterances of each speaker and emotion
    folds: int  # 0 where the split stands in its column alone
    in_stretches: bool = False  # whether an utterance is the middle of its recording


def fabricate_corpora(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The manifest of each corpus in `folder`; audio that is there already is not written again."""
    return {material.corpus: _write_corpus(plan_corpus(recipe, material), folder) for material in recipe.corpora}


def plan_corpus(recipe: Recipe, material: RecipeCorpus) -> ToyCorpus:
    """What a recipe needs of a corpus: emotions that its studies tell apart, and labels for the largest budget."""
    emotions = _emotions_for(recipe, material)
    speakers = 1 if material.corpus in _SINGLE else _SPEAKERS
    trained = _LEAST_SHARE * speakers * len(emotions)  # utterances that train, for each repetition
    repetitions = max(_SPEAKERS // speakers, math.ceil(_largest_budget(recipe, material.corpus) / trained))
    folds = _FOLDS if material.format else 0
    in_stretches = any(test.request.segments and material.corpus in test.corpora for test in recipe.listening)
    return ToyCorpus(material.corpus, _language_of(material), emotions, speakers, repetitions, folds, in_stretches)


def _emotions_for(recipe: Recipe, material: RecipeCorpus) -> tuple[str, ...]:
    """Those of its studies that the corpus has; where a study names none, all of the corpus."""
    label_sets = [study.settings.labels for study in recipe.studies if material.corpus in study.settings.corpora]
    label_sets += [test.request.emotions for test in recipe.listening if material.corpus in test.corpora]
    labels = set() if () in label_sets else {label for labels in label_sets for label in labels}
    own = [counts for counts in recipe.counts if counts.corpora == (material.corpus,)]
    absent = {emotion for counts in own for emotion, count in counts.emotions if not count}
    plugin = _plugin_for(material)
    known = (describe(plugin).emotions if plugin else EMOTIONS) if not labels else EMOTIONS
    emotions = [emotion for emotion in known if emotion not in absent and (not labels or emotion in labels)]
    most = max((counts.classes for counts in own), default=0) or len(emotions)
    return tuple(emotions[: max(2, most)])


def _plugin_for(material: RecipeCorpus) -> str:
    """The corpus of the registry that is meant, whatever collection holds the copy; "" where there is none."""
    for name in _names_of(material):
        for plugin in registry.names("corpora"):
            if corpus_key(plugin) == name:
                return plugin
    return ""


def _names_of(material: RecipeCorpus) -> list[str]:
    """The keys of a corpus's name, as it is and without the collection's before it."""
    return [corpus_key(material.corpus), corpus_key(material.corpus.removeprefix(f"{material.plugin}-"))]


def _language_of(material: RecipeCorpus) -> str:
    """As the recipe says, or the corpus's plug-in, or a paper's table; "und" where nothing does."""
    language = material.spoken or str(dict(material.options).get("language", ""))
    if language:
        return language
    if plugin := _plugin_for(material):
        return describe(plugin).languages[0]
    printed = {corpus_key(row.target): row.target_language for row in published()}
    return next((printed[name] for name in _names_of(material) if name in printed), "und")


def _largest_budget(recipe: Recipe, corpus: str) -> int:
    """The largest number of target labels that any study wants of a corpus."""
    studies = [study.settings for study in recipe.studies if isinstance(study.settings, AdaptStudy)]
    budgets = [amount for study in studies if corpus in study.targets for amount in study.request.budgets]
    return max((int(amount) for amount in budgets if amount != "all"), default=0)


def _write_corpus(corpus: ToyCorpus, folder: Path) -> Path:
    manifest = folder / f"{corpus.name}.jsonl"
    rows = list(_utterances(corpus, folder))
    write_manifest(manifest, rows)
    for number in range(1, corpus.folds + 1):
        write_manifest(fold_path(manifest, number), _fold(rows, number))
    return manifest


def _fold(rows: Sequence[Utterance], number: int) -> Iterator[Utterance]:
    """The rows with the splits of a fold: other speakers validate and test; of one speaker other repetitions do."""
    alone = len({row.speaker for row in rows}) == 1
    for row in rows:
        index = row.id.rpartition("-")[2] if alone else str(row.speaker)
        yield replace(row, split=_split_of(int(index) + 2 * number))


def _split_of(number: int) -> str:
    """The split of a speaker, or of a repetition where there is one speaker: 60/20/20 of every ten."""
    return ((SPLITS[0],) * 6 + (SPLITS[1],) * 2 + (SPLITS[2],) * 2)[number % _SPEAKERS]


def _utterances(corpus: ToyCorpus, folder: Path) -> Iterator[Utterance]:
    """The rows of a corpus; their recordings and alignments are written where they are missing."""
    for speaker, emotion, repetition in itertools.product(
        range(corpus.speakers), corpus.emotions, range(corpus.repetitions)
    ):
        name = f"{speaker:02}-{emotion}-{repetition}"
        seconds = _SECONDS[(speaker + repetition) % len(_SECONDS)]
        audio = folder / "audio" / corpus.language / f"{name}.wav"
        phones = folder / "phones" / f"{seconds:g}.TextGrid"
        if not audio.exists():
            with whole_file(audio) as temporary:
                wave = buzz(seconds, emotion, speaker, _generator(corpus.language, name))
                soundfile.write(temporary, wave, SAMPLE_RATE, format="WAV")
        if not phones.exists():
            with whole_file(phones) as temporary:
                temporary.write_text(_text_grid(seconds), encoding="utf-8")
        arousal, valence, dominance = _ratings(emotion, _generator(corpus.name, name))
        yield Utterance(
            f"{corpus.name}-{name}",
            TOY_PREFIX + corpus.name,
            str(audio),
            start=seconds / 4 if corpus.in_stretches else 0.0,
            end=seconds * 3 / 4 if corpus.in_stretches else None,
            language=corpus.language,
            speaker=f"{speaker:02}",
            emotion=emotion,
            arousal=arousal,
            valence=valence,
            dominance=dominance,
            split=_split_of(speaker if corpus.speakers > 1 else repetition),
            text="a toy sentence",
            phones=str(phones),
            gender=("female", "male")[speaker % 2],
            naturalness=("acted", "natural")[speaker // 2 % 2],
        )


def buzz(seconds: float, emotion: str, speaker: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """(T,) at 16 kHz, RMS from 0.05 to 0.2 of full scale: a pitch with its harmonics under a formant that moves.

    The emotion sets pitch, level and formant; the speaker and the generator shift them a little.
    """
    rank = EMOTIONS.index(emotion) / len(EMOTIONS)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = (110, 200)[speaker % 2] * (0.8 + rank) * (1 + 0.02 * speaker) * generator.uniform(0.95, 1.05)  # Hz
    formant = (500 + 1500 * rank) * (1 + 0.2 * np.sin(2 * np.pi * generator.uniform(2, 5) * t))  # Hz
    wave = sum(np.cos(2 * np.pi * k * pitch * t) * np.exp(-np.abs(k * pitch - formant) / 300) for k in range(1, 12))
    wave = wave * (0.6 + 0.4 * np.sin(2 * np.pi * 5 * t)) + 0.01 * generator.standard_normal(len(t))
    level = (0.05 + 0.15 * rank) * generator.uniform(0.9, 1.1)
    return np.asarray(level * wave / np.sqrt(np.mean(np.square(wave))), dtype=np.float32)


def _ratings(emotion: str, generator: np.random.Generator) -> list[float]:
    """Arousal, valence and dominance in [-1, 1] that follow from the emotion, with noise."""
    turn = 2 * np.pi * EMOTIONS.index(emotion) / len(EMOTIONS)
    values = 0.7 * np.sin(turn + np.arange(3)) + 0.15 * generator.standard_normal(3)
    return [round(float(value), 3) for value in np.clip(values, -1, 1)]


def _generator(*words: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(" ".join(words).encode()))


def _text_grid(seconds: float) -> str:
    """An alignment of _PHONES as Praat writes it, in its long form."""
    step = seconds / len(_PHONES)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {seconds:g}"]
    lines += ["tiers? <exists>", "size = 1", "item []:", "    item [1]:", '        class = "IntervalTier"']
    lines += ['        name = "phones"', "        xmin = 0", f"        xmax = {seconds:g}"]
    lines += [f"        intervals: size = {len(_PHONES)}"]
    for number, phone in enumerate(_PHONES):
        lines += [f"        intervals [{number + 1}]:", f"            xmin = {number * step:.6f}"]
        lines += [f"            xmax = {(number + 1) * step:.6f}", f'            text = "{phone}"']
    return "\n".join([*lines, ""])
