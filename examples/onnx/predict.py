"""Emotions in recordings by one file of ONNX that `emobridge to-onnx` wrote, without emobridge and torch.

pip install numpy onnxruntime soundfile soxr
python predict.py FOLDER speech.wav ...
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

folder, *recordings = sys.argv[1:]
facts = json.loads(Path(folder, "labels.json").read_text(encoding="utf-8"))
rate, longest = facts["sample_rate"], round(facts["longest_seconds"] * facts["sample_rate"])
session = onnxruntime.InferenceSession(str(Path(folder, "model.onnx")), providers=["CPUExecutionProvider"])
outputs = [output.name for output in session.get_outputs()]

for path in recordings:
    sound, recorded_rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = sound.mean(axis=1)
    if recorded_rate != rate:
        import soxr

        wave = soxr.resample(wave, recorded_rate, rate).astype(np.float32)
    count = max(1, -(-len(wave) // longest))
    for part in np.array_split(wave, count):  # a graph answers at most the longest clip that its encoder takes
        answers = dict(zip(outputs, session.run(outputs, {"waveform": part[None]})))
        names = {"probabilities": facts["labels"], "attributes": facts["attributes"]}
        values = {name: dict(zip(names[name], answers[name][0].round(4).tolist())) for name in outputs}
        print(json.dumps({"path": path, "seconds": round(len(part) / rate, 2), **values}))
