"""The encoders of a layer-wise study and the options of its heads, as its settings name them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge import registry
from emobridge.data.devices import choose_device, move
from emobridge.encoders import is_here, languages_of, load_encoder, other_checkpoint, presets
from emobridge.encoders.base import Encoder, Option
from emobridge.errors import UserError, unknown
from emobridge.features.store import bytes_per_clip, bytes_per_second
from emobridge.options import options_of, read_options, unknown_option
from emobridge.probe.settings import ProbeSettings

LOGMEL = "logmel"  # the encoder whose statistics are a floor of every study


@dataclass(frozen=True, slots=True)
class ProbedEncoder:
    """An encoder of the study and what is known of it without keeping it open."""

    name: str  # in tables
    source: str  # what `load_encoder` takes
    weights: str  # "pretrained", "random", or "none" of an encoder that has none
    is_floor: bool  # random weights, or log-mel statistics beside other encoders
    options: tuple[tuple[str, Option], ...]
    layers: int  # 0 where it is not known before the encoder is fetched
    width: int
    first_block: int = 0  # the first layer that a transformer block gives
    statistics: int = 1  # how many values its pooled features hold for each of `width`, as probes see them
    clip_bytes: int = 0  # of a clip's pooled features in a store
    second_bytes: float = 0.0  # of the frames of a second of speech in a store
    absent_at: str = ""  # where the weights of an encoder are that is not on this machine, in words

    @property
    def block_layers(self) -> tuple[int, ...]:
        """The layers that heads sum: those of transformer blocks, or all of an encoder without blocks."""
        return tuple(range(min(self.first_block, max(self.layers - 1, 0)), self.layers))

    @property
    def title(self) -> str:
        """Its name, for progress and warnings."""
        return f"{self.name} with random weights" if self.weights == "random" else self.name

    def open(self, device: str = "cpu") -> Encoder:
        """The encoder itself, on a device. Errors: UserError as `load_encoder` and `move` have them."""
        choose_device(device)
        encoder = open_encoder(self.source, dict(self.options))
        move(encoder, device)
        return encoder


def probed_encoders(settings: ProbeSettings, *, may_lack: bool = False) -> Iterator[ProbedEncoder]:
    """The encoders of the settings, each followed by itself with random weights, a floor; then log-mel statistics.

    may_lack: an encoder that is not on this machine is described by its preset; otherwise it is fetched.
    Errors: UserError for an encoder that cannot be opened, and for an option that none of them has.
    """
    options = read_options(settings.encoder_options)
    if settings.engine != "auto":
        options["engine"] = settings.engine
    accepted = {"frames"}  # options that an encoder has, as all have frames, or may have where it is not here
    for word in settings.encoders:
        name, source = parse_encoder(word)
        if may_lack and not is_here(source):
            encoder = _absent(name, source, options)
            has_weights = True
            accepted |= set(options)
        else:
            opened = open_encoder(source, options)
            has_weights = "weights" in opened.defaults
            encoder = _described(name, source, options, opened, settings.segment)
            accepted |= set(opened.defaults)
        encoder = replace(encoder, weights="pretrained" if has_weights else "none")
        yield encoder
        if has_weights and settings.floors and encoder.layers:
            random = {**options, "weights": "random"}
            yield replace(encoder, weights="random", is_floor=True, options=tuple(random.items()))
    for option in options if settings.encoders else ():
        if option not in accepted:
            raise unknown_option(f"encoder {' or '.join(settings.encoders)}", option, accepted)
    if settings.floors and LOGMEL not in settings.encoders:
        floor = _described(LOGMEL, LOGMEL, {}, load_encoder(LOGMEL), settings.segment)
        yield replace(floor, is_floor=True)


def _described(name: str, source: str, options: dict[str, Option], encoder: Encoder, segment: float) -> ProbedEncoder:
    return ProbedEncoder(
        name,
        source,
        "none",
        False,
        tuple(options.items()),
        encoder.layers,
        encoder.width,
        encoder.first_block,
        len(statistics_of(encoder)),
        bytes_per_clip(encoder),
        bytes_per_second(encoder, True, segment),
    )


def _absent(name: str, source: str, options: dict[str, Option]) -> ProbedEncoder:
    preset = next((entry for entry in presets().values() if source in (entry.name, entry.hub, entry.where)), None)
    layers, width, address = (
        (preset.layers + 1, preset.width, preset.place) if preset else (0, 0, f"{source} on the hub")
    )
    words = tuple(options.items())
    return ProbedEncoder(name, source, "pretrained", False, words, layers, width, first_block=1, absent_at=address)


def statistics_of(encoder: Encoder) -> tuple[str, ...]:
    """What heads of pooled features see: the mean, which trains a linear head exactly; of log-mel bands more."""
    return encoder.chosen_statistics or encoder.statistics[:1]


def encoder_languages(settings: ProbeSettings) -> dict[str, tuple[str, ...]]:
    """The languages of each encoder's pre-training by its name: () where they are not known, ("mul",) for many."""
    return {name: languages_of(name) for name, _ in map(parse_encoder, settings.encoders)}


def parse_encoder(word: str) -> tuple[str, str]:
    """The name of an encoder in tables, and where it is: "whisper-base=/models/wb", or the folder's own name.

    By the name of a preset the languages of its pre-training are known too.
    """
    name, equals, source = word.partition("=")
    if equals and source:
        return name, source
    return (Path(word).expanduser().resolve().name if Path(word).expanduser().is_dir() else word), word


def other_checkpoints(settings: ProbeSettings) -> dict[str, str]:
    """The encoders given as NAME=FOLDER whose folder does not hold what NAME is, each with a sentence that says so."""
    pairs = (parse_encoder(word) for word in settings.encoders)
    others = {name: other_checkpoint(name, source) for name, source in pairs if name != source}
    return {name: sentence for name, sentence in others.items() if sentence}


def probed_layers(settings: ProbeSettings, encoder: ProbedEncoder) -> tuple[str, ...]:
    """The layers of the settings, of which "last" is the encoder's last. Errors: UserError for a layer it lacks."""
    names = tuple(map(str, range(encoder.layers)))
    if settings.layers == ("all",) or encoder.name == LOGMEL:
        return names
    layers = [names[-1] if layer == "last" else layer for layer in settings.layers]
    for layer in layers:
        if layer not in names:
            raise unknown(f"layer of encoder {encoder.name}", layer, (*names, "all", "last"))
    return tuple(dict.fromkeys(layers))


def heads_for(settings: ProbeSettings, encoder: ProbedEncoder) -> tuple[str, ...]:
    """The heads that an encoder gets: log-mel statistics are no frames, and get no head that needs frames."""
    if encoder.name != LOGMEL:
        return settings.heads
    return tuple(head for head in settings.heads if not registry.load("heads", head).needs_frames) or ("single",)


def options_for_head(settings: ProbeSettings, head: str) -> tuple[str, ...]:
    """The head options that this head has. Errors: UserError for an option that no head of the study has."""
    options = {name: head_option_names(name) for name in settings.heads}
    for option in read_options(settings.head_options):
        if not any(option in names for names in options.values()):
            choices = {name for names in options.values() for name in names}
            raise unknown_option(f"head {' or '.join(settings.heads)}", option, choices)
    return tuple(word for word in settings.head_options if next(iter(read_options([word]))) in options.get(head, ()))


def head_option_names(head: str) -> tuple[str, ...]:
    """The names of the options that a head takes from a user."""
    return tuple(name for name in options_of(registry.load("heads", head)) if name != "layers")


def open_encoder(source: str, options: dict[str, Option]) -> Encoder:
    """An encoder with those of the options that its family has."""
    if not options:
        return load_encoder(source)
    try:
        return load_encoder(source, **options)
    except UserError:
        family = load_encoder(source)
        return load_encoder(source, **{key: value for key, value in options.items() if key in family.defaults})
