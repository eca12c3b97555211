"""The command that answers sound as it comes; `cli.main` registers it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from emobridge.cli.options import command_from
from emobridge.cli.requests import LiveRequest
from emobridge.errors import UserError, count_noun

if TYPE_CHECKING:
    from emobridge.diarization.pcm import SoundBlock
    from emobridge.types import Prediction

READ = 1 << 16  # bytes at a time, at most
PCM_RATE = 16_000  # Hz, of standard input where nobody states it
PATIENCE = 2.0  # stretches of sound from a microphone that may wait to be answered; and seconds, if that is more
OnNote = Callable[[str], None]
Waited = TypeVar("Waited")


@dataclass(frozen=True, slots=True)
class Source:
    """Where sound comes from."""

    name: str
    rate: int  # Hz
    channels: int
    blocks: Callable[[OnNote], Iterator[SoundBlock]]
    recording: contextlib.AbstractContextManager[Any]  # it gives sound within the block


def run_live(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Answer sound as it comes, each second: from a microphone, or raw PCM from standard input (-)."""
    if request.list_devices:
        from emobridge.cli.microphone import device_lines

        print("\n".join(device_lines()))
        return
    import numpy as np

    from emobridge.diarization.files import load_frame_model
    from emobridge.diarization.live import live_answers, mono_pieces
    from emobridge.diarization.windowed import WindowedRecognizer
    from emobridge.languages import language_tag
    from emobridge.progress import report_note
    from emobridge.types import SAMPLE_RATE, Utterance

    source = _source(request)
    channel, pace = request.chosen_channel, _Pace()
    if channel is not None and channel >= source.channels:
        raise UserError(f"channel {channel}: expected 0 to {source.channels - 1}, the channels of the {source.name}")
    model = load_frame_model(request.bundle, encoder=request.encoder or None, device=request.device)
    if request.language and isinstance(model, WindowedRecognizer):
        spoken = Utterance("live", "", "", language=language_tag(request.language))
        model = model.answering(spoken, model.longest)
    if model.synthetic:
        report_note("this model was trained on SYNTHETIC speech")
    model.frame_probabilities(np.zeros(SAMPLE_RATE // 2, np.float32))  # the first answer of an encoder takes longer
    with source.recording, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the usual way to end it
        pieces = mono_pieces(pace.waiting(source.blocks(report_note)), source.rate, channel, report_note)
        answers = live_answers(model, pieces, request.live, name=source.name, channel=channel)
        _print(pace.counting(answers), request.format, model.synthetic)
    report_note(pace.summary(request.live.every))


live = command_from(LiveRequest, "live", run_live, reads_files=False)


def _source(request: Any) -> Source:
    """Standard input or a microphone. Errors: UserError."""
    if request.source:
        from emobridge.diarization.pcm import pcm_blocks

        reads, channels = _standard_input(), request.input_channels or 1

        def blocks(on_note: OnNote) -> Iterator[SoundBlock]:
            return pcm_blocks(reads, request.encoding, channels, on_note)

        return Source("standard input", request.rate or PCM_RATE, channels, blocks, contextlib.nullcontext())
    from emobridge.cli.microphone import Microphone

    patience = PATIENCE * max(1.0, request.live.every)
    microphone = Microphone(request.input_device, request.rate, request.input_channels, patience)
    return Source("microphone", microphone.rate, microphone.channels, microphone.blocks, microphone)


def _standard_input() -> Iterator[bytes]:
    """The bytes of standard input as they come. Errors: UserError where it is closed or a terminal."""
    if sys.stdin is None:
        raise UserError("standard input: is closed; expected raw PCM")
    if sys.stdin.isatty():
        raise UserError("standard input: is a terminal; expected raw PCM, such as from: ffmpeg -i FILE -f s16le ... -")
    file: Any = sys.stdin.buffer
    return iter(lambda: file.read1(READ), b"")


def _print(answers: Iterable[Prediction], form: str, synthetic: bool) -> None:
    """Print each answer as soon as it is there."""
    if form == "jsonl":
        from emobridge.inference.output import write_predictions

        write_predictions(answers, form=form, synthetic=synthetic)
        return
    for answer in answers:
        print(_line(answer), flush=True)


def _line(answer: Prediction) -> str:
    """An answer for people: its end, the emotion and the next one, or why there is none.

    >>> from emobridge.types import Prediction
    >>> print(_line(Prediction("", 60.0, 61.0, ("anger", "sadness"), (0.25, 0.75))))
     0:01:01.0  sadness 0.75  anger 0.25
    >>> print(_line(Prediction("", 0.0, 1.0, ("anger", "sadness"), (), reason="no speech")))
     0:00:01.0  no speech
    """
    tenths = round(answer.end * 10)
    clock = f"{tenths // 36_000:2}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"
    ranked = sorted(zip(answer.probabilities, answer.labels), key=lambda pair: -pair[0])[:2]
    shares = [f"{label} {share:.2f}" for share, label in ranked]
    return "  ".join([clock, *([answer.reason] if answer.reason else []), *shares])


class _Pace:
    """How long answers take, without the time in which sound is waited for."""

    def __init__(self) -> None:
        self.answers, self.seconds, self._waited = 0, 0.0, 0.0

    def waiting(self, blocks: Iterator[Waited]) -> Iterator[Waited]:
        """The same blocks, while the time until each is there is measured."""
        while True:
            begin = time.perf_counter()
            try:
                block = next(blocks)
            except StopIteration:
                return
            finally:
                self._waited += time.perf_counter() - begin
            yield block

    def counting(self, answers: Iterator[Waited]) -> Iterator[Waited]:
        """The same answers, while the time of computing is measured."""
        while True:
            begin, self._waited = time.perf_counter(), 0.0
            try:
                answer = next(answers)
            except StopIteration:
                return
            self.answers += 1
            self.seconds += time.perf_counter() - begin - self._waited
            yield answer

    def summary(self, seconds: float) -> str:
        """A line about all answers. seconds: of sound in each."""
        if not self.answers:
            return "no answers"
        mean = self.seconds / self.answers
        slow = ": more slowly than sound comes; --context makes it faster" if mean > seconds else ""
        return f"{count_noun(self.answers, 'answer')} of {seconds:g} s, computed in {mean:.3f} s each{slow}"
