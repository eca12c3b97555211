"""Listeners who are programs: they answer a served listening test as browsers do. SYNTHETIC: no person is asked."""

import argparse
import json
import random
import re
import time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

RIGHT = {"it": 0.9, "en": 0.6}  # how often a listener with this native language hears the emotion that is meant


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("study", type=Path)
    parser.add_argument("--natives", type=int, default=4)
    parser.add_argument("--others", type=int, default=4)
    options = parser.parse_args()
    items = {item["id"]: item for item in json.loads(options.study.read_text(encoding="utf-8"))["items"]}
    wait_for(f"{options.address}/healthz")
    for number, native in enumerate(["it"] * options.natives + ["en"] * options.others):
        Listener(options.address, native, items, number).take_part()
    print(f"{options.natives + options.others} made listeners answered")


def wait_for(address: str, seconds: float = 60.0) -> None:
    """Return once a server answers."""
    for _ in range(int(seconds * 5)):
        try:
            build_opener().open(address).close()
            return
        except URLError:
            time.sleep(0.2)
    raise SystemExit(f"{address}: no answer within {seconds:.0f} s")


class Listener:
    """One made listener: a browser with a cookie of its own."""

    def __init__(self, address: str, native: str, items: dict[str, dict], number: int) -> None:
        self.address, self.native, self.items, self.number = address, native, items, number
        self.browser = build_opener(HTTPCookieProcessor(CookieJar()))

    def take_part(self) -> None:
        """From the consent to the last page."""
        page = self.send("/start", consent="yes", lang="en")
        while step := re.search(r'name="step" value="([^"]+)"', page):
            page = self.send("/step", step=step[1], **self.answer(page))

    def send(self, path: str, **form: str) -> str:
        """Send a form; returns the page that comes next. A wrong count of tones gets the same page again."""
        try:
            with self.browser.open(f"{self.address}{path}", urlencode(form).encode()) as answer:
                return answer.read().decode()
        except HTTPError as error:
            if error.code != 422 or "heard" not in form:
                raise
            return error.read().decode()

    def answer(self, page: str) -> dict[str, str]:
        """What this listener fills in on a page."""
        if 'name="native"' in page:
            return {"native": self.native, "english": "C1", "age": "25-34", "headphones": "yes"}
        if 'name="heard"' in page:
            return {"heard": random.choice("2345")}
        item = re.search(r'src="/audio/([^"]+)"', page)
        if not item:
            return {}
        emotion = self.items[item[1]]["emotion"]
        draw = random.Random(f"{self.number} {item[1]}")  # the same answer whatever the order, which the server draws
        others = sorted({other["emotion"] for other in self.items.values()} - {emotion})
        is_right = self.items[item[1]]["kind"] == "attention" or draw.random() < RIGHT[self.native]
        return {"emotion": emotion if is_right else draw.choice(others), "plays": "1"}


if __name__ == "__main__":
    main()
