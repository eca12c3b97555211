"""The numbers that other studies print, as records: shown beside the scores of a run, and never mixed with them.

A reader for each table turns its CSV, which is laid out as in the paper, into rows of `Published`. Where a table leaves
something out (how many labels, which direction), the record says "not stated" instead of guessing.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from emobridge.languages import language_tag, primary_language
from emobridge.types import ATTRIBUTES

AGARLA = "Agarla et al. 2024"
CAMEO = "CAMEO (Christop & Czajka 2025)"
DASARO = "D'Asaro et al. 2024"
EMOBOX = "EmoBox (Ma et al. 2024)"
GONCALVES = "Goncalves et al. 2024"
HAN = "Han et al. 2025"
UPADHYAY = "Upadhyay et al. 2024"

FOUR = ("anger", "happiness", "neutral", "sadness")
FIVE = ("anger", "fear", "happiness", "neutral", "sadness")
SEVEN = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")  # EMO-DB
EIGHT = ("anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")  # RAVDESS
BIG_SIX = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")  # Ekman's six and neutral
NOT_STATED = "not stated"
SIX = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")  # of CAMEO, in most of its languages
UNDETERMINED = "und"  # BCP 47
MANY = "mul"  # BCP 47

# The label sets of single-corpus studies, from the corpora's own descriptions; DEMoS's seven are not all among ours.
CORPUS_LABELS = {
    "AESDD": ("anger", "disgust", "fear", "happiness", "sadness"),
    "CaFE": BIG_SIX,
    "EmoDB": SEVEN,
    "EmoMatch": BIG_SIX,
    "EMOVO": BIG_SIX,
    "EYASE": FOUR,
    "Oreau": BIG_SIX,
    "ShEMO": ("anger", "fear", "happiness", "neutral", "sadness", "surprise"),
}
# The same for more corpora of EmoBox; the labels of others are not all among ours.
_EMOBOX_LABELS = CORPUS_LABELS | {
    "CREMA-D": ("anger", "disgust", "fear", "happiness", "neutral", "sadness"),
    "Emozionalmente": BIG_SIX,
    "RAVDESS": EIGHT,
    "SAVEE": BIG_SIX,
    "SUBESCO": BIG_SIX,
    "TESS": BIG_SIX,
    "URDU": FOUR,
}
_SHARED_FOLDS = ("EmoDB", "ShEMO")  # whose folds in EmoBox share speakers
_AGARLA_TARGETS = {"en": "RAVDESS+SAVEE+TESS", "fr": "CaFE", "de": "EMO-DB", "it": "EMOVO", "fa": "ShEMO"}
_HAN_EMOTIONS = {"angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness"}
_HAN_CORPORA = {"cn": "ESD", "de": "PAVOQUE (one speaker)", "en": "IEMOCAP improvised", "tj": "TJD"}
# Presets of encoders by the name that tables print.
_PRINTED = {"hubert-large": "hubert-large-ll60k", "wav2vec2-base-zh": "w2v2-cn", "wav2vec2-base-de": "w2v2-de"}
_PODCASTS = {"msp": "MSP-Podcast", "biic": "BIIC-Podcast"}
_PODCAST_LANGUAGES = {"msp": "en", "biic": "zh-TW"}


@dataclass(frozen=True, slots=True)
class Published:
    """One printed number. `labels` is empty where the study does not say which emotions it scored."""

    study: str
    measure: str  # "UA", "UAR", "WA", "F1", "CCC arousal", "EDER"
    source_language: str  # BCP 47; "" where the number has no training language (listeners)
    target_language: str
    source: str  # corpora that were trained on
    target: str  # corpora of the target language
    side: str  # which was scored: "source" or "target"
    method: str
    encoder: str
    labels: tuple[str, ...]
    target_labels: str  # "0", "all", "few" or "not stated"
    value: float  # per cent as printed; CCC in [-1, 1]
    note: str  # how its protocol differs from a run here
    kind: str = "published"  # or "public tool": measured with a public tool, and printed nowhere


CorpusLanguage = tuple[str, str]  # name and language (BCP 47), as `Speech.corpora` has them


def applicable(
    sources: Collection[CorpusLanguage],
    targets: Collection[CorpusLanguage],
    labels: Collection[str],
    target_labels: str,
    *,
    sides: Collection[str] = ("target",),
    unstated: bool = False,
) -> tuple[Published, ...]:
    """The numbers that a report of such a run should show, those of the same label budget first.

    They are of the run's corpora and label set: all of its targets are among theirs, and one of its sources at least;
    where a table does not name its source, that is in the same language. What was measured on other speech of the same
    language is not shown. A run of attributes passes ATTRIBUTES as labels. Rows of budgets "0" and "all" are shown with
    every run, as its bounds, and few-shot rows with the budgets between. sides: which scored sides to show. unstated:
    whether rows of an unstated budget are shown. Error rates of diarization never are.
    """
    emotions = set(labels)
    budget = "few" if target_labels not in ("0", "all") else target_labels
    rows = [
        row
        for row in published()
        if row.side in sides
        and targets
        and all(_is_of(row.target, row.target_language, corpus) for corpus in targets)
        and any(_is_of(row.source, row.source_language, corpus) for corpus in sources)
        and set(row.labels) == emotions
        and row.target_labels in ("0", "all", budget, *([NOT_STATED] if unstated else []))
        and row.measure != "EDER"
    ]
    return tuple(sorted(rows, key=lambda row: row.target_labels != budget))


def _is_of(printed: str, language: str, corpus: CorpusLanguage) -> bool:
    """Whether a corpus is one of those that a table names; where it names none, whether the language is the same.

    A corpus that says another language than the table has is another corpus of the same name.
    """
    name, spoken = corpus[0], primary_language(corpus[1])
    if printed == NOT_STATED:
        return spoken == primary_language(language)
    return corpus_key(name) in map(corpus_key, printed.split("+")) and spoken in (
        UNDETERMINED,
        primary_language(language),
    )


def corpus_key(name: str) -> str:
    """A corpus by its letters and digits alone, without what a table adds on the part of it that was used.

    >>> corpus_key("EMO-DB"), corpus_key("emodb"), corpus_key("PAVOQUE (one speaker)")
    ('emodb', 'emodb', 'pavoque')
    """
    whole = name.partition("(")[0].removesuffix(" improvised").casefold()
    return "".join(character for character in whole if character.isalnum())


def comparable(
    study: str,
    methods: Collection[str],
    encoder: str,
    *,
    languages: tuple[str, str],
    labels: Collection[str],
    target_labels: str,
    side: str,
) -> tuple[Published, ...]:
    """The numbers of `study`, for the printed `methods`, that are comparable with one measured score.

    languages: of the source and of the target. Language pair, encoder, labels, label budget and scored side of a row
    agree with those of the score where the table states them. Two kinds of rows also go with the score on the source:
    of a model that was trained on the source alone, and, if no target label was used, of training and test in the
    source's language.
    """
    source, target = map(primary_language, languages)
    few_shot = target_labels not in ("0", "all")

    def is_monolingual(row: Published) -> bool:
        alone = side == "source" and target_labels == "0" and row.side == "target"
        return alone and primary_language(row.source_language) == primary_language(row.target_language) == source

    return tuple(
        row
        for row in published()
        if row.study == study
        and row.method in methods
        and row.encoder in (NOT_STATED, *_printed_names(encoder))
        and set(row.labels) == set(labels)
        and (
            is_monolingual(row)
            or (
                row.side == side
                and primary_language(row.source_language) in (source, MANY)
                and primary_language(row.target_language) in ({target, source} if side == "source" else {target})
                and (row.target_labels in (target_labels, NOT_STATED) or (few_shot and row.target_labels == "few"))
            )
        )
    )


def printed_in_corpus(study: str, corpus: str, encoder: str) -> tuple[Published, ...]:
    """The numbers of `study` for one encoder that was trained and tested on one corpus."""
    return tuple(
        row
        for row in published()
        if row.study == study
        and row.source == row.target
        and corpus_key(row.target) == corpus_key(corpus)
        and row.encoder in _printed_names(encoder)
    )


@cache
def published() -> tuple[Published, ...]:
    """All numbers of all tables, in the order of the tables."""
    return tuple(row for reader in _READERS for row in reader())


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of this room, as printed."""
    text = resources.files("emobridge.literature").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _printed_names(encoder: str) -> set[str]:
    """The names that a preset may have in print: "emotion-cnn" is "emotioncnn", "hubert-base" is "hubert"."""
    return {encoder, encoder.replace("-", ""), encoder.partition("-")[0], _PRINTED.get(encoder, encoder)}


def _agarla(
    target: str, side: str, method: str, encoder: str, labels: tuple[str, ...], budget: str, value: str, note: str
) -> Published:
    split = "speaker-disjoint 60/20/20, whole utterances, three seeds"
    if "(reported)" in method:
        split, note = "by its own authors, on their corpora and splits", ""
    source = NOT_STATED if "(reported)" in method else _AGARLA_TARGETS["en"]
    return Published(
        AGARLA, "UA", "en", target, source, _AGARLA_TARGETS[target], side, method, encoder, labels,
        budget, float(value), f"{split}; {note}" if note else split,
    )  # fmt: skip


def _agarla_all_label() -> Iterator[Published]:
    for row in read_table("agarla2024_all_label_ua"):
        target = row["training"].removeprefix("en").removeprefix("+") or "en"
        for column, value in row.items():
            side, _, encoder = column.partition("_")
            if value and encoder and side in ("source", "new"):
                method = "English only" if target == "en" else "all target labels"
                budget = "0" if target == "en" else "all"
                where = "source" if side == "source" else "target"
                yield _agarla(target, where, method, encoder, FIVE, budget, value, "")


def _agarla_zero_label() -> Iterator[Published]:
    for row in read_table("agarla2024_zero_label_ua"):
        for encoder in ("emotioncnn", "byol-s", "hubert"):
            yield _agarla(row["language"], "target", "no target labels", encoder, FIVE, "0", row[encoder], "")


def _agarla_state_of_the_art() -> Iterator[Published]:
    for row in read_table("agarla2024_state_of_the_art_ua"):
        method, _, encoder = row["method"].partition(" ") if "pseudo" in row["method"] else (row["method"], "", "")
        budget = "few" if method.startswith("fluda") else "0"
        for target in ("fr", "de", "it", "fa"):
            if row[target]:
                yield _agarla(
                    target, "target", method, encoder or NOT_STATED, FOUR, budget, row[target], "without fear"
                )


def _agarla_ablations() -> Iterator[Published]:
    for name, pattern in (("rebalance", "{} rebalancing"), ("threshold", "{}")):
        for row in read_table(f"agarla2024_{name}_ua"):
            target, side = row["pair"].removeprefix("en-"), "target" if row["side"] == "new" else "source"
            for column in [name for name in row if name not in ("pair", "side")]:
                method = "pseudo-labels, " + pattern.format(column.replace("_", " "))
                yield _agarla(target, side, method, NOT_STATED, FIVE, NOT_STATED, row[column], "ablation")


def _dasaro() -> Iterator[Published]:
    note = "speaker-independent 80/10/10; macro or weighted F1 is not stated"
    sizes = {row["corpus"]: row["emotions"] for row in read_table("dasaro2024_corpora")}
    for row in read_table("dasaro2024_corpora_f1"):
        language, corpus = language_tag(row["language"]), row["corpus"]
        yield Published(
            DASARO, "F1", language, language, corpus, corpus, "target", f"{row['head']} head", row["encoder"],
            CORPUS_LABELS.get(corpus, ()), "all", float(row["f1"]), f"{sizes[corpus]} emotions; {note}",
        )  # fmt: skip
    for row in read_table("dasaro2024_probe_heads_f1"):
        for head in ("linear", "nonlinear", "multilayer"):
            yield Published(
                DASARO, "F1", "mul", "mul", "nine corpora", "nine corpora", "target", f"{head} head", row["encoder"],
                (), "all", float(row[head]), f"over nine corpora; {note}",
            )  # fmt: skip


def _goncalves() -> Iterator[Published]:
    for row in read_table("goncalves2024_lora_ccc"):
        tested = row["test_corpus"].removesuffix("-podcast")
        other = "biic" if tested == "msp" else "msp"
        first = tested if row["table"] == "1" else other
        sees_both = row["method"] in ("ft-dual", "ft+lora")
        note = "in domain" if row["table"] == "1" else "across languages"
        dual = row["table"] == "1" and sees_both  # tested on its first language, with labels of both
        if dual:
            note += f", {_PODCASTS[other]} seen as well"
        if row["significant"]:
            note += "; marked significant in print"
        yield Published(
            GONCALVES, f"CCC {row['attribute']}", _PODCAST_LANGUAGES[first],
            _PODCAST_LANGUAGES[other if dual else tested], _PODCASTS[first], _PODCASTS[other if dual else tested],
            "source" if dual else "target", row["method"], row["encoder"], ATTRIBUTES,
            "all" if sees_both or row["table"] == "1" else "0", float(row["ccc"]), note,
        )  # fmt: skip


def _han() -> Iterator[Published]:
    folds = "five folds, 400 training utterances an emotion"
    for row in read_table("han2024_peft_ua"):
        trained, tested = row["train_language"], row["test_language"]
        staged = row["strategy"] == "two-stage"
        source = row["encoder"].removeprefix("w2v2-") if staged else trained
        yield Published(
            HAN, "UA", _han_language(source), _han_language(tested), _HAN_CORPORA[source], _HAN_CORPORA[tested],
            "target", row["strategy"], row["encoder"], FOUR, "0" if row["setting"] == "cross" else "all",
            float(row["ua"]), f"setting {row['setting']}; {folds}",
        )  # fmt: skip
    for row in read_table("han2024_humans_ua"):
        for tested in ("cn", "de", "en", "tj"):
            labels = ("question", "negation", "expectation") if tested == "tj" else FOUR
            yield Published(
                HAN, "UA", "", _han_language(tested), "", _HAN_CORPORA[tested], "target",
                f"listeners, native {_han_language(row['listeners'])}", "", labels, NOT_STATED, float(row[tested]),
                "mean over listeners; 12 utterances an emotion",
            )  # fmt: skip
    for row in read_table("han2024_eder"):
        for who in ("wavlm-large", "cn-listeners", "de-listeners"):
            yield Published(
                HAN, "EDER", "en", "en", "", "ZED", "target", f"diarization, {row['emotion']}", who,
                ("anger", "happiness", "sadness"), NOT_STATED, float(row[who]), "24 utterances; lower is better",
            )  # fmt: skip


def _han_language(code: str) -> str:
    return {"cn": "zh", "tj": "zh-x-tianjin"}.get(code, code)


@dataclass(frozen=True, slots=True)
class PublishedConfusion:
    """A printed confusion matrix."""

    study: str
    who: str  # "human" or "model"
    native: str  # language of the listeners, or of the model's pre-training
    setting: str  # "mono", "cross" or "trans"; of listeners "l2" counts as "trans"
    test_language: str
    labels: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]  # (C, C) of each row's utterances in [0, 1], rows truth

    @property
    def train_language(self) -> str:
        """The language that a model was trained on (methods C): its own in setting cross, else the tested one."""
        return self.native if self.setting == "cross" else self.test_language


@cache
def published_confusions() -> tuple[PublishedConfusion, ...]:
    """Table III of Han et al. 2025."""
    conditions: dict[str, dict[tuple[str, str], float]] = {}
    for row in read_table("han2024_confusion"):
        pair = _HAN_EMOTIONS[row["true"]], _HAN_EMOTIONS[row["predicted"]]
        conditions.setdefault(row["condition"], {})[pair] = float(row["share"])
    return tuple(_confusion(condition, shares) for condition, shares in conditions.items())


def _confusion(condition: str, shares: dict[tuple[str, str], float]) -> PublishedConfusion:
    """The matrix of a condition, such as "model cn cross (on de)"; without "on" the native language is tested."""
    model, _, tested = condition.removesuffix(")").partition(" (on ")
    who, native, setting = model.split()
    rows = tuple(tuple(shares[true, predicted] for predicted in FOUR) for true in FOUR)
    setting = "trans" if setting == "l2" else setting
    return PublishedConfusion(HAN, who, _han_language(native), setting, _han_language(tested or native), FOUR, rows)


def _upadhyay() -> Iterator[Published]:
    for row in read_table("upadhyay2024_uar"):
        source, target = row["task"].split(">")
        yield Published(
            UPADHYAY, "UAR", _PODCAST_LANGUAGES[source], _PODCAST_LANGUAGES[target], _PODCASTS[source],
            _PODCASTS[target], "target", row["method"], row["encoder"], FOUR,
            "few" if row["method"] == "few-shot" else "0", float(row["uar"]), row["group"],
        )  # fmt: skip
    for row in read_table("upadhyay2024_per_emotion_uar"):
        for emotion in FOUR:
            yield Published(
                UPADHYAY, f"UAR {emotion}", NOT_STATED, NOT_STATED, NOT_STATED, NOT_STATED, "target",
                f"LAM, anchored by {row['anchor']}, layers {row['layers']}", row["encoder"], FOUR, "0",
                float(row[emotion]), "direction not stated in the table",
            )  # fmt: skip


def _emobox() -> Iterator[Published]:
    """The authors' leaderboard of the track in corpus; UA and F1 (macro) of the corpora that it shows them for."""
    corpora = {row["corpus"]: row for row in read_table("emobox2024_wa")}
    facts = ("corpus", "language", "emotions", "utterances")
    cells = [
        (corpus, encoder, "WA", value)
        for corpus, row in corpora.items()
        for encoder, value in row.items()
        if encoder not in facts
    ]
    for row in read_table("emobox2024_ua_f1"):
        cells += [(row["corpus"], row["encoder"], measure, row[measure.lower()]) for measure in ("UA", "F1")]
    for corpus, encoder, measure, value in cells:
        language = language_tag(corpora[corpus]["language"])
        note = "its own folds share speakers" if corpus in _SHARED_FOLDS else "its own folds"
        yield Published(
            EMOBOX, measure, language, language, corpus, corpus, "target", "frozen features", encoder,
            _EMOBOX_LABELS.get(corpus, ()), "all", float(value), note,
        )  # fmt: skip


def _cameo() -> Iterator[Published]:
    """The baseline of PolEval 2025, a challenge on CAMEO: Polish after its other seven languages, column "dev"."""
    for row in read_table("cameo2025_poleval"):
        for measure, column in (("F1", "f1_macro"), ("WA", "accuracy")):
            yield Published(
                CAMEO, measure, MANY, "pl", "the other twelve corpora", "nEMO", "target", row["system"], NOT_STATED,
                SIX, "0", float(row[column]), "a generative model that is asked for the emotion; PolEval 2025, dev",
            )  # fmt: skip


def _anchors() -> Iterator[Published]:
    sets = {"four": FOUR, "seven": SEVEN, "eight": EIGHT, "zed": ("anger", "happiness", "sadness")}
    for row in read_table("anchors"):
        yield Published(
            row["study"], row["measure"], row["source_language"], row["target_language"], row["source"], row["target"],
            "target", row["method"], row["encoder"], sets[row["labels"]], row["target_labels"] or NOT_STATED,
            float(row["value"]), row["note"], row["kind"],
        )  # fmt: skip


_READERS: tuple[Callable[[], Iterator[Published]], ...] = (
    _agarla_zero_label,
    _agarla_state_of_the_art,
    _agarla_all_label,
    _agarla_ablations,
    _dasaro,
    _goncalves,
    _han,
    _upadhyay,
    _emobox,
    _cameo,
    _anchors,
)
