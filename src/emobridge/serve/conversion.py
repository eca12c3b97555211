"""Answers that the service gave, as files and as the timeline of its page: nothing is computed again, or stored.

What comes is a caller's JSON, not necessarily what the service answered, so all of it is checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emobridge.errors import unknown
from emobridge.inference.output import FORMATS
from emobridge.inference.output.base import Origin
from emobridge.report.timeline import timeline_part
from emobridge.serve.answers import MEDIA_TYPES
from emobridge.types import Prediction
from emobridge.web.requests import Refusal

MOST_ROWS = 25_000
MOST_LABELS = 200  # labels or attributes, of all rows together
CONVERTED_TYPES = {"html": "text/html", **MEDIA_TYPES}  # what a converted file is, by the name of its format

ShortText = Annotated[str, Field(max_length=200)]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class ConvertedRow(BaseModel):
    """A row of an answer: see `inference.output.base.row_of`. Other keys, such as `confidence`, follow from these."""

    model_config = ConfigDict(extra="ignore")

    start: Seconds
    end: Seconds
    channel: Annotated[int, Field(ge=0, le=1000)] | None = None
    language: ShortText = "und"
    label: ShortText | None = None
    probabilities: Annotated[dict[ShortText, Share], Field(max_length=MOST_LABELS)] | None = None
    attributes: Annotated[dict[ShortText, Number], Field(max_length=MOST_LABELS)] | None = None
    answered_by: ShortText | None = None
    statistics: ShortText | None = None
    unfamiliarity: Number | None = None
    reason: ShortText | None = None
    trained_on: ShortText = ""  # SYNTHETIC or CONSTRUCTED, or both


class GivenAnswer(BaseModel):
    """All that the service answered about a recording."""

    name: ShortText  # of the recording
    seconds: Annotated[Seconds, Field(gt=0)]  # of sound
    rows: Annotated[list[ConvertedRow], Field(min_length=1, max_length=MOST_ROWS)]

    @property
    def trained_on(self) -> str:
        """What went into the model that is not real, as `inference.output.base.Origin` has it."""
        return self.rows[0].trained_on

    @property
    def predictions(self) -> list[Prediction]:
        """The rows in order of time and channel. They have no path: nothing on this machine is opened by a name."""
        rows = sorted(self.rows, key=lambda row: (row.start, -1 if row.channel is None else row.channel))
        labels = _names(row.probabilities for row in rows)
        attributes = _names(row.attributes for row in rows)
        return [self._prediction(row, labels, attributes) for row in rows]

    def _prediction(self, row: ConvertedRow, labels: tuple[str, ...], attributes: tuple[str, ...]) -> Prediction:
        shares, values = row.probabilities, row.attributes
        return Prediction(
            self.name,
            row.start,
            max(row.start, row.end),
            labels,
            () if shares is None else tuple(shares.get(label, 0.0) for label in labels),
            None if values is None else tuple(values.get(name, 0.0) for name in attributes),
            attributes,
            channel=row.channel,
            language=row.language,
            answered_by=row.answered_by or "",
            statistics=row.statistics or "",
            unfamiliarity=row.unfamiliarity,
            reason=row.reason or "",
        )


def _names(mappings: Iterable[dict[str, float] | None]) -> tuple[str, ...]:
    """All keys, each once. Errors: Refusal (422) for more than MOST_LABELS: each row gets a value for each of them."""
    names = tuple(dict.fromkeys(name for mapping in mappings for name in mapping or ()))
    if len(names) > MOST_LABELS:
        raise Refusal(422, f"rows: {len(names):,} labels or attributes; expected {MOST_LABELS} at most")
    return names


def read_answer(body: bytes) -> GivenAnswer:
    """The answer in a body of JSON. Errors: Refusal (422) that names the first value which is not what it should be."""
    try:
        return GivenAnswer.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise Refusal(422, f"{where}: {first['msg']}") from error


def convert(answer: GivenAnswer, form: str) -> str:
    """An answer as the text of a format of CONVERTED_TYPES; "html" is a part of a page, see `report.timeline`.

    Errors: UserError for an unknown format, and for one that cannot hold the answer.
    """
    if form not in CONVERTED_TYPES:
        raise unknown("format", form, CONVERTED_TYPES)
    if form == "html":
        return timeline_part(
            answer.name, answer.seconds, answer.predictions, synthetic="SYNTHETIC" in answer.trained_on
        )
    origin = Origin(answer.trained_on, seconds=answer.seconds)
    return "".join(FORMATS[form].texts(answer.predictions, origin))
