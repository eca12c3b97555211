"""A bundle as files, and what reading them checks."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from emobridge import registry
from emobridge.adapters import Adapters, switch_adapters
from emobridge.adapters.base import read_weights
from emobridge.bundle.branch import Branch, Spec, columns, features_width, made_head
from emobridge.bundle.description import Description, RouterFacts, read_description, write_description
from emobridge.bundle.places import check_digest, encoder_at, written_place
from emobridge.bundle.router import Router
from emobridge.bundle.training_speech import TrainingSpeech
from emobridge.data.prosody import prosody_width
from emobridge.encoders.base import Encoder, state_digest
from emobridge.errors import UserError, unknown
from emobridge.features.familiarity import Familiarity
from emobridge.features.normalisation import Domain
from emobridge.features.source_moments import SourceMoments
from emobridge.files import file_digest, is_readable, unreadable, whole_file
from emobridge.heads.base import LinearMap, Regressor
from emobridge.settings import layer_names

TENSORS, ADAPTERS, MODEL_CARD = "model.safetensors", "adapters", "README.md"
DESCRIPTION, LANGUAGES_FOLDER, LANGUAGE_DESCRIPTION = "bundle.json", "languages", "language.json"
TRAINING_SPEECH = "training_speech"  # a tensor
ROUTER = ("mean", "deviation", "weight", "bias")  # the tensors of a router
FAMILIARITY = ("centres", "deviation", "distances")  # the tensors of a branch's familiarity, which older bundles lack
SOURCE_MOMENTS = ("points", "label", "corpus", "count")  # the tensors of a branch's source moments
UNFITTING = (KeyError, IndexError, ValueError, RuntimeError)  # what torch makes of tensors of another shape


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds. The adapters of the last branch are at work in the encoder, all others rest."""

    encoder: Encoder
    branches: tuple[Branch, ...]
    router: Router | None = None


def write_bundle(
    folder: Path,
    contents: Contents,
    encoder_state: Mapping[str, Tensor],
    card: str,
    cards: Mapping[str, str],
    *,
    beside: bool = False,
) -> None:
    """Write a bundle; its description comes last, so that one cut short is not taken for a bundle.

    encoder_state: of a trained encoder; {} of any other. cards: further cards, of languages by their name. beside: the
    encoder is named as if it lay beside the bundle.
    """
    last_spec = contents.branches[-1].spec
    location = written_place(last_spec.encoder, last_spec.digest, folder, beside=beside)
    *earlier, last = (replace(branch, spec=replace(branch.spec, encoder=location)) for branch in contents.branches)
    languages = {}
    for branch in earlier:
        home = folder / LANGUAGES_FOLDER / branch.language
        _write_card(home, cards.get(branch.language, ""))
        languages[branch.language] = _write_branch(home / LANGUAGE_DESCRIPTION, branch)
    _write_card(folder / LANGUAGES_FOLDER / last.language, cards.get(last.language, ""))
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder_state.items()}
    facts, router = None, contents.router
    if router is not None:
        facts = RouterFacts(router.languages, router.hears_base)
        tensors |= {f"router.{name}": getattr(router, name) for name in ROUTER}
    _write_card(folder, card)
    _write_branch(folder / DESCRIPTION, last, tensors, languages, facts)


def read_bundle(folder: Path, encoder: str | None = None) -> Contents:
    """Read a bundle. encoder: where its encoder is now, if it has moved.

    Errors: UserError for a folder that is no bundle, one of a newer format, files that were changed or do not fit
    each other, and an encoder with other weights.
    """
    path = folder / DESCRIPTION
    description = read_description(path, "bundle")
    model, location = encoder_at(path, description.spec, encoder)
    description = replace(description, spec=replace(description.spec, encoder=location))
    spec = description.spec
    tensors = _read_tensors(path, description.tensors)
    if "end-to-end" in spec.trained_parts:
        try:
            model.load_state_dict(_under(tensors, "encoder."))
        except UNFITTING as error:
            raise _unfitting(path, error) from error
        model.digest, model.weights_digest = state_digest(model), ""
    else:
        check_digest(model, spec, location, folder)
    branches = [_read_language(folder, name, digest, model, location) for name, digest in description.languages.items()]
    branches.append(_read_branch(path, description, tensors, model))
    return Contents(model, tuple(branches), _read_router(path, description.router, tensors))


def _write_branch(
    path: Path,
    branch: Branch,
    more: Mapping[str, Tensor] | None = None,
    languages: Mapping[str, str] | None = None,
    router: RouterFacts | None = None,
) -> str:
    """Write a branch to the folder of its description `path`, which comes last; the description's sha256 comes back.

    more: tensors beside the branch's own. languages, router: as `Description` has them.
    """
    tensors = {f"head.{key}": tensor for key, tensor in branch.head.state_dict().items()}
    if branch.regressor is not None:
        tensors |= {f"regressor.{key}": tensor for key, tensor in branch.regressor.state_dict().items()}
    for number, domain in enumerate(branch.domains):
        tensors |= {f"domain.{number}.mean": domain.mean, f"domain.{number}.deviation": domain.deviation}
        if domain.offsets is not None:
            tensors[f"domain.{number}.offsets"] = domain.offsets
    if branch.familiarity is not None:
        tensors |= {f"familiarity.{name}": getattr(branch.familiarity, name) for name in FAMILIARITY}
    if branch.training_speech is not None:
        tensors[TRAINING_SPEECH] = branch.training_speech.rows
    if branch.source_moments is not None:
        tensors |= {f"source.{name}": getattr(branch.source_moments, name) for name in SOURCE_MOMENTS}
        tensors["source.points"] = branch.source_moments.points.half()  # thousandths of a feature's deviation
        if (guard := branch.source_moments.guard) is not None:
            tensors |= {"source.guard.weight": guard.weight, "source.guard.bias": guard.bias}
    tensors |= more or {}
    adapters = None
    if branch.adapters is not None:
        adapters = _folder_digest(branch.adapters.save(path.parent / ADAPTERS))
    with whole_file(path.parent / TENSORS) as temporary:
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, temporary)
        digest = file_digest(temporary).hex()
    with whole_file(path) as temporary:
        write_description(temporary, Description(branch.spec, digest, adapters, languages or {}, router))
        return file_digest(temporary).hex()


def _write_card(folder: Path, card: str) -> None:
    if card:
        with whole_file(folder / MODEL_CARD) as path:
            path.write_text(card, encoding="utf-8")


def read_cards(folder: Path) -> tuple[str, dict[str, str]]:
    """The model card of a bundle, "" where it has none, and those of its languages by their name."""
    languages = sorted(folder.glob(f"{LANGUAGES_FOLDER}/*/{MODEL_CARD}"))
    card = folder / MODEL_CARD
    text = card.read_text(encoding="utf-8", errors="replace") if is_readable(card) else ""
    return text, {path.parent.name: path.read_text(encoding="utf-8", errors="replace") for path in languages}


def _read_language(folder: Path, name: str, digest: str, encoder: Encoder, location: str) -> Branch:
    """A further language's branch, its adapters resting. location: where the encoder is."""
    path = folder / LANGUAGES_FOLDER / name / LANGUAGE_DESCRIPTION
    description = read_description(path, "language of a bundle")
    if _digest_of(path) != digest:
        raise UserError(f"{path}: does not fit {DESCRIPTION} (it was changed, or saving was interrupted)")
    description = replace(description, spec=replace(description.spec, encoder=location))
    branch = _read_branch(path, description, _read_tensors(path, description.tensors), encoder)
    switch_adapters(encoder, None)
    return branch


def _read_branch(path: Path, description: Description, tensors: Mapping[str, Tensor], encoder: Encoder) -> Branch:
    """The branch that `path` describes, its adapters at work in the encoder, where all others rest."""
    spec, adapters, folder = description.spec, None, path.parent / ADAPTERS
    if "adapters" in spec.trained_parts:
        if description.adapters not in (None, _folder_digest(folder)):
            raise UserError(f"{folder}: does not fit {path.name} (it was changed, or saving was interrupted)")
        adapters = Adapters.load(folder, encoder)
    _check_encoder(path, spec, encoder)
    try:
        domains = tuple(
            Domain(
                corpus,
                language,
                tensors[f"domain.{number}.mean"],
                tensors[f"domain.{number}.deviation"],
                corpus not in spec.by_corpus,
                spec.texts[number],
                tensors.get(f"domain.{number}.offsets"),
                prosody_width(spec.prosody),
            )
            for number, (corpus, language) in enumerate(spec.domains)
        )
        registry.load_listed("heads", spec.head, str(path))
        head = made_head(spec.head, spec.head_options, domains[0].mean.numel(), max(len(spec.labels), 1))
        head.load_state_dict(_under(tensors, "head."))
        regressor = Regressor(head.output.in_features, spec.attributes) if spec.attributes else None
        if regressor is not None:
            regressor.load_state_dict(_under(tensors, "regressor."))
        parts = _under(tensors, "familiarity.")
        familiarity = Familiarity(*(parts[name] for name in FAMILIARITY)) if parts else None
        chosen = columns(encoder, spec.statistics, prosody=spec.prosody)
        branch = Branch(spec, domains, head.eval(), adapters, chosen, regressor, familiarity)
        if TRAINING_SPEECH in tensors:  # older bundles have none
            branch = dataclasses.replace(branch, training_speech=TrainingSpeech(tensors[TRAINING_SPEECH]))
        if parts := _under(tensors, "source."):
            points, label, corpus, count = (parts[name] for name in SOURCE_MOMENTS)
            guard = LinearMap(parts["guard.weight"], parts["guard.bias"]) if "guard.weight" in parts else None
            moments = SourceMoments(points.float(), label, corpus, count, domains[:-1], guard)
            branch = dataclasses.replace(branch, source_moments=moments)
        _try(branch, encoder)
    except UNFITTING as error:
        raise _unfitting(path, error) from error
    return branch


def _check_encoder(path: Path, spec: Spec, encoder: Encoder) -> None:
    """Errors: UserError for a layer or a statistic that the encoder does not have."""
    layers = tuple(map(str, range(encoder.layers)))
    for name in layer_names(spec.layer):
        if name not in layers:
            raise UserError(f"{path}: layer: {unknown(f'layer of {spec.encoder}', name, layers)}")
    for name in spec.statistics:
        if name not in encoder.statistics:
            raise UserError(f"{path}: statistics: {unknown(f'statistic of {spec.encoder}', name, encoder.statistics)}")


def _try(branch: Branch, encoder: Encoder) -> None:
    """Send features of zeros through a branch. Errors: any of UNFITTING where its parts do not fit together."""
    layers = len(layer_names(branch.spec.layer))
    if branch.spec.frames:
        branch.answers_to_frames(torch.zeros(1, 2, layers * encoder.width), branch.domains[-1])
        return
    pooled = torch.zeros(1, layers, features_width(encoder, prosody=branch.spec.prosody))
    for domain in branch.domains:
        branch.answers(pooled, domain, ["a"], domain.texts[:1])
    branch.unfamiliarity(branch.normalised(pooled, branch.domains[-1], None))


def _read_router(path: Path, facts: RouterFacts | None, tensors: Mapping[str, Tensor]) -> Router | None:
    if facts is None:
        return None
    try:
        router = Router(facts.languages, facts.hears_base, *(tensors[f"router.{name}"] for name in ROUTER))
        answer = router.probabilities(torch.zeros_like(router.mean)[None])
        if answer.shape != (1, len(facts.languages)):
            raise ValueError(f"a router of {answer.numel()} languages")
    except UNFITTING as error:
        raise _unfitting(path, error) from error
    return router


def _unfitting(path: Path, error: Exception) -> UserError:
    """The error for tensors that are not those that the description in `path` promises."""
    return UserError(f"{path.parent / TENSORS}: does not fit {path.name} ({' '.join(str(error).split())[:200]})")


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    """The tensors beside the description in `path`, which holds their digest."""
    file = path.parent / TENSORS
    if _digest_of(file) != digest:
        raise UserError(f"{file}: does not fit {path.name} (it was changed, or saving was interrupted)")
    return read_weights(file)


def bundle_digest(folder: str | Path) -> str:
    """The sha256 of a bundle: of its description, which holds the digests of all its files.

    Errors: UserError for a folder that is no bundle.
    """
    return _digest_of(Path(folder) / DESCRIPTION)


def _digest_of(path: Path) -> str:
    """sha256 of a file. Errors: UserError where it cannot be read."""
    try:
        return file_digest(path).hex()
    except OSError as error:
        raise unreadable(path, error) from error


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _folder_digest(folder: Path) -> str:
    """sha256 of a folder's files, names included; of an absent folder too."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    except OSError as error:
        raise unreadable(folder, error) from error
    lines = (f"{path.name} {_digest_of(path)}\n" for path in files if not path.name.startswith("."))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
