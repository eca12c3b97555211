"""A trained recogniser, of one language or several, and what is saved of it: safetensors, JSON and a model card. Never
pickle.

bundle/bundle.json         labels, layer, normalisation, where the encoder is, versions
bundle/model.safetensors   the head, a regressor of attributes, what is known of each corpus, and a trained encoder
bundle/adapters/           adapters, where they were trained (LoRA as peft has it)
bundle/languages/NAME/     the same of each further language, but for the encoder; its description is language.json
bundle/README.md           the model card
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from emobridge.adapters import Adapters, use_adapters
from emobridge.bundle._branch import UNKNOWN, Branch, Spec, columns, made_head
from emobridge.bundle.files import (
    CARD,
    FORMAT,
    TENSORS,
    read_about,
    read_branch,
    read_tensors,
    sha256,
    under,
    unfitting,
    write_branch,
)
from emobridge.bundle.router import Router
from emobridge.bundle.sets import averaged, base_state
from emobridge.data.attributes import is_constructed
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder, state_digest
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain
from emobridge.files import whole_file
from emobridge.heads.base import Head, Regressor
from emobridge.languages import primary_language
from emobridge.options import read_options
from emobridge.types import SCALE, Range

__all__ = ["FORMAT", "UNKNOWN", "Branch", "Recognizer", "Spec", "columns", "made_head"]

ABOUT, LANGUAGES, LANGUAGE = "bundle.json", "languages", "language.json"
TAG = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")  # of a language: also the name of its folder
ROUTER = ("mean", "deviation", "weight", "bias")  # its tensors


class Recognizer:
    """An encoder, and for each language a branch: a head, what is known of its corpora, and adapters if it has any.

    The last branch answers where no language is told; `spec`, `domains` and `head` are its, and its adapters are at
    work in the encoder. Those of others take effect within `adapters.use_adapters` (see the inference room).
    """

    def __init__(
        self,
        spec: Spec,
        encoder: Encoder,
        domains: Sequence[Domain],
        head: Head,
        *,
        regressor: Regressor | None = None,
        beside: Sequence[Branch] = (),
        router: Router | None = None,
    ) -> None:
        """The last branch's parts; where `spec.trained` has adapters they are those at work, or last put to rest.

        beside: branches that go before it, on the same encoder.
        """
        inside = encoder.all_adapters
        adapters: Adapters | None = None
        if "adapters" in spec.trained_parts:
            if not inside:
                raise ValueError("spec.trained has adapters, and there are none in the encoder")
            adapters = inside[-1]
        own = Branch(spec, tuple(domains), head.eval(), adapters, columns(encoder, spec.statistics), regressor)
        self.branches = (*beside, own)
        self.encoder, self.router = encoder.eval(), router
        self.spec, self.domains, self.head = own.spec, own.domains, own.head
        with use_adapters(encoder, None):
            if "end-to-end" in spec.trained_parts:
                encoder.digest = state_digest(base_state(encoder))
            self.base = encoder.digest
        for one in inside:
            one.base = self.base
            one.update_digest()
        _put_to_work(encoder, adapters)

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.spec.labels

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that it knows: first those that it was made for, the one that answers by default last of them."""
        own = [branch.language for branch in self.branches]
        sources = [language for branch in self.branches for _, language in branch.spec.domains]
        return tuple(one for one in dict.fromkeys((*own, *sources)) if one != UNKNOWN)

    @property
    def synthetic(self) -> bool:
        """Whether synthetic speech went into any branch."""
        return any(branch.spec.synthetic for branch in self.branches)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Those that it tells, in their order."""
        return self.spec.attributes

    @property
    def scale(self) -> Range:
        """Of the attributes that it tells: that of all its branches' targets, or [-1, 1] where these differ."""
        scales = {branch.scale for branch in self.branches}
        return scales.pop() if len(scales) == 1 else SCALE

    @property
    def constructed(self) -> bool:
        """Whether attributes that were computed from audio went into any branch: see data.constructed."""
        corpora = [corpus for branch in self.branches for corpus, _ in branch.spec.domains]
        return bool(self.attributes) and any(map(is_constructed, corpora))

    @functools.cached_property
    def average(self) -> Adapters | None:
        """The mean of all branches' LoRA, resting in the encoder. Errors: UserError for other adapters."""
        return averaged([branch.adapters for branch in self.branches])

    def branch(self, language: str | None = None, corpus: str | None = None) -> Branch | None:
        """The branch made for a language, or else one that has heard it or the corpus; None where neither is known.

        "de-AT" goes to "de" and to "de-DE" where nothing is nearer. Later branches come first.
        """
        if language not in (None, UNKNOWN):
            for kept in (str, primary_language):
                wanted = kept(str(language))
                for branch in reversed(self.branches):
                    if kept(branch.language) == wanted:
                        return branch
                for branch in reversed(self.branches):
                    if any(kept(tag) == wanted for _, tag in branch.spec.domains):
                        return branch
        for branch in reversed(self.branches):
            if corpus is not None and any(name == corpus for name, _ in branch.spec.domains):
                return branch
        return None

    def known(self, language: str) -> Branch:
        """The branch of a language. Errors: UserError that names those that there are."""
        found = self.branch(language)
        if found is None and self.branches[-1].language == UNKNOWN:
            return self.branches[-1]
        if found is None:
            raise UserError(f"language {language!r}: not one of this recogniser's ({', '.join(self.languages)})")
        return found

    def domain(self, corpus: str | None = None, language: str | None = None) -> Domain:
        """Of the last branch: the domain of a corpus, or else of a language; the target's where neither is known."""
        return self.branches[-1].domain(corpus, language)

    def select(self, pooled: Tensor) -> Tensor:
        """(N, V, S * D) of all that the encoder pools in its layers -> (N, V, D') of what heads see."""
        return self.branches[-1].select(pooled)

    def normalised(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """`Branch.normalised` of the last branch."""
        return self.branches[-1].normalised(pooled, domain, speakers, texts)

    def probabilities(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """`Branch.probabilities` of the last branch."""
        return self.branches[-1].probabilities(pooled, domain, speakers, texts)

    def answers(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """`Branch.answers` of the last branch."""
        return self.branches[-1].answers(pooled, domain, speakers, texts)

    @contextlib.contextmanager
    def merged(self, language: str) -> Iterator[Recognizer]:
        """Within the block the encoder's own weights hold this language's LoRA, for speed; others are refused there.

        Afterwards they are what they were but for rounding. Errors: UserError for an unknown language, and adapters
        that cannot be merged.
        """
        adapters = self.known(language).adapters
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

        Both go by the same base: weights and options of the encoder, layer and statistics, and the same labels and
        attributes in the same order. A router is not kept, for it knows the old languages alone.
        replace: a language that both were made for is the other's from now on. Errors: UserError that says what
        differs, and for a language that both were made for.
        """
        for branch in (*self.branches, *other.branches):
            if not TAG.fullmatch(branch.language) or branch.language == UNKNOWN:
                raise UserError(f"language {branch.language!r}: a recogniser joins others under a name such as 'de'")
        self._check(other)
        taken = {branch.language for branch in other.branches}
        for branch in self.branches:
            if branch.language in taken and not replace:
                raise UserError(f"language {branch.language!r}: is in both; leave one out, or --replace the earlier")
        branches = [branch for branch in self.branches if branch.language not in taken]
        branches += [self._taken_in(branch, other.encoder) for branch in other.branches]
        *beside, last = branches
        _put_to_work(self.encoder, last.adapters)
        return Recognizer(last.spec, self.encoder, last.domains, last.head, regressor=last.regressor, beside=beside)

    @classmethod
    def joined(cls, folders: Sequence[str | Path], *, encoder: str | None = None, replace: bool = False) -> Recognizer:
        """The bundles in some folders as one, the last one's language the default. Errors: as `load` and `join`."""
        first, *others = folders
        one = cls.load(first, encoder=encoder)
        for folder in others:
            try:
                one = one.join(cls.load(folder, encoder=encoder), replace=replace)
            except UserError as error:
                raise UserError(f"{folder}: {error}" if str(folder) not in str(error) else str(error)) from error
        return one

    def save(self, folder: str | Path, card: str, cards: Mapping[str, str] | None = None) -> Path:
        """Write the bundle; its description comes last, so that one cut short is not taken for a bundle.

        cards: further cards, of languages by their name.
        """
        folder, (*beside, last) = Path(folder), self.branches
        about: dict[str, Any] = {LANGUAGES: {}}
        for branch in beside:
            place, own = folder / LANGUAGES / branch.language, (cards or {}).get(branch.language, "")
            about[LANGUAGES][branch.language] = write_branch(place, LANGUAGE, branch, own, {}, {})
        more: dict[str, Tensor] = {}
        if "end-to-end" in self.spec.trained_parts:
            more = {f"encoder.{name}": tensor for name, tensor in base_state(self.encoder).items()}
        if self.router is not None:
            about["router"] = {"languages": self.router.languages, "hears_base": self.router.hears_base}
            more |= {f"router.{name}": getattr(self.router, name) for name in ROUTER}
        if last.language in (cards or {}):
            with whole_file(folder / LANGUAGES / last.language / CARD) as path:
                path.write_text((cards or {})[last.language], encoding="utf-8")
        write_branch(folder, ABOUT, last, card, more, about)
        return folder

    @classmethod
    def load(cls, folder: str | Path, *, encoder: str | None = None) -> Recognizer:
        """Read a bundle. encoder: where its encoder is now, if it has moved.

        Errors: UserError for a folder that is no bundle, one of a newer format, and an encoder with other weights.
        """
        folder = Path(folder)
        spec, about = read_about(folder / ABOUT, "bundle")
        model = load_encoder(encoder or spec.encoder, **read_options(spec.encoder_options))
        tensors = read_tensors(folder / TENSORS, about["tensors"], ABOUT)
        try:
            if "end-to-end" in spec.trained_parts:
                model.load_state_dict(under(tensors, "encoder."))
                model.digest = state_digest(model)
            elif model.digest != spec.digest:
                raise UserError(
                    f"{folder}: was made with an encoder of other weights than {encoder or spec.encoder} has"
                )
            beside = [_language(folder, name, digest, model) for name, digest in _listed(folder, about)]
            last = read_branch(folder, ABOUT, spec, about, tensors, model)
            router = None
            if told := about.get("router"):
                weights = (tensors[f"router.{name}"] for name in ROUTER)
                router = Router(tuple(told["languages"]), bool(told["hears_base"]), *weights)
        except (KeyError, IndexError, RuntimeError) as error:
            raise unfitting(folder, ABOUT, error) from error
        return cls(spec, model, last.domains, last.head, regressor=last.regressor, beside=beside, router=router)

    def _check(self, other: Recognizer) -> None:
        """That a branch of the other would find here what it was made on."""
        names = f"{'+'.join(other.languages)} cannot join {'+'.join(self.languages)}"
        here, there = self.encoder, other.encoder
        if (here.name, self.base, here.options) != (there.name, other.base, there.options):
            told = [f"{one.encoder.name} {one.base[:12]} {one.encoder.options}" for one in (other, self)]
            raise UserError(f"{names}: made on another base model ({told[0]}, not {told[1]})")
        for what in ("labels", "attributes", "layer", "statistics"):
            own, given = getattr(self.spec, what), getattr(other.spec, what)
            if own != given:
                given, own = (one if isinstance(one, str) else ", ".join(one) for one in (given, own))
                raise UserError(f"{names}: other {what} ({given}, not {own})")

    def _taken_in(self, branch: Branch, home: Encoder) -> Branch:
        """Another recogniser's branch with its adapters in this one's encoder, at work there."""
        if branch.adapters is None or home is self.encoder:
            return branch
        _put_to_work(self.encoder, None)
        adapters = branch.adapters.copy_to(self.encoder)
        return dataclasses.replace(branch, adapters=adapters)


def _put_to_work(encoder: Encoder, wanted: Adapters | None) -> None:
    if encoder.active_adapters is not wanted:
        if encoder.active_adapters is not None:
            encoder.active_adapters.deactivate()
        if wanted is not None:
            wanted.activate()


def _listed(folder: Path, about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names of further languages and digests of their descriptions."""
    told = about.get(LANGUAGES, {})
    if not isinstance(told, dict) or not all(map(TAG.fullmatch, told)):
        raise UserError(f"{folder / ABOUT}: is no description of a bundle ({LANGUAGES}: {told!r})")
    return list(told.items())


def _language(folder: Path, name: str, digest: str, encoder: Encoder) -> Branch:
    """A further language's branch, its adapters resting."""
    place = folder / LANGUAGES / name
    spec, about = read_about(place / LANGUAGE, "language of a bundle")
    if sha256(place / LANGUAGE) != digest:
        raise UserError(f"{place / LANGUAGE}: does not fit {ABOUT} (it was changed, or saving was interrupted)")
    tensors = read_tensors(place / TENSORS, about["tensors"], LANGUAGE)
    branch = read_branch(place, LANGUAGE, spec, about, tensors, encoder)
    _put_to_work(encoder, None)
    return branch
