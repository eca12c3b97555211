"""Answers of a graph to raw clips by onnxruntime-web in Chromium: `onnx_export.py` starts it in a process of its own.

    python benchmarks/_onnx_browser.py SITE ANSWERS.npz

SITE holds the page of examples/onnx/browser with node_modules/, model/ and clips/.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
from playwright import sync_api

PREPARE = """async (names) => {
  const { load, answer } = await import("./main.js");
  const model = await load("model/");
  const clips = [];
  for (const name of names) clips.push(new Float32Array(await (await fetch(`clips/${name}`)).arrayBuffer()));
  globalThis.answered = async (clip) => (await answer(model, clip)).probabilities;
  globalThis.clips = clips;
  await answered(clips[0]);
}"""
ASK = """async () => {
  const rows = [];
  for (const clip of clips) rows.push(await answered(clip));
  return rows;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Without a line a request."""

    def log_message(self, *words: object) -> None:
        pass


def main(site: Path, out: str) -> None:
    names = sorted(path.name for path in (site / "clips").iterdir())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(PREPARE, names)
        begin = cpu_seconds(session)
        rows = page.evaluate(ASK)
        np.savez(out, probabilities=np.array(rows, np.float32), seconds=cpu_seconds(session) - begin)
        browser.close()
    server.shutdown()


def cpu_seconds(session: sync_api.CDPSession) -> float:
    """CPU seconds of the page's own thread, in which the graph runs."""
    metrics = {row["name"]: row["value"] for row in session.send("Performance.getMetrics")["metrics"]}
    return metrics["TaskDuration"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
