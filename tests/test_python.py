"""docs/python.md: what it shows runs as it stands there; and what the package promises to editors and type checkers."""

from __future__ import annotations

import ast
import re
import shutil
from importlib import resources
from pathlib import Path

import pytest

import emobridge

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def after_the_demo(recorded, finished, monkeypatch):
    """A working folder as the page has it: what `make demo` leaves, and two recordings."""
    import numpy as np
    import soundfile

    demo = recorded / "demo"
    shutil.copytree(finished / "bundle", demo / "run" / "bundle")
    for name, manifest in (("it", "xx"), ("en", "en")):
        emobridge.write_manifest(demo / f"{name}.jsonl", emobridge.read_manifest(recorded / f"{manifest}.jsonl"))
    (demo / "recordings").mkdir()
    shutil.copy(recorded / "xx-b-anger-0.wav", demo / "recordings")
    sides = [soundfile.read(recorded / f"xx-{speaker}-0.wav")[0] for speaker in ("a-anger", "b-sadness")]
    soundfile.write(demo / "call.wav", np.stack(sides).T, 16000)
    monkeypatch.chdir(recorded)
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(recorded / "cache"))


def test_the_page_runs_from_top_to_bottom(after_the_demo, capsys):
    assert len(PYTHON) == 6
    printed, names = [], {}
    for index, code in enumerate(PYTHON):
        code = code.replace(', language="it"', "")  # the toy bundle has no Italian
        exec(compile(code, f"python.md, block {index}", "exec"), names)
        printed.append(capsys.readouterr().out.splitlines())
    first, answers, timelines, array, own, scores = printed
    assert first[0].startswith("<Recognizer ") and first[1].split()[2] in ("anger", "sadness")
    assert answers[0].startswith("<Predictions: 2 (") and "nowhere.wav: no such file" in answers[0]
    assert [line.split()[:3] for line in timelines] == [["0", "0.0", "0.3"], ["1", "0.0", "0.3"]]
    assert [line.split()[0] for line in array] == ["0", "1"]
    assert "'sad'" in own[0] and own[-1].endswith("(40, 2)")
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\] n=\d+", scores[0]) and scores[-1].isdigit()


def test_evaluate_and_audit_take_paths(recorded, finished):
    recognizer = emobridge.load(finished / "bundle")
    rows = list(emobridge.read_manifest(recorded / "xx.jsonl"))
    by_path = emobridge.evaluate(recognizer, recorded / "xx.jsonl", store=recorded / "store")
    assert by_path == emobridge.evaluate(recognizer, rows, store=recorded / "store")
    assert by_path == emobridge.evaluate(recognizer, iter(rows), store=recorded / "store")
    path = str(recorded / "xx.jsonl")
    assert emobridge.audit([path]) == emobridge.audit({path: rows}) == emobridge.audit([(path, rows)])


def test_public_names_stay_what_they_are_whatever_is_imported():
    """A room of the same name as a function takes its place in the package once it is imported."""
    import emobridge.audit.findings
    import emobridge.study.adapt

    for name in set(emobridge.__all__) - {"__version__"}:
        assert callable(getattr(emobridge, name)), name
    assert emobridge.audit.findings.audit is not None
    with pytest.raises(emobridge.UserError, match="nothing to audit"):
        emobridge.audit({})


def test_type_checkers_see_every_public_name():
    assert (resources.files("emobridge") / "py.typed").is_file()
    assert "py.typed" in (PAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    tree = ast.parse(Path(emobridge.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    names = {alias.asname for node in block.body for alias in node.names}
    assert names == set(emobridge.__all__) - {"__version__"}
