"""--redact: a run with telling names, and no file that is shared holds any of them."""

from __future__ import annotations

import json
import shutil

import pytest

from emobridge.bundle import Recognizer
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.scores.files import read_scores
from emobridge.study.adapt import adapt
from emobridge.study.budget import budget

TELLING = ("huber", "Annegret", "Hospital", "confidential", "Grosstante")  # in paths, ids, speakers, corpora and texts


@pytest.fixture
def telling(recorded, tmp_path):
    """The options of a run whose every name tells something."""
    folder = tmp_path / "Hospital huber"
    (folder / "calls").mkdir(parents=True)
    options = dict(labels=["anger", "sadness"], seeds=1, folds=2, epochs=2, store=str(folder / "store-huber"))
    for side in ("en", "xx"):
        rows = []
        for row in read_manifest(recorded / f"{side}.jsonl"):
            path = folder / "calls" / f"{side} Annegret {len(rows)}.wav"
            shutil.copyfile(row.path, path)
            facts = {
                "corpus": f"{side}-confidential",
                "text": "Grosstante says no",
                "speaker": f"Annegret {row.speaker}",
            }
            rows.append(type(row)(**{key: getattr(row, key) for key in ("emotion", "language", "gender")},
                                  id=f"huber-{side}-{len(rows)}", path=str(path), **facts))  # fmt: skip
        path = folder / "calls" / f"{side} Annegret silent.wav"
        path.write_bytes(b"")
        rows.append(type(rows[0])(f"huber-{side}-bad", f"{side}-confidential", str(path), speaker="Annegret"))
        write_manifest(folder / f"{side}-confidential.jsonl", rows)
    options |= {"source": [str(folder / "en-confidential.jsonl")], "target": str(folder / "xx-confidential.jsonl")}
    return options | {"out": str(folder / "run-huber")}


def shared_files(out):
    """All that a run leaves but its folder of unfinished work."""
    return [path for path in out.rglob("*") if path.is_file() and "work" not in path.relative_to(out).parts]


def check_names_nobody(out):
    for path in shared_files(out):
        content = path.read_bytes()
        for name in TELLING:
            assert name.encode() not in content, (path.name, name)
            assert name not in str(path.relative_to(out))


def test_a_redacted_run_names_nobody(telling, tmp_path):
    out = tmp_path / "Hospital huber" / "run-huber"
    adapted = adapt(**telling, redact=True)
    check_names_nobody(out)
    assert len(shared_files(out)) > 8
    rows = read_scores(out / "scores.json")
    speakers = {row.measure for row in rows if row.measure.startswith("recall speaker ")}
    assert any(measure.endswith(" speaker 1") for measure in speakers) and len(speakers) >= 4
    page = (out / "report.html").read_text()
    assert "<audio" not in page and "recording 1" in page
    command = json.loads((out / "report.json").read_text())["record"]["command"]
    assert "--source 'source.jsonl' --target 'target.jsonl'" in command
    loaded = Recognizer.load(out / "bundle")
    assert [corpus for corpus, _ in loaded.spec.domains] == ["source", "target"]
    plain = adapt(**telling | {"out": str(tmp_path / "plain")})
    assert [row.value for row in read_scores(tmp_path / "plain" / "scores.json")] == pytest.approx(
        [row.value for row in rows], nan_ok=True
    ), "pseudonyms change no number"
    assert adapted.prepared.speech.utterances == plain.prepared.speech.utterances, "the caller keeps the names"


def test_a_redacted_budget_names_nobody(telling, tmp_path):
    budget(**telling, budgets=["0"], methods=["source-only"], redact=True)
    check_names_nobody(tmp_path / "Hospital huber" / "run-huber")
