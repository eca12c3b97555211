"""What a run is asked to do, from the command line or a TOML file, checked before anything long begins."""

from __future__ import annotations

import math
import sys
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tomli_w

from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.types import ATTRIBUTES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHOICES = {
    "normalise": ("none", "corpus", "speaker", "speaker+text"),
    "align": ("none", "coral"),
    "train": ("frozen", "head", "adapters", "end-to-end"),
    "precision": ("auto", "fp32", "bf16"),
    "pool": ("closed", "open"),
    "validator": ("agreement", "bnm", "consensus", "infomax", "snd", "source", "sureness"),
    "validate": ("source", "both"),
    "validate_by": ("loss", "ua"),
}
FOUND = ("auto", "middle")  # the best layer on held-out speakers of the source; the middle one and its neighbours, ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of `adapt`. The defaults are those of methods E of the literature unless the comment says otherwise."""

    source: tuple[str, ...]  # manifests of labelled speech
    target: str  # manifest of speech in the new language; its labels are used for scoring, and within `target_labels`
    labels: tuple[str, ...]  # the emotions to tell apart; () only with attributes, which are then learnt alone
    attributes: tuple[str, ...] = ()  # of types.ATTRIBUTES, to be regressed beside the emotions
    attribute_range: str = ""  # "1..7": the scale of corpora that declare none
    out: str = "run"
    encoder: str = "logmel"  # folder, hub id, or an encoder that needs no weights
    encoder_options: tuple[str, ...] = ()  # "padding=full"
    layer: str = "middle"  # "3", "2+3+4" side by side, or one of FOUND
    statistics: tuple[str, ...] = ()  # of what the encoder pools ("mean", "std"); () is the first of them, ours
    method: str = "soft-pseudo-labels"  # ours; see docs/results/semi-supervised.md
    method_options: tuple[str, ...] = ()  # "threshold=0.85"
    candidates: tuple[str, ...] = ("pseudo-labels", "soft-pseudo-labels", "dann", "fluda", "nnpm")  # of method "auto"
    validator: str = "agreement"  # that chooses among them and source-only
    head: str = "auto"  # a head's name, or "auto": the method's own
    head_options: tuple[str, ...] = ()  # "input_dropout=0.5"; see adaptation.DROPOUT
    target_labels: str = "0"  # how many labelled target utterances the method may see, or "all"
    labelled: str = ""  # a filled list of `suggest`: no other target label may be seen, and with "0" all of these are
    normalise: str = "speaker"  # ours; see normalisation
    by_corpus: tuple[str, ...] = ()  # corpora whose speakers mostly show one emotion each: not normalised by speaker
    guard: bool = True  # find such corpora, and add them to `by_corpus`
    align: str = "coral"  # ours: recolour source features to the target's covariance (needs target audio)
    # What is trained beside the head: nothing, on stored features ("frozen") or with the frames of each clip ("head");
    train: str = "frozen"  # adapters; or all. Methods with stages of their own do not look at it
    blocks: str = ""  # "10+11": "end-to-end" trains only these of the encoder's transformer blocks
    adapters: str = "lora"  # with train "adapters": one of them, or "lora+bottleneck+gating"
    adapter_options: tuple[str, ...] = ()  # "lora.r=8"
    pool: str = "closed"  # "open" keeps target utterances of other emotions among the unlabelled
    seeds: int = 3
    folds: int = 5  # by speaker; 0 holds one fifth out, once
    transductive: bool = False  # the scored target utterances' own audio, without labels, is among what adapts
    share_speakers: bool = False
    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    decay: float = 0.95  # of the learning rate, every 10 epochs
    patience: int = 0  # epochs without a better validation before stopping; 0 never stops
    validate: str = "source"  # whose held-out speakers tell it; "both" (methods E): by labels of the target too
    validate_by: str = "loss"  # what is to be low: the mean cross-entropy, or 1 - UA, which lets training go on longer
    class_weights: bool = True
    crop: float = 2.0  # s of each utterance in a training step of an encoder
    encoder_rate: float = 0.0  # learning rate of an encoder's own weights; 0 is learning_rate
    accumulate: int = 1  # parts of a batch that go through an encoder one after the other, to spare memory
    checkpointing: bool = False  # compute an encoder's blocks twice, to spare memory
    precision: str = "auto"  # of an encoder that is trained; "auto" is bf16 on a GPU that has it
    store: str = ""  # folder of the feature store; "" is in the user's cache

    def __post_init__(self) -> None:
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                raise unknown(key, getattr(self, key), choices)
        if not self.source:
            raise UserError("source: expected at least one manifest of labelled speech")
        if len(set(self.labels)) != len(self.labels) or (len(self.labels) < 2 and not self.alone):
            raise UserError(f"labels: expected two or more different emotions, got {','.join(self.labels) or 'none'}")
        self._check_attributes()
        if self.target_labels != "all" and not self.target_labels.isdecimal():
            raise UserError(f"target_labels: expected a number or 'all', got {self.target_labels!r}")
        for key in ("seeds", "epochs", "batch_size", "accumulate"):
            if getattr(self, key) < 1:
                raise UserError(f"{key}: expected 1 or more, got {getattr(self, key)}")
        for key in ("learning_rate", "decay", "crop"):
            if not 0 < getattr(self, key) < math.inf:
                raise UserError(f"{key}: expected a number above 0, got {getattr(self, key)}")
        for key in ("patience", "encoder_rate"):
            if not 0 <= getattr(self, key) < math.inf:
                raise UserError(f"{key}: expected 0 or more, got {getattr(self, key)}")
        if self.validate == "both" and not self.patience:
            raise UserError("validate: 'both' chooses the epoch by held-out speakers: give patience above 0 too")
        if self.folds < 0 or self.folds == 1:
            raise UserError(f"folds: expected 2 or more, or 0 to hold one fifth out once, got {self.folds}")
        if self.train != "frozen" and (self.normalise == "speaker+text" or self.by_corpus):
            raise UserError("normalise: 'speaker+text' and by_corpus work on frozen features")
        if self.train != "frozen" and self.align != "none":
            raise UserError(f"align: 'coral' works on frozen features; give --align none with --train {self.train}")
        if self.train != "frozen" and (self.layer in FOUND or "+" in self.layer):
            raise UserError(f"layer: {self.layer!r} works on frozen features; name one layer with --train {self.train}")

    @property
    def alone(self) -> bool:
        """Whether attributes are learnt without emotions."""
        return bool(self.attributes) and not self.labels

    @property
    def classes(self) -> int:
        """Of the head: the emotions; without any a single one, of which there is nothing to tell."""
        return max(len(self.labels), 1)

    def _check_attributes(self) -> None:
        for name in self.attributes:
            if name not in ATTRIBUTES:
                raise unknown("attribute", name, ATTRIBUTES)
        if len(set(self.attributes)) != len(self.attributes):
            raise UserError(f"attributes: {','.join(self.attributes)}: one stands twice")
        if self.attribute_range and not self.attributes:
            raise UserError("attribute_range: means nothing without attributes; give --attributes too")
        if not self.alone:
            return
        for key, value, instead in (
            ("method", "auto", "name one"),
            ("layer", "auto", "name one, or middle"),
            ("validate_by", "ua", "give loss"),
        ):
            if getattr(self, key) == value:
                raise UserError(f"{key}: {value!r} goes by emotions, and labels are none: {instead}")
        if self.labelled:
            raise UserError("labelled: a list holds emotions, and labels are none")


def layers_of(layer: str) -> tuple[str, ...]:
    """The names in the setting `layer`.

    >>> layers_of("2+3+4")
    ('2', '3', '4')
    """
    return tuple(layer.split("+"))


def from_mapping(values: dict[str, Any], where: str = "settings", kind: type[Any] = Settings) -> Any:
    """Settings (or another dataclass of such fields) from plain values.

    Errors: UserError for an unknown key, a missing one, or a value of a wrong type.
    """
    known = {field.name: field for field in fields(kind)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise UserError(f"{where}: {unknown('key', key, known)}")
        checked[key] = _checked(where, key, str(known[key].type), value)
    for key, field in known.items():
        if key not in checked and field.default is MISSING:
            raise UserError(f"{where}: the key {key!r} is missing")
    return kind(**checked)


def _checked(where: str, key: str, kind: str, value: Any) -> Any:
    if kind.startswith("tuple["):
        types, what = ((int, float), "numbers") if "float" in kind else ((str,), "words")
        if isinstance(value, (list, tuple)) and all(type(item) in types for item in value):
            return tuple(float(item) if float in types else item for item in value)
        raise UserError(f"{where}: {key}: expected a list of {what}, got {value!r}")
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value).__name__ != kind:
        raise UserError(f"{where}: {key}: expected {kind}, got {value!r}")
    return value


def read_settings(path: str | Path) -> Settings:
    """Settings from a TOML file. Errors: UserError naming the file, and the line or key."""
    return from_mapping(read_mapping(path), str(path))


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The plain values of a TOML file. Errors: UserError naming the file and what is wrong."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not TOML ({error})") from error


def write_settings(path: str | Path, settings: Settings) -> None:
    """Settings as TOML that `read_settings` gives back."""
    with whole_file(path) as temporary:
        temporary.write_bytes(tomli_w.dumps(asdict(settings)).encode())
