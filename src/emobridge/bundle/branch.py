"""What a recogniser has for one language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emobridge import registry
from emobridge.adapters import Adapters
from emobridge.bundle.training_speech import TrainingSpeech
from emobridge.corpora import scale_of
from emobridge.data.attributes import parse_ranges
from emobridge.data.prosody import prosody_width
from emobridge.encoders.base import Encoder
from emobridge.features.familiarity import Familiarity
from emobridge.features.normalisation import Domain, normalise_features
from emobridge.features.pooling import views_of
from emobridge.features.source_moments import SourceMoments
from emobridge.heads.base import Head, Regressor
from emobridge.languages import primary_language
from emobridge.options import make_plugin
from emobridge.types import SCALE, Range, short_repr

UNKNOWN = "und"  # BCP 47 for an undetermined language
ViewColumns = tuple[slice | list[int], ...]  # of each view


@dataclass(frozen=True, slots=True)
class Spec:
    """All facts of a branch that are not tensors, and how its encoder was trained. It is stored field by field."""

    labels: tuple[str, ...]
    encoder: str  # folder, hub id, or the name of one without weights
    encoder_options: tuple[str, ...]
    digest: str  # of the encoder's weights before any training
    trained: str  # parts of the encoder: "frozen" (none), "adapters", "end-to-end" or "end-to-end+adapters"
    layer: str  # "3", or "2+3+4": side by side
    statistics: tuple[str, ...]  # the part of what the encoder pools that the head sees
    normalise: str  # "none", "corpus", "speaker" or "speaker+text"
    by_corpus: tuple[str, ...]  # corpora that are normalised by corpus whatever `normalise` is
    texts: tuple[tuple[str, ...], ...]  # of each domain, those that several utterances have
    align: str  # "none" or "coral": how it was trained; predicting does not need it
    target_labels: str  # how many labelled target utterances it was trained on
    head: str
    head_options: tuple[str, ...]
    method: str
    domains: tuple[tuple[str, str], ...]  # corpus and language; the last is the target
    synthetic: bool
    attributes: tuple[str, ...] = ()  # that are regressed; without labels they are all that is predicted
    attribute_range: str = ""  # scales that were given: see data.attributes.parse_ranges
    frames: bool = False  # whether the head sees single frames, and not their statistics
    reason: str = ""  # why the bundle holds this method and not the baseline, or the other way round
    temperature: float = 1.0  # by which the head's outputs are divided before the softmax, so that confidence is honest
    source_temperature: float = 1.0  # the same in answers to speech of a source's corpus or language
    prosody: bool = False  # whether prosody stands beside what the encoder pools, see features.extraction

    @property
    def normalisation(self) -> str:
        """Normalisation and alignment in a word, as scores name them."""
        return self.normalise if self.align == "none" else f"{self.normalise}+{self.align}"

    @property
    def trained_parts(self) -> frozenset[str]:
        """The trained parts of the encoder, of "adapters" and "end-to-end"."""
        return frozenset(self.trained.split("+")) - {"frozen"}


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A head, the moments of each corpus, and adapters: all that belongs to one language alone."""

    spec: Spec
    domains: tuple[Domain, ...]
    head: Head
    adapters: Adapters | None  # in the recogniser's encoder; None: it uses the encoder as it is
    columns: ViewColumns  # of what the encoder pools, and of prosody, those that the head sees in each view
    regressor: Regressor | None = None  # of attributes
    familiarity: Familiarity | None = None  # of its training speech; None of frames and of older bundles
    training_speech: TrainingSpeech | None = None  # what it was trained on; None where it is not recorded
    source_moments: SourceMoments | None = (
        None  # by which it adapts to a new target; None of heads trained by gradients
    )

    @property
    def language(self) -> str:
        """The language of its target."""
        return self.spec.domains[-1][1]

    @property
    def scale(self) -> Range:
        """The scale of its target's attributes; [-1, 1] where none is known."""
        return scale_of(self.spec.domains[-1][0], parse_ranges(self.spec.attribute_range)) or SCALE

    def domain(self, corpus: str | None = None, language: str | None = None) -> Domain:
        """The domain of a corpus, or else of a language; the target's where neither is known.

        A domain of the very tag goes before one of the same language in another region.
        """
        later_first = self.domains[::-1]
        matches = [domain for domain in later_first if corpus is not None and domain.corpus == corpus]
        if language is not None:
            matches += [domain for domain in later_first if domain.language == language]
            same = primary_language(language)
            matches += [domain for domain in later_first if primary_language(domain.language) == same]
        return (*matches, self.domains[-1])[0]

    def temperature(self, domain: Domain) -> float:
        """By which the head's outputs to speech of a domain are divided."""
        is_target = (domain.corpus, domain.language) == self.spec.domains[-1]
        return self.spec.temperature if is_target else self.spec.source_temperature

    def select(self, pooled: Tensor) -> Tensor:
        """(N, V, S * D) of all that the encoder pools in its layers, and of prosody, -> (N, views * V, D') as the head
        sees.
        """
        return select(pooled, self.columns)

    def normalised(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """(N, V, S * D) pooled features of one domain -> (N, V * D') as the head sees them.

        Speakers and texts only matter where the branch normalises by them.
        """
        names = speakers if self.spec.normalise.startswith("speaker") else None
        return normalise_features(self.select(pooled), domain, names, texts).flatten(1)

    def probabilities(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """(N, V, S * D) pooled features of one domain -> (N, C)."""
        return self.answers(pooled, domain, speakers, texts)[:, : len(self.spec.labels)]

    def answers(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """(N, C + K): `probabilities`, then attributes, in about [-1, 1]."""
        return self.answers_to_frames(self.normalised(pooled, domain, speakers, texts)[:, None], domain)

    def unfamiliarity(self, normalised: Tensor) -> Tensor | None:
        """(N, D) features, `normalised` without speakers and texts -> (N,), see `features.familiarity`.

        None where the branch has no familiarity.
        """
        return None if self.familiarity is None else self.familiarity.unfamiliarity(normalised)

    def answers_to_frames(self, frames: Tensor, domain: Domain) -> Tensor:
        """`answers` (N, C + K) to frames (N, F, D) as the head sees them, of one domain."""
        temperature = self.temperature(domain)
        with torch.no_grad():
            represented = self.head.represent(frames, torch.ones(frames.shape[:2], dtype=torch.bool))
            parts = [(self.head.output(represented) / temperature).softmax(1)[:, : len(self.spec.labels)]]
            if self.regressor is not None:
                parts.append(self.regressor(represented))
        return torch.cat(parts, 1)


def made_head(name: str, options: Sequence[str], width: int, classes: int) -> Head:
    """A head by name. Errors: UserError for an unknown name or option."""
    return make_plugin(f"head {name}", registry.load("heads", name), options, width=width, classes=classes)


def columns(encoder: Encoder, statistics: Sequence[str], *, prosody: bool = False) -> ViewColumns:
    """Where the statistics of each view, and prosody, stand in what the encoder pools and the prosody behind it."""
    views = views_of(statistics)
    if views == (encoder.statistics,):
        return (slice(None),)
    width = encoder.width
    end = len(encoder.statistics) * width
    prosody_columns = range(end, end + prosody_width(prosody))
    starts = [[encoder.statistics.index(name) * width for name in view] for view in views]
    return tuple([*(start + column for start in view for column in range(width)), *prosody_columns] for view in starts)


def select(pooled: Tensor, chosen: ViewColumns) -> Tensor:
    """(N, V, S * D) -> (N, views * V, D'): the chosen columns, all layers of one view before those of the next."""
    return torch.cat([pooled[..., part] for part in chosen], 1) if len(chosen) > 1 else pooled[..., chosen[0]]


def features_width(encoder: Encoder, *, prosody: bool) -> int:
    """The width of what an encoder pools in each layer, and of the prosody behind it."""
    return len(encoder.statistics) * encoder.width + prosody_width(prosody)
