"""The fields of a request, made from the fields of settings, where name, choices, range, default and help stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from emobridge.diarization.pcm import SCALES
from emobridge.errors import UserError, unknown
from emobridge.settings import Answering, Diarizing, Live, check_part, from_mapping, option

LONGEST_VALUE = 2000  # characters of a field
SHORTEST_PART, LONGEST_PART = 0.1, 60.0  # of a part that is answered by itself: it bounds the work of a request
PART_LENGTHS = ("longest", "window", "hop", "context")  # settings that are the length of such parts, in seconds
MOST_STREAM_CHANNELS = 8  # of a stream
SLOWEST_STREAM, FASTEST_STREAM = 8_000, 96_000  # Hz of a stream
MODEL_HELP = "The model that answers, by its name in /models. By default the first."
SPOKEN_HELP = "Language of the speech, such as de or German. By default not known."


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """The settings that an endpoint takes as fields. without: those that it does not offer."""

    settings: type[Answering] | type[Diarizing]
    without: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, Field[Any]]:
        """The offered fields of the settings by name."""
        return {item.name: item for item in fields(self.settings) if item.name not in self.without}


# Not offered: what makes an answer depend on answers before it, or on what stands beside it.
PREDICTING = FieldGroup(Answering, ("adapt_online", "statistics"))
DIARIZING = FieldGroup(Diarizing)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """The first message of a stream."""

    token: str = option("", help="The token of the service, from who cannot send it as a header.")
    model: str = option("", help=MODEL_HELP)
    language: str = option("", help=SPOKEN_HELP)
    encoding: str = option("s16le", help="Samples of the sound, little-endian.", choices=tuple(SCALES))
    rate: int = option(
        16_000, help=f"Samples a second, from {SLOWEST_STREAM} to {FASTEST_STREAM} Hz.", least=SLOWEST_STREAM
    )
    channels: int = option(
        1, help=f"Channels side by side, at most {MOST_STREAM_CHANNELS}; their mean is answered.", least=1
    )
    live: Live = field(default_factory=Live)

    def __post_init__(self) -> None:
        check_part(self)
        _check_parts(self.live)
        for name, most in (("rate", FASTEST_STREAM), ("channels", MOST_STREAM_CHANNELS)):
            if getattr(self, name) > most:
                raise UserError(f"{name}: expected at most {most}, got {getattr(self, name)}")


def settings_of_texts(group: FieldGroup, texts: Mapping[str, str]) -> Any:
    """The settings in the texts of a form. Errors: UserError for an unknown field and for a bad value."""
    known = group.fields
    for name in texts:
        if name not in known:
            raise unknown("field", name, ("file", "model", "language", *known))
    values = {name: _value(known[name], text) for name, text in texts.items()}
    settings: Any = from_mapping(values, "fields", group.settings)
    _check_parts(settings)
    return settings


def _check_parts(settings: Any) -> None:
    for name in PART_LENGTHS:
        seconds = getattr(settings, name, 0.0)
        if seconds and not SHORTEST_PART <= seconds <= LONGEST_PART:
            raise UserError(f"{name}: expected {SHORTEST_PART:g} to {LONGEST_PART:g} s in a service, got {seconds:g}")


def _value(item: Field[Any], text: str) -> Any:
    """A text as a value of a field's type. Errors: UserError."""
    kind = str(item.type)
    if kind.startswith("tuple["):
        return [word.strip() for word in text.split(",") if word.strip()]
    if kind != "float":
        return text
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{item.name}: expected a number, got {text!r}") from None


def form_schema(group: FieldGroup) -> dict[str, Any]:
    """The JSON schema of a form with a recording."""
    properties = {
        "file": {"type": "string", "format": "binary", "description": "The recording: WAV, FLAC, MP3, Ogg and others."},
        "model": {"type": "string", "description": MODEL_HELP},
        "language": {"type": "string", "description": SPOKEN_HELP},
        **{name: _schema(item) for name, item in group.fields.items()},
    }
    return {"type": "object", "required": ["file"], "properties": properties, "additionalProperties": False}


def _schema(item: Field[Any]) -> dict[str, Any]:
    """The JSON schema of a field of a form, in which lists are words with commas."""
    facts = item.metadata
    schema = {"type": "number" if str(item.type) == "float" else "string", "description": facts["help"]}
    if facts["choices"]:
        schema["enum"] = list(facts["choices"])
    if facts["least"] is not None:
        schema["minimum"] = facts["least"]
    if facts["above"] is not None:
        schema["exclusiveMinimum"] = facts["above"]
    if item.name in PART_LENGTHS:
        schema["maximum"] = LONGEST_PART
    if item.default not in ((), ""):
        schema["default"] = item.default
    return schema
