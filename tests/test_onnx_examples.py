"""The examples of examples/onnx: a graph run without emobridge and torch, in Python and in a browser."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from listening_chromium import WIDTHS, chromium

from emobridge.types import SAMPLE_RATE

pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
pytest.importorskip("onnx", reason="needs the extra `onnx`")

EXAMPLES = Path(__file__).parents[1] / "examples" / "onnx"
BLOCKER = """\
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("emobridge", "torch", "transformers", "scipy", "librosa"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not {"emobridge", "torch"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def recognizer(made):
    return made("xx", attributes=("arousal", "valence"), attribute_range="1..7", synthetic=True)


@pytest.fixture(scope="module")
def graph(recognizer, tmp_path_factory):
    """The folder of a tiny recogniser's graph, which takes two seconds at a time."""
    folder = tmp_path_factory.mktemp("graph")
    recognizer.to_onnx(folder)
    return folder


@pytest.fixture
def recording(tmp_path):
    """A function that writes a stereo recording of noise and gives its path and its mean."""

    def write(seconds: float, rate: int = SAMPLE_RATE) -> tuple[Path, np.ndarray]:
        rng = np.random.default_rng(0)
        sound = 0.2 * rng.standard_normal((round(seconds * rate), 2)).clip(-3, 3)
        path = tmp_path / f"{seconds}-{rate}.wav"
        soundfile.write(path, sound, rate, subtype="FLOAT")
        return path, soundfile.read(path, dtype="float32")[0].mean(1)

    return write


def run_example(graph: Path, *recordings: Path) -> list[dict]:
    words = [sys.executable, "-c", BLOCKER, str(EXAMPLES / "predict.py"), str(graph), *map(str, recordings)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_example_answers_as_predict_without_emobridge_and_torch(recognizer, graph, recording, all_speech):
    short, wave = recording(1.3)
    long, whole = recording(4.5)  # in three parts
    phone, _ = recording(1.0, 8000)
    rows = run_example(graph, short, long, phone)
    assert [row["path"] for row in rows] == [str(short), *[str(long)] * 3, str(phone)]
    assert [row["seconds"] for row in rows] == [1.3, 1.5, 1.5, 1.5, 1.0]
    for row, samples in zip(rows, [wave, *np.array_split(whole, 3)]):
        (expected,) = recognizer.predict(samples, sample_rate=SAMPLE_RATE, segments="whole")
        assert list(row["probabilities"]) == list(recognizer.labels)
        assert list(row["probabilities"].values()) == pytest.approx(expected.probabilities, abs=1.5e-4)
        assert list(row["attributes"].values()) == pytest.approx(expected.attributes, abs=5e-4)


def test_the_lines_of_the_card_run(recognizer, graph, recording, tmp_path):
    path, _ = recording(1.0)
    code = (graph / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    (tmp_path / "run.py").write_text(code.replace("speech.wav", str(path)))
    words = [sys.executable, "-c", BLOCKER, str(tmp_path / "run.py")]
    done = subprocess.run(words, cwd=graph, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    assert all(f"'{label}'" in done.stdout for label in recognizer.labels)


def packages() -> Path:
    """The folder node_modules with onnxruntime-web; skips the test where it is not installed."""
    folder = Path(os.environ.get("EMOBRIDGE_ORT_WEB", EXAMPLES / "browser" / "node_modules"))
    wanted = json.loads((EXAMPLES / "browser" / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    about = folder / "onnxruntime-web" / "package.json"
    if not about.is_file():
        pytest.skip("needs onnxruntime-web: npm install in examples/onnx/browser, or EMOBRIDGE_ORT_WEB")
    assert json.loads(about.read_text())["version"] == wanted
    return folder.resolve()


@contextlib.contextmanager
def served(folder: Path, links: dict[str, Path]) -> Iterator[str]:
    """The address of the example's page, with further folders under it."""
    for path in (EXAMPLES / "browser").glob("*.[hj]*"):
        (folder / path.name).symlink_to(path)
    for name, target in links.items():
        (folder / name).symlink_to(target)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/index.html"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_the_page_answers_a_recording_in_a_browser(recognizer, graph, recording, tmp_path, all_speech):
    (tmp_path / "page").mkdir()
    path, wave = recording(3.0)
    links = {"node_modules": packages(), "model": graph}
    with served(tmp_path / "page", links) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTHS[0], "height": 800})
        trouble = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: request.url.startswith(address[:20]) or trouble.append(request.url))
        page.goto(address)
        page.wait_for_function("document.getElementById('status').textContent.startsWith('Ready.')")
        assert "SYNTHETIC" in page.inner_text("#status")
        page.set_input_files("#recording", str(path))
        page.wait_for_function("document.getElementById('status').textContent == 'Done.'")
        captions = page.locator("caption").all_inner_texts()
        numbers = [float(text) for text in page.locator("td.number").all_inner_texts()]
        names = page.locator("th").all_inner_texts()
        width = page.evaluate("document.documentElement.scrollWidth")
        if shots := os.environ.get("SCREENSHOTS"):
            for size in WIDTHS:
                page.set_viewport_size({"width": size, "height": 800})
                page.screenshot(path=f"{shots}/onnx-{size}.png")
    assert not trouble and width <= WIDTHS[0]
    assert captions == ["0.0 to 1.5 s", "1.5 to 3.0 s"]
    assert names == [*recognizer.labels, *recognizer.attributes] * 2
    expected = []
    for part in np.array_split(wave, 2):
        (row,) = recognizer.predict(part, sample_rate=SAMPLE_RATE, segments="whole")
        expected += [*row.probabilities, *row.attributes]
    assert numbers == pytest.approx(expected, abs=2e-3)
