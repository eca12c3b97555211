"""A browser of somebody who takes part in a listening test, for the tests of its server."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient

from emobridge.listening import tones
from emobridge.listening.records import Listener, Response

TOKEN = "a token of the administration"
ANSWERS = {
    "native": "de",
    "languages": "en",
    "languages.level": "C1",
    "english": "C1",
    "age": "25-34",
    "headphones": "yes",
}
STORED = {"native": "de", "languages": ("en:C1",), "english": "C1", "age": "25-34", "headphones": "yes"}


class Browser(TestClient):
    """A browser of somebody who takes part; `step` is where they stand, by the page."""

    def page(self, path="/step"):
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.text

    @property
    def step(self):
        match = re.search(r'name="step" value="([^"]+)"', self.page())
        return match and match[1]

    @property
    def audio(self):
        return re.search(r'<audio[^>]* src="([^"]+)"', self.page())[1]

    def begin(self, until="item-0"):
        """Begin the study, and answer all steps before this one."""
        self.post("/start", data={"consent": "yes", "lang": "en"}, follow_redirects=False)
        return self.go_on(until)

    def go_on(self, until="item-0"):
        """Answer all steps before this one, past the pages, which takes less time."""
        while (standing := self.store.find(self.cookies["listener"])).step.name != until:
            listener, step = standing.listener.id, standing.step
            if step.kind == "questions":
                done = self.store.answer(Listener(listener, native="de", group="de", answers=STORED), standing.reached)
            elif step.item:
                response = Response(listener, step.item, "anger", (0.1, 0.25), plays=1, position=step.number)
                done = self.store.record(standing.reached, response)
            else:
                done = self.store.advance(listener, standing.reached)
            assert done, step
        return self

    def answer(self, step=None, headers=None, **fields):
        step = step or self.step
        kind = step.partition("-")[0]
        given = {"questions": ANSWERS, "check": {"heard": self.heard() if kind == "check" else ""}}
        rating = {"emotion": "anger", "start": "0.1", "end": "0.25", "plays": "1"}
        data = {"step": step, **given.get(kind, rating if kind != "break" else {}), **fields}
        return self.post("/step", data=data, headers=headers)

    def heard(self):
        sound = self.get(self.audio).content
        return next(str(count) for count in tones.COUNTS if tones.tones(count) == sound)


def log_in(browser, token=TOKEN):
    return browser.post("/admin", data={"token": token})


def form_token(browser):
    return re.search(r'name="form_token" value="([^"]+)"', browser.page("/admin"))[1]
