"""Corpora: one file each, which turns the distribution of a corpus into utterances.

A corpus is a module with `scan(root, **options)`, LANGUAGES (BCP 47), LABELS (the corpus's own label -> emotion),
LICENCE, CITATION and OBTAIN; its docstring tells its history and how its file names encode the labels. A `scan` with a
parameter `intake` (a `data.intake.Intake`) hands its raw rows to it. Scanning reads names and label files (`folder` the
headers of recordings too) and fetches nothing. A corpus whose licence and host allow it also has DOWNLOADS, a tuple of
`Download`, for `download`. A corpus whose utterances have arousal, valence and dominance has ATTRIBUTE_RANGE, the scale
that they were rated on.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emobridge import registry
from emobridge.corpora._download import Download as Download
from emobridge.corpora._download import download as download
from emobridge.corpora._download import downloads as downloads
from emobridge.data.attributes import CONSTRUCTED_ENDING, OTHERS, has_attributes, is_constructed, no_range
from emobridge.data.intake import Reading, open_reading
from emobridge.data.labels import EMOTIONS, likely_emotion
from emobridge.data.manifest import read_manifest
from emobridge.data.tables import TABLE_SUFFIXES
from emobridge.errors import UserError
from emobridge.files import unreadable
from emobridge.types import SCALE, Range, Utterance

# Formats that libsndfile reads and corpora of speech are distributed in; and those that FFmpeg reads, films among them.
_SUFFIXES = "aif aifc aiff au caf flac mp3 oga ogg opus rf64 snd sph w64 wav"
_MORE_SUFFIXES = (
    "3g2 3gp 3gpp aac ac3 adts amr ape asf avi awb bwf eac3 flv m4a m4b m4v mka mkv mov mp2 mp4 mpa mpeg mpg mpga mts "
    "nist rf64 spx tta voc webm wma wmv wv"
)
GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}  # as names and tables have it, in lower case
CORPUS_SUFFIXES = frozenset("." + suffix for suffix in _SUFFIXES.split())
AUDIO_SUFFIXES = CORPUS_SUFFIXES | frozenset("." + suffix for suffix in _MORE_SUFFIXES.split())


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """The facts about a corpus that need no copy of it."""

    name: str
    languages: tuple[str, ...]  # BCP 47
    emotions: tuple[str, ...]  # in the order of data.labels.EMOTIONS
    licence: str
    citation: str
    obtain: str
    downloadable: bool  # by `download`
    attributes: Range | None  # the scale of its arousal, valence and dominance; None where it has none


def scan(name: str, root: str | Path, **options: object) -> Reading:
    """Read the utterances of a corpus at `root`, in a fixed order; `lines()` of the result says what was read.

    name: of a corpus, or "package.module" or "./file.py" of one's own. The options may be text, as the command line has
    them. Errors: UserError for an unknown corpus or option at once; while iterating, for a root without its files.
    """
    module = registry.load("corpora", name)
    return open_reading(f"the corpus {name!r}", module.scan, Path(root), options)


def utterances_at(path: str | Path, on_note: Callable[[str], None] | None = None) -> Iterator[Utterance]:
    """The utterances of a manifest, a table (.csv ...) as the corpus `table` reads it, or a folder of recordings as
    `folder` does.

    It is what a command takes for a path of speech. on_note: gets the lines that say how a table or folder was read, at
    its end. Errors: UserError as `data.manifest.read_manifest` and these corpora have them; of a table they end with
    the command that takes options.
    """
    path = Path(path)
    is_table = path.is_file() and path.suffix.lower() in TABLE_SUFFIXES
    if not path.is_dir() and not is_table:
        if path.is_file() and is_audio(path):
            raise UserError(f"{path}: is an audio file; expected a manifest, or a folder of recordings")
        yield from read_manifest(path)
        return
    reading = scan("table" if is_table else "folder", path)
    try:
        yield from reading
    except UserError as error:
        if not is_table:
            raise
        manifest = path.with_suffix(".jsonl")
        raise UserError(
            f"{error}; give options to: {shlex.join(['emobridge', 'scan', 'table', str(path), '-o', str(manifest)])}"
        ) from error
    if on_note is not None:
        for line in reading.lines():
            on_note(f"{path}: {line}")


def rows_of(speech: str | Path | Iterable[Utterance]) -> list[Utterance]:
    """Utterances as a list; a path stands for what `utterances_at` reads there. Errors: UserError, as there."""
    return list(utterances_at(speech) if isinstance(speech, (str, Path)) else speech)


def describe(name: str) -> CorpusFacts:
    """The facts about a corpus. Errors: UserError for an unknown corpus."""
    module = registry.load("corpora", name)
    emotions = tuple(emotion for emotion in EMOTIONS if emotion in module.LABELS.values())
    return CorpusFacts(
        name,
        module.LANGUAGES,
        emotions,
        module.LICENCE,
        module.CITATION,
        module.OBTAIN,
        downloadable=bool(getattr(module, "DOWNLOADS", ())),
        attributes=getattr(module, "ATTRIBUTE_RANGE", None),
    )


def attribute_range(corpus: str) -> Range | None:
    """The scale that a corpus, by its name in a manifest, declares for attributes; None where it declares none.

    >>> str(attribute_range("msp-podcast")), str(attribute_range("demo-en")), attribute_range("my calls")
    ('1..7', '-1..1', None)
    """
    name = plugin_of(corpus)
    if is_constructed(corpus):
        return SCALE
    return describe(name).attributes if name else None


def licence_of(corpus: str) -> str:
    """The licence of a corpus, by its name in a manifest, or the advice to ask its owner.

    >>> licence_of("emodb-constructed") == licence_of("emodb"), licence_of("my calls")
    (True, 'not known to emobridge; ask its owner before you pass on what was made of it')
    """
    name = plugin_of(corpus)
    unknown_licence = "not known to emobridge; ask its owner before you pass on what was made of it"
    return describe(name).licence if name else unknown_licence


def plugin_of(corpus: str) -> str | None:
    """The plug-in that reads a corpus, by the corpus's name in a manifest; None for a name that is no plug-in's.

    It never takes the name for a file or a module to load: a manifest may come from anybody.

    >>> plugin_of("emodb"), plugin_of("demo-de"), plugin_of("emodb-constructed"), plugin_of("./corpus.py")
    ('emodb', 'demo', 'emodb', None)
    """
    from emobridge.corpora.demo import is_synthetic

    name = "demo" if is_synthetic(corpus) else corpus.removesuffix(CONSTRUCTED_ENDING)
    return name if name in registry.names("corpora") else None


def scale_of(corpus: str, ranges: Mapping[str, Range]) -> Range | None:
    """The scale of a corpus's attributes: its own in `ranges`, else as declared, else that of OTHERS in `ranges`.

    ranges: as `data.attributes.parse_ranges` gives them. None where there is none.
    """
    return ranges.get(corpus) or attribute_range(corpus) or ranges.get(OTHERS)


def attribute_ranges(utterances: Iterable[Utterance], ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The scale of each corpus with attributes, by `scale_of`, for `data.attributes.attributes_of`.

    Errors: UserError for a corpus with attributes whose scale is not known.
    """
    scales: dict[str, Range] = {}
    for utterance in utterances:
        if utterance.corpus not in scales and has_attributes(utterance):
            scale = scale_of(utterance.corpus, ranges)
            if scale is None:
                raise no_range(utterance.corpus)
            scales[utterance.corpus] = scale
    return scales


def corpus_files(root: Path) -> Iterator[Path]:
    """The audio files under `root` in the formats that corpora are distributed in; else as `audio_files`.

    Some distributions hold the same utterances as films too, under the same names.
    """
    return audio_files(root, CORPUS_SUFFIXES)


def audio_files(root: Path, suffixes: Collection[str] = AUDIO_SUFFIXES) -> Iterator[Path]:
    """All audio files under `root`, and films, known by their suffix, in sorted order; hidden ones are left out.

    Whether they can be read is not known before: those that cannot must be named. Errors: UserError where `root` is no
    folder.
    """
    return (path for path in visible_files(root) if path.suffix.lower() in suffixes)


def is_audio(path: Path) -> bool:
    """Whether a file's name ends like that of an audio file."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def visible_files(root: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """All files under `root` in sorted order but hidden ones; links are followed, never in a circle.

    on_error: gets the error of each folder that cannot be read, which is then left out.
    Errors: UserError where `root` is no folder and, without `on_error`, for a folder that cannot be read.
    """
    _check_folder(root)
    entered = set()  # real paths
    for folder, subfolders, names in os.walk(root, onerror=on_error or _refuse_folder, followlinks=True):
        entered.add(os.path.realpath(folder))
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and os.path.realpath(os.path.join(folder, name)) not in entered
        )
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _refuse_folder(error: OSError) -> None:
    raise unreadable(error.filename, error) from error


def files_like(root: Path, *patterns: str) -> list[Path]:
    """The visible files under `root`, sorted, of the first glob pattern that any file matches.

    It is for label files at a fixed depth, and does not walk through folders of audio.
    Errors: UserError where `root` is no folder.
    """
    _check_folder(root)
    for pattern in patterns:
        files = sorted(path for path in root.glob(pattern) if path.is_file() and not path.name.startswith("."))
        if files:
            return files
    return []


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise UserError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}; expected that of a corpus")


def unique_utterances(root: Path, utterances: Iterator[Utterance], *, layout: str, obtain: str) -> Iterator[Utterance]:
    """Pass `utterances` on and check that there is at least one, and none twice.

    Errors: UserError where there is none (it names the expected `layout` and how to `obtain` the corpus), and where two
    files have the same name: some distributions hold the whole corpus twice, others each file in two formats.
    """
    paths: dict[str, str] = {}
    for utterance in utterances:
        if utterance.id in paths:
            first = paths[utterance.id]
            raise UserError(
                f"{root}: {utterance.id!r} is there twice ({first} and {utterance.path}); point to the folder that "
                f"holds one of them{_such_as(first, utterance.path)}"
            )
        paths[utterance.id] = utterance.path
        yield utterance
    if not paths:
        raise no_corpus(root, layout=layout, obtain=obtain)


def _such_as(first: str, second: str) -> str:
    """A folder that holds one of two files and not the other; "" where none does."""
    common = os.path.commonpath([first, second])
    inside = [os.path.relpath(path, common).split(os.sep) for path in (first, second)]
    deeper = max(inside, key=len)
    return f", such as {os.path.join(common, deeper[0])}" if len(deeper) > 1 else ""


def no_corpus(root: Path, *, layout: str, obtain: str) -> UserError:
    """The error for a folder without the files of a corpus; it names the expected `layout` and how to `obtain` them."""
    return UserError(f"{root}: no file like {layout} here or below. {obtain}")


def emotion_of(code: str, labels: Mapping[str, str], path: Path) -> str:
    """The emotion that a code in a file name means. Errors: UserError that names the file and the valid codes."""
    if code not in labels:
        likely = likely_emotion(code, labels)
        guess = next((code for code, emotion in labels.items() if emotion == likely), None)
        hint = f": did you mean {guess!r}?" if guess else ""
        raise UserError(f"{path}: unknown emotion code {code!r}{hint} (one of {', '.join(labels)})")
    return labels[code]
