"""What a layer-wise study does, decided in one place before it begins: `run` does it, `estimate` times it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.errors import UserError, unknown
from emobridge.heads.base import ClosedFormHead
from emobridge.probe import scratch
from emobridge.probe.encoders import (
    LOGMEL,
    ProbedEncoder,
    encoder_languages,
    heads_for,
    options_for_head,
    probed_encoders,
    probed_layers,
)
from emobridge.probe.pairs import Pair, pairs_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, read_corpus, split_corpus, total_seconds, training_sets
from emobridge.probe.units import ProbeUnit
from emobridge.settings import refuse_useless, unmet_needs
from emobridge.study.reading import spell_emotions

FEATURE_LIMIT = 250_000_000  # floats of pooled features in memory; of more layers at a time, some wait
WEIGHT_LIMIT = 4_000_000  # weights in a stack; steps over more of them wait for the memory


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """What is trained and tested on the features of one encoder."""

    encoder: ProbedEncoder
    settings: ProbeSettings  # those of the study; of a floor with one seed, which tells well enough where it lies
    pairs: tuple[Pair, ...]
    units: tuple[ProbeUnit, ...]  # of the corpora that are trained on
    frames: Literal["none", "stored", "streamed"] = "none"  # what heads that need frames get; "none": there are none

    def tested_on(self, corpus: str) -> tuple[str, ...]:
        """The corpora that what is trained on `corpus` is tested on."""
        return tuple(tested for trained, tested in self.pairs if trained == corpus)


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A whole study but for its models from scratch."""

    settings: ProbeSettings  # with labels as the vocabulary spells them
    corpora: tuple[Corpus, ...]
    encoders: tuple[EncoderPlan, ...]


def plan_study(settings: ProbeSettings, *, may_lack: bool = False) -> StudyPlan:
    """Decide what is trained on what.

    may_lack: encoders that are not on this machine are planned by their presets instead of being fetched.
    Errors: UserError for whatever is wrong with settings, manifests or encoders; where no pair of corpora is of the
    kinds that the settings ask for.
    """
    settings = replace(settings, labels=spell_emotions(settings.labels))
    corpora = tuple(read_corpus(path, settings) for path in settings.corpora)
    check_study(settings, corpora)
    languages = encoder_languages(settings)
    plans = [
        plan_encoder(settings, encoder, corpora, languages.get(encoder.name, ()))
        for encoder in probed_encoders(settings, may_lack=may_lack)
    ]
    if (
        settings.encoders
        and not settings.scratch
        and not any(plan.pairs for plan in plans if not plan.encoder.is_floor)
    ):
        kinds = " or ".join(settings.settings)
        raise UserError(f"settings: no pair of these corpora is {kinds} for these encoders")
    return StudyPlan(settings, corpora, tuple(plans))


def check_study(settings: ProbeSettings, corpora: Sequence[Corpus]) -> None:
    """Find what would otherwise fail after hours. Errors: UserError for it."""
    names = [corpus.name for corpus in corpora]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two manifests are of the corpus {name}: a study takes each once")
    for name in settings.by_utterance:
        if name not in names:
            raise unknown("corpus of this study", name, names)
    for head in settings.heads:
        made = made_head(head, options_for_head(settings, head), 1, 2)
        if isinstance(made, ClosedFormHead) and made.has_members:
            raise UserError(f"head {head}: is more than the map that `probe` solves: give adapt --head {head}")
    for corpus in corpora:
        training_sets(corpus, split_corpus(corpus, settings), settings)
    scratch.check(settings)


# Why an option does nothing in a study, and what would make it do something.
REASONS = {
    "frames": "no head of the study needs frames: give --heads nonlinear, attentive or multilayer",
    "gradients": "every head of the study is solved and not trained by gradients: give --heads single",
    "patience": "no epoch is chosen on a validation part: give --patience above 0",
    "plateau": "no learning rate is lowered: give --plateau above 0",
    "scratch": "no encoder is trained from scratch: give --scratch",
    "drawn split": "--split serab and predefined come with their folds: give --split folds, halved or 80/10/10",
}


def study_conditions(settings: ProbeSettings) -> dict[str, bool]:
    """Which needs of options hold in this study, by the keys of REASONS."""
    heads = [registry.load("heads", head) for head in settings.heads]
    return {
        "frames": any(head.needs_frames for head in heads),
        "gradients": bool(settings.scratch) or not all(head.closed_form for head in heads),
        "patience": bool(settings.patience),
        "plateau": bool(settings.plateau),
        "scratch": bool(settings.scratch),
        "drawn split": settings.split in ("folds", "80/10/10", "halved"),
    }


def check_effects(settings: ProbeSettings, names: Sequence[str]) -> None:
    """Refuse options, by their fields' names, that do nothing in this study. Errors: UserError that says why."""
    refuse_useless(settings, unmet_needs(ProbeSettings, names, study_conditions(settings)), REASONS)
    if "disk" in names and settings.frames != "auto":
        raise UserError(f"--disk: does nothing here, since frames are {settings.frames}: give --frames auto")


def plan_encoder(
    settings: ProbeSettings, encoder: ProbedEncoder, corpora: Sequence[Corpus], languages: Sequence[str]
) -> EncoderPlan:
    """What is trained and tested on one encoder, pre-trained on `languages`. Errors: UserError for an unknown layer."""
    pairs = pairs_of(settings, corpora, languages)
    settings = replace(settings, seeds=1) if encoder.is_floor else settings
    trained = dict.fromkeys(name for name, _ in pairs)
    units: tuple[ProbeUnit, ...] = ()
    if encoder.layers:
        probed_layers(settings, encoder)  # refuses a wrong layer, though no pair needs it
        utterances = sum(len(corpus.utterances) for corpus in corpora)
        units = tuple(unit for name in trained for unit in units_of(settings, encoder, name, utterances))
    return EncoderPlan(encoder, settings, pairs, units, frames_of(settings, encoder, units, corpora))


def units_of(settings: ProbeSettings, encoder: ProbedEncoder, corpus: str, utterances: int) -> list[ProbeUnit]:
    """What trains on one corpus, in order: as many layers at a time as keep the weights near the processor.

    A head that sums layers takes those of all transformer blocks, whichever layers the other heads get.
    utterances: of all corpora of the study, whose features lie in memory together.
    """
    all_names = tuple(map(str, encoder.block_layers))
    fitting = max(1, FEATURE_LIMIT // max(1, encoder.width * utterances))
    units = []
    for normalise in dict.fromkeys(_normalisation(encoder, name) for name in settings.normalise):
        for head in heads_for(settings, encoder):
            kind = registry.load("heads", head)
            names = all_names if kind.all_layers else probed_layers(settings, encoder)
            weights = sum(value.numel() for value in made_head(head, (), encoder.width, 2).parameters())
            size = max(1, min(fitting, WEIGHT_LIMIT // (weights * settings.folds * settings.seeds)))
            size = len(names) if kind.all_layers else size
            for first in range(0, len(names), size):
                layers = names[first : first + size]
                unit = ProbeUnit(encoder.name, encoder.weights, corpus, normalise, head, layers, kind.all_layers)
                units.append(unit)
    return units


def _normalisation(encoder: ProbedEncoder, name: str) -> str:
    """The normalisation that an encoder's probes get: as a floor log-mel statistics are standardised, never raw."""
    return "none" if name == "raw" and encoder.name == LOGMEL and encoder.is_floor else name


def frames_of(
    settings: ProbeSettings, encoder: ProbedEncoder, units: Sequence[ProbeUnit], corpora: Sequence[Corpus]
) -> Literal["none", "stored", "streamed"]:
    """Whether frames are stored, or encoded anew in each epoch; "none" where no head needs any."""
    if not any(needs_frames(unit) for unit in units):
        return "none"
    if settings.frames != "auto":
        return "streamed" if settings.frames == "streamed" else "stored"
    sizes = (store_bytes(encoder, corpus, total_seconds(corpus.utterances)[0], frames=True) for corpus in corpora)
    return "streamed" if sum(sizes) > settings.disk * 1e9 else "stored"


def needs_frames(unit: ProbeUnit) -> bool:
    """Whether the unit's head sees frames; others see what was pooled."""
    return bool(registry.load("heads", unit.head).needs_frames)


def is_solved(unit: ProbeUnit) -> bool:
    """Whether the unit's head has a closed form: it is solved once, without epochs and learning rates."""
    return unit.weights != "scratch" and bool(registry.load("heads", unit.head).closed_form)


def store_bytes(encoder: ProbedEncoder, corpus: Corpus, seconds: float, *, frames: bool) -> float:
    """What the features of a corpus of so many seconds take in a store."""
    return encoder.clip_bytes * len(corpus.utterances) + (encoder.second_bytes * seconds if frames else 0.0)


def validates(settings: ProbeSettings) -> bool:
    """Whether each probe has a validation part, which can choose among its layers."""
    return settings.looks_at_validation or settings.split in ("80/10/10", "halved", "serab")
