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
from emobridge.probe.bench import Bench
from emobridge.probe.cuts import Corpus, cuts_of, read_corpus, sets_of
from emobridge.probe.listeners import floor, head_words, languages, layers_of, listeners, named, opened, streams
from emobridge.probe.settings import ProbeSettings
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
        layers_of(settings, opened(source, read_options(settings.encoder_options)), name)
    skipped: list[tuple[str, str]] = []
    outcomes: list[Outcome] = []
    for number, listener in enumerate(listeners(settings)):
        frames = streams(settings, listener, corpora) is False
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
        outcomes += Bench(asked, corpora, listener, store).run()
    outcomes += scratch.outcomes(settings, corpora)
    return Study(settings, corpora, tuple(outcomes), tuple(languages(settings)), tuple(skipped))


def check(settings: ProbeSettings, corpora: Sequence[Corpus]) -> None:
    """What would fail after hours, found at once."""
    for name in [one.name for one in corpora]:
        if sum(one.name == name for one in corpora) > 1:
            raise UserError(f"two manifests are of the corpus {name}: a study takes each once")
    for head in settings.heads:
        made_head(head, head_words(settings, head), 1, 2)
    for corpus in corpora:
        sets_of(corpus, cuts_of(corpus, settings), settings)
    scratch.check(settings)
