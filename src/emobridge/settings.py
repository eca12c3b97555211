"""What a user asks for: small frozen records, each option written once, in its field.

A field holds its default, its help, its choices and the panel of the command line that shows it. The command line, its
help and the TOML files are made from these fields. `Adapt` and `Budget` nest the parts; functions take the part that
they read. Inside the package a request becomes a `training.case.Case` before anything is trained.
"""

from __future__ import annotations

import math
import re
import reprlib
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

import tomli_w

from emobridge.errors import UserError, unknown
from emobridge.files import unreadable, whole_file
from emobridge.types import ATTRIBUTES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The best layer on held-out source speakers; the middle one and its neighbours; all that transformer blocks give.
LAYER_RULES = ("auto", "middle", "all")
FROZEN_LAYER_RULES = ("auto", "middle")  # that name no layer where an encoder is trained
BUNDLES = ("auto", "adapted", "baseline")
HARM_SIGNS = ("auto", "always", "never")  # when recognisers adapted to halves of the target are compared
ENGINES = ("auto", "torch", "onnx", "openvino", "torch-bf16", "onnx-int8")  # that run encoders
POOLED_FRAMES = ("auto", "all", "speech")  # that features are pooled over: as the family does, all, or with speech
# What follows what in a recording that is put together to learn boundaries.
PART_ORDERS = ("neutral-emotional-neutral", "neutral-emotional", "emotional-neutral", "emotional")
DETECTORS = ("auto", "silero", "energy")  # of speech: see data.activity
JOBS_HELP = "Processes that work at once, each with one thread. Results do not depend on it, but for rounding."
DEVICE_HELP = (
    "Where encoders are computed: auto (a GPU, where there is one), cpu, cuda, cuda:1 or mps. Features depend on it in "
    "their last digits alone. Encoders without weights, such as logmel, stay on the CPU."
)
REDACT_HELP = (
    "Leave out of all that is shared who spoke and where it lay: pseudonyms stand for ids, speakers, file names and "
    "folders, and no text and no excerpt of a recording is written."
)
# Of `diarize`, in seconds: see diarization.smoothing and diarization.windowed.
SHORTEST_SEGMENT, BRIDGED_PAUSE, CHANGE_COST, HEARD_WINDOW = 1.0, 0.5, 0.05, 2.0
DETECTOR_HELP = "What finds speech. auto is silero where the package silero-vad is installed, else energy."
CHANNELS_HELP = (
    "Channels of a recording: mix (their mean), each (each by itself), or numbers from 0 with commas. Rows of "
    "manifests that name a channel keep it."
)
CHOSEN_LABELS_HELP = "Answer with these labels of the bundle only, separated by commas. By default with all."
LONGEST_LIVE = 60.0  # s of sound that an answer of `live` is about; it bounds the memory
ABSTAIN_HELP = "Give no label where the probability of the best one is below this, from 0 to 1."
UNTOLD_HELP = "What answers where the language is not known: target (the default), averaged, confident or routed."
CLUSTER = (
    "Ray cluster whose machines do the work: auto, local, HOST:PORT or ray://HOST:PORT. All of them must see the same "
    "folders. By default this machine works."
)
NORMALISATIONS = ("none", "corpus", "speaker", "speaker+text")
DATA, ENCODER, METHOD, TRAINING, EVALUATION, OUTPUT = "Data", "Encoder", "Method", "Training", "Evaluation", "Output"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # no path, name or number has such characters
LARGEST = 1 << 53  # of whole numbers: every float up to here has its neighbours
Record = TypeVar("Record")


FACTS: dict[str, Any] = {
    "choices": (),
    "flag": "",
    "first": False,
    "repeat": False,
    "argument": False,
    "least": None,
    "above": None,
    "needs": "",
    "required": False,
    "unless": "",
    "metavar": "",
    "place": False,
}


def option(default: Any = MISSING, *, help: str, panel: str = "", **facts: Any) -> Any:
    """A field of a record of settings.

    help: one plain sentence without default and choices, which the command line adds. panel: the group that shows it.
    facts: what differs from FACTS. first: one of the options that a newcomer needs. flag: the option's name where it is
    not the field's. repeat: the option is given once a value; other lists are written with commas. argument: it has no
    name on the command line, but a place. least, above: the range of a number. needs: what the run must have for this
    option to do anything, a key of the REASONS of the command's room. required: it must be given, on the command line
    or in a file, though the field has a default. unless: the option, by its field, in whose presence it need not be.
    metavar: what stands for the value in the help, if not its type. place: its value names a file, a folder or a
    machine, which --redact leaves out.
    """
    assert facts.keys() <= FACTS.keys(), f"no facts of an option: {facts.keys() - FACTS.keys()}"
    metadata = {**FACTS, "help": help, "panel": panel, **facts}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def check_part(part: Any) -> None:
    """Fold the case of choices and check them, and the ranges of numbers.

    Errors: UserError that names the field, the value and the nearest valid choice.
    """
    for item in fields(part):
        value, facts = getattr(part, item.name), item.metadata
        name = facts.get("flag") or item.name
        if facts.get("choices"):
            chosen: Any = (
                _fold(name, value, facts["choices"])
                if isinstance(value, str)
                else tuple(_fold(name, word, facts["choices"]) for word in value)
            )
            object.__setattr__(part, item.name, chosen)
        least, above = facts.get("least"), facts.get("above")
        if least is not None and not least <= value < math.inf:
            raise UserError(f"{name}: expected {least:g} or more, got {value}")
        if above is not None and not above < value < math.inf:
            raise UserError(f"{name}: expected a number above {above:g}, got {value}")


def check_probability(name: str, value: float) -> None:
    """Errors: UserError for a number above 1; `check_part` has seen that it is 0 or more."""
    if value > 1:
        raise UserError(f"{name}: expected a probability from 0 to 1, got {value:g}")


def _fold(name: str, word: str, choices: tuple[str, ...]) -> str:
    """The choice that a word names, whatever its case. Errors: UserError with the nearest choice."""
    folded = {choice.casefold(): choice for choice in choices}
    if word.casefold() not in folded:
        raise unknown(name, word, choices)
    return folded[word.casefold()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Which speech, which emotions or attributes, and which target labels may be seen."""

    source: tuple[str, ...] = option(
        (), help="Manifest, or folder, of labelled speech. Repeat the option for more corpora.", panel=DATA, first=True,
        repeat=True, required=True, unless="from_bundle", metavar="MANIFEST", place=True,
    )  # fmt: skip
    from_bundle: str = option(
        "", help="Bundle that is adapted to the target WITHOUT its source speech: a folder, or a model of the hub. The "
        "moments of its source features take the place of --source; encoder, layer and labels are the bundle's.",
        panel=DATA, flag="from", needs="adapting a bundle", metavar="BUNDLE", place=True,
    )  # fmt: skip
    target: str = option(
        "", help="Manifest, or folder, of speech in the new language. Its labels, if any, are used for scores; a "
        "method sees only as many as you allow.", panel=DATA, first=True, required=True, metavar="MANIFEST", place=True,
    )  # fmt: skip
    labels: tuple[str, ...] | None = option(
        None, help="Emotions to tell apart, separated by commas. By default those that all sources have; none learns "
        "attributes only.", panel=DATA, first=True,
    )  # fmt: skip
    target_labels: str = option(
        "0", help="How many labelled target utterances the method may see: a number, or all.", panel=DATA, first=True
    )
    labelled: str = option(
        "", help="List of `emobridge suggest`, filled in. The method sees these target labels and no others.",
        panel=DATA, place=True,
    )  # fmt: skip
    pool: str = option(
        "open", help="Unlabelled target speech that the method may use. open is all of it; closed leaves out "
        "utterances of other emotions, which it knows FROM THEIR LABELS.", panel=DATA, choices=("open", "closed"),
    )  # fmt: skip
    attributes: tuple[str, ...] = option(
        (), help="Attributes to learn beside the emotions, separated by commas: arousal, valence, dominance.",
        panel=DATA,
    )  # fmt: skip
    items: tuple[str, ...] = option(
        (), help="Manifest of utterances of this run, such as those of a listening test, that are kept apart: no model "
        "is trained on any, and the models of all folds label each. Repeat for more.", panel=DATA, repeat=True,
        metavar="MANIFEST", needs="folds of a budget", place=True,
    )  # fmt: skip
    attribute_range: str = option(
        "", help="Scale of the attributes, such as 1..7, for corpora that declare none; or scales by corpus, such as "
        "calls=1..5,letters=1..7.", panel=DATA, needs="attributes",
    )  # fmt: skip

    alignments: str = option(
        "", help="Folder of phone alignments (TextGrid, lablaut, CTM), named as utterances or their audio files. By "
        "default the column phones of the manifests says where they are.", panel=DATA, needs="phones", metavar="FOLDER",
        place=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_part(self)
        labels = self.labels
        if labels is not None and not labels and not self.attributes:
            raise UserError("labels: expected two or more different emotions, got none; none goes with --attributes")
        if labels and len(set(labels)) != len(labels):
            raise UserError(f"labels: expected different emotions, got {','.join(labels)}")
        if labels is not None and len(labels) == 1:
            raise UserError(f"labels: expected two or more different emotions, got {labels[0]}")
        for name in self.attributes:
            if name not in ATTRIBUTES:
                raise unknown("attribute", name, ATTRIBUTES)
        if len(set(self.attributes)) != len(self.attributes):
            raise UserError(f"attributes: {','.join(self.attributes)} names an attribute twice")
        if not is_budget(self.target_labels):
            raise UserError(f"target_labels: expected a number or 'all', got {self.target_labels!r}")
        if self.labelled and self.attributes_only:
            raise UserError("labelled: a list of `suggest` holds emotions, and labels are none")

    @property
    def attributes_only(self) -> bool:
        """Whether attributes are learnt without emotions."""
        return bool(self.attributes) and self.labels == ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What is computed from the audio, and how it is normalised."""

    encoder: str = option(
        "logmel", help="A folder with weights, a model id of the Hugging Face hub, an encoder that needs no weights, "
        "or a file of your own.", panel=ENCODER, first=True,
    )  # fmt: skip
    encoder_options: tuple[str, ...] = option(
        (),
        help="An option of the encoder. Repeat for more.",
        panel=ENCODER,
        flag="encoder-option",
        repeat=True,
        metavar="NAME=VALUE",
    )
    engine: str = option(
        "auto", help="What runs a frozen encoder. auto is torch or onnx, whichever is faster here: their features are "
        "equal but for rounding. openvino and torch-bf16 compute in bf16, onnx-int8 in eight bits: other numbers.",
        panel=ENCODER, choices=ENGINES,
    )  # fmt: skip
    frames: str = option(
        "auto", help="Frames that statistics are taken over: all, or those with speech. auto is speech for logmel, all "
        "for every other encoder, and both, side by side, for Whisper and hf-ssl where the head is solved in closed "
        "form.", panel=ENCODER, choices=POOLED_FRAMES,
    )  # fmt: skip
    layer: str = option(
        "middle", help="Layer of the encoder: a number such as 3, several side by side such as 2+3+4, all (those "
        "of all transformer blocks, side by side), middle (the middle layer and its neighbours), or auto (the layer "
        "that is best on held-out source speakers).",
        panel=ENCODER, first=True,
    )  # fmt: skip
    statistics: tuple[str, ...] = option(
        (), help="Statistic over frames that the head sees, such as mean. Repeat for more; speech_mean "
        "is the mean over frames with speech. By default mean and std of logmel, mean and speech_mean of Whisper and "
        "hf-ssl for heads of a closed form, and else the first one of the encoder.", panel=ENCODER,
        flag="statistic", repeat=True,
    )  # fmt: skip
    prosody: bool = option(
        False, help="Put 18 numbers of each clip's pitch, level, spectrum and tempo beside the features of the "
        "encoder.", panel=ENCODER, needs="frozen encoder",
    )  # fmt: skip
    normalise: str = option(
        "speaker", help="Whether features are standardised over each corpus, each speaker, or each speaker and text. "
        "Needs no labels.", panel=ENCODER, first=True, choices=NORMALISATIONS,
    )  # fmt: skip
    by_corpus: tuple[str, ...] = option(
        (), help="Corpus that is normalised as a whole because its speakers show few emotions each. Repeat for more.",
        panel=ENCODER, repeat=True, needs="speaker normalisation",
    )  # fmt: skip
    guard: bool = option(
        True, help="Find corpora whose speakers, or texts, show few emotions each, and do not normalise them by "
        "speaker, or by text.",
        panel=ENCODER, needs="speaker normalisation",
    )  # fmt: skip
    align: str = option(
        "coral", help="How the source is aligned with the target. coral adds a copy of each source utterance, "
        "recoloured to the covariance of the target's features.", panel=ENCODER, choices=("none", "coral"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_part(self)

    @property
    def all_encoder_options(self) -> tuple[str, ...]:
        """The encoder's options, with the engine and the frames among them where these are not the defaults."""
        changed = [f"engine={self.engine}"] * (self.engine != "auto") + [f"frames={self.frames}"] * (
            self.frames != "auto"
        )
        return (*self.encoder_options, *changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What is trained, and by which method."""

    method: str = option(
        "blend", help="Name of a method, a method of your own (./mine.py or package.module:Class), or "
        "auto, which is the default: no choice without target labels does better.", panel=METHOD, first=True,
    )  # fmt: skip
    method_options: tuple[str, ...] = option(
        (),
        help="An option of the method. Repeat for more.",
        panel=METHOD,
        flag="method-option",
        repeat=True,
        metavar="NAME=VALUE",
    )
    head: str = option("auto", help="Name of a head. auto is the method's own.", panel=METHOD)
    head_options: tuple[str, ...] = option(
        (),
        help="An option of the head. Repeat for more.",
        panel=METHOD,
        flag="head-option",
        repeat=True,
        metavar="NAME=VALUE",
    )
    train: str = option(
        "frozen", help="What is trained: a head on stored features (frozen), a head on frames (head), adapters in the "
        "encoder and a head (adapters), or the encoder and a head (end-to-end). Methods that train in stages decide "
        "this themselves.", panel=METHOD, choices=("frozen", "head", "adapters", "end-to-end"),
    )  # fmt: skip
    blocks: str = option(
        "", help="Transformer blocks that are trained end to end, such as 10+11. The others stay as they are.",
        panel=METHOD, needs="end-to-end",
    )  # fmt: skip
    adapters: str = option(
        "lora", help="Kind of adapter: lora, bottleneck, gating, layer-sum, or several joined by +.", panel=METHOD,
        needs="adapters",
    )  # fmt: skip
    adapter_options: tuple[str, ...] = option(
        (), help="An option of the adapters. Repeat for more.", panel=METHOD, flag="adapter-option", repeat=True,
        metavar="NAME=VALUE",
        needs="adapters",
    )  # fmt: skip
    bundle: str = option(
        "auto", help="System that the bundle holds. auto is the adapted one, but the baseline (source-only) where the "
        "target's labels show adaptation to be worse, or where without labels of the target there is a sign of harm.",
        panel=METHOD, choices=BUNDLES, needs="adaptation",
    )  # fmt: skip
    harm_sign: str = option(
        "auto", help="Whether recognisers adapted to halves of the target are compared: where they disagree, "
        "adaptation may harm. It needs no labels, and ten fits; auto compares them where the head has a "
        "closed form, so that a fit takes next to nothing.", panel=METHOD, choices=HARM_SIGNS, needs="adaptation",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_part(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Who is trained on and who is scored."""

    seeds: int = option(
        3, help="How many seeds are run. Each has its own folds and first weights.", panel=EVALUATION, first=True,
        least=1,
    )  # fmt: skip
    folds: int = option(
        5, help="How many folds by speaker. 0 holds a fifth of the speakers out, once.", panel=EVALUATION, least=0
    )
    transductive: bool = option(
        False, help="Adapt to the unlabelled audio of the scored speakers too.", panel=EVALUATION
    )
    predefined: bool = option(
        False, help="Split as the column split of the manifests says. Goes with --folds 0.", panel=EVALUATION
    )
    serab: bool = option(
        False, help="Split the speakers of each corpus 60/20/20 as the benchmark SERAB does, the same for every seed. "
        "Goes with --folds 0.", panel=EVALUATION,
    )  # fmt: skip
    share_speakers: bool = option(
        False, help="Split by utterance, so that speakers are shared between training and test. Scores then mean "
        "little.", panel=EVALUATION,
    )  # fmt: skip

    by_utterance: tuple[str, ...] = option(
        (), help="Corpus that is split by utterance, since it has a single speaker: its scores say nothing of others. "
        "Repeat for more.", panel=EVALUATION, repeat=True,
    )  # fmt: skip
    halved: bool = option(
        False, help="Halve each held-out fold, by speaker: one half validates, the other is scored. By default a fifth "
        "of the training speakers validates.", panel=EVALUATION, needs="patience",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_part(self)
        if self.folds == 1:
            raise UserError("folds: expected 2 or more, or 0 to hold one fifth out once, got 1")
        if self.predefined and self.serab:
            raise UserError("serab: and predefined are two splits: give one of them")
        alone = self.transductive or self.share_speakers or self.by_utterance or self.halved
        if self.is_fixed and (self.folds or alone):
            name = "serab" if self.serab else "predefined"
            raise UserError(
                f"{name}: is a split of its own: give folds 0, without transductive, share_speakers, by_utterance "
                "and halved"
            )
        if self.halved and (not self.folds or self.transductive):
            raise UserError("halved: halves the folds: give 2 or more of them, without transductive")

    @property
    def is_fixed(self) -> bool:
        """Whether the split is the same for every seed, with a validation part of its own."""
        return self.predefined or self.serab

    def shares_speakers(self, corpus: str) -> bool:
        """Whether a corpus is split by utterance."""
        return self.share_speakers or corpus in self.by_utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long and how fast a fit trains. The defaults are those of Agarla et al. 2024 but for `validate`."""

    epochs: int = option(100, help="Passes over the training data.", panel=TRAINING, least=1)
    batch_size: int = option(100, help="Utterances in a training step.", panel=TRAINING, least=1, needs="gradients")
    learning_rate: float = option(1e-3, help="Learning rate of Adam.", panel=TRAINING, above=0, needs="gradients")
    decay: float = option(
        0.95, help="Factor that the learning rate is multiplied by every 10 epochs.", panel=TRAINING, above=0,
        needs="gradients",
    )  # fmt: skip
    weight_decay: float = option(
        0.0, help="Weight decay of Adam, added to the gradient (L2).", panel=TRAINING, least=0, needs="gradients"
    )
    patience: int = option(
        0, help="Stop after this many epochs without a better validation. 0 never stops early.", panel=TRAINING,
        least=0, needs="gradients",
    )  # fmt: skip
    validate: str = option(
        "source", help="Whose held-out speakers choose the epoch. both uses labels of the target.", panel=TRAINING,
        choices=("source", "both"), needs="patience",
    )  # fmt: skip
    validate_by: str = option(
        "loss", help="What validation compares: the loss, or 1 - UA.", panel=TRAINING, choices=("loss", "ua"),
        needs="patience",
    )  # fmt: skip
    trace: bool = option(
        False, help="Note after each epoch the accuracy on training and validation speakers of both sides, and at the "
        "end what the head sees of the scored utterances: the report draws them.", panel=TRAINING, needs="gradients",
    )  # fmt: skip
    class_weights: bool = option(
        True, help="Give all emotions the same weight, and all source corpora too.", panel=TRAINING
    )
    crop: float = option(
        2.0, help="Seconds of an utterance that a training step of an encoder sees.", panel=TRAINING, above=0,
        needs="recordings",
    )  # fmt: skip
    encoder_rate: float = option(
        0.0, help="Learning rate of the encoder's own weights. 0 is the value of --learning-rate.", panel=TRAINING,
        least=0, needs="end-to-end",
    )  # fmt: skip
    accumulate: int = option(
        1, help="Parts of a batch that go through the encoder one after the other, to spare memory.", panel=TRAINING,
        least=1, needs="trained encoder",
    )  # fmt: skip
    checkpointing: bool = option(
        False, help="Compute the encoder's blocks a second time for the gradients, to spare memory.", panel=TRAINING,
        needs="trained encoder",
    )  # fmt: skip
    precision: str = option(
        "auto", help="Number format of an encoder in training. auto is bf16 on a GPU that has it, and on "
        "a CPU where a step in it was measured to be faster; else fp32.",
        panel=TRAINING, choices=("auto", "fp32", "bf16"), needs="trained encoder",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_part(self)
        if self.validate == "both" and not self.patience:
            raise UserError("validate: 'both' chooses the epoch by held-out speakers: give patience above 0 too")

    @property
    def validation(self) -> str:
        """Whose held-out speakers choose the epoch: "none", "source" or "both"."""
        return self.validate if self.patience else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results and features go, and how many processes work."""

    out: str = option("run", help="Folder for the results.", panel=OUTPUT, first=True, place=True)
    store: str = option(
        "", help="Folder for computed features. By default in the user's cache.", panel=OUTPUT, place=True
    )
    jobs: int = option(
        1, help=JOBS_HELP, panel=OUTPUT,
        least=1,
    )  # fmt: skip
    device: str = option("auto", help=DEVICE_HELP, panel=OUTPUT)
    cluster: str = option("", help=CLUSTER, panel=OUTPUT, metavar="ADDRESS", place=True)
    redact: bool = option(False, help=REDACT_HELP, panel=OUTPUT)
    clips: bool = option(
        True, help="Put excerpts of a few target recordings into report.html, to be played. Voices are personal data: "
        "leave them out before you pass the page on.", panel=OUTPUT, needs="report of the target",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_part(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Whose scores are compared with each other's."""

    groups: tuple[str, ...] | None = option(
        None, help="Columns of the manifest, with commas, by which scores are told apart: gender, age, corpus, "
        "language, naturalness, channel, or a column of your own. By default gender and age, where two or more "
        "speakers of two groups are known. none: by no column.", panel=EVALUATION,
    )  # fmt: skip
    age_groups: tuple[float, ...] = option(
        (30.0, 60.0), help="Ages in years at which the next age group begins, with commas.", panel=EVALUATION
    )

    def __post_init__(self) -> None:
        check_part(self)
        ages = self.age_groups
        if not ages or ages[0] <= 0 or list(ages) != sorted(set(ages)):
            shown = ",".join(f"{age:g}" for age in ages) or "none"
            raise UserError(f"age_groups: expected ascending years above 0, such as 30,60, got {shown}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapt:
    """A request of `emobridge adapt`. `Adapt.of(source=..., target=...)` makes one from the options' names."""

    data: Data = field(default_factory=Data)
    features: Features = field(default_factory=Features)
    system: System = field(default_factory=System)
    split: Split = field(default_factory=Split)
    training: Training = field(default_factory=Training)
    by_group: Grouping = field(default_factory=Grouping)
    output: Output = field(default_factory=Output)

    def __post_init__(self) -> None:
        check_together(self)
        if self.data.attributes_only:
            for key, value, remedy in (
                ("method", self.system.method == "auto", "name one"),
                ("layer", self.features.layer == "auto", "name one, or middle"),
                ("validate_by", self.training.validate_by == "ua", "give loss"),
            ):
                if value:
                    raise UserError(f"{key}: goes by emotions, and labels are none: {remedy}")

    @classmethod
    def of(cls, **options: Any) -> Adapt:
        """From options by name, such as source=["en.jsonl"]. Errors: UserError for an unknown name or a bad value."""
        return from_mapping(options, "adapt", cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A request of `emobridge budget`: methods x numbers of target labels x normalisations.

    Of `data.target_labels`, `system.method` and `features.normalise` the lists here take the place. Options of a method
    or a head go to each that has them.
    """

    methods: tuple[str, ...] = option(
        ("blend",), help="Methods, separated by commas. source-only always runs too.", panel=METHOD,
        first=True,
    )  # fmt: skip
    budgets: tuple[str, ...] = option(
        ("0", "25", "50", "100", "all"), help="Numbers of labelled target utterances, separated by commas. all is "
        "every label.", panel=DATA, first=True,
    )  # fmt: skip
    normalisations: tuple[str, ...] = option(
        ("speaker",), help="Normalisations to try, separated by commas: see `adapt`. They need no labels.",
        panel=ENCODER, first=True, flag="normalise", choices=NORMALISATIONS,
    )  # fmt: skip
    subsets: int = option(
        0, help="Subsets of the test utterances for Welch's test as published, which stands beside a paired test of "
        "each method against each other. 0 makes no test.", panel=EVALUATION, least=0,
    )  # fmt: skip
    stages: str = option(
        "", help="Folder where grids share the training stages that their methods begin with.", panel=OUTPUT, place=True
    )
    data: Data = field(default_factory=Data)
    features: Features = field(default_factory=Features)
    system: System = field(default_factory=System)
    split: Split = field(default_factory=Split)
    training: Training = field(default_factory=Training)
    by_group: Grouping = field(default_factory=Grouping)
    output: Output = field(default_factory=lambda: Output(out="budget"))

    def __post_init__(self) -> None:
        check_part(self)
        check_together(self)
        for word in self.budgets:
            if not is_budget(word):
                raise UserError(f"budgets: expected numbers or 'all', with commas, got {word!r}")
        amounts = tuple(word if word == "all" else str(int(word)) for word in self.budgets)
        for key, words in (("methods", self.methods), ("budgets", amounts), ("normalise", self.normalisations)):
            if not words:
                raise UserError(f"{key}: expected at least one")
            for word in words:
                if words.count(word) > 1:
                    raise UserError(f"{key}: {word} stands twice")
        if self.subsets == 1:
            raise UserError("subsets: expected 2 or more, or 0 for no test, got 1")

    @classmethod
    def of(cls, **options: Any) -> Budget:
        """From options by name, as `Adapt.of`."""
        return from_mapping(options, "budget", cls)

    @property
    def amounts(self) -> tuple[str, ...]:
        """The budgets in ascending order, "all" last."""
        words = {word if word == "all" else str(int(word)) for word in self.budgets}
        return tuple(sorted(words, key=lambda word: math.inf if word == "all" else float(word)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """A request of `emobridge similarity`."""

    source: str = option(help="Manifest, or folder, of labelled speech.", argument=True)
    target: str = option(help="Manifest, or folder, of speech in the new language.", argument=True)
    encoder: str = option(
        "", help="A folder with weights, a model id of the Hugging Face hub, or a file of your own.", panel=ENCODER,
        first=True, required=True, metavar="ENCODER",
    )  # fmt: skip
    encoder_options: tuple[str, ...] = option(
        (), help="An option of the encoder. Repeat for more.", panel=ENCODER, flag="encoder-option", repeat=True,
        metavar="NAME=VALUE",
    )  # fmt: skip
    alignments: str = option(
        "", help="Folder of phone alignments, a file an utterance (.TextGrid, .lablaut or .ctm), in place of the "
        "column phones of the manifests.", panel=DATA, first=True, metavar="FOLDER",
    )  # fmt: skip
    labels: tuple[str, ...] | None = option(
        None, help="Emotions to compare, separated by commas. By default those that the source has.", panel=DATA,
        first=True,
    )  # fmt: skip
    target_emotions: str = option(
        "auto", help="Where the target's emotions come from: its labels, for this analysis only, or pseudo-labels of "
        "source-only, as in a language without labels. auto is labels where there are any.", panel=DATA,
        choices=("auto", "labels", "pseudo-labels"),
    )  # fmt: skip
    rank_by: str = option(
        "cosine-of-means", help="What the sets of layers are chosen by.", panel=EVALUATION,
        choices=("cosine-of-means", "mean-of-cosines", "cka"),
    )  # fmt: skip
    seed: int = option(
        0, help="Seed of the split by speaker, of which training utterances alone are compared, and of the random "
        "sets.", panel=EVALUATION, least=0,
    )  # fmt: skip
    predefined: bool = option(False, help="Split as the column split of the manifests says.", panel=EVALUATION)
    out: str = option("similarity", help="Folder for the results.", panel=OUTPUT, first=True)
    store: str = option("", help="Folder for computed features. By default in the user's cache.", panel=OUTPUT)
    jobs: int = option(1, help=JOBS_HELP, panel=OUTPUT, least=1)
    device: str = option("auto", help=DEVICE_HELP, panel=OUTPUT)

    def __post_init__(self) -> None:
        check_part(self)

    @classmethod
    def of(cls, **options: Any) -> Similarity:
        """From options by name, as `Adapt.of`."""
        return from_mapping(options, "similarity", cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composing:
    """How recordings with known boundaries are put together from utterances: see diarization.made."""

    orders: tuple[str, ...] = option(
        PART_ORDERS, help="What follows what in a recording, separated by commas; each is drawn as often as any other. "
        "All of them is what Wang et al. 2023 have.", panel=DATA, choices=PART_ORDERS,
    )  # fmt: skip
    draws: int = option(
        1, help="In how many recordings each emotional utterance stands, each time in another order and with other "
        "neighbours.", panel=DATA, least=1,
    )  # fmt: skip
    levels: str = option(
        "matched", help="matched: all parts of a recording have the level of the first, the mean power of their loud "
        "frames, so that loudness does not give the boundary away. kept: as they were recorded.", panel=DATA,
        choices=("matched", "kept"),
    )  # fmt: skip
    fade: float = option(0.05, help="Seconds of the cross-fade between parts.", panel=DATA, least=0)
    trim: bool = option(True, help="Cut the silence at the ends of utterances.", panel=DATA)

    def __post_init__(self) -> None:
        check_part(self)
        if not self.orders:
            raise UserError("orders: expected at least one")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTraining:
    """The head of a diarizer, and how it is trained."""

    head: str = option("single", help="Name of a head that sees a step of time.", panel=METHOD)
    head_options: tuple[str, ...] = option(
        (), help="An option of the head. Repeat for more.", panel=METHOD, flag="head-option", repeat=True,
        metavar="NAME=VALUE",
    )  # fmt: skip
    validation: float = option(
        0.2, help="Share of the speakers that are held out. They tell how well it does, how sure it is and, of a head "
        "that is trained by gradients, the best epoch. 0 holds none out.", panel=TRAINING, least=0,
    )  # fmt: skip
    epochs: int = option(
        30, help="Passes over the training data of a head that is trained by gradients.", panel=TRAINING, least=1
    )
    batch_size: int = option(256, help="Steps of time in a training step of such a head.", panel=TRAINING, least=1)
    learning_rate: float = option(1e-3, help="Learning rate of Adam.", panel=TRAINING, above=0)
    patience: int = option(
        5, help="Stop after this many epochs without a better loss of held-out speakers. 0 never stops early.",
        panel=TRAINING, least=0,
    )  # fmt: skip
    seed: int = option(
        0, help="Seed of the recordings, of who is held out and of first weights.", panel=TRAINING, least=0
    )

    def __post_init__(self) -> None:
        check_part(self)
        if self.validation >= 1:
            raise UserError(f"validation: expected a share below 1, got {self.validation:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainDiarizer:
    """A request of `emobridge train-diarizer`."""

    source: tuple[str, ...] = option(
        (), help="Manifests, or folders, of labelled speech, neutral speech among it.", argument=True, repeat=True
    )
    segments: tuple[str, ...] = option(
        (), help="Manifest whose rows are the emotional stretches of longer recordings (such as that of ZED): all else "
        "of these files is neutral. Repeat for more.", panel=DATA, first=True, repeat=True, metavar="MANIFEST",
    )  # fmt: skip
    target: str = option(
        "", help="Manifest, or folder, of speech as it will be answered: another language, another line. By its "
        "moments features are standardised then, and not by those of the source. Its labels are not looked at.",
        panel=DATA, first=True, metavar="MANIFEST",
    )  # fmt: skip
    labels: tuple[str, ...] | None = option(
        None, help="Emotions to tell apart, separated by commas, neutral among them. By default those that all sources "
        "have.", panel=DATA, first=True,
    )  # fmt: skip
    encoder: str = option(
        "logmel", help="A folder with weights, a model id of the Hugging Face hub, an encoder that needs no weights, "
        "or a file of your own. It stays as it is.", panel=ENCODER, first=True,
    )  # fmt: skip
    encoder_options: tuple[str, ...] = option(
        (), help="An option of the encoder. Repeat for more.", panel=ENCODER, flag="encoder-option", repeat=True,
        metavar="NAME=VALUE",
    )  # fmt: skip
    layer: str = option(
        "middle", help="Layer of the encoder: a number such as 3, several side by side such as 2+3+4, or middle (the "
        "middle layer and its neighbours).", panel=ENCODER, first=True,
    )  # fmt: skip
    window: float = option(
        6.0, help="Seconds of sound that the encoder hears at once, in training and when it answers.", panel=ENCODER,
        above=0,
    )  # fmt: skip
    radii: tuple[float, ...] = option(
        (0.2, 0.6), help="Seconds on either side of a moment over which frames are averaged, separated by commas; the "
        "means of all lie side by side.", panel=ENCODER,
    )  # fmt: skip
    frame_rate: float = option(10.0, help="Answers a second, in Hz.", panel=ENCODER, above=0)
    composing: Composing = field(default_factory=Composing)
    training: FrameTraining = field(default_factory=FrameTraining)
    out: str = option("diarizer", help="Folder for the diarizer.", panel=OUTPUT, first=True)
    device: str = option("auto", help=DEVICE_HELP, panel=OUTPUT)

    def __post_init__(self) -> None:
        check_part(self)
        if not self.source and not self.segments:
            raise UserError("source: expected a manifest, or a folder, of labelled speech (or --segments)")

    @classmethod
    def of(cls, **options: Any) -> TrainDiarizer:
        """From options by name, as `Adapt.of`."""
        return from_mapping(options, "train-diarizer", cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How `predict` answers recordings: in which parts, which channels, by which statistics, and when not at all."""

    segments: str = option(
        "auto", help="Parts that are answered. speech: stretches in which somebody speaks. windows: windows of equal "
        "length. whole: a recording as it is. auto: speech for files over --longest, and for all that is over 30 s; "
        "shorter files, and rows with a start or end, stay whole. A part without speech never gets a label.",
        choices=("auto", "speech", "windows", "whole"),
    )  # fmt: skip
    longest: float = option(10.0, help="Longer stretches of speech are cut into equal parts, in seconds.", above=0)
    window: float = option(10.0, help="Length of --segments windows in seconds.", above=0)
    hop: float = option(
        0.0, help="Seconds from one window to the next. 0 is a window's length; less makes windows overlap.", least=0
    )
    detector: str = option("auto", help=DETECTOR_HELP, choices=DETECTORS)
    channels: str = option("mix", help=CHANNELS_HELP)
    statistics: str = option(
        "these", help="What a bundle with speaker normalisation standardises the features of a known speaker by. "
        "these: all utterances of the speaker that are given now. stored: the moments in the bundle alone, so that no "
        "answer depends on what stands beside it.", choices=("these", "stored"),
    )  # fmt: skip
    labels: tuple[str, ...] = option((), help=CHOSEN_LABELS_HELP)
    abstain_below: float = option(0.0, help=ABSTAIN_HELP, least=0)
    untold: str = option("", help=UNTOLD_HELP)
    adapt_online: bool = option(
        False, help="Adapt the class means to the recordings as they come: an answer depends on those before it."
    )

    def __post_init__(self) -> None:
        check_part(self)
        check_probability("abstain_below", self.abstain_below)
        if self.hop > self.window:
            raise UserError(f"hop: expected at most the window's {self.window:g} s, got {self.hop:g}")
        parts = [part.strip() for part in self.channels.split(",")]
        if self.channels not in ("mix", "each") and not all(part.isascii() and part.isdecimal() for part in parts):
            raise unknown("choice of channels", self.channels, ("mix", "each", "0", "0,1"))

    @classmethod
    def of(cls, **options: Any) -> Answering:
        """From options by name, as `Adapt.of`; those that are None keep their default."""
        return from_mapping({name: value for name, value in options.items() if value is not None}, "predict", cls)

    def channels_of(self, count: int) -> tuple[int | None, ...]:
        """The channels to answer of a file that has `count`; None is the mean of all."""
        if self.channels == "mix":
            return (None,)
        if self.channels == "each":
            return tuple(range(count))
        return tuple(dict.fromkeys(int(part) for part in self.channels.split(",")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Diarizing:
    """How `diarize` tells emotions over time: how frames become segments, in which channels, and when not at all."""

    shortest: float = option(
        SHORTEST_SEGMENT, help="No segment of an emotion is shorter than this, in seconds, but where the speech around "
        "it is.", least=0,
    )  # fmt: skip
    pause: float = option(
        BRIDGED_PAUSE, help="A shorter pause belongs to the speech around it, in seconds; a longer one has no emotion.",
        least=0,
    )  # fmt: skip
    cost: float = option(
        CHANGE_COST, help="Seconds of time expected right that a change of the emotion must win. More gives fewer "
        "changes.", least=0,
    )  # fmt: skip
    window: float = option(
        HEARD_WINDOW, help="Of the bundle of a recogniser: seconds of sound that its encoder hears at once.", above=0
    )
    detector: str = option("auto", help=DETECTOR_HELP, choices=DETECTORS)
    channels: str = option("mix", help=CHANNELS_HELP)
    labels: tuple[str, ...] = option((), help=CHOSEN_LABELS_HELP)
    abstain_below: float = option(0.0, help=ABSTAIN_HELP, least=0)

    def __post_init__(self) -> None:
        check_part(self)
        _ = self.answering

    @classmethod
    def of(cls, **options: Any) -> Diarizing:
        """From options by name, as `Adapt.of`; those that are None keep their default."""
        return from_mapping({name: value for name, value in options.items() if value is not None}, "diarize", cls)

    @property
    def answering(self) -> Answering:
        """What it has in common with `predict`. Errors: UserError, as there."""
        shared = ("detector", "channels", "labels", "abstain_below")
        return Answering(**{name: getattr(self, name) for name in shared})


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How `live` answers sound as it comes."""

    every: float = option(1.0, help="Seconds of sound that an answer is about, from 0.1 to 60.", least=0.1)
    context: float = option(
        0.0, help="Seconds of sound before them that are encoded again with each answer. 0 is twice what the model's "
        "frames depend on; less is faster.", least=0,
    )  # fmt: skip
    abstain_below: float = option(0.0, help=ABSTAIN_HELP, least=0)
    detector: str = option("auto", help=DETECTOR_HELP, choices=DETECTORS)

    def __post_init__(self) -> None:
        check_part(self)
        check_probability("abstain_below", self.abstain_below)
        if self.every > LONGEST_LIVE:
            raise UserError(f"every: expected at most {LONGEST_LIVE:g} s, got {self.every:g}")


def check_together(request: Adapt | Budget) -> None:
    """What the parts of a request must not say together. Errors: UserError."""
    if request.data.from_bundle and request.data.source:
        raise UserError("--from: takes the place of --source: give one of them")
    if not request.data.source and not request.data.from_bundle:
        raise UserError("source: expected at least one manifest of labelled speech")
    if not request.data.target:
        raise UserError("target: expected a manifest of speech in the new language")
    features, train = request.features, request.system.train
    if train != "frozen":
        if features.normalise == "speaker+text" or features.by_corpus:
            raise UserError("normalise: 'speaker+text' and by_corpus work on frozen features")
        if features.align != "none":
            raise UserError(f"align: 'coral' works on frozen features; give --align none with --train {train}")
        if features.layer in FROZEN_LAYER_RULES:
            raise UserError(f"layer: {features.layer!r} works on frozen features; name one layer with --train {train}")


def is_budget(word: str) -> bool:
    """Whether a word is a number of labels, or "all"."""
    return word == "all" or (word.isascii() and word.isdecimal())


def layer_names(layer: str) -> tuple[str, ...]:
    """The names in a layer such as "2+3+4".

    >>> layer_names("2+3+4")
    ('2', '3', '4')
    """
    return tuple(layer.split("+"))


def options_of_record(kind: type[Any]) -> Mapping[str, tuple[str, Field[Any]]]:
    """Every option of a request by its field's name: the part that holds it ("" is the request itself) and the field.

    Names are unique over the parts, so that files and calls need not name the part.
    """
    return _options(kind)  # type: ignore[arg-type]  # as `_hints`


@cache
def _options(kind: type[Any]) -> Mapping[str, tuple[str, Field[Any]]]:
    """Cached, as are `_default`s: a recipe asks for tens of thousands."""
    options: dict[str, tuple[str, Field[Any]]] = {}
    for item in fields(kind):
        part = _part_type(kind, item)
        for inner in fields(part) if part else (item,):
            assert inner.name not in options, f"two options are called {inner.name}"
            options[inner.name] = (item.name if part else "", inner)
    return MappingProxyType(options)


def _part_type(kind: type[Any], item: Field[Any]) -> type[Any] | None:
    hint = _hints(kind)[item.name]  # type: ignore[arg-type]  # mypy takes a class with dataclass fields for unhashable
    return hint if isinstance(hint, type) and is_dataclass(hint) else None


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    """The types of a record's fields. Cached: resolving their names takes longer than reading the options."""
    return get_type_hints(kind)


def choices_of(name: str, kind: type[Any] = Adapt) -> tuple[str, ...]:
    """The choices of an option, by its field's name."""
    choices: tuple[str, ...] = options_of_record(kind)[name][1].metadata["choices"]
    return choices


def flat_values(request: Any) -> dict[str, Any]:
    """The value of every option of a request, by name."""
    return {
        name: getattr(getattr(request, part) if part else request, name)
        for name, (part, _) in options_of_record(type(request)).items()
    }


def changed_values(request: Any) -> dict[str, Any]:
    """The options of a request that differ from their defaults."""
    values = flat_values(request)
    defaults = {name: default_of(type(request), name) for name in values}
    return {name: value for name, value in values.items() if value != defaults[name]}


def default_of(kind: type[Any], name: str) -> Any:
    """The default of an option of a request, by its field's name."""
    return _default(kind, name)  # type: ignore[arg-type]


@cache
def _default(kind: type[Any], name: str) -> Any:
    part, item = options_of_record(kind)[name]
    if not part:
        return item.default
    outer = next(entry for entry in fields(kind) if entry.name == part)
    assert outer.default_factory is not MISSING
    return getattr(outer.default_factory(), name)


def from_mapping(values: Mapping[str, Any], where: str, kind: type[Record]) -> Record:
    """A request (or another dataclass of such fields) from plain values.

    values: by option, or by part as in a TOML file: {"data": {"source": [...]}}. Errors: UserError that begins with
    `where` for an unknown key, a missing one, or a value of a wrong type.
    """
    options = options_of_record(kind)
    parts = {part for part, _ in options.values() if part}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = value if key in parts and isinstance(value, Mapping) else {key: value}
        for name, item in inner.items():
            if name not in options:
                raise UserError(f"{where}: {unknown('key', name, options)}")
            if name in flat:
                raise UserError(f"{where}: {name} stands twice")
            flat[name] = item
    checked: dict[str, dict[str, Any]] = {part: {} for part in (*parts, "")}
    for name, value in flat.items():
        part, item = options[name]
        checked[part][name] = _checked(where, name, str(item.type), value)
    for name, (part, item) in options.items():
        if name not in flat and item.default is MISSING and item.default_factory is MISSING:
            raise UserError(f"{where}: the key {name!r} is missing")
        if part and name not in flat:
            checked[part].setdefault(name, default_of(kind, name))
    own = checked.pop("")
    nested = {item.name: (_part_type(kind, item), checked) for item in fields(kind) if item.name in parts}  # type: ignore[arg-type]
    return kind(**own, **{name: part(**checked[name]) for name, (part, _) in nested.items() if part})


def _checked(where: str, key: str, kind: str, value: Any) -> Any:
    for text in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(text, str) and CONTROL.search(text):
            raise UserError(f"{where}: {key}: expected text without control characters, got {text!r}")
    if kind.startswith("tuple["):
        types, what = ((int, float), "numbers") if "float" in kind else ((str,), "words")
        if value is None and kind.endswith("| None"):
            return None
        if isinstance(value, (list, tuple)) and all(type(item) in types for item in value):
            return tuple(_checked(where, key, "float", item) if float in types else item for item in value)
        raise UserError(f"{where}: {key}: expected a list of {what}, got {reprlib.repr(value)}")
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UserError(f"{where}: {key}: the number is too large") from None
    if type(value).__name__ != kind:
        raise UserError(f"{where}: {key}: expected {kind}, got {reprlib.repr(value)}")
    if kind == "int" and abs(value) > LARGEST:
        raise UserError(f"{where}: {key}: the number is too large")
    return value


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The plain values of a TOML file. Errors: UserError naming the file and what is wrong."""
    try:
        values: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except RecursionError as error:
        raise UserError(f"{path}: is not TOML (it is nested too deeply)") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: is not TOML ({error})") from error
    return values


def write_settings(path: str | Path, request: Any) -> None:
    """A request as TOML, a table a part, that `from_mapping(read_mapping(path), ...)` gives back."""
    tables: dict[str, Any] = {}
    for name, (part, _) in options_of_record(type(request)).items():
        value = getattr(getattr(request, part) if part else request, name)
        if value is not None:
            (tables.setdefault(part, {}) if part else tables)[name] = value
    plain = {key: value for key, value in tables.items() if not isinstance(value, dict)}
    with whole_file(path) as temporary:
        temporary.write_bytes(tomli_w.dumps({**plain, **tables}).encode())


def flag_of(name: str, item: Field[Any], value: Any = None) -> str:
    """The option's name on the command line, with its dashes; of a switch that is off, the one that turns it off."""
    return ("--no-" if value is False else "--") + (item.metadata["flag"] or name).replace("_", "-")


def unmet_needs(kind: type[Any], names: Iterable[str], holds: Mapping[str, bool]) -> dict[str, str]:
    """Of some options of a record, by field, those that would do nothing, each with the need that does not hold."""
    options = options_of_record(kind)
    needs = {name: options[name][1].metadata["needs"] for name in names if name in options}
    return {name: need for name, need in needs.items() if need and not holds[need]}


def refuse_useless(request: Any, unmet: Mapping[str, str], reasons: Mapping[str, str]) -> None:
    """Errors: UserError that names the first option of `unmet_needs` and what would make it do something."""
    values, options = flat_values(request), options_of_record(type(request))
    for name, need in unmet.items():
        flag = flag_of(name, options[name][1], values[name])
        raise UserError(f"{flag}: does nothing here, since {reasons[need]}")


def command_of(request: Any, name: str) -> str:
    """The command line that asks for a request: every option that differs from its default. name: may be of a group."""
    return shlex.join(["emobridge", *name.split(), *_words(request)])


def _words(request: Any) -> Iterator[str]:
    options = options_of_record(type(request))
    for name, value in changed_values(request).items():
        flag, facts = flag_of(name, options[name][1], value), options[name][1].metadata
        if facts["argument"]:
            yield from value if isinstance(value, tuple) else (str(value),)
        elif isinstance(value, bool):
            yield flag
        elif isinstance(value, tuple) and facts["repeat"]:
            for item in value:
                yield from (flag, item)
        elif isinstance(value, tuple):
            yield from (flag, ",".join(map(str, value)) or "none")
        else:
            yield from (flag, str(value))
