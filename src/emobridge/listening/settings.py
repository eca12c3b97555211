"""What `listening new` is asked for: the record whose fields make its options."""

from __future__ import annotations

from dataclasses import dataclass

from emobridge.errors import UserError, unknown
from emobridge.listening.catalogue import INTERFACES
from emobridge.listening.study import MOST_ITEMS
from emobridge.settings import LARGEST, check_part, option

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
        "row's start and end are the reference (scan zed --segments writes such rows); neutral ones are left out.",
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
        "", help="TOML file of [[rules]] of screening, and of [[questions]], [title] and [consent] where they differ "
        "from the usual ones.", metavar="FILE",
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
