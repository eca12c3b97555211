"""Arousal, valence and dominance of utterances as numbers to learn, on the same scale for all corpora.

Corpora rate on scales of their own: 1 to 5, 1 to 7. A corpus declares its scale (`corpora.attribute_range`), or the
user gives it, each corpus its own, and every value is mapped linearly to [-1, 1]. A linear map of both sides does not
change CCC, but a map by another corpus's scale does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from emobridge.errors import UserError, unknown
from emobridge.options import pairs
from emobridge.types import ATTRIBUTES, Range, Utterance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Values = TypeVar("Values", "NDArray[np.float64]", "Tensor")
OTHERS = ""  # in place of a corpus's name: all corpora that declare no scale
CONSTRUCTED_ENDING = "-constructed"  # ends the name of a corpus whose attributes are computed: see data.constructed


def parse_range(text: str) -> Range:
    """The scale that text such as "1..7" means. Errors: UserError unless it is two finite numbers, the lower one first.

    >>> parse_range("-1..1")
    Range(low=-1.0, high=1.0)
    """
    low, _, high = text.partition("..")
    try:
        ends = Range(float(low), float(high))
    except ValueError:
        ends = Range(math.nan, math.nan)
    if not (math.isfinite(ends.low) and math.isfinite(ends.high) and ends.low < ends.high):
        raise UserError(f"the range {text!r} of attributes: expected its ends, the lower one first, such as 1..7")
    return ends


def parse_ranges(text: str) -> dict[str, Range]:
    """Scales by corpus, in text such as "calls=1..5,letters=1..7"; a scale without a corpus, which is that of corpora
    that declare none, has the key OTHERS. "" has no scale. Errors: UserError as `parse_range`, and for a corpus, or a
    scale without one, that stands twice.

    >>> parse_ranges("1..7,calls=1..5")
    {'': Range(low=1.0, high=7.0), 'calls': Range(low=1.0, high=5.0)}
    """
    ranges: dict[str, Range] = {}
    for part in re.split(r"(?<!\\),", text) if text else ():
        named = pairs(part, "attribute_range") if "=" in part else {OTHERS: part}
        for corpus, scale in named.items():
            if corpus in ranges:
                raise UserError(f"attribute_range: {text!r} gives {corpus or 'a range without a corpus'} twice")
            ranges[corpus] = parse_range(scale)
    return ranges


def scaled(values: NDArray[np.float64], scale: Range) -> NDArray[np.float64]:
    """Map values of any shape from a scale to [-1, 1]; NaN stays NaN.

    >>> import numpy as np
    >>> scaled(np.array([1.0, 4.0, 7.0]), Range(1, 7)).tolist()
    [-1.0, 0.0, 1.0]
    """
    return 2 * (values - scale.low) / (scale.high - scale.low) - 1


def unscaled(values: Values, scale: Range) -> Values:
    """Map values of any shape, an array or a tensor, from [-1, 1] back to a scale, without clipping to its ends.

    >>> import numpy as np
    >>> unscaled(np.array([-1.0, 0.0, 1.0]), Range(1, 7)).tolist()
    [1.0, 4.0, 7.0]
    """
    return scale.low + (values + 1) * (scale.high - scale.low) / 2


def is_constructed(corpus: str) -> bool:
    """Whether a corpus's name (or one of several, joined by "+") is that of a corpus with constructed attributes.

    >>> is_constructed("ravdess-constructed"), is_constructed("emodb+ravdess-constructed"), is_constructed("ravdess")
    (True, True, False)
    """
    return any(name.endswith(CONSTRUCTED_ENDING) for name in corpus.split("+"))


def has_attributes(utterance: Utterance) -> bool:
    """Whether arousal, valence or dominance has a value."""
    return any(getattr(utterance, name) is not None for name in ATTRIBUTES)


def attributes_of(utterances: Sequence[Utterance], ranges: Mapping[str, Range]) -> NDArray[np.float64]:
    """(N, 3) in [-1, 1], in the order of types.ATTRIBUTES; NaN where one is not known. ranges: the scale by corpus.

    Errors: UserError that names the first utterance with a value outside its scale, the attribute, the value and the
    scale, and says how many more there are; and for a corpus with attributes whose scale is not among `ranges`.
    """
    import numpy as np  # corpora are listed without it

    values = np.full((len(utterances), len(ATTRIBUTES)), np.nan)
    outside, first = 0, ""
    for row, utterance in zip(values, utterances):
        if not has_attributes(utterance):
            continue
        if utterance.corpus not in ranges:
            raise no_range(utterance.corpus)
        scale = ranges[utterance.corpus]
        for index, name in enumerate(ATTRIBUTES):
            value = getattr(utterance, name)
            if value is None:
                continue
            if not scale.low <= value <= scale.high:
                outside += 1
                expected = f"expected a value in {scale}, the range of {utterance.corpus}"
                first = first or f"utterance {utterance.id!r}: {name} is {value:g}; {expected}"
            row[index] = scaled(value, scale)
    if outside:
        raise UserError(first + (f" ({outside - 1:,} more values are outside)" if outside > 1 else ""))
    return values


def check_corpora(ranges: Mapping[str, Range], utterances: Sequence[Utterance]) -> None:
    """Errors: UserError for a corpus of `ranges` that no utterance is of, with the nearest that is there."""
    corpora = {utterance.corpus for utterance in utterances}
    for corpus in ranges:
        if corpus != OTHERS and corpus not in corpora:
            raise UserError(f"attribute_range: {unknown('corpus of this run', corpus, corpora)}")


def no_range(corpus: str) -> UserError:
    """The error for attributes whose scale is not known."""
    return UserError(
        f"{corpus}: has attributes, but which range they were rated on is not known; give it, such as {corpus}=1..7"
    )
