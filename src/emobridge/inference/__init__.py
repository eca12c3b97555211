"""Using a recogniser: predictions for files, folders and manifests, and scores where the truth is known."""

from emobridge.inference.evaluate import evaluate
from emobridge.inference.predict import predict, utterances_of, write_predictions

__all__ = ["evaluate", "predict", "utterances_of", "write_predictions"]
