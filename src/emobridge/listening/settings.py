"""What `listening new` and `listening results` are asked for: records whose fields make their options."""

from __future__ import annotations

from dataclasses import dataclass

from emobridge.errors import UserError, unknown
from emobridge.languages import language_tag
from emobridge.listening.catalogue import INTERFACES
from emobridge.listening.dialect import QUESTION_RULES
from emobridge.listening.study import MOST_ITEMS
from emobridge.settings import LARGEST, check_part, option

INCLUDABLE = ("unfinished", "failed", "screened")  # reasons to leave a listener out that may be overruled
LEVELLINGS = ("corpus", "item", "none")
PER_EMOTION, PER_EMOTION_WITH_SEGMENTS = 12, 8  # items, as many as Han et al. 2025 played


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStudy:
    """Which recordings a listening test plays, and what it asks."""

    manifests: tuple[str, ...] = option(
        help="Manifests, or folders, of labelled speech. Items are drawn from each language that they hold.",
        argument=True, repeat=True, metavar="MANIFEST...",
    )  # fmt: skip
    out: str = option(help="Folder for the study: the study file and the recordings.", first=True, metavar="STUDY")
    per_emotion: int = option(
        0, help="Items of each emotion and language; 0 is 12, or 8 with --segments.", first=True, least=0
    )
    emotions: tuple[str, ...] = option(
        (), help="Emotions that listeners choose from, separated by commas. By default those that all manifests have.",
        first=True,
    )  # fmt: skip
    segments: bool = option(
        False, help="Ask for the ONE stretch that carries the emotion most. Whole recordings are played, of which a "
        "row's start and end are the reference (`scan zed DIR --option segments=yes` writes such rows); neutral ones "
        "are left out.",
        first=True,
    )  # fmt: skip
    confidence: bool = option(False, help="Ask how sure a listener is of each answer.")
    practice: int = option(1, help="Practice items of each emotion, which are not scored.", least=0)
    attention: int = option(
        2, help="Attention checks: a tone is played, and the page tells which answer to give.", least=0
    )
    dialect: tuple[str, ...] = option(
        (), help="Corpora, separated by commas, of which anger is NEGATION, happiness EXPECTATION and neutral a "
        "QUESTION, as in the dialect of Han et al. 2025; `listening results` states how a question is scored.",
    )  # fmt: skip
    exclude: tuple[str, ...] = option(
        (), help="Manifest of speech that is not played, such as that which models are trained on. Repeat for more.",
        repeat=True, metavar="MANIFEST",
    )  # fmt: skip
    exclude_speakers: bool = option(False, help="Leave out everybody who speaks in --exclude.")
    rules: str = option(
        "", help="TOML file of the rules of screening; and of questions, title and consent, where they differ from the "
        "usual ones.", metavar="FILE",
    )  # fmt: skip
    interface: tuple[str, ...] = option(INTERFACES, help="Languages of the pages, separated by commas.")
    level: str = option(
        "corpus", help="What is made equally loud: corpus (one gain for all of a corpus, so that loud emotions stay "
        "loud), item (each recording), or none.", choices=LEVELLINGS,
    )  # fmt: skip
    block: int = option(16, help="Items between two breaks.", least=1)
    seed: int = option(0, help="Seed of what is drawn, of the names of recordings and of each listener's order.")
    name: str = option("", help="Name of the study. By default that of its folder.")

    def __post_init__(self) -> None:
        check_part(self)
        for language in self.interface:
            if language not in INTERFACES:
                raise UserError(f"interface: {unknown('language of the pages', language, INTERFACES)}")
        for name in ("per_emotion", "practice", "attention", "block"):
            if getattr(self, name) > MOST_ITEMS:
                raise UserError(f"{name}: expected {MOST_ITEMS:,} at most, got {getattr(self, name)}")
        if not 0 <= self.seed <= LARGEST:
            raise UserError(f"seed: expected 0 to {LARGEST}, got {self.seed}")
        if self.exclude_speakers and not self.exclude:
            raise UserError("--exclude-speakers: does nothing without --exclude")

    @property
    def count(self) -> int:
        """Items of each emotion and language."""
        return self.per_emotion or (PER_EMOTION_WITH_SEGMENTS if self.segments else PER_EMOTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsRequest:
    """Options of `listening results`."""

    study: str = option(
        help="Folder of a study; or answers in a table (plain CSV, webMUSHRA's lss.csv, jsPsych's CSV or JSON), or a "
        "folder of such tables.", argument=True,
    )  # fmt: skip
    out: str = option("results", help="Folder for results.html, .md and .json, scores.json and the tables.")
    items: str = option(
        "", help="Of tables: what each item was meant as. A manifest, or the folder of a study. By default a column "
        "'truth' tells it.", metavar="MANIFEST",
    )  # fmt: skip
    buttons: tuple[str, ...] = option(
        (), help="Emotions that numbered buttons of jsPsych stand for, in their order, separated by commas."
    )
    model: tuple[str, ...] = option(
        (), help="Predictions of a model for the same items, as `predict` writes them, or a budget's items.csv: "
        "NAME=FILE, or mono:NAME=FILE to set it beside natives (cross: non-natives, trans: second language). "
        "mono@de:NAME=FILE takes the items of one language. Repeat for more; files of one NAME are fold models, whose "
        "predictions are summed.",
        repeat=True, metavar="[SETTING:]NAME=FILE",
    )  # fmt: skip
    include: tuple[str, ...] = option(
        (), help="Listeners who count although they are unfinished, failed an attention check, or were screened out; "
        "separated by commas.", choices=INCLUDABLE,
    )  # fmt: skip
    most_failed: int = option(0, help="Attention checks that a listener may fail and still count.", least=0)
    question_rule: str = option(
        "neutral", help="What is right for a question of a dialect, which has no emotion: the answer neutral, or "
        "nothing, so that such items are left out.", choices=QUESTION_RULES,
    )  # fmt: skip
    second_languages: tuple[str, ...] = option(
        (), help="Languages that all but its natives know as a second one, separated by commas, where no questionnaire "
        "tells it."
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_part(self)
        object.__setattr__(self, "second_languages", tuple(map(language_tag, self.second_languages)))
