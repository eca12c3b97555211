"""A trained recogniser, and what is saved of it: safetensors, JSON and a model card. Never pickle.

bundle/bundle.json         labels, layer, normalisation, where the encoder is, versions
bundle/model.safetensors   the head, what is known of each corpus, and the encoder where all of it was trained
bundle/adapters/           adapters, where they were trained (LoRA as peft has it)
bundle/README.md           the model card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import emobridge
from emobridge import registry
from emobridge.adapters import Adapters
from emobridge.encoders import load_encoder
from emobridge.encoders._base import Encoder, state_digest
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.heads._base import Head
from emobridge.normalisation import Domain, normalised
from emobridge.options import made, read_options

FORMAT = 1  # of the bundle; a reader refuses a higher one


@dataclass(frozen=True, slots=True)
class Spec:
    """All of a bundle that is not a tensor."""

    labels: tuple[str, ...]
    encoder: str  # folder, hub id, or the name of one without weights
    encoder_options: tuple[str, ...]
    digest: str  # of the encoder's weights
    trained: str  # of the encoder: "frozen" nothing, "adapters" or "end-to-end", which are in the bundle
    layer: str  # "3", or "2+3+4": side by side
    statistics: tuple[str, ...]  # the part of what the encoder pools that the head sees
    normalise: str  # "none", "corpus", "speaker" or "speaker+text"
    by_corpus: tuple[str, ...]  # corpora whose speakers are not normalised by their own
    texts: tuple[tuple[str, ...], ...]  # of each domain, those that several utterances have
    align: str  # "none" or "coral": how it was trained; predicting does not need it
    target_labels: str  # how many labelled target utterances it was trained on
    head: str
    head_options: tuple[str, ...]
    method: str
    domains: tuple[tuple[str, str], ...]  # corpus and language; the last is the target
    synthetic: bool

    @property
    def normalisation(self) -> str:
        """Normalisation and alignment in a word, as scores name them."""
        return self.normalise if self.align == "none" else f"{self.normalise}+{self.align}"


class Recognizer:
    """An encoder, what is known of each corpus, and a head."""

    def __init__(self, spec: Spec, encoder: Encoder, domains: Sequence[Domain], head: Head) -> None:
        self.spec = spec
        self.encoder = encoder.eval()
        self.domains = tuple(domains)
        self.head = head.eval()

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.spec.labels

    def domain(self, corpus: str | None = None, language: str | None = None) -> Domain:
        """The domain of a corpus, or else of a language; the target's where neither is known."""
        for wanted, key in ((corpus, "corpus"), (language, "language")):
            for domain in reversed(self.domains):
                if wanted is not None and getattr(domain, key) == wanted:
                    return domain
        return self.domains[-1]

    def select(self, pooled: Tensor) -> Tensor:
        """(N, V, S * D) of all that the encoder pools in its layers -> (N, V, D') of what the head sees."""
        return pooled[..., columns(self.encoder, self.spec.statistics)]

    def normalised(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """(N, V, S * D) pooled features of one domain -> (N, V * D') as the head sees them.

        Speakers and texts matter to their normalisation only.
        """
        own = speakers if self.spec.normalise.startswith("speaker") else None
        return normalised(self.select(pooled), domain, own, texts).flatten(1)

    def probabilities(
        self, pooled: Tensor, domain: Domain, speakers: Sequence[str | None] | None, texts: Sequence[str | None] = ()
    ) -> Tensor:
        """(N, V, S * D) pooled features of one domain -> (N, C)."""
        x = self.normalised(pooled, domain, speakers, texts)
        with torch.no_grad():
            return self.head(x[:, None], torch.ones(len(x), 1, dtype=torch.bool)).softmax(1)

    def save(self, folder: str | Path, card: str) -> Path:
        """Write the bundle; its description comes last, so that one cut short is not taken for a bundle."""
        folder = Path(folder)
        tensors = {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        for place, domain in enumerate(self.domains):
            tensors |= {f"domain.{place}.mean": domain.mean, f"domain.{place}.deviation": domain.deviation}
            if domain.offsets is not None:
                tensors[f"domain.{place}.offsets"] = domain.offsets
        if self.spec.trained == "adapters":
            self.encoder.fitted.save(folder / "adapters")
        if self.spec.trained == "end-to-end":
            tensors |= {f"encoder.{name}": tensor for name, tensor in self.encoder.state_dict().items()}
        with whole_file(folder / "model.safetensors") as path:
            save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path)
            digest = _sha256(path)
        with whole_file(folder / "README.md") as path:
            path.write_text(card, encoding="utf-8")
        about = {"format": FORMAT, "emobridge": emobridge.__version__, "tensors": digest}
        about |= {key: getattr(self.spec, key) for key in Spec.__slots__}
        with whole_file(folder / "bundle.json") as path:
            path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path, *, encoder: str | None = None) -> Recognizer:
        """Read a bundle. encoder: where its encoder is now, if it has moved.

        Errors: UserError for a folder that is no bundle, one of a newer format, and an encoder with other weights.
        """
        folder = Path(folder)
        spec, digest = _read_spec(folder)
        model = load_encoder(encoder or spec.encoder, **read_options(spec.encoder_options))
        tensors = _read_tensors(folder / "model.safetensors", digest)
        try:
            if spec.trained == "end-to-end":
                model.load_state_dict(_under(tensors, "encoder."))
                model.digest = state_digest(model)
            elif model.digest != spec.digest:
                raise UserError(
                    f"{folder}: was made with an encoder of other weights than {encoder or spec.encoder} has"
                )
            if spec.trained == "adapters":
                Adapters.load(folder / "adapters", model)
                model.digest = state_digest(model)  # what the feature store tells it by
            domains = tuple(
                Domain(
                    corpus,
                    language,
                    tensors[f"domain.{place}.mean"],
                    tensors[f"domain.{place}.deviation"],
                    corpus not in spec.by_corpus,
                    spec.texts[place],
                    tensors.get(f"domain.{place}.offsets"),
                )
                for place, (corpus, language) in enumerate(spec.domains)
            )
            head = made_head(spec.head, spec.head_options, domains[0].mean.numel(), len(spec.labels))
            head.load_state_dict(_under(tensors, "head."))
        except (KeyError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{folder / 'model.safetensors'}: does not fit bundle.json ({reason})") from error
        return cls(spec, model, domains, head)


def made_head(name: str, options: Sequence[str], width: int, classes: int) -> Head:
    """A head by name. Errors: UserError for an unknown name or option."""
    return made(f"head {name}", registry.load("heads", name), options, width=width, classes=classes)


def columns(encoder: Encoder, statistics: Sequence[str]) -> slice | list[int]:
    """Where the chosen statistics stand in what the encoder pools."""
    if tuple(statistics) == encoder.statistics:
        return slice(None)
    width = encoder.width
    return [encoder.statistics.index(one) * width + column for one in statistics for column in range(width)]


def _read_spec(folder: Path) -> tuple[Spec, str]:
    """What bundle.json says, and the digest of the tensors that belong to it."""
    path = folder / "bundle.json"
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] > FORMAT:
            raise UserError(
                f"{path}: a bundle of format {about['format']} made by emobridge {about.get('emobridge')}; this one "
                f"({emobridge.__version__}) reads up to {FORMAT}: update emobridge"
            )
        values: dict[str, Any] = {
            key: tuple(one) if isinstance(one := about[key], list) else one for key in Spec.__slots__
        }
        values["texts"] = tuple(map(tuple, values["texts"]))
        values["domains"] = tuple((corpus, language) for corpus, language in values["domains"])
        return Spec(**values), str(about["tensors"])
    except OSError as error:
        raise UserError(f"{folder}: is no bundle ({path.name} cannot be read: {error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is no description of a bundle ({type(error).__name__}: {error})") from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        whole = _sha256(path) == digest
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    if not whole:
        raise UserError(f"{path}: does not fit bundle.json (it was changed, or saving was interrupted)")
    return tensors


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
