"""Models of the transformers library, with all weights from safetensors, or with random ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from emobridge.encoders._weights import weight_files
from emobridge.encoders.base import seeded
from emobridge.errors import UserError

UNTRAINED = ("masked_spec_embed",)  # used in pre-training only; some checkpoints leave it out


def open_model(directory: Path, seed: int | None, adjust: Callable[[Any], str]) -> Any:
    """The bare transformer of `directory`: its weights, or with a seed random ones, which need config.json only.

    adjust: changes the configuration in place, and returns the name of the implementation of attention.
    Errors: UserError where weights are missing or do not fit the configuration.
    """
    from transformers import AutoConfig, AutoModel

    if seed is None:
        weight_files(directory)  # one line where there are none
    missing: list[str] = []
    try:
        with quiet():
            config = AutoConfig.from_pretrained(directory, local_files_only=True)
            attention = adjust(config)
            if seed is None:
                model, info = AutoModel.from_pretrained(
                    directory,
                    config=config,
                    local_files_only=True,
                    use_safetensors=True,
                    output_loading_info=True,
                    attn_implementation=attention,
                )
                missing = sorted(key for key in info["missing_keys"] if not key.endswith(UNTRAINED))
            else:
                with seeded(seed):
                    model = AutoModel.from_config(config, attn_implementation=attention)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{directory}: cannot be loaded ({' '.join(str(error).split())[:200]})") from error
    if missing:
        raise UserError(f"{directory}: the weights lack the tensor {missing[0]!r} and {len(missing) - 1} more")
    return model.float()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the library's progress bars and its warnings about heads of a checkpoint that the bare model lacks."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
