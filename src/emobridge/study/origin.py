"""The bundle that `adapt --from` adapts to a new target: the moments of its source in place of the source speech."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from emobridge.bundle import Recognizer, Spec, TrainingSpeech, bundle_digest
from emobridge.bundle.hub import bundle_folder
from emobridge.bundle.training_speech import LABEL_SEEN, SAME_FILE, SAME_SPEAKER, TRAINED
from emobridge.data.speech import Speech
from emobridge.errors import UserError
from emobridge.features.familiarity import Familiarity
from emobridge.features.source_moments import SourceMoments
from emobridge.settings import Adapt, Features, default_of
from emobridge.types import short_repr

ENCODING = ("encoder", "encoder_options", "engine", "frames")  # options of the encoder, of which a bundle has its own
RELATED = (TRAINED, SAME_FILE, SAME_SPEAKER)


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class SourceBundle:
    """What the last branch of a bundle says of itself and of its source."""

    bundle: str  # as the user gave it
    digest: str  # sha256 of the bundle
    spec: Spec
    moments: SourceMoments
    training_speech: TrainingSpeech | None
    familiarity: Familiarity | None
    card: str  # of the model

    @property
    def temperatures(self) -> tuple[float, float]:
        """Of answers to the target and to the source, see `study.calibration`: there is no held-out answer here.

        Without target labels the target's is that of the source, and never below 1, as with source speech.
        """
        return max(self.spec.source_temperature, 1.0), self.spec.source_temperature

    @property
    def earlier_scores(self) -> str:
        """A section for the new model card: what the old one tells of its scores, which no run without source repeats.

        "" where it has none.
        """
        _, separator, section = self.card.partition("\n## How well it does\n")
        text = section.split("\n## ")[0].strip()
        return f"\n## How well the recogniser did that was adapted\n\n{text}\n" if separator else ""

    def settled(self, request: Adapt) -> Adapt:
        """The request with all that the bundle decides: labels, encoder and features, and by default the head.

        Errors: UserError for an option that asks for something else.
        """
        data, features, system, spec = request.data, request.features, request.system, self.spec
        if data.labels is not None and set(data.labels) != set(spec.labels):
            raise UserError(f"labels: {self.bundle} tells {', '.join(spec.labels)} apart, and learns no others")
        if data.attributes:
            raise UserError(f"attributes: {self.bundle} is adapted in its emotions alone; give --source")
        if features.all_encoder_options not in ((), spec.encoder_options):
            raise self._other("encoder-option", features.all_encoder_options, spec.encoder_options)
        taken: dict[str, Any] = {}
        for item in fields(Features):
            if not hasattr(spec, item.name) or item.name in (*ENCODING, "by_corpus"):
                continue
            chosen, taken[item.name] = getattr(features, item.name), getattr(spec, item.name)
            if chosen not in (default_of(Adapt, item.name), taken[item.name]):
                raise self._other(item.name, chosen, taken[item.name])
        sources = [corpus for corpus, _ in self.moments.corpora]
        by_corpus = dict.fromkeys((*(name for name in spec.by_corpus if name in sources), *features.by_corpus))
        taken |= {"encoder": spec.encoder, "encoder_options": spec.encoder_options, "by_corpus": tuple(by_corpus)}
        if system.head == "auto":
            options = system.head_options or spec.head_options
            system = replace(system, head=spec.head, head_options=options)
        return replace(
            request,
            data=replace(data, labels=spec.labels),
            features=replace(features, **taken, engine="auto", frames="auto"),
            system=system,
        )

    def check(self, speech: Speech, *, share_speakers: bool) -> None:
        """Errors: UserError where scored target utterances, or their speakers, were trained on by the bundle."""
        if self.training_speech is None or share_speakers:
            return
        rows = self.training_speech.rows
        trained = TrainingSpeech(rows[rows[:, LABEL_SEEN] == 1])
        exposures = trained.exposures(speech.utterances)
        leaking = [row.id for row, exposure in zip(speech.utterances, exposures) if exposure in RELATED]
        if leaking:
            raise UserError(
                f"{self.bundle}: {len(leaking)} utterances of the target, or their speakers, were trained on "
                f"({', '.join(leaking[:3])}): scores would leak"
            )

    def _other(self, name: str, value: object, has: object) -> UserError:
        return UserError(
            f"--{name.replace('_', '-')}: {_text(value)} does not fit {self.bundle}, which has {_text(has)}"
        )


def read_origin(request: Adapt) -> SourceBundle | None:
    """The bundle of `--from`; None where there is source speech.

    An encoder in the request is where the bundle's encoder is now. Errors: UserError for what is no bundle, and for one
    without the moments of its source.
    """
    bundle = request.data.from_bundle
    if not bundle:
        return None
    folder = bundle_folder(bundle, None)
    encoder = request.features.encoder
    moved = None if encoder == default_of(Adapt, "encoder") else encoder
    recognizer = Recognizer.load(folder, encoder=moved, device="cpu")
    last = recognizer.last
    if last.source_moments is None:
        raise UserError(
            f"{bundle}: has no moments of its source speech, since its {_why(last.spec)}; give --source and not --from"
        )
    return SourceBundle(
        bundle,
        bundle_digest(folder),
        last.spec,
        last.source_moments,
        last.training_speech,
        last.familiarity,
        recognizer.card,
    )


def _why(spec: Spec) -> str:
    """Why a bundle has no moments."""
    if spec.trained_parts:
        return "encoder was trained"
    if spec.attributes:
        return "attributes were learnt from each utterance"
    return f"head {spec.head} was trained by gradients, or it is of an older emobridge"


def _text(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
