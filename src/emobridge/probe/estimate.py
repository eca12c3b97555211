"""What a layer-wise study would take, told before it begins: scores, hours of audio, disk, time.

Counts are those of the plan that the study carries out. Times are estimated: what an encoder and a head take on noise
(see `timing`) is multiplied out. Nothing is downloaded, and nothing is written; an encoder that is not on this machine
is counted, not timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emobridge.encoders.base import Encoder
from emobridge.features.pooling import frames_per_stretch
from emobridge.probe.encoders import options_for_head
from emobridge.probe.plan import EncoderPlan, is_solved, needs_frames, plan_study, store_bytes, validates
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, Splits, split_corpus, total_seconds
from emobridge.probe.timing import HeadShape, LinearCost, encoder_cost, head_cost, solved_cost
from emobridge.probe.units import ProbeUnit
from emobridge.scores.measures.base import all_measures


@dataclass(frozen=True, slots=True)
class Audio:
    """One corpus, how it is split, and how long it is."""

    corpus: Corpus
    splits: Splits
    seconds: float
    unread: int  # files without a header that can be read


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is to do, on one encoder or on all."""

    units: int = 0
    probes: int = 0
    scores: int = 0
    disk: float = 0.0  # bytes
    seconds: float = 0.0
    is_known: bool = True  # disk and seconds, which those of an encoder that is not on this machine are not

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.units + other.units,
            self.probes + other.probes,
            self.scores + other.scores,
            self.disk + other.disk,
            self.seconds + other.seconds,
            self.is_known and other.is_known,
        )

    def __str__(self) -> str:
        return f"{self.units:,} units, {self.probes:,} probes, {self.scores:,} scores"


def estimate(settings: ProbeSettings) -> list[str]:
    """Lines that tell what `probe(settings)` would take. Errors: UserError as `probe` has them before it begins."""
    plan = plan_study(settings, may_lack=True)
    clock = _Clock()
    total, lines = Amount(), []
    for part in plan.encoders:
        by_name = {corpus.name: _audio(corpus, part.settings) for corpus in plan.corpora}
        amount, line = _estimate(clock, part, by_name)
        total += amount
        lines.append(f"  {line}")
    lines += [f"  {name}: trained from scratch, not estimated" for name in settings.scratch]
    recordings = [_audio(corpus, plan.settings) for corpus in plan.corpora]
    without = "" if total.is_known else ", without what is not here"
    hours = sum(audio.seconds for audio in recordings) / 3600
    processes = f" on one process, of {settings.jobs}" if settings.jobs > 1 else ""
    return [
        "corpora",
        *(f"  {_corpus_line(audio)}" for audio in recordings),
        "encoders",
        *lines,
        f"in all: {hours:.2f} h of audio, {total}; {size_in_words(total.disk)} on disk, "
        f"about {span_in_words(total.seconds)}{processes}{without}",
        "The times are estimates: a forward pass and a few training steps were timed on noise, with this machine as",
        "busy as it is now. Features and units that are there already are not subtracted; scoring is not counted, and",
        "with patience probes may be done before their last epoch.",
    ]


def _audio(corpus: Corpus, settings: ProbeSettings) -> Audio:
    return Audio(corpus, split_corpus(corpus, settings), *total_seconds(corpus.utterances))


def _estimate(clock: _Clock, plan: EncoderPlan, corpora: Mapping[str, Audio]) -> tuple[Amount, str]:
    """What one encoder gives to do, in numbers and in words."""
    probed = plan.encoder
    counts = Amount(len(plan.units), *_counts(plan, corpora))
    if probed.absent_at:
        shape = f"{probed.layers} layers of {probed.width}; " if probed.layers else ""
        where = "not here" if probed.is_floor else f"not here ({probed.absent_at})"
        amounts = str(counts) if probed.layers else "what it would take is not known"
        return counts + Amount(is_known=False), f"{probed.title}: {where}; {shape}{amounts}"
    stored = plan.frames == "stored"
    disk = sum(store_bytes(probed, audio.corpus, audio.seconds, frames=stored) for audio in corpora.values())
    encoder = probed.open()
    passes = {name: _passes(plan, name) for name in corpora}
    seconds = sum(passes[name] * clock.encoding(encoder, audio) for name, audio in corpora.items())
    seconds += sum(clock.training(plan, encoder, corpora[unit.corpus], unit) for unit in plan.units)
    amount = counts + Amount(disk=disk, seconds=seconds)
    length = sum(audio.seconds for audio in corpora.values())
    mean = sum(passes[name] * audio.seconds for name, audio in corpora.items()) / length if length else 1.0
    layers = "1 layer" if probed.layers == 1 else f"{probed.layers} layers"
    frames = "no frames" if plan.frames == "none" else f"frames {plan.frames}"
    facts = f"{layers} of {probed.width}, {frames}, {size_in_words(disk)}, {_passes_in_words(mean)}"
    return amount, f"{probed.title}: {facts}; {amount}; about {span_in_words(seconds)}"


def _counts(plan: EncoderPlan, audio: Mapping[str, Audio]) -> tuple[int, int]:
    """Probes and scores: every seed is scored, and all together; at each layer, and at those that validation chose."""
    probes, rows = 0, 0
    layers: dict[tuple[str, ...], int] = {}
    for unit in plan.units:
        maps = 1 if unit.all_layers else len(unit.layers)
        splits = audio[unit.corpus].splits
        probes += maps * sum(map(len, splits)) * (1 if is_solved(unit) else len(plan.settings.learning_rates))
        rows += maps * len(plan.tested_on(unit.corpus)) * (len(splits) + 1)
        key = (unit.corpus, unit.normalise, unit.head)
        layers[key] = layers.get(key, 0) + maps
    if validates(plan.settings):
        several = [key[0] for key, count in layers.items() if count > 1]
        rows += sum(len(plan.tested_on(corpus)) * (len(audio[corpus].splits) + 1) for corpus in several)
    return probes, rows * len(all_measures("classes"))


def _passes(plan: EncoderPlan, corpus: str) -> int:
    """How often a corpus goes through the encoder: once, or streamed for moments, training, validation and tests."""
    if plan.frames != "streamed":
        return 1
    tests = sum(tested == corpus for _, tested in plan.pairs)
    return 2 + plan.settings.epochs * (2 if plan.settings.looks_at_validation else 1) + tests


class _Clock:
    """Times what is needed, each thing once."""

    def __init__(self) -> None:
        self.encoders: dict[str, LinearCost] = {}
        self.heads: dict[tuple[object, ...], LinearCost] = {}
        self.solved: dict[tuple[object, ...], float] = {}

    def encoding(self, encoder: Encoder, audio: Audio) -> float:
        """Seconds for one pass over a corpus."""
        if encoder.digest not in self.encoders:
            self.encoders[encoder.digest] = encoder_cost(encoder)
        cost, clips = self.encoders[encoder.digest], len(audio.corpus.utterances)
        return clips * cost.of(audio.seconds / max(1, clips))

    def training(self, plan: EncoderPlan, encoder: Encoder, audio: Audio, unit: ProbeUnit) -> float:
        """Seconds to train all probes of a unit for all epochs: the steps of one layer, timed, times the layers."""
        settings = plan.settings
        layers = len(unit.layers) if unit.all_layers else 1
        options = options_for_head(settings, unit.head) + ((f"layers={layers}",) if unit.all_layers else ())
        width = plan.encoder.width * (1 if needs_frames(unit) else plan.encoder.statistics)
        shape = HeadShape(layers, width, len(audio.corpus.emotions), sum(map(len, audio.splits)))
        if is_solved(unit):
            return len(unit.layers) * shape.probes * self._solving(unit.head, options, shape, audio)
        folded = unit.normalise == "none"
        key = (unit.head, shape, folded)
        if key not in self.heads:
            self.heads[key] = head_cost(unit.head, options, shape, folded=folded)
        trained = [split.train for folds in audio.splits for split in folds]
        steps = max(1, round(sum(map(len, trained)) / len(trained) / settings.batch_size))
        size = len({row for rows in trained for row in rows}) / steps
        if needs_frames(unit):
            size *= _frames_of_clip(encoder, audio, settings.segment)
        models = len(unit.layers) // layers * len(settings.learning_rates)
        return settings.epochs * steps * models * self.heads[key].of(size)

    def _solving(self, head: str, options: tuple[str, ...], shape: HeadShape, audio: Audio) -> float:
        """Seconds to solve one probe of a corpus."""
        count = len(audio.corpus.utterances)
        key = (head, shape, count)
        if key not in self.solved:
            self.solved[key] = solved_cost(head, options, shape, count)
        return self.solved[key]


def _frames_of_clip(encoder: Encoder, audio: Audio, segment: float) -> float:
    """On average."""
    rate = encoder.frame_rate / frames_per_stretch(encoder.frame_rate, segment)
    return max(1.0, rate * audio.seconds / max(1, len(audio.corpus.utterances)))


def _corpus_line(audio: Audio) -> str:
    corpus = audio.corpus
    speakers = f"{corpus.people} speakers" if corpus.people else "speakers not known"
    unread = f"; {audio.unread} cannot be read" if audio.unread else ""
    return (
        f"{corpus.name}: {len(corpus.utterances)} utterances, {speakers}, {audio.seconds / 3600:.2f} h, "
        f"{corpus.language}, {' '.join(corpus.emotions)}{unread}"
    )


def _passes_in_words(mean: float) -> str:
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
