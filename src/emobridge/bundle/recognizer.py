"""A trained recogniser: it holds an encoder and a branch for each language, chooses among them, and joins others."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

import emobridge
from emobridge.adapters import Adapters, switch_adapters, use_adapters
from emobridge.bundle.branch import UNKNOWN, Branch, Spec, columns
from emobridge.bundle.description import TAG
from emobridge.bundle.files import Contents, bundle_digest, read_bundle, read_cards, write_bundle
from emobridge.bundle.hub import HubPlace, bundle_folder, upload_bundle
from emobridge.bundle.places import is_place
from emobridge.bundle.redacted import redacted_branch
from emobridge.bundle.router import Router
from emobridge.bundle.sets import averaged, base_state
from emobridge.bundle.training_speech import SAME_FILE, SAME_SPEAKER, UNSEEN, Exposure, TrainingSpeech, gravest_of
from emobridge.data.attributes import is_constructed
from emobridge.data.devices import choose_device, move
from emobridge.encoders.base import Encoder, state_digest
from emobridge.errors import UserError
from emobridge.features.familiarity import Familiarity
from emobridge.features.normalisation import Domain
from emobridge.features.source_moments import SourceMoments
from emobridge.heads.base import Head, Regressor
from emobridge.languages import language_tag, primary_language
from emobridge.progress import report_note
from emobridge.types import SCALE, Range, Utterance, person_labels

if TYPE_CHECKING:
    from emobridge.bundle.onnx_export import OnnxExport
    from emobridge.inference.inputs import AudioInput
    from emobridge.inference.predictions import Predictions


class Recognizer:
    """An encoder, and for each language a branch: a head, the moments of its corpora, and adapters if it has any.

    The last branch answers where the language is not known; `spec`, `domains` and `head` are its own, and its adapters
    are active in the encoder. Those of other branches take effect within `adapters.use_adapters`, as the inference room
    does it.
    """

    def __init__(
        self,
        spec: Spec,
        encoder: Encoder,
        domains: Sequence[Domain],
        head: Head,
        *,
        regressor: Regressor | None = None,
        familiarity: Familiarity | None = None,
        earlier: Sequence[Branch] = (),
        router: Router | None = None,
    ) -> None:
        """The parts of the last branch; its adapters are those at work in the encoder, or last put to rest.

        earlier: branches that go before it, on the same encoder. Errors: ValueError where `spec.trained` has adapters
        and the encoder has none.
        """
        inside = encoder.all_adapters
        adapters: Adapters | None = None
        if "adapters" in spec.trained_parts:
            if not inside:
                raise ValueError("spec.trained has adapters, and there are none in the encoder")
            adapters = inside[-1]
        chosen = columns(encoder, spec.statistics, prosody=spec.prosody)
        last = Branch(spec, tuple(domains), head.eval(), adapters, chosen, regressor, familiarity)
        self.branches = (*earlier, last)
        self.encoder, self.router = encoder.eval(), router
        self.card, self.cards = "", dict[str, str]()  # of the model, and of languages by their name
        self.digest = ""  # of the bundle that it was loaded from, or last saved to
        with use_adapters(encoder, None):
            if "end-to-end" in spec.trained_parts:
                encoder.digest = state_digest(base_state(encoder))
            self.base = encoder.digest
        for adapters_inside in inside:
            adapters_inside.base = self.base
            adapters_inside.update_digest()
        switch_adapters(encoder, adapters)

    def __repr__(self) -> str:
        """A line: what it predicts, in which languages, and by what."""
        spec, names = self.spec, "+".join(branch.language for branch in self.branches)
        outputs = ", ".join((*self.labels, *self.attributes))
        return f"<Recognizer {names}: {outputs}; {spec.method}, {Path(spec.encoder).name} layer {spec.layer}>"

    def predict(
        self,
        audio: AudioInput,
        *,
        sample_rate: float | None = None,
        language: str | None = None,
        speakers: str = "unknown",
        strict: bool = False,
        store: str | Path | None = None,
        **options: Any,
    ) -> Predictions:
        """The answers to recordings, in order: a sequence even for one recording, which may have several parts.

        audio: a path of a recording, a folder or a manifest; an utterance; an array, (T,) or (channels, T), of floats
        (full scale is 1), int16 or int32; or several of these. They go the same way as in `emobridge predict`.
        sample_rate: of arrays, in Hz. language, speakers: of paths and arrays, as for the command. strict: the first
        recording that cannot be read raises; by default it stands in `skipped`. store: a folder for features, where
        speakers are standardised. options: the other ones of the command by name (segments="windows", channels="each",
        abstain_below=0.5 ...): see `settings.Answering`.
        Errors: UserError for what is none of these, and where nothing can be read.
        """
        options |= {"language": language, "speakers": speakers, "strict": strict, "store": store}
        return emobridge.Predictions.of(self, audio, sample_rate=sample_rate, **options)

    def __call__(self, audio: AudioInput, **options: Any) -> Predictions:
        """`predict`."""
        return self.predict(audio, **options)

    @property
    def last(self) -> Branch:
        """The branch that answers where the language is not known."""
        return self.branches[-1]

    @property
    def spec(self) -> Spec:
        """The facts of the last branch."""
        return self.last.spec

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The domains of the last branch."""
        return self.last.domains

    @property
    def head(self) -> Head:
        """The head of the last branch."""
        return self.last.head

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the probabilities."""
        return self.spec.labels

    @property
    def languages(self) -> tuple[str, ...]:
        """The known languages: those of the branches, the default one last, then those of source corpora."""
        targets = [branch.language for branch in self.branches]
        sources = [language for branch in self.branches for _, language in branch.spec.domains]
        return tuple(language for language in dict.fromkeys((*targets, *sources)) if language != UNKNOWN)

    @property
    def synthetic(self) -> bool:
        """Whether synthetic speech went into any branch."""
        return any(branch.spec.synthetic for branch in self.branches)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that it predicts, in their order."""
        return self.spec.attributes

    @property
    def scale(self) -> Range:
        """The scale of predicted attributes: that of all branches' targets, or [-1, 1] where these differ."""
        scales = {branch.scale for branch in self.branches}
        return scales.pop() if len(scales) == 1 else SCALE

    @property
    def constructed(self) -> bool:
        """Whether attributes that were computed from audio went into any branch: see data.constructed."""
        return bool(self.attributes) and any(map(is_constructed, self.corpora))

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora that it was trained on or adapted to, by the names in their manifests."""
        return tuple(dict.fromkeys(corpus for branch in self.branches for corpus, _ in branch.spec.domains))

    def exposure(self, utterances: Sequence[Utterance]) -> Exposure:
        """How much of some utterances, which can be read, its branches were trained on or adapted to."""
        unrecorded = tuple(branch.language for branch in self.branches if branch.training_speech is None)
        recorded = [speech for branch in self.branches if (speech := branch.training_speech) is not None]
        answers = [speech.exposures(utterances) for speech in recorded]
        if not answers:
            return Exposure((), unrecorded=unrecorded)
        exposures = gravest_of(answers)
        pairs = list(zip(exposures, utterances, person_labels(utterances)))
        related = (SAME_FILE, SAME_SPEAKER)
        speakers = {name for exposure, _, name in pairs if exposure in related and name is not None}
        nameless = sum(
            exposure == UNSEEN and row.speaker is None and row.corpus in self.corpora for exposure, row, _ in pairs
        )
        return Exposure(exposures, tuple(sorted(speakers)), nameless, unrecorded)

    def with_training_speech(
        self, speech: TrainingSpeech | None, source_moments: SourceMoments | None = None
    ) -> Recognizer:
        """This recogniser, after its last branch was told what it was trained on, and the moments of its source."""
        last = dataclasses.replace(self.last, training_speech=speech, source_moments=source_moments)
        self.branches = (*self.branches[:-1], last)
        return self

    @functools.cached_property
    def average(self) -> Adapters | None:
        """The mean of all branches' LoRA, resting in the encoder. Errors: UserError for other adapters."""
        return averaged([branch.adapters for branch in self.branches])

    def branch(self, language: str | None = None, corpus: str | None = None) -> Branch | None:
        """The branch of a target language, or else one trained on that language or corpus; None where there is none.

        "de-AT" goes to "de" and to "de-DE" where nothing is nearer. Later branches come first.
        """
        latest_first = self.branches[::-1]
        if language not in (None, UNKNOWN):
            for simplified in (str, primary_language):
                tag = simplified(str(language))
                for branch in latest_first:
                    if simplified(branch.language) == tag:
                        return branch
                for branch in latest_first:
                    if any(simplified(trained_on) == tag for _, trained_on in branch.spec.domains):
                        return branch
        for branch in latest_first:
            if corpus is not None and any(name == corpus for name, _ in branch.spec.domains):
                return branch
        return None

    def branch_of(self, language: str) -> Branch:
        """The branch that answers a language, given by its tag or name. Errors: UserError that names the known ones."""
        try:
            tag = language_tag(language)
        except UserError as error:
            raise UserError(f"{error}; this recogniser has {', '.join(self.languages)}") from error
        branch = self.branch(tag)
        if branch is None and UNKNOWN in (tag, self.last.language):
            return self.last
        if branch is None:
            raise UserError(f"language {language!r}: not one of this recogniser's ({', '.join(self.languages)})")
        return branch

    def domain(self, corpus: str | None = None, language: str | None = None) -> Domain:
        """`Branch.domain` of the last branch."""
        return self.last.domain(corpus, language)

    def select(self, pooled: Tensor) -> Tensor:
        """`Branch.select` of the last branch."""
        return self.last.select(pooled)

    def normalised(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """`Branch.normalised` of the last branch."""
        return self.last.normalised(pooled, domain, speakers, texts)

    def probabilities(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """`Branch.probabilities` of the last branch."""
        return self.last.probabilities(pooled, domain, speakers, texts)

    def answers(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """`Branch.answers` of the last branch."""
        return self.last.answers(pooled, domain, speakers, texts)

    @contextlib.contextmanager
    def merged(self, language: str) -> Iterator[Recognizer]:
        """Within the block the encoder's own weights hold this language's LoRA, for speed; others are refused there.

        Afterwards the weights are as before but for rounding. Errors: UserError for an unknown language, and adapters
        that cannot be merged.
        """
        adapters = self.branch_of(language).adapters
        with use_adapters(self.encoder, adapters):
            if adapters is None:
                yield self
                return
            adapters.merge()
            try:
                yield self
            finally:
                adapters.unmerge()

    def join(self, other: Recognizer, *, replace: bool = False) -> Recognizer:
        """A recogniser of all languages of both, on this one's encoder; the other's last language is the default.

        Both need the same base (weights and options of the encoder, layer, statistics, prosody), and the same labels
        and attributes in the same order. The router is dropped, for it only knows the old languages.
        replace: of a language that both have, take the other's branch. Errors: UserError that says what differs, and
        for a language that both have.
        """
        for branch in (*self.branches, *other.branches):
            if not TAG.fullmatch(branch.language) or branch.language == UNKNOWN:
                raise UserError(f"language {branch.language!r}: a recogniser joins others under a name such as 'de'")
        self._check_joins(other)
        taken = {branch.language for branch in other.branches}
        for branch in self.branches:
            if branch.language in taken and not replace:
                raise UserError(f"language {branch.language!r}: is in both; leave one out, or --replace the earlier")
        branches = [branch for branch in self.branches if branch.language not in taken]
        branches += [other._moved_to(branch, self.encoder) for branch in other.branches]
        return self._of(Contents(self.encoder, tuple(branches)))

    def moved_to(self, encoder: Encoder) -> Recognizer:
        """The same recogniser on another encoder of the same base, where other recognisers may be too.

        Its adapters are copied there. Errors: ValueError for another base.
        """
        here = (self.encoder.name, self.base, self.encoder.options)
        with use_adapters(encoder, None):
            there = (encoder.name, encoder.digest, encoder.options)
        if here != there:
            raise ValueError(f"{there} is another encoder than {here}")
        branches = tuple(self._moved_to(branch, encoder) for branch in self.branches)
        moved = self._of(Contents(encoder, branches, self.router))
        moved.card, moved.cards = self.card, self.cards
        return moved

    @classmethod
    def joined(cls, folders: Sequence[str | Path], *, encoder: str | None = None, replace: bool = False) -> Recognizer:
        """The bundles in some folders as one, the last one's language the default. Errors: as `load` and `join`."""
        first, *others = folders
        recognizer = cls.load(first, encoder=encoder)
        for folder in others:
            try:
                recognizer = recognizer.join(cls.load(folder, encoder=encoder), replace=replace)
            except UserError as error:
                raise UserError(f"{folder}: {error}" if str(folder) not in str(error) else str(error)) from error
        return recognizer

    def save(
        self,
        folder: str | Path,
        card: str,
        cards: Mapping[str, str] | None = None,
        *,
        redacted_by: Callable[[str], str] | None = None,
    ) -> Path:
        """Write the bundle with its model card; the description comes last, so that a part is not taken for a bundle.

        cards: further cards, of languages by their name. redacted_by: gives corpora other names; the bundle then names
        nobody (see bundle.redacted).
        """
        trained = "end-to-end" in self.spec.trained_parts
        branches = self.branches
        if redacted_by is not None:
            branches = tuple(redacted_branch(branch, redacted_by) for branch in branches)
        contents, state = Contents(self.encoder, branches, self.router), base_state(self.encoder) if trained else {}
        write_bundle(Path(folder), contents, state, card, cards or {}, beside=redacted_by is not None)
        self.card, self.cards, self.digest = card, dict(cards or {}), bundle_digest(folder)
        return Path(folder)

    def to_onnx(self, folder: str | Path, *, language: str | None = None) -> OnnxExport:
        """Write one file of ONNX, from waveforms to calibrated probabilities, with labels.json and a README.md.

        language: of the branch that answers, by default the last one. Other runtimes run it without emobridge; before
        it stays it is compared with this recogniser on made sounds. See docs/onnx.md for what is in it and what not.
        Errors: UserError for an unknown language, what a graph cannot hold, missing packages (the extra `onnx`), and a
        graph that does not answer alike; nothing is written then.
        """
        from emobridge.bundle.onnx_export import write_onnx

        return write_onnx(self, folder, language)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        encoder: str | Path | None = None,
        revision: str | None = None,
        device: str = "auto",
    ) -> Recognizer:
        """Read a bundle: a folder, or a model of the hub such as "user/name" or "user/name@revision".

        Of the hub only the bundle's safetensors, JSON and cards are fetched. encoder: where its encoder is now, if it
        is not where the bundle looks for it. revision: a branch, a tag or a commit of the hub. device: where the
        encoder computes; auto is a GPU where there is one. What it yields comes back to the CPU.
        Errors: UserError for a device that is not there, what is no bundle, one of a newer format, files that were
        changed or do not fit each other, an encoder that is not there or has other weights, and a hub that cannot be
        reached.
        """
        choose_device(device)
        folder = bundle_folder(source, revision)
        recognizer = cls._of(read_bundle(folder, None if encoder is None else str(encoder)))
        move(recognizer.encoder, device)
        recognizer.card, recognizer.cards = read_cards(folder)
        recognizer.digest = bundle_digest(folder)
        return recognizer

    from_pretrained = load  # the name that models of the hub go by

    def push_to_hub(self, model: str, *, card: str = "", **options: Any) -> str:
        """Put the bundle on the hub as the model "user/name", and return its address.

        Its safetensors, JSON and model cards are uploaded, and nothing else; an encoder that was not trained stays
        where it is. card: by default that with which the bundle was saved or loaded; it must name the corpora.
        options: the other fields of `bundle.hub.HubPlace`: token (by default that of `hf auth login`), private (by
        default true) and branch. Errors: UserError where there is no card, and as `bundle.hub.upload_bundle`.
        """
        where = HubPlace(model=model, **options)
        card = card or self.card
        if not card:
            raise UserError(f"{model}: the recogniser has no model card; save it with one first, or give card=")
        if is_place(self.spec.encoder):
            report_note(f"the encoder {Path(self.spec.encoder).name} is not on the hub: others give theirs (--encoder)")
        with tempfile.TemporaryDirectory(prefix="emobridge-") as folder:
            self.save(folder, card, self.cards)
            return upload_bundle(Path(folder), where, self.corpora)

    @classmethod
    def _of(cls, contents: Contents) -> Recognizer:
        *earlier, last = contents.branches
        switch_adapters(contents.encoder, last.adapters)
        return cls(
            last.spec,
            contents.encoder,
            last.domains,
            last.head,
            regressor=last.regressor,
            familiarity=last.familiarity,
            earlier=earlier,
            router=contents.router,
        ).with_training_speech(last.training_speech, last.source_moments)

    def _check_joins(self, other: Recognizer) -> None:
        """Errors: UserError where a branch of the other would not find here what it was trained on."""
        names = f"{'+'.join(other.languages)} cannot join {'+'.join(self.languages)}"
        here, there = self.encoder, other.encoder
        if (here.name, self.base, here.options) != (there.name, other.base, there.options):
            bases = [f"{side.encoder.name} {side.base[:12]} {side.encoder.options}" for side in (other, self)]
            raise UserError(f"{names}: made on another base model ({bases[0]}, not {bases[1]})")
        for key in ("labels", "attributes", "layer", "statistics", "prosody"):
            values = [getattr(spec, key) for spec in (other.spec, self.spec)]
            if values[0] != values[1]:
                theirs, ours = (", ".join(value) if isinstance(value, tuple) else str(value) for value in values)
                raise UserError(f"{names}: other {key} ({theirs}, not {ours})")

    def _moved_to(self, branch: Branch, encoder: Encoder) -> Branch:
        """A branch of this recogniser on another encoder, with its adapters there, at work."""
        if branch.adapters is None or encoder is self.encoder:
            return branch
        switch_adapters(encoder, None)
        return dataclasses.replace(branch, adapters=branch.adapters.copy_to(encoder))


def load(
    source: str | Path, *, encoder: str | Path | None = None, revision: str | None = None, device: str = "auto"
) -> Recognizer:
    """`Recognizer.load`: the recogniser in a bundle, a folder or a model of the hub.

    >>> import emobridge
    >>> emobridge.load("nowhere/")
    Traceback (most recent call last):
    emobridge.errors.UserError: nowhere: is no bundle (there is no bundle.json)
    """
    return Recognizer.load(source, encoder=encoder, revision=revision, device=device)
