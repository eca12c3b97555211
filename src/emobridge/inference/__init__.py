"""Using a recogniser: predictions for files, folders and manifests, and scores where the truth is known."""

from emobridge.inference.compare import Compared, compare
from emobridge.inference.evaluate import evaluate
from emobridge.inference.journal import Journal
from emobridge.inference.output import choose_output, to_dataframe, write_predictions
from emobridge.inference.predict import predict
from emobridge.inference.predictions import Predictions
from emobridge.inference.processes import BundleProcesses
from emobridge.inference.routing import UNTOLD, learn_router
from emobridge.inference.sources import utterances_of

__all__ = [
    "UNTOLD",
    "BundleProcesses",
    "Compared",
    "Journal",
    "Predictions",
    "choose_output",
    "compare",
    "evaluate",
    "learn_router",
    "predict",
    "to_dataframe",
    "utterances_of",
    "write_predictions",
]
