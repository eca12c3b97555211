"""How right `emobridge live` is second by second, against frames that hear what follows too, and how long it takes.

    python benchmarks/live.py run/bundle other.jsonl --clips 110

Clips of the last four speakers of a manifest stand in a row. UA over the seconds that lie in one clip and hold speech.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np

from emobridge.data.audio import read_utterance
from emobridge.data.manifest import read_manifest
from emobridge.diarization.files import load_frame_model
from emobridge.diarization.live import live_answers
from emobridge.diarization.timeline import joined_frames
from emobridge.settings import Live
from emobridge.types import SAMPLE_RATE

SPEAKERS = 4


def main() -> None:
    """Print a line for each way to answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("manifest")
    parser.add_argument("--clips", type=int, default=110)
    options = parser.parse_args()
    model = load_frame_model(options.model)
    utterances = [row for row in read_manifest(options.manifest) if row.emotion in model.labels]
    people = sorted({row.speaker for row in utterances})[-SPEAKERS:]
    utterances = [row for row in utterances if row.speaker in people]
    random.Random(1).shuffle(utterances)
    waves = [read_utterance(row) for row in utterances[: options.clips]]
    ends = np.cumsum([len(wave) for wave in waves]) / SAMPLE_RATE
    sound = np.concatenate(waves)

    def clip(second: float) -> int:
        return int(np.searchsorted(ends, second, side="right"))

    frames = np.concatenate([values for _, values in joined_frames(model, [sound])])
    answers = {}
    for name, settings in (("live", Live()), ("live, context once", Live(context=model.context))):
        begin = time.process_time()
        answers[name] = [row.probabilities for row in live_answers(model, [sound], settings)]
        print(f"{name}: {(time.process_time() - begin) / len(answers[name]):.3f} s of CPU an answer")
    spoken = [
        k for k in range(int(ends[-1])) if clip(k) == clip(k + 0.99) and all(rows[k] for rows in answers.values())
    ]
    rate = model.frame_rate
    answers["frames"] = [frames[int(k * rate) : int((k + 1) * rate)].mean(0) for k in range(int(ends[-1]))]
    for name, rows in answers.items():
        right: dict[str, list[bool]] = {}
        for k in spoken:
            emotion = utterances[clip(k)].emotion
            right.setdefault(emotion, []).append(model.labels[int(np.argmax(rows[k]))] == emotion)
        print(
            f"{name}: UA {100 * np.mean([np.mean(values) for values in right.values()]):.1f} % of {len(spoken)} seconds"
        )


if __name__ == "__main__":
    main()
