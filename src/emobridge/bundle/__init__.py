"""A trained recogniser, of one language or several, and what is saved of it: safetensors, JSON and a model card. Never
pickle.

bundle/bundle.json         labels, layer, normalisation, where the encoder is, versions
bundle/model.safetensors   the head, a regressor of attributes, the moments of each corpus, a trained encoder, and
                           digests of the speech that it was trained on
bundle/adapters/           adapters, where they were trained (LoRA as peft has it)
bundle/languages/NAME/     the same of each further language, without the encoder; its description is language.json
bundle/README.md           the model card
"""

from emobridge.bundle.branch import UNKNOWN, Branch, Spec, columns, features_width, made_head, select
from emobridge.bundle.description import FORMAT, read_description
from emobridge.bundle.files import DESCRIPTION, LANGUAGES_FOLDER, MODEL_CARD, bundle_digest
from emobridge.bundle.recognizer import Recognizer, load
from emobridge.bundle.training_speech import Exposure, TrainingSpeech

__all__ = [
    "DESCRIPTION",
    "FORMAT",
    "LANGUAGES_FOLDER",
    "MODEL_CARD",
    "UNKNOWN",
    "Branch",
    "Exposure",
    "Recognizer",
    "Spec",
    "TrainingSpeech",
    "bundle_digest",
    "columns",
    "features_width",
    "load",
    "made_head",
    "read_description",
    "select",
]
