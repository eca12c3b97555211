"""A microphone as blocks of samples, by the package sounddevice. Sound that cannot be answered in time is skipped."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emobridge.diarization.pcm import Gap, SoundBlock
from emobridge.errors import UserError

BLOCK_SECONDS = 0.1  # s of sound in a block
MOST_WAITING = 600  # blocks that are held, however long an answer takes
RECORDED_CHANNELS = 2  # that are recorded where nobody asks for a number: some devices pretend to have dozens
PIPE = "sound from elsewhere comes by a pipe: ... | emobridge live BUNDLE -"


def load_sounddevice() -> Any:
    """The module sounddevice. Errors: UserError where it, or the library PortAudio, is missing."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise UserError(f"a microphone needs the package sounddevice: pip install 'emobridge[live]'; {PIPE}") from error
    except OSError as error:
        raise UserError(f"a microphone needs the library PortAudio, such as libportaudio2 of Debian; {PIPE}") from error
    return sounddevice


def device_lines() -> list[str]:
    """A line for each microphone: its number, name, channels and rate; the default one is marked.

    Errors: UserError where there is none.
    """
    devices = _inputs(load_sounddevice())
    first = devices[0][0] if devices else -1
    default = next((number for number, device in devices if device["default"]), first)
    if not devices:
        raise UserError(f"no microphone was found; {PIPE}")
    return [
        f"{'*' if number == default else ' '} {number:3}  {device['name']} ({device['max_input_channels']} channels, "
        f"{device['default_samplerate']:g} Hz)"
        for number, device in devices
    ]


def _inputs(sounddevice: Any) -> list[tuple[int, dict[str, Any]]]:
    """The devices that record, by number. Errors: UserError where PortAudio cannot list them."""
    try:
        devices = list(sounddevice.query_devices())
        default = sounddevice.default.device[0]
    except sounddevice.PortAudioError as error:
        raise UserError(f"microphones cannot be listed ({error})") from error
    return [
        (number, {**device, "default": number == default})
        for number, device in enumerate(devices)
        if device["max_input_channels"] > 0
    ]


class Microphone:
    """The sound of an input device, as blocks and gaps. It records within a `with` block."""

    def __init__(self, device: str, rate: int, channels: int, patience: float) -> None:
        """device: its number or a part of its name; "" is the default. rate, channels: 0 is what the device has.

        patience: seconds of sound that may wait to be answered; what is older is skipped.
        Errors: UserError where there is no such device, or it does not open.
        """
        sounddevice = load_sounddevice()
        facts = _chosen(_inputs(sounddevice), device)
        self.rate = rate or int(facts["default_samplerate"])
        self.channels = channels or min(facts["max_input_channels"], RECORDED_CHANNELS)
        self._blocks: queue.SimpleQueue[NDArray[np.float32] | None] = queue.SimpleQueue()
        self._most = min(max(2, round(patience / BLOCK_SECONDS)), MOST_WAITING // 2)  # blocks
        self._dropped = 0  # frames that came while MOST_WAITING blocks waited
        try:
            self._stream = sounddevice.InputStream(
                samplerate=self.rate,
                channels=self.channels,
                device=facts["index"],
                dtype="float32",
                blocksize=round(BLOCK_SECONDS * self.rate),
                callback=self._record,
                finished_callback=lambda: self._blocks.put(None),
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise UserError(f"microphone {facts['name']}: does not open ({error})") from error

    def __enter__(self) -> Microphone:
        self._stream.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def blocks(self, on_note: Callable[[str], None]) -> Iterator[SoundBlock]:
        """Blocks (T, channels) until the device stops. on_note: gets a line when sound is skipped."""
        while (block := self._blocks.get()) is not None:
            if self._blocks.qsize() <= self._most:
                yield block
                continue
            skipped = len(block)
            while block is not None and self._blocks.qsize():
                block = self._blocks.get()
                skipped += 0 if block is None else len(block)
            skipped, self._dropped = skipped + self._dropped, 0
            seconds = skipped / self.rate
            on_note(f"{seconds:.1f} s of sound are skipped: this machine answers more slowly than sound comes")
            yield Gap(seconds)
            if block is None:
                return

    def _record(self, sound: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        """Called by PortAudio in a thread of its own, which must not wait."""
        if self._blocks.qsize() < MOST_WAITING:
            self._blocks.put(sound.copy())
        else:
            self._dropped += frames


def _chosen(devices: list[tuple[int, dict[str, Any]]], name: str) -> dict[str, Any]:
    """The device of a number or of a part of a name, whatever its case. Errors: UserError."""
    if not devices:
        raise UserError(f"no microphone was found; {PIPE}")
    if name:
        fitting = [
            (number, device)
            for number, device in devices
            if (str(number) == name if name.isdecimal() else name.casefold() in device["name"].casefold())
        ]
        if not fitting:
            choices = ", ".join(f"{number} ({device['name']})" for number, device in devices)
            raise UserError(f"no microphone {name!r}: expected one of {choices}")
    else:
        fitting = [pair for pair in devices if pair[1]["default"]] or devices
    number, device = fitting[0]
    return {**device, "index": number}
