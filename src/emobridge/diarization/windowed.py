"""A recogniser of utterances as a frame model: it answers for a short window of sound about each moment.

So a bundle of `adapt` tells emotions over time, in a language without labels too. The encoder hears a window of the
length of an utterance, and windows overlap by half. Within it, statistics of frames are joined from blocks of
`ANSWER_HOP` s to stretches of POOLED_SHARE of the window, centred on each block, and go the way of an utterance's:
normalised by the stored moments of the domain, through the head, calibrated. At an end of the sound a stretch is
shorter. Prosody, where a bundle has it, is that of the window.

These lengths are ours. Where longer windows are encoded at once, frames know of the emotions around them: EDER grows
(docs/diarization.md).

In shapes T is samples at 16 kHz, V the recogniser's layers, F frames of the encoder, N blocks, D the encoder's width,
S statistics and C labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from emobridge.bundle import Branch, Recognizer
from emobridge.bundle.sets import encode_by_set
from emobridge.data.batching import pad
from emobridge.data.devices import device_of, single_precision
from emobridge.diarization.base import Waveform
from emobridge.encoders.base import stopped_after
from emobridge.errors import UserError
from emobridge.features.extraction import add_prosody
from emobridge.features.normalisation import Domain
from emobridge.features.pooling import frame_counts, frames_per_stretch, join_windows, pool, window_statistics
from emobridge.inference.routing import modes_of
from emobridge.settings import HEARD_WINDOW, layer_names
from emobridge.types import SAMPLE_RATE, Layers, Utterance

ANSWER_HOP = 0.1  # s from one answer to the next
POOLED_SHARE = 0.35  # of a window, that each answer is taken over
CONTEXT_SHARE = 0.25  # of a window, on either side of what is answered
SHORTEST_WINDOW, LONGEST_WINDOW = 0.5, 10.0  # s: an emotion is hardly heard in less; memory grows with the square


class WindowedRecognizer:
    """A `FrameModel` of a recogniser that tells emotions, from an encoder of frames."""

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        branch: Branch | None = None,
        domain: Domain | None = None,
        window: float = HEARD_WINDOW,
    ) -> None:
        """branch: of the recogniser's, by default the last one. domain: of the branch's, by default its target's.

        window: of sound that the encoder hears at once, in s; less where it never hears so much.
        Errors: UserError where the recogniser tells attributes alone, where its encoder yields one frame a clip, and
        for a window that is too short or too long.
        """
        encoder = recognizer.encoder
        if not recognizer.labels:
            raise UserError("this recogniser tells attributes alone; a timeline needs one that tells emotions")
        if not encoder.frame_rate:
            raise UserError(f"encoder {encoder.name} yields one frame a clip; a timeline needs an encoder of frames")
        self.recognizer, self.branch = recognizer, branch or recognizer.last
        self.domain = domain or self.branch.domain()
        self.block = frames_per_stretch(encoder.frame_rate, ANSWER_HOP)  # frames of the encoder
        self.labels, self.synthetic = recognizer.labels, recognizer.synthetic
        self.frame_rate = encoder.frame_rate / self.block
        least = max(SHORTEST_WINDOW, 4 / self.frame_rate)
        if not least <= window <= LONGEST_WINDOW:
            raise UserError(
                f"window: expected {least:.3g} to {LONGEST_WINDOW:g} s with this recogniser, got {window:g}"
            )
        self.longest = min(window, encoder.window or window)
        self.context = CONTEXT_SHARE * self.longest

    def answering(self, utterance: Utterance, window: float) -> WindowedRecognizer:
        """The same recogniser with the branch and the domain that `predict` takes for an utterance, and a window in s.

        Errors: UserError for a language that none of several branches knows, and a window out of range.
        """
        (mode,) = modes_of(self.recognizer, [utterance], None)
        branch = mode if isinstance(mode, Branch) else self.recognizer.last
        domain = branch.domain(utterance.corpus, utterance.language)
        return WindowedRecognizer(self.recognizer, branch=branch, domain=domain, window=window)

    @property
    def language(self) -> str:
        """That of the branch that answers."""
        return self.branch.language

    def frame_probabilities(self, wave: Waveform) -> Waveform:
        """(T,) of at most `longest` s -> (N, C), each row sums to 1."""
        count = max(1, round(len(wave) / SAMPLE_RATE * self.frame_rate))
        layers = self._encoded(wave)
        half = round((POOLED_SHARE * self.longest * self.frame_rate - 1) / 2)
        if self.branch.spec.frames:
            answers = [self.branch.answers_to_frames(x, self.domain) for x in _stretches(layers, self.block, half)]
            values = torch.cat(answers)
        else:
            pooled = sliding_statistics(layers, self.recognizer.encoder.statistics, self.block, half)
            pooled = pooled.transpose(0, 1)
            pooled = add_prosody(pooled, wave) if self.branch.spec.prosody else pooled
            values = self.branch.answers(pooled, self.domain, None)
        values = values[:count, : len(self.labels)]
        missing = count - len(values)  # the encoder may leave out the last frame
        return torch.cat([values, values[-1:].expand(missing, -1)]).numpy()

    def _encoded(self, wave: Waveform) -> Layers:
        """The recogniser's layers (V, 1, F, D) of a wave."""
        encoder, chosen = self.recognizer.encoder, list(map(int, layer_names(self.branch.spec.layer)))
        device = device_of(encoder)
        padded, mask = (part.to(device) for part in pad([wave]))
        with torch.inference_mode(), single_precision(device), stopped_after(encoder, max(chosen)):
            ((_, layers),) = encode_by_set(encoder, padded, mask, [self.branch.adapters])
        speech = None if layers.speech is None else layers.speech.cpu()
        return replace(layers, hidden=layers.hidden[chosen].cpu(), mask=layers.mask.cpu(), speech=speech)


def sliding_statistics(layers: Layers, statistics: tuple[str, ...], block: int, half: int) -> Tensor:
    """Statistics of a clip's frames in a window about each block of frames: (L, 1, F, D) -> (L, N, S * D).

    A window has `half` blocks on either side of its own, where the clip has them. What is taken over frames with speech
    is taken over all of a window without any.
    """
    pooled = _joined(layers, statistics, block, half)
    if layers.speech is None:
        return pooled
    frames = _blocks(layers, block, half).spoken.sum(1)
    has_speech = frames.unfold(0, 2 * half + 1, 1).sum(1) > 0
    if bool(has_speech.all()):
        return pooled
    return torch.where(
        has_speech[None, :, None], pooled, _joined(replace(layers, speech=None), statistics, block, half)
    )


def _joined(layers: Layers, statistics: tuple[str, ...], block: int, half: int) -> Tensor:
    """`sliding_statistics`; NaN in windows without the frames that a statistic is taken over."""
    names, blocks = window_statistics(statistics), _blocks(layers, block, half)
    of_blocks = dict(zip(names, pool(blocks, names).chunk(len(names), 2)))  # (L, N + 2 * half, D) each
    counts = frame_counts(blocks)  # (1, N + 2 * half, 1)
    count = len(blocks.mask) - 2 * half
    spans = [slice(shift, shift + count) for shift in range(2 * half + 1)]
    parts = [{name: values[:, span] for name, values in of_blocks.items()} for span in spans]
    return join_windows(parts, [{key: sizes[:, span] for key, sizes in counts.items()} for span in spans], statistics)


def _blocks(layers: Layers, block: int, half: int) -> Layers:
    """A clip (L, 1, F, D) as blocks of frames (L, N + 2 * half, block, D), empty ones at either end."""
    sides = (half * block, half * block + -layers.mask.shape[1] % block)
    padded = torch.nn.functional.pad(layers.hidden[:, 0], (0, 0, *sides))
    hidden = padded.reshape(len(padded), -1, block, padded.shape[2])
    masks = [
        None if mask is None else torch.nn.functional.pad(mask[0], sides).reshape(-1, block)
        for mask in (layers.mask, layers.speech)
    ]
    assert masks[0] is not None
    return replace(layers, hidden=hidden, mask=masks[0], speech=masks[1])


def _stretches(layers: Layers, block: int, half: int) -> Iterator[Tensor]:
    """The frames of a clip in the window of each block, (1, F_i, V * D) each, for heads of frames."""
    frames = layers.hidden[:, 0, layers.mask[0]].transpose(0, 1).flatten(1)
    for first in range(0, len(frames), block):
        yield frames[max(0, first - half * block) : first + (half + 1) * block][None]
