"""What a layer-wise study would take, told before it begins: cells, hours of audio, disk, time.

Counts are those of the study itself. Times are estimated: what an encoder and a head take on noise (see `timing`) is
multiplied out. Nothing is downloaded, and nothing is written; an encoder that is not here is counted, not timed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from emobridge import registry
from emobridge.data.audio import AudioError, duration
from emobridge.encoders import is_here, load_encoder, presets
from emobridge.encoders.base import Encoder
from emobridge.features.pooling import frames_per_stretch
from emobridge.features.store import bytes_per_clip, bytes_per_second
from emobridge.options import read_options
from emobridge.probe.encoders import (
    ProbedEncoder,
    floor,
    languages,
    named,
    open_encoder,
    options_for_head,
    streams_frames,
)
from emobridge.probe.run import check
from emobridge.probe.scoring import setting_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, Split, read_corpus, split_corpus
from emobridge.probe.timing import Cost, encoder_cost, head_cost
from emobridge.probe.trainer import units_of
from emobridge.probe.units import Unit
from emobridge.scores.measures.base import all_measures
from emobridge.study.reading import emotions
from emobridge.types import Utterance, person


@dataclass(frozen=True, slots=True)
class Audio:
    """One corpus: who trains on what, and how much there is to hear."""

    corpus: Corpus
    cuts: tuple[tuple[Split, ...], ...]  # of each seed
    seconds: float
    unread: int  # files without a readable header


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of an encoder that is not here."""

    layers: int  # 0 where it is not known
    width: int
    where: str  # it could be fetched from


@dataclass(frozen=True, slots=True)
class Task:
    """What one encoder, or its floor, gives to do."""

    units: int
    probes: int
    cells: int
    disk: float = 0.0  # bytes
    seconds: float = 0.0
    is_known: bool = True  # disk and seconds, which those of an encoder that is not here are not
    line: str = ""  # all of it in words


def estimate(settings: ProbeSettings) -> list[str]:
    """Lines that tell what `probe(settings)` would take. Errors: UserError as `probe` has them before it begins."""
    settings = replace(settings, labels=emotions(settings.labels))
    corpora = tuple(read_corpus(path, settings) for path in settings.corpora)
    check(settings, corpora)
    audio = [_audio(corpus, settings) for corpus in corpora]
    clock = _Clock(settings)
    tasks = [clock.task(listener, audio) for listener in _listeners(settings)]
    lines = ["corpora", *(f"  {_corpus_line(one)}" for one in audio)]
    lines += ["encoders", *(f"  {task.line}" for task in tasks)]
    lines += [f"  {name}: trained from scratch, not estimated" for name in settings.scratch]
    total = Task(*(sum(getattr(task, key) for task in tasks) for key in ("units", "probes", "cells")))
    disk, seconds = sum(task.disk for task in tasks), sum(task.seconds for task in tasks)
    beside = "" if all(task.is_known for task in tasks) else ", without what is not here"
    hours = sum(one.seconds for one in audio) / 3600
    return [
        *lines,
        f"in all: {hours:.2f} h of audio, {_counts(total)}; {size_in_words(disk)} on disk, "
        f"about {span_in_words(seconds)}{beside}",
        "The times are estimates: a forward pass and a few training steps were timed on noise, with this machine as",
        "busy as it is now. Features and units that are there already are not subtracted; scoring is not counted, and",
        "with patience probes may be done before their last epoch.",
    ]


def pairs_of(settings: ProbeSettings, corpora: Sequence[Corpus], spoken: Sequence[str]) -> list[tuple[str, str]]:
    """The names of the corpora that an encoder of the languages `spoken` is trained on and tested on, pair by pair."""
    found = []
    for trained in corpora:
        for tested in corpora:
            wanted = {"mono", "trans"} if trained.name == tested.name else {"cross", "other"}
            kind = setting_of(trained, tested, spoken)
            if wanted & set(settings.settings) and kind in (*settings.settings, "in language"):
                found.append((trained.name, tested.name))
    return found


def _audio(corpus: Corpus, settings: ProbeSettings) -> Audio:
    return Audio(corpus, split_corpus(corpus, settings), *seconds_of(corpus.utterances))


def seconds_of(utterances: Iterable[Utterance]) -> tuple[float, int]:
    """How long some utterances are together, by their files' headers, and how many have none that can be read."""
    seconds, unread = 0.0, 0
    for one in utterances:
        try:
            seconds += (duration(one.path) if one.end is None else one.end) - one.start
        except AudioError:
            unread += 1
    return seconds, unread


def _listeners(settings: ProbeSettings) -> Iterator[ProbedEncoder]:
    """As the study opens them, but for encoders that are not here: their shape, as far as a preset tells it."""
    options = read_options(settings.encoder_options)
    for word in settings.encoders:
        name, source = named(word)
        if is_here(source):
            encoder = open_encoder(source, options)
        else:
            known = next((one for one in presets().values() if source in (one.name, one.hub, one.where)), None)
            shape = Shape(known.layers + 1, known.width, known.where) if known else Shape(0, 0, source)
            encoder = cast(Encoder, shape)
        trains = isinstance(encoder, Shape) or "weights" in encoder.defaults
        yield ProbedEncoder(name, "pretrained" if trains else "none", encoder)
        if trains and settings.floors and encoder.layers:
            yield ProbedEncoder(name, "random", encoder)  # of the same shape, which is all that counts here
    if settings.floors and "logmel" not in settings.encoders:
        yield ProbedEncoder("logmel", "none", load_encoder("logmel"))


class _Clock:
    """Times what is needed, each thing once."""

    def __init__(self, settings: ProbeSettings) -> None:
        self.settings = settings
        self.spoken = dict(languages(settings))
        self.encoders: dict[str, Cost] = {}
        self.heads: dict[tuple[object, ...], Cost] = {}

    def task(self, listener: ProbedEncoder, audio: Sequence[Audio]) -> Task:
        """What one encoder gives to do, in numbers and in words."""
        encoder, settings = listener.encoder, self.settings
        title = listener.name + (" with random weights" if listener.weights == "random" else "")
        if listener.weights == "random" or (listener.name == "logmel" and "logmel" not in settings.encoders):
            settings = floor(settings)
            audio = [replace(one, cuts=one.cuts[:1]) for one in audio]
        corpora = [one.corpus for one in audio]
        total = sum(len(corpus.utterances) for corpus in corpora)
        pairs = pairs_of(settings, corpora, self.spoken.get(listener.name, ()))
        work = [(one, units_of(settings, listener, one.corpus.name, total)) for one in audio] if encoder.layers else []
        counted = [_counted(settings, one, unit, pairs) for one, units in work for unit in units]
        units, probes, cells = len(counted), sum(n for n, _ in counted), sum(n for _, n in counted)
        if isinstance(encoder, Shape):
            shape = f"{encoder.layers} layers of {encoder.width}; " if encoder.layers else ""
            where = "not here" if listener.weights == "random" else f"not here ({encoder.where} on the hub)"
            task = Task(units, probes, cells, is_known=False)
            counts = _counts(task) if encoder.layers else "what it would take is not known"
            return replace(task, line=f"{title}: {where}; {shape}{counts}")
        streamed = streams_frames(settings, listener, corpora)
        disk = sum(self._bytes(one, encoder, streamed is False) for one in audio)
        heard = sum(one.seconds for one in audio)
        passes = {one.corpus.name: self._passes(one.corpus.name, pairs, bool(streamed)) for one in audio}
        seconds = sum(passes[one.corpus.name] * self._encoding(encoder, one) for one in audio)
        seconds += sum(self._training(settings, encoder, one, unit) for one, units in work for unit in units)
        frames = {None: "no frames", True: "frames streamed", False: "frames stored"}[streamed]
        mean = sum(passes[one.corpus.name] * one.seconds for one in audio) / heard if heard else 1.0
        task = Task(units, probes, cells, disk, seconds)
        layers = "1 layer" if encoder.layers == 1 else f"{encoder.layers} layers"
        told = f"{layers} of {encoder.width}, {frames}, {size_in_words(disk)}, {_passes(mean)}"
        return replace(task, line=f"{title}: {told}; {_counts(task)}; about {span_in_words(seconds)}")

    def _bytes(self, one: Audio, encoder: Encoder, stored: bool) -> float:
        rate = bytes_per_second(encoder, stored, self.settings.segment)
        return bytes_per_clip(encoder) * len(one.corpus.utterances) + rate * one.seconds

    def _passes(self, corpus: str, pairs: Sequence[tuple[str, str]], streamed: bool) -> int:
        """How often a corpus goes through the encoder: once, or streamed for moments, training, stopping and tests."""
        if not streamed:
            return 1
        tested = sum(name == corpus for _, name in pairs)
        return 2 + self.settings.epochs * (2 if self.settings.patience else 1) + tested

    def _encoding(self, encoder: Encoder, one: Audio) -> float:
        """Seconds for one pass over a corpus."""
        if encoder.digest not in self.encoders:
            self.encoders[encoder.digest] = encoder_cost(encoder)
        cost, clips = self.encoders[encoder.digest], len(one.corpus.utterances)
        return clips * cost.of(one.seconds / max(1, clips))

    def _training(self, settings: ProbeSettings, encoder: Encoder, one: Audio, unit: Unit) -> float:
        """Seconds to train all probes of a unit for all epochs: the steps of one layer, timed, times the layers."""
        kind = registry.load("heads", unit.head)
        layers = len(unit.layers) if kind.all_layers else 1
        words = options_for_head(settings, unit.head) + ((f"layers={layers}",) if kind.all_layers else ())
        shape = {
            "layers": layers,
            "width": encoder.width * (len(encoder.statistics) if unit.encoder == "logmel" else 1),
            "classes": len(one.corpus.emotions),
            "probes": sum(map(len, one.cuts)),
        }
        key = (unit.head, *shape.values(), folded := unit.normalise == "none")
        if key not in self.heads:
            self.heads[key] = head_cost(unit.head, words, folded=folded, **shape)
        trained = [cut.train for folds in one.cuts for cut in folds]
        steps = max(1, round(sum(map(len, trained)) / len(trained) / settings.batch_size))
        size = len({row for rows in trained for row in rows}) / steps
        if kind.needs_frames:
            size *= self._frames(encoder, one)
        models = len(unit.layers) // layers * len(settings.learning_rates)
        return settings.epochs * steps * models * self.heads[key].of(size)

    def _frames(self, encoder: Encoder, one: Audio) -> float:
        """Frames of a clip, on average."""
        rate = encoder.frame_rate / frames_per_stretch(encoder.frame_rate, self.settings.segment)
        return max(1.0, rate * one.seconds / max(1, len(one.corpus.utterances)))


def _counted(settings: ProbeSettings, one: Audio, unit: Unit, pairs: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """Probes and cells of a unit: every seed is scored, and all together."""
    maps = 1 if registry.load("heads", unit.head).all_layers else len(unit.layers)
    tested = sum(trained == unit.corpus for trained, _ in pairs)
    probes = maps * sum(map(len, one.cuts)) * len(settings.learning_rates)
    return probes, maps * tested * (len(one.cuts) + 1) * len(all_measures("classes"))


def _corpus_line(one: Audio) -> str:
    corpus = one.corpus
    speakers = {person(utterance) for utterance in corpus.utterances} - {None}
    known = f"{len(speakers)} speakers" if speakers else "speakers not known"
    unread = f"; {one.unread} cannot be read" if one.unread else ""
    return (
        f"{corpus.name}: {len(corpus.utterances)} utterances, {known}, {one.seconds / 3600:.2f} h, {corpus.language}, "
        f"{' '.join(corpus.emotions)}{unread}"
    )


def _counts(task: Task) -> str:
    return f"{task.units:,} units, {task.probes:,} probes, {task.cells:,} cells"


def _passes(mean: float) -> str:
    return "1 pass of the encoder" if mean == 1 else f"at most {mean:.0f} passes of the encoder"


def size_in_words(size: float) -> str:
    """Bytes in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def span_in_words(seconds: float) -> str:
    """Seconds in words, with no more digits than an estimate deserves."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{float(f'{seconds / size:.2g}'):g} {unit}"
    return f"{max(1, round(seconds))} s"
