"""The encoders and heads of a layer-wise study, as its settings name them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge import registry
from emobridge.encoders import languages_of, load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError, unknown
from emobridge.features.store import FeatureStore
from emobridge.files import cache_folder
from emobridge.options import options_of, read_options, unknown_option
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus

FLOOR_HEADS = ("single", "linear")  # heads that log-mel statistics are given to


@dataclass(frozen=True, slots=True)
class ProbedEncoder:
    """An encoder of the study: as it was named, and open_encoder."""

    name: str
    weights: str  # "pretrained", "random" or "none"
    encoder: Encoder

    @property
    def title(self) -> str:
        """For progress."""
        return f"{self.name} with random weights" if self.weights == "random" else self.name

    @property
    def digest(self) -> str:
        """What its features depend on."""
        return f"{self.encoder.name} {self.encoder.digest} {sorted(self.encoder.options.items())}"


def open_encoders(settings: ProbeSettings) -> Iterator[ProbedEncoder]:
    """The encoders asked for, each followed by its floor, the same with random weights; at last log-mel statistics."""
    options = read_options(settings.encoder_options)
    for word in settings.encoders:
        name, source = named(word)
        encoder = open_encoder(source, options)
        trains = "weights" in encoder.defaults
        yield ProbedEncoder(name, "pretrained" if trains else "none", encoder)
        if trains and settings.floors:
            yield ProbedEncoder(name, "random", open_encoder(source, {**options, "weights": "random"}))
    if settings.floors and "logmel" not in settings.encoders:
        yield ProbedEncoder("logmel", "none", load_encoder("logmel"))


def floor(settings: ProbeSettings) -> ProbeSettings:
    """The study of a floor: one seed, which tells well enough where it lies."""
    return replace(settings, seeds=1)


def languages(settings: ProbeSettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each encoder's name and the languages of its pre-training: () where they are not known, "mul" for many."""
    for word in settings.encoders:
        name, _ = named(word)
        yield name, languages_of(name)


def named(word: str) -> tuple[str, str]:
    """The name of an encoder in tables, and where it is: "whisper-base=/models/wb", or the folder's own name.

    A name that is a preset's tells the languages of its pre-training too.
    """
    name, equals, source = word.partition("=")
    if equals and source:
        return name, source
    return (Path(word).expanduser().resolve().name if Path(word).expanduser().is_dir() else word), word


def layer_names(settings: ProbeSettings, encoder: Encoder, name: str) -> tuple[str, ...]:
    """The layers asked for, of which "last" is the encoder's last. Errors: UserError for one that it does not have."""
    names = tuple(map(str, range(encoder.layers)))
    if settings.layers == ("all",) or name == "logmel":
        return names
    wanted = [names[-1] if layer == "last" else layer for layer in settings.layers]
    for layer in wanted:
        if layer not in names:
            raise unknown(f"layer of encoder {name}", layer, (*names, "all", "last"))
    return tuple(dict.fromkeys(wanted))


def heads_for(settings: ProbeSettings, listener: ProbedEncoder) -> tuple[str, ...]:
    """The heads that an encoder is given: log-mel statistics, which are no frames, get none that need these."""
    if listener.name != "logmel":
        return settings.heads
    return tuple(head for head in settings.heads if not registry.load("heads", head).needs_frames) or FLOOR_HEADS[:1]


def options_for_head(settings: ProbeSettings, head: str) -> tuple[str, ...]:
    """The options that a head has, of those given for all. Errors: UserError for one that no head of the study has."""
    has = {name: head_option_names(name) for name in settings.heads}
    for option in read_options(settings.head_options):
        if not any(option in options for options in has.values()):
            known = {name for options in has.values() for name in options}
            raise unknown_option(f"head {' or '.join(settings.heads)}", option, known)
    words = [word for word in settings.head_options if next(iter(read_options([word]))) in has.get(head, ())]
    return tuple(words)


def head_option_names(head: str) -> tuple[str, ...]:
    """The names of the options that a head takes from a user."""
    return tuple(name for name in options_of(registry.load("heads", head)) if name != "layers")


def open_encoder(name: str, options: dict[str, str | int | float | bool]) -> Encoder:
    """An encoder with those of the options that its family has."""
    if not options:
        return load_encoder(name)
    try:
        return load_encoder(name, **options)
    except UserError:
        family = load_encoder(name)
        return load_encoder(name, **{key: value for key, value in options.items() if key in family.defaults})


def streams_frames(settings: ProbeSettings, listener: ProbedEncoder, corpora: Sequence[Corpus]) -> bool | None:
    """Whether frames are encoded anew in each epoch; None where no head needs any."""
    if not any(registry.load("heads", head).needs_frames for head in heads_for(settings, listener)):
        return None
    if settings.frames != "auto":
        return settings.frames == "streamed"
    store = FeatureStore(settings.store or cache_folder(), listener.encoder, frames=True, segment=settings.segment)
    return sum(store.size_of(corpus.utterances) for corpus in corpora) > settings.disk * 1e9
