"""Small valid inputs of every kind that a person brings, and the function of the package that reads each of them."""

from __future__ import annotations

import contextlib
import json
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from emobridge import registry
from emobridge.errors import UserError
from emobridge.types import Utterance

KINDS = ("tables", "audio", "bundles", "configs", "checkpoints", "settings")
RATE = 16_000


@dataclass(frozen=True, slots=True)
class Door:
    """One way in.

    write: makes the valid input in a folder. read: reads it and returns what it read, a line a fact.
    changes: endings of the names of the files that are changed; the others stay as they are.
    exact: the input carries a checksum, so that whatever is read of a changed one is what was written, or nothing.
    """

    kind: str
    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], list[str]]
    changes: tuple[str, ...] = ("",)
    exact: bool = False


def doors(kinds: tuple[str, ...] = KINDS) -> list[Door]:
    """The doors of some kinds, in a fixed order."""
    from _doors_models import bundles, checkpoints, configs

    makers = {
        "tables": _tables,
        "audio": _audio,
        "bundles": bundles,
        "configs": configs,
        "checkpoints": checkpoints,
        "settings": _settings,
    }
    return [door for kind in kinds for door in makers[kind]()]


# ---------------------------------------------------------------- tables


def _utterances(folder: Path) -> list[Utterance]:
    rows = []
    for number, (speaker, emotion) in enumerate((s, e) for s in ("f1", "m2") for e in ("anger", "sadness", "neutral")):
        name = f"{speaker}-{emotion}"
        rows.append(
            Utterance(
                id=name,
                corpus="calls",
                path=str(folder / "audio" / f"{name}.wav"),
                start=0.0,
                end=1.5 + number / 4,
                language="de",
                speaker=speaker,
                emotion=emotion,
                arousal=0.25,
                split=("train", "validation", "test")[number % 3],
                text='Er sagte: "Grüß Gott", und ging',
                gender="female" if speaker == "f1" else "male",
            )
        )
    return rows


def _lines(utterances: Iterator[Utterance], folder: Path) -> list[str]:
    defaults = {item.name: item.default for item in fields(Utterance)}
    lines = []
    for row in utterances:
        values = {key: value for key in defaults if (value := getattr(row, key)) != defaults[key]}
        lines.append(ascii(values).replace(str(folder), "."))
    return lines


def _tables() -> Iterator[Door]:
    from emobridge.corpora import scan
    from emobridge.data.manifest import read_manifest, write_manifest
    from emobridge.study.label_list import read_list

    yield Door(
        "tables",
        "manifest",
        lambda folder: write_manifest(folder / "m.jsonl", _utterances(folder)),
        lambda folder: _lines(read_manifest(folder / "m.jsonl"), folder),
    )
    for suffix, delimiter in ((".csv", ","), (".csv", ";"), (".tsv", "\t"), (".jsonl", "")):
        yield Door(
            "tables",
            f"table {delimiter!r} {suffix}",
            lambda folder, suffix=suffix, delimiter=delimiter: _write_table(folder / f"t{suffix}", delimiter),
            lambda folder, suffix=suffix: _lines(scan("table", folder / f"t{suffix}"), folder),
        )
    yield Door(
        "tables",
        "list of suggest",
        lambda folder: (folder / "l.csv").write_text("id,path,emotion\na,a.wav,anger\nb,b.wav,\nc,c.wav,unknown\n"),
        lambda folder: [ascii(asdict(row)).replace(str(folder), ".") for row in read_list(folder / "l.csv").labels],
    )
    yield Door(
        "tables",
        "workbook",
        lambda folder: _write_workbook(folder / "t.xlsx"),
        lambda folder: _lines(scan("table", folder / "t.xlsx"), folder),
    )
    for name in registry.names("formats"):
        door = _format_door(name)
        if door is not None:
            yield door
    for name, content in ANNOTATIONS.items():
        yield _annotation_door(name, content)
    yield Door("tables", "scores.json", _write_scores, _read_scores)


def _write_table(path: Path, delimiter: str) -> None:
    keys = ("path", "emotion", "speaker", "start", "end", "text", "language")
    rows = [{key: getattr(row, key) for key in keys} for row in _utterances(Path(""))]
    if not delimiter:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return
    lines = [delimiter.join(keys)]
    lines += [delimiter.join(_quoted(str(row[key]), delimiter) for key in keys) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def _write_workbook(path: Path) -> None:
    """The least that Excel opens: one sheet, its texts shared, a number and a date."""
    texts = ["path", "emotion", "start", "speaker", "a.wav", "anger", "f1", "b.wav", "sadness", "m2"]
    rows = [[0, 1, 2, 3], [4, 5, "0.5", 6], [7, 8, "1.25", 9]]
    cells = "".join(
        f'<row r="{line}">{"".join(_sheet_cell(line, column, value) for column, value in enumerate(row))}</row>'
        for line, row in enumerate(rows, 1)
    )
    target = "http://schemas.openxmlformats.org/package/2006/relationships"
    sheet = '<sheet name="calls" sheetId="1" r:id="rId1"/>'
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{sheet}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{target}"><Relationship Id="rId1" '
        f'Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{"".join(f"<si><t>{text}</t></si>" for text in texts)}</sst>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # without the time, to be the same


def _sheet_cell(line: int, column: int, value: int | str) -> str:
    kind = ' t="s"' if isinstance(value, int) else ""
    return f'<c r="{"ABCD"[column]}{line}"{kind}><v>{value}</v></c>'


def _quoted(text: str, delimiter: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if delimiter in text or '"' in text else text


def _format_door(name: str) -> Door | None:
    """A format that emobridge writes; those that it only reads have a door of their own."""
    from emobridge.formats import export, import_

    suffix = {"nkululeko": ".csv", "plain-csv": ".csv", "speechbrain": ".json", "label-studio": ".json"}.get(name, "")
    suffix = {"lhotse": ".jsonl", "nemo": ".jsonl"}.get(name, suffix)
    options = {"s3prl": {"splits": "validation=train"}}.get(name, {})
    needs_audio = name in ("emobox", "hf-audiofolder", "lhotse", "nemo", "speechbrain")

    def write(folder: Path) -> None:
        rows = [replace(row, arousal=None) for row in _utterances(folder)]
        if name in ("emobox", "s3prl", "hf-audiofolder"):
            rows = [replace(row, end=None) for row in rows]
        if needs_audio:
            (folder / "audio").mkdir()
            for row in rows:
                soundfile.write(row.path, tone(3.0)[::8], RATE // 8)
        export(name, folder / f"x{suffix}", rows, **options)

    try:
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch))
    except (UserError, AttributeError, NotImplementedError):
        return None
    return Door("tables", name, write, lambda folder: _lines(import_(name, folder / f"x{suffix}"), folder), TABLE_ENDS)


ANNOTATIONS = {  # format and file -> content, of formats that are only read, and of forms that are not written
    "audacity x.txt": "0.5\t2.0\tanger\n\\\t100.0\t900.0\n2.5\t2.75\tneutral\n2.8\t2.8\tpoint\n",
    "elan x.txt": "emotion\tanna\t00:00:00.500\t0.5\t00:00:02.000\t2.0\t00:00:01.500\t1.5\tanger\n" * 2,
    "elan x.eaf": """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///a/x.wav"
 RELATIVE_MEDIA_URL="./x.wav"/></HEADER><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2000"/></TIME_ORDER><TIER TIER_ID="emotion@anna" PARTICIPANT="Anna">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>anger</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>""",
    "textgrid x.TextGrid": """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.9
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "emotion"
        xmin = 0
        xmax = 2.9
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "anger"
        intervals [2]:
            xmin = 1.5
            xmax = 2.9
            text = ""
""",
    "funasr x.jsonl": '{"key": "a", "source": "wav/a.wav", "source_len": 9, "emo_target": "<|HAPPY|>"}\n',
    "label-studio x.csv": (
        "annotation_id,annotator,audio,emotion,id\n1,1,/data/upload/1/ab12cd34-x.wav,Anger,1\n"
        '2,2,/data/upload/1/ab12cd34-x.wav,"{""choices"": [""Sadness""]}",1\n3,1,/data/local-files/?d=y.wav,Happy,2\n'
    ),
    "label-studio x.json": json.dumps(
        [
            {"audio": "/data/upload/1/x.wav", "id": 1, "emotion": "Anger", "annotator": 1},
            {"audio": "x.wav", "id": 2, "emotion": [{"start": 0.5, "end": 2, "channel": 0, "labels": ["Sad"]}]},
        ]
    ),
}


def _annotation_door(name: str, content: str) -> Door:
    """A file of a tool for annotation, beside its recording."""
    from emobridge.formats import import_

    format_name, file = name.split()

    def write(folder: Path) -> None:
        (folder / file).write_text(content, encoding="utf-8")
        soundfile.write(folder / "x.wav", tone(3.0)[::8], RATE // 8)

    return Door("tables", name, write, lambda folder: _lines(import_(format_name, folder / file), folder), (file,))


TABLE_ENDS = (
    ".csv",
    ".tsv",
    ".json",
    ".jsonl",
    ".txt",
    ".stm",
    ".yaml",
    ".scp",
    "segments",
    "utt2spk",
    "utt2emo",
    "text",
)


def _write_scores(folder: Path) -> None:
    from emobridge.scores.files import write_scores
    from emobridge.types import Score

    needed = {"str": "a", "float": 0.5, "int": 3, "str | None": "a", "bool": True}
    row = Score(**{item.name: needed.get(str(item.type), 0.5) for item in fields(Score)})
    write_scores(folder / "scores.json", [row, row])


def _read_scores(folder: Path) -> list[str]:
    from emobridge.scores.files import read_scores

    return [ascii(asdict(row)) for row in read_scores(folder / "scores.json")]


# ---------------------------------------------------------------- audio


def tone(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 220 * time) * np.exp(-time)).astype(np.float32)


AUDIO = (
    *(("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("wav", "ULAW"), ("wav", "GSM610"), ("wav", "IMA_ADPCM")),
    *(("flac", "PCM_16"), ("ogg", "VORBIS"), ("ogg", "OPUS"), ("mp3", "MPEG_LAYER_III"), ("aiff", "PCM_16")),
    *(
        ("au", "PCM_16"),
        ("w64", "PCM_16"),
        ("caf", "PCM_16"),
        ("rf64", "FLOAT"),
        ("wavex", "DOUBLE"),
        ("sph", "PCM_16"),
    ),
)
SUFFIXES = {"wavex": "wav", "rf64": "wav", "sph": "sph"}
FORMATS = {"sph": "NIST"}


def _audio() -> Iterator[Door]:
    for form, subtype in AUDIO:
        name = f"a.{SUFFIXES.get(form, form)}"

        def write(folder: Path, name: str = name, form: str = form, subtype: str = subtype) -> None:
            # libsndfile writes GSM and Opus at some rates only.
            rate = {"GSM610": 8000}.get(subtype, RATE)
            wave = np.stack([tone(0.4), tone(0.4) / 2], 1) if form in ("flac", "aiff") else tone(0.4)
            soundfile.write(folder / name, wave, rate, subtype, format=FORMATS.get(form, form.upper()))
            if form == "ogg":
                (folder / name).write_bytes(_with_serial((folder / name).read_bytes()))

        yield Door("audio", f"{form} {subtype}", write, lambda folder, name=name: _hear(folder / name))
    with contextlib.suppress(ImportError):
        import av  # noqa: F401

        for name, codec in (("a.m4a", "aac"), ("a.aac", "aac"), ("a.webm", "libopus"), ("a.mp4", "aac")):
            yield Door(
                "audio",
                f"{name[2:]} {codec}",
                lambda folder, name=name, codec=codec: _write_container(folder / name, codec),
                lambda folder, name=name: _hear(folder / name),
            )


def _write_container(path: Path, codec: str) -> None:
    import av

    rate = 48_000
    wave = np.repeat(tone(0.4), rate // RATE)[None]
    with av.open(str(path), "w", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        size = 960
        for first in range(0, wave.shape[1] - size + 1, size):
            part = np.ascontiguousarray(wave[:, first : first + size])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, first
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def _hear(path: Path) -> list[str]:
    from emobridge.data.audio import duration, read_audio
    from emobridge.inference.sources import utterances_of

    lines = [f"duration {duration(path):.3f} s"]
    wave = read_audio(path)
    level = float(np.sqrt(np.mean(wave.astype(np.float64) ** 2)))
    lines.append(f"{len(wave) / RATE:.3f} s heard, level {level:.4g}, peak {float(np.abs(wave).max()):.4g}")
    windows = list(utterances_of([path]))
    return [*lines, f"{len(windows)} utterances"]


def _with_serial(content: bytes) -> bytes:
    """An Ogg file whose stream has the number 1: libsndfile draws it at random, and cases would not repeat."""
    place, changed = 0, bytearray(content)
    while changed[place : place + 4] == b"OggS":
        count = changed[place + 26]
        size = 27 + count + sum(changed[place + 27 : place + 27 + count])
        changed[place + 14 : place + 18] = struct.pack("<I", 1)
        changed[place + 22 : place + 26] = bytes(4)
        changed[place + 22 : place + 26] = struct.pack("<I", _ogg_crc(bytes(changed[place : place + size])))
        place += size
    return bytes(changed)


def _ogg_crc(page: bytes) -> int:
    """The checksum of a page of Ogg (RFC 3533): polynomial 0x04c11db7, unreflected, beginning with 0."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


# ---------------------------------------------------------------- settings


def _toml(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def _settings() -> Iterator[Door]:
    from emobridge.cli.options import request_from
    from emobridge.probe.settings import ProbeSettings
    from emobridge.settings import Adapt, Budget, changed_values, write_settings

    adapt = Adapt.of(source=["en.jsonl"], target="xx.jsonl", learning_rate=0.01, method_options=["threshold=0.7"])
    budget = Budget.of(source=["en.jsonl"], target="xx.jsonl", budgets=["0", "10"], normalisations=["none", "corpus"])
    probe = ProbeSettings(corpora=("en.jsonl",), learning_rates=(0.001, 0.01), patience=3)
    for request in (adapt, budget, probe):
        kind = type(request)

        def read(folder: Path, kind: type[Any] = kind) -> list[str]:
            values = changed_values(request_from(kind, kind.__name__.lower(), {"settings_file": folder / "s.toml"}))
            return [f"{key} = {value!a}" for key, value in values.items()]

        yield Door(
            "settings", kind.__name__, lambda folder, request=request: write_settings(folder / "s.toml", request), read
        )
    yield from _recipe_doors()
    yield Door("settings", "corpora.toml", _toml("c.toml", 'emodb = "data/emodb"\nemovo = "emovo"\n'), _read_places)


def _recipe_doors() -> Iterator[Door]:
    from importlib import resources

    from emobridge.recipes.recipe import read_recipe, recipe_names

    for name in recipe_names():
        text = resources.files("emobridge.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
        yield Door(
            "settings",
            f"recipe {name}",
            _toml("r.toml", text),
            lambda folder: [ascii(read_recipe(folder / "r.toml"))],
        )


def _read_places(folder: Path) -> list[str]:
    from emobridge.cli.recipe import read_paths

    paths = read_paths(folder / "c.toml", "corpus", registry.names("corpora"))
    return [f"{name} {str(path).replace(str(folder), '.')}" for name, path in paths.items()]


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Without the warnings of libraries; a warning of a damaged shard is no failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
