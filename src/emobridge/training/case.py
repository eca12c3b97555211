"""One system, completely decided: all that a fit depends on, but for the speech, the fold and the seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from emobridge import __version__, registry
from emobridge.cache import key_of
from emobridge.features.pooling import views_of
from emobridge.methods.base import Method, Stage
from emobridge.options import Plugin
from emobridge.settings import Training
from emobridge.training.phones import phone_classes_of

BOTH = ("source", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A system as it is trained. Nothing in it is "auto"; what a fit of it does not use has its default.

    `study.cases.decide` makes it from what a user asked for.
    """

    labels: tuple[str, ...]  # the emotions to tell apart; () where attributes alone are learnt
    attributes: tuple[str, ...] = ()
    attribute_range: str = ""
    encoder: str = "logmel"  # folder, hub id, or an encoder that needs no weights
    encoder_options: tuple[str, ...] = ()
    digest: str = ""  # of the encoder's weights and options, before any training
    source: str = ""  # sha256 of the bundle whose moments take the place of source speech; "" where there is speech
    layer: str = "0"  # "3", or "2+3+4" side by side
    prosody: bool = False  # whether prosody stands beside the features of each layer
    statistics: tuple[str, ...] = ("mean",)
    normalise: str = "speaker"
    by_corpus: tuple[str, ...] = ()
    without_texts: tuple[str, ...] = ()  # corpora whose texts stay in, although `normalise` is by speaker and text
    align: str = "coral"
    method: Plugin
    head: Plugin
    train: str = "frozen"  # of the one stage of a method that has none of its own; "stages" where it has
    blocks: str = ""
    adapters: str = ""  # "lora", or "lora+bottleneck"; "" where none are trained
    adapter_options: tuple[str, ...] = ()
    target_labels: str = "0"
    training: Training

    @property
    def key(self) -> str:
        """A short name of all that a fit of this case depends on.

        The encoder counts by its weights and not by the path that leads to them, a plug-in of one's own by its source.
        """
        return key_of(__version__, self.facts())

    def facts(self) -> dict[str, Any]:
        """The fields as plain values: plug-ins by their identity, the encoder by its digest alone."""
        values = asdict(self)
        for name, kind in (("method", "methods"), ("head", "heads")):
            values[name] = getattr(self, name).identity(kind)
        del values["encoder"]
        if not self.prosody:  # so the keys of versions without prosody still hold
            del values["prosody"]
        if not self.training.trace:
            del values["training"]["trace"]
        return values

    @property
    def views(self) -> int:
        """Views of each layer that the head sees, pooled over other frames; see `features.pooling.views_of`."""
        return len(views_of(self.statistics))

    @property
    def classes(self) -> int:
        """Outputs of the head: the emotions, or a single one that means nothing where attributes alone are learnt."""
        return max(len(self.labels), 1)

    @property
    def attributes_only(self) -> bool:
        """Whether attributes are learnt without emotions."""
        return bool(self.attributes) and not self.labels

    @property
    def normalisation(self) -> str:
        """Normalisation and alignment in a word, as scores name them."""
        return self.normalise if self.align == "none" else f"{self.normalise}+{self.align}"

    @property
    def validation(self) -> str:
        """Whose held-out speakers choose the epoch: "none", "source" or "both"."""
        return self.training.validation

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The method's own stages, or the one that the user asked for."""
        return registry.load("methods", self.method.name).stages or (Stage(BOTH, self.train),)

    @property
    def is_staged(self) -> bool:
        """Whether the method has stages of its own."""
        return self.train == "stages"

    @property
    def uses_recordings(self) -> bool:
        """Whether audio goes through the encoder during training, rather than stored features."""
        return self.train != "frozen"

    @property
    def sees_frames(self) -> bool:
        """Whether the head sees single frames: where it needs them, and an encoder takes part that yields them."""
        return self.uses_recordings and bool(registry.load("heads", self.head.name).needs_frames)

    @property
    def phone_classes(self) -> tuple[str, ...]:
        """The classes of phones that its method goes by; () of most."""
        method = self.make_method()
        return phone_classes_of(method.phone_classes) if "phones" in method.needs | method.takes else ()

    def make_method(self) -> Method:
        """The method with its options. Errors: UserError for an option that it does not have or refuses."""
        return self.method.make("methods")
