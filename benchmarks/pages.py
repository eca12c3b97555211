"""Whether pages fit: `python benchmarks/pages.py PAGE.html ...` opens them in headless Chromium, narrow and wide.

It prints the width that each page takes, and the tables whose columns do not all fit. The exit code is 1 where a page
scrolls sideways at any width, or a table is cut at the widest.
"""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTHS = (390, 1280)  # px: a telephone and a small laptop
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FRAME = '<iframe data-name="{name}" width="{width}" height="800" srcdoc="{page}"></iframe>'
# Of each frame: the width of its contents, what sticks out of it, and the captions of boxes that scroll.
MEASURE = """<script>
addEventListener("load", () => {
  const rows = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.scrollingElement, inside = frame.clientWidth;
    const boxes = [...page.querySelectorAll(".scroll")];
    const sticking = () => [...page.body.querySelectorAll("*")].filter(
      e => e.getBoundingClientRect().right > inside + 1 && !boxes.some(box => box !== e && box.contains(e)));
    const folded = root.scrollWidth, out = sticking();
    for (const plot of page.querySelectorAll(".still")) {
      const needed = Math.min(plot.firstElementChild.getBoundingClientRect().width, 0.9 * inside);
      if (plot.clientWidth && plot.clientWidth < needed - 30) out.push(plot);  // squeezed
    }
    for (const fold of page.querySelectorAll("details")) fold.open = true;
    out.push(...sticking());
    const cut = boxes.filter(box => box.scrollWidth > box.clientWidth + 1);
    return {name: frame.dataset.name, width: inside, taken: Math.max(folded, root.scrollWidth),
      cut: cut.map(box => (box.querySelector("caption") ?? box.nextElementSibling).textContent.slice(0, 60)),
      out: out.slice(0, 5).map(e => e.tagName + "." + e.className)};
  });
  document.body.innerHTML = "";
  document.body.textContent = JSON.stringify(rows);
});
</script>"""


@dataclass(frozen=True, slots=True)
class Fit:
    """One page at one width."""

    name: str
    width: int  # px
    taken: int  # px that the contents take: more is a page that scrolls sideways
    cut: tuple[str, ...]  # captions of tables that scroll in their own box
    out: tuple[str, ...]  # elements that stick out of the page, and plots that are squeezed


def browser() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def fits(pages: Mapping[str, str], chromium: str, widths: Sequence[int] = WIDTHS) -> list[Fit]:
    """Each page, HTML by name, at each width, all in one start of the browser."""
    frames = [
        FRAME.format(name=html.escape(name), width=width, page=html.escape(page))
        for name, page in pages.items()
        for width in widths
    ]
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "sheet.html"
        sheet.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{''.join(frames)}{MEASURE}", encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom"]
        command = [chromium, *options, "--virtual-time-budget=20000", sheet.as_uri()]
        output = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    rows = json.loads(html.unescape(output[output.index("<body>") + 6 : output.rindex("</body>")]))
    return [Fit(**{**row, "cut": tuple(row["cut"]), "out": tuple(row["out"])}) for row in rows]


def main(paths: Sequence[str]) -> int:
    """Print a line for each page and width; 1 where one does not fit."""
    chromium = browser()
    if chromium is None:
        print(f"no {' or '.join(BROWSERS)} here")
        return 1
    results = fits({path: Path(path).read_text(encoding="utf-8") for path in paths}, chromium)
    for fit in results:
        verdict = "fits" if fit.taken <= fit.width and not fit.out else f"DOES NOT FIT: {', '.join(fit.out)}"
        print(f"{fit.name} at {fit.width} px: {fit.taken} px, {verdict}; tables that scroll: {len(fit.cut)}")
        for caption in fit.cut if fit.width == max(WIDTHS) else ():
            print(f"    cut: {caption}")
    bad = any(fit.taken > fit.width or fit.out or (fit.cut and fit.width == max(WIDTHS)) for fit in results)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
