"""Using a recogniser: predictions for files, folders and manifests, and scores where the truth is known."""

from emobridge.inference.compare import Compared, compare
from emobridge.inference.evaluate import evaluate
from emobridge.inference.predict import predict, utterances_of, write_predictions
from emobridge.inference.predictions import Predictions
from emobridge.inference.routing import UNTOLD, learn_router

__all__ = [
    "UNTOLD",
    "Compared",
    "Predictions",
    "compare",
    "evaluate",
    "learn_router",
    "predict",
    "utterances_of",
    "write_predictions",
]
