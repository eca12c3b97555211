"""A layer-wise study: which encoder, which layer, which head, for which language.

Each clip goes through a frozen encoder once; what its layers say is kept, and all probes are trained on that. Where the
frames of a corpus do not fit on the disk, they are streamed: one pass of the encoder an epoch feeds every head, layer,
fold, seed and normalisation at once. Encoders trained from scratch, a baseline, are in `scratch`.

Normalisation, as in `adapt`: "none" standardises by the training utterances of each probe; "corpus" and "speaker" by
the unlabelled audio of the corpus or speaker, that of the scored speakers too, which `saw` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from emobridge.bundle import made_head
from emobridge.errors import UserError
from emobridge.features.store import FeatureStore
from emobridge.files import cache_folder
from emobridge.options import read_options
from emobridge.probe import scratch
from emobridge.probe.encoders import (
    floor,
    languages,
    layer_names,
    named,
    open_encoder,
    open_encoders,
    options_for_head,
    streams_frames,
)
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, read_corpus, split_corpus, training_sets
from emobridge.probe.trainer import Trainer
from emobridge.probe.units import Outcome
from emobridge.progress import progress
from emobridge.study.reading import emotions


@dataclass(frozen=True, slots=True)
class Study:
    """A finished study; `analysis.cells` scores it and `report.probe` shows it."""

    settings: ProbeSettings
    corpora: tuple[Corpus, ...]
    outcomes: tuple[Outcome, ...]
    languages: tuple[tuple[str, tuple[str, ...]], ...]  # of each encoder: those of its pre-training
    skipped: tuple[tuple[str, str], ...]  # id and reason of each utterance that could not be read


def probe(settings: ProbeSettings, *, strict: bool = False) -> Study:
    """Run a study. What an interrupted run of the same settings finished is read, not done again.

    Errors: UserError for whatever is wrong with settings or manifests; with `strict`, for a file that cannot be read.
    """
    settings = replace(settings, labels=emotions(settings.labels))
    corpora = tuple(read_corpus(path, settings) for path in settings.corpora)
    check(settings, corpora)
    for name, source in map(named, settings.encoders):  # missing weights and layers, before anything long
        layer_names(settings, open_encoder(source, read_options(settings.encoder_options)), name)
    skipped: list[tuple[str, str]] = []
    outcomes: list[Outcome] = []
    for number, listener in enumerate(open_encoders(settings)):
        frames = streams_frames(settings, listener, corpora) is False
        store = FeatureStore(
            settings.store or cache_folder(),
            listener.encoder,
            frames=frames,
            segment=settings.segment if frames else 0.0,
        )
        for place, corpus in enumerate(corpora):
            with progress(f"features of {listener.title} on {corpus.name}") as report:
                bad = store.extract(
                    corpus.utterances, layer="0", on_progress=report, strict=strict or number > 0
                ).skipped
            skipped += bad
            lost = {name for name, _ in bad}
            good = tuple(one for one in corpus.utterances if one.id not in lost)
            corpora = (*corpora[:place], replace(corpus, utterances=good), *corpora[place + 1 :])
        is_floor = listener.weights == "random" or (listener.name == "logmel" and "logmel" not in settings.encoders)
        asked = floor(settings) if is_floor else settings
        outcomes += Trainer(asked, corpora, listener, store).run()
    outcomes += scratch.outcomes(settings, corpora)
    return Study(settings, corpora, tuple(outcomes), tuple(languages(settings)), tuple(skipped))


def check(settings: ProbeSettings, corpora: Sequence[Corpus]) -> None:
    """What would fail after hours, found at once."""
    for name in [one.name for one in corpora]:
        if sum(one.name == name for one in corpora) > 1:
            raise UserError(f"two manifests are of the corpus {name}: a study takes each once")
    for head in settings.heads:
        made_head(head, options_for_head(settings, head), 1, 2)
    for corpus in corpora:
        training_sets(corpus, split_corpus(corpus, settings), settings)
    scratch.check(settings)
