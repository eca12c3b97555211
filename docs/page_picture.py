"""Take the picture of docs/serving-page.md: the page of `emobridge serve` with the timeline of a call.

    make demo
    python docs/page_picture.py demo/run/bundle demo/call.wav docs/images/serving-page.png

The call is SYNTHETIC, and so is the speech that its recogniser learnt from. It needs playwright, and chromium.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys

from PIL import Image
from playwright.sync_api import Page, sync_playwright

WIDTH, HEIGHT = 1000, 1000  # pixels of the browser's window
COLOURS = 256  # of the picture, so that it stays small


def picture(page: Page, address: str, call: str) -> bytes:
    """The page, as PNG, when it has answered a call."""
    page.goto(address)
    page.select_option("#channels", "each")
    page.set_input_files("#file:enabled", call)
    page.wait_for_selector("section.call canvas.spectrogram[width]:last-of-type")
    page.wait_for_timeout(2000)  # until all pictures are drawn
    page.locator("#of-result").evaluate("heading => heading.scrollIntoView()")
    return page.screenshot()


def take(bundle: str, call: str, path: str) -> None:
    """Serve a bundle, let the page answer a call, and write the picture."""
    command = [sys.executable, "-m", "emobridge", "serve", bundle, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]  # ready: ADDRESS
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        png = picture(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), address, call)
        browser.close()
        server.terminate()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    take(*sys.argv[1:])
