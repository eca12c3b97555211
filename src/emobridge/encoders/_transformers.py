"""Models of the transformers library, with all weights from safetensors, or with random ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobridge.encoders._weights import check_weights, check_weights_finite, read_config
from emobridge.encoders.base import seeded
from emobridge.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

UNTRAINED = ("masked_spec_embed",)  # used in pre-training only; some checkpoints leave it out


def open_model(directory: Path, seed: int | None, adjust: Callable[[Any], str]) -> Any:
    """The bare transformer of `directory`: its weights, or with a seed random ones, which need config.json only.

    adjust: changes the configuration in place, and returns the name of the implementation of attention.
    Errors: UserError where weights are missing or do not fit the configuration.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    read_config(directory)  # its numbers are bounded
    missing: list[str] = []
    try:
        with quiet():
            config = AutoConfig.from_pretrained(directory, local_files_only=True)
            attention = adjust(config)
            with seeded(seed), torch.device("meta"):  # without memory: what does not fit is refused first
                draft = AutoModel.from_config(config, attn_implementation=attention)
            check_weights(draft, directory, random=seed is not None)
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
    except UserError:
        raise
    except Exception as error:  # the library checks a configuration in many ways, and raises kinds of its own
        raise UserError(f"{directory}: cannot be loaded ({' '.join(str(error).split())[:200]})") from error
    if missing:
        raise UserError(f"{directory}: the weights lack the tensor {missing[0]!r} and {len(missing) - 1} more")
    model = model.float()
    check_weights_finite(dict(model.named_parameters()), directory)
    return model


class _Stop(Exception):
    """What ends a run before the block whose output is not needed."""


def first_layers(run: Callable[[], Any], blocks: Sequence[Any], last: int) -> list[Tensor]:
    """Layers 0 to `last` of a transformer: the inputs of its first `last + 1` blocks, of which `last` are computed.

    run: runs the model. blocks: its blocks in order, each called with its hidden states first; more than `last`.
    """
    with _inputs_of(blocks[: last + 1], last) as hidden, contextlib.suppress(_Stop):
        run()
    return hidden


def all_layers(run: Callable[[], Any], blocks: Sequence[Any]) -> list[Tensor]:
    """The input of each block and the last hidden state; `run` runs the model.

    Since release 5 the library's own `hidden_states` are what an adapter has made of each input.
    """
    with _inputs_of(blocks, len(blocks)) as hidden:
        out = run()
    return [*hidden, out.last_hidden_state]


@contextlib.contextmanager
def _inputs_of(blocks: Sequence[Any], most: int) -> Iterator[list[Tensor]]:
    """The hidden states that go into blocks, as they come, before an adapter changes them; beyond `most` it stops."""
    hidden: list[Tensor] = []

    def note(block: Any, inputs: tuple[Tensor, ...]) -> None:
        hidden.append(inputs[0])
        if len(hidden) > most:
            raise _Stop

    handles = [block.register_forward_pre_hook(note, prepend=True) for block in blocks]
    try:
        yield hidden
    finally:
        for handle in handles:
            handle.remove()


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
