"""Answers of a graph to raw clips, in a process with numpy and onnxruntime alone: `onnx_export.py` starts it.

python benchmarks/_onnx_worker.py MODEL CLIPS ANSWERS.npz
"""

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

model, clips, out = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
waves = [np.fromfile(path, np.float32)[None] for path in sorted(Path(clips).glob("*.f32"))]
session.run(None, {"waveform": waves[0]})
begin = time.process_time()
answers = [session.run(["probabilities"], {"waveform": wave})[0][0] for wave in waves]
seconds = time.process_time() - begin
assert not {"torch", "emobridge"} & sys.modules.keys()
np.savez(out, probabilities=np.stack(answers), seconds=seconds)
