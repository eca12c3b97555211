"""SYNTHETIC emotional speech for demonstrations and tests, spoken by espeak-ng in ten languages.

Nobody feels anything in it: pitch, pitch range, tempo, loudness and voice quality are set by rule, more or less
strongly by language (`_demo_voices.py`), under jitter and noise. It shows that the machinery works; a score on it says
nothing of people. Beside every utterance lies a phone alignment from the synthesiser (`.phones.tsv`: start_s, end_s,
phone), and arousal, valence and dominance, each in [-1, 1], follow from the emotion and its strength. `gender` is what
the voice is made like; `naturalness` is None, for nobody acts, is moved, or speaks of himself.

An utterance's bytes follow from (seed, language, speaker, emotion, text, repetition), never from the order in which or
the number of processes by which a folder is made.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emobridge.corpora._demo_texts import SENTENCES
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError, unknown
from emobridge.files import whole_file
from emobridge.languages import language_tag, primary_language
from emobridge.types import SCALE, TOY_PREFIX, Utterance

if TYPE_CHECKING:
    from emobridge.corpora._demo_worker import DemoPlan

LANGUAGES = tuple(SENTENCES)
LABELS = {emotion: emotion for emotion in ("anger", "happiness", "neutral", "sadness", "fear", "disgust", "surprise")}
LICENCE = "what is made is free to use; espeak-ng, which makes it, is GPL-3"
CITATION = "espeak-ng, https://github.com/espeak-ng/espeak-ng"
ATTRIBUTE_RANGE = SCALE
OBTAIN = "pip install 'emobridge[demo]', then emobridge.corpora.demo.make_corpora(folder)"
NOTICE = """SYNTHETIC SPEECH

Everything in this folder was made by espeak-ng under the control of emobridge (seed {seed}). No person speaks and no
person feels, and how an emotion sounds in each language is invented. Use it to try the machinery: a score on it says
nothing of people, and every table of such scores must say SYNTHETIC.
"""

SETTINGS_FILE = "demo.json"  # in the folder: what its bytes depend on
BYTES_VERSION = 1  # to be raised whenever the same seed would give other bytes
PER_WORKER = 20  # utterances that justify the start of another process


def is_synthetic(corpus: str) -> bool:
    """Whether a corpus's name (or one of several, joined by "+") is that of a synthetic corpus.

    >>> is_synthetic("demo-en"), is_synthetic("emodb+demo-de"), is_synthetic("toy-emodb"), is_synthetic("democorpus")
    (True, True, True, False)
    """
    return any(name == "demo" or name.startswith(("demo-", TOY_PREFIX)) for name in corpus.split("+"))


def make_corpora(
    folder: str | Path,
    languages: Sequence[str] = ("en", "de"),
    *,
    speakers: int = 8,
    repetitions: int = 1,
    emotions: Sequence[str] = ("anger", "happiness", "neutral", "sadness"),
    seed: int = 0,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Make a corpus a language and return their manifests, `<folder>/<language>.jsonl`, in the languages' order.

    Every speaker reads every sentence (ten a language) with every emotion, `repetitions` times: 320 utterances a
    language unless asked otherwise. A run that was broken off goes on where it stopped. `workers` is a number of
    processes (None: one a core); `on_progress(finished, all)` is called after each utterance.

    Errors: UserError for an unknown language or emotion, a number that is too small, a folder that cannot be written
    or that was made with another seed, and where espeakng-loader is not installed.
    """
    from emobridge.corpora._demo_worker import DemoPlan

    languages = _own_tags(languages)
    _check("demo language", languages, LANGUAGES)
    _check("demo emotion", emotions, LABELS)
    for name, number in (("speakers", speakers), ("repetitions", repetitions), ("workers", workers or 1)):
        if number < 1:
            raise UserError(f"{name} = {number}: expected 1 or more")
    folder = Path(folder).absolute()
    _claim(folder, seed)
    plan = DemoPlan(str(folder), tuple(languages), tuple(emotions), speakers, repetitions, seed)
    takes = plan.takes()
    missing = sum(not (folder / take.audio).exists() for take in takes)
    if on_progress:
        on_progress(len(takes) - missing, len(takes))
    if missing:
        _speak(plan, min(workers or _cores(), 1 + missing // PER_WORKER), missing, len(takes), on_progress)
    manifests = [folder / f"{language}.jsonl" for language in languages]
    for language, manifest in zip(languages, manifests):
        write_manifest(manifest, map(plan.utterance, (take for take in takes if take.language == language)))
    return manifests


def make_recordings(
    folder: str | Path,
    language: str,
    *,
    speakers: int = 8,
    emotions: Sequence[str] = ("anger", "happiness", "neutral", "sadness"),
    seed: int = 0,
) -> tuple[Path, Path]:
    """Make `<folder>/recordings`, recordings of four further speakers without labels, and `<folder>/call.wav`.

    The call has two channels with a speaker on each; see `_demo_recordings`. speakers: of the corpus of this language,
    for the callers are others. Errors: UserError as for `make_corpora`.
    """
    from emobridge.corpora._demo_recordings import make_recordings as make

    (language,) = _own_tags([language])
    _check("demo language", [language], LANGUAGES)
    _check("demo emotion", emotions, LABELS)
    folder = Path(folder).absolute()
    _claim(folder, seed)

    def speak(plan: DemoPlan) -> None:
        count = len(plan.takes()) - plan.first
        _speak(plan, min(_cores(), 1 + count // PER_WORKER), count, count, None)

    return make(folder, language, speakers=speakers, emotions=emotions, seed=seed, speak=speak)


def scan(root: str | Path, languages: Sequence[str] | None = None) -> Iterator[Utterance]:
    """The utterances of a folder that `make_corpora` wrote, of some languages or of all in it.

    Errors: UserError where the folder was not made by `make_corpora` or lacks a language.
    """
    root = Path(root)
    if languages is None:
        languages = [language for language in LANGUAGES if (root / f"{language}.jsonl").exists()]
    languages = _own_tags(languages)
    _check("demo language", languages, LANGUAGES)
    if not (root / SETTINGS_FILE).exists() or not languages:
        raise UserError(f"{root}: no demonstration corpus is here; {OBTAIN}")
    for language in languages:
        yield from read_manifest(root / f"{language}.jsonl")


def _check(thing: str, names: Sequence[str], valid: Collection[str]) -> None:
    for name in names:
        if name not in valid:
            raise unknown(thing, name, valid)
    if len(set(names)) < len(names):
        raise UserError(f"{thing}s {', '.join(names)}: one is named twice")


def _own_tags(languages: Sequence[str]) -> list[str]:
    """Languages as this corpus spells them: "zh" and "Chinese" are its "cmn". Errors: UserError for what is none."""
    spelling = {primary_language(tag): tag for tag in LANGUAGES}
    tags = map(language_tag, languages)
    return [spelling.get(primary_language(tag), tag) for tag in tags]


def _claim(folder: Path, seed: int) -> None:
    """Write down what the folder's bytes depend on. Errors: UserError for a folder that was made with other settings.

    Its files would stay, and the corpus would be a mixture.
    """
    settings = {"version": BYTES_VERSION, "seed": seed}
    path = folder / SETTINGS_FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # the latter will fail below, in whole_file's words
        before = settings
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if before != settings:
        raise UserError(f"{folder}: was made with {before}, not {settings}; choose another folder or delete it")
    with whole_file(folder / "README.txt") as card:
        card.write_text(NOTICE.format(seed=seed), encoding="utf-8")
    with whole_file(path) as file:
        file.write_text(json.dumps(settings) + "\n", encoding="utf-8")


def _speak(
    plan: DemoPlan, workers: int, missing: int, total: int, on_progress: Callable[[int, int], None] | None
) -> None:
    """Run `workers` processes side by side until every take is made; the first failure stops them all."""
    from emobridge.corpora._demo_worker import FAILURE

    finished = total - missing
    with contextlib.ExitStack() as stack:
        running = []
        read, write = os.pipe()
        lines = stack.enter_context(os.fdopen(read, encoding="utf-8"))
        with os.fdopen(write, "w") as output:  # the workers keep it open: it ends when the last of them ends
            for number in range(workers):
                home = stack.enter_context(tempfile.TemporaryDirectory(prefix="emobridge-", ignore_cleanup_errors=True))
                running.append(_start(replace(plan, first=plan.first + number, step=workers), home, output.fileno()))
                stack.callback(_stop, running[-1])
        for line in lines:
            if line.startswith(FAILURE):
                raise UserError(line[len(FAILURE) :].strip())
            finished += 1
            if on_progress:
                on_progress(finished, total)
        codes = [process.wait() for process in running]
    if any(codes):
        raise RuntimeError(f"a worker ended with exit code {max(codes, key=abs)}")


def _start(plan: DemoPlan, home: str, output: int) -> subprocess.Popen[bytes]:
    """A worker that prints into `output`. It imports this very package, whatever its working directory."""
    from emobridge.corpora._demo_worker import worker_command

    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths)), OMP_NUM_THREADS="1")
    return subprocess.Popen(worker_command(plan), cwd=home, stdin=subprocess.DEVNULL, stdout=output, env=environment)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
