"""What the process that workers are forked from does beforehand: a new worker then only has to load its models.

Imported there, where PRELOADED names the served models, it leaves SIGTERM to the process that serves, as workers do. It
loads the models and lets go of them, so that whatever they import, plug-ins of one's own too, is imported. Imported
anywhere else it does nothing.
"""

import contextlib
import json
import os

from emobridge.serve.worker import PRELOADED, ignore_signals


def prepare(models: str) -> None:
    """Import all that workers need. models: the served ones, as JSON."""
    os.environ.setdefault(
        "PYTORCH_NVML_BASED_CUDA_CHECK", "1"
    )  # to look for a GPU in the usual way would spoil it here
    import emobridge.serve.answering
    import emobridge.serve.streaming  # noqa: F401
    from emobridge.data.threads import take_cores
    from emobridge.serve.models import load_models
    from emobridge.serve.sources import ModelSource

    ignore_signals()
    take_cores(1)
    with contextlib.suppress(Exception):  # the workers find the same, and say it
        load_models([ModelSource(*words) for words in json.loads(models)], "cpu")


if PRELOADED in os.environ:
    prepare(os.environ[PRELOADED])
