"""What a listener sees and answers.

A page shows the step where a listener stands; an answer must belong to that step, and no recording of another step is
played. The browser holds a secret cookie, and no address has anything in it that tells listeners apart.
"""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.responses import Response as HTTPResponse

from emobridge.languages import primary_language
from emobridge.listening import catalogue, changes, steps, tones
from emobridge.listening.questions import answers_of_form, screened_out
from emobridge.listening.rating import read_rating
from emobridge.listening.records import Listener, Question, Response
from emobridge.listening.security import COOKIE_DAYS, LISTENER_COOKIE, field_of, read_form, set_secret
from emobridge.listening.site import Site
from emobridge.listening.store import Standing
from emobridge.listening.study import AUDIO_FOLDER
from emobridge.web.requests import Refusal

LARGEST_SOUND, MOST_SOUNDS = 1 << 20, 128  # bytes of a recording that is held in memory, and how many are
SOUND_SECONDS = 600  # that a browser may keep a recording, to play it again
END_PAGES = {"finished": "end.html", "screened out": "screened.html", "withdrawn": "withdrawn.html"}
COUNTED = {steps.PRACTICE: ("practice",), steps.ITEM: ("item", "attention")}  # kinds of items, by kind of step
ANSWER_ERRORS = {"choice": "choice", "number": "number", "languages": "language"}  # by kind of question
Form = Mapping[str, Sequence[str]]


class Visits:
    """The pages of listeners. folder: of the study."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.study, self.audio = site, site.study, folder / AUDIO_FOLDER
        self.items = {item.id: item for item in self.study.items}
        self.counts = {step: sum(item.kind in kinds for item in self.study.items) for step, kinds in COUNTED.items()}
        self.attempts: dict[str, int] = {}  # at the audio check, by listener
        self.shown: dict[str, tuple[int, float]] = {}  # which step a listener saw last and when, s since 1970

    async def first(self, request: Request) -> HTTPResponse:
        """The consent, for somebody who has not begun."""
        if self.site.standing(request) is not None:
            return RedirectResponse("/step", 303)
        return self._consent(self.site.language(request))

    def _consent(self, lang: str, *, error: str = "") -> HTTPResponse:
        consent, count = self.study.consent.get(lang, ""), self.counts[steps.ITEM]
        context = {"languages": self.study.interface, "consent": consent, "count": count, "error": error}
        return self.site.page("consent.html", lang, code=422 if error else 200, **context)

    async def start(self, request: Request) -> HTTPResponse:
        """Take in somebody who consents. Who has begun goes on."""
        form = await read_form(request)
        response = RedirectResponse("/step", 303)
        if self.site.standing(request) is not None:
            return response
        lang = self.site.language(request, field_of(form, "lang"))
        if field_of(form, "consent") != "yes":
            return self._consent(lang, error="consent")
        secret = secrets.token_urlsafe(32)
        await self.site.write(changes.add_listener(secret, lang, lambda number: steps.draw_steps(self.study, number)))
        set_secret(response, request, LISTENER_COOKIE, secret, days=COOKIE_DAYS)
        return response

    async def show_step(self, request: Request) -> HTTPResponse:
        """The page of the step where a listener stands."""
        standing = await self._standing(request)
        return RedirectResponse("/", 303) if standing is None else self._show(standing)

    async def _standing(self, request: Request) -> Standing | None:
        """Where the listener stands. Steps whose item the study has no more are passed."""
        while standing := self.site.standing(request):
            step = standing.step
            if standing.listener.state != "active" or not step.item or step.item in self.items:
                break
            await self.site.write(changes.advance_listener(standing.listener.id, standing.reached))
        return standing

    def _show(self, standing: Standing, **wrong: Any) -> HTTPResponse:
        """The page of a step. wrong: what was wrong with an answer to it, and the answer."""
        listener, step = standing.listener, standing.step
        lang = listener.interface if listener.interface in self.study.interface else self.study.interface[0]
        if listener.state != "active":
            facts: dict[str, Any] = {"listener": listener.id} if listener.state == "finished" else {}
            return self.site.page(END_PAGES[listener.state], lang, **facts)
        if step.kind == steps.QUESTIONS and not wrong:
            questions = _questionnaire(self.site.render, lang, self.site.title(lang), tuple(self.study.questions))
            return HTMLResponse(questions)
        name, context = self._context(standing, lang)
        return self.site.page(name, lang, code=422 if wrong else 200, step=step.name, **(context | wrong))

    def _context(self, standing: Standing, lang: str) -> tuple[str, dict[str, Any]]:
        """The template of a step and what it shows."""
        listener, step = standing.listener, standing.step
        if step.kind == steps.QUESTIONS:
            return "questions.html", {"questions": self.study.questions}
        if step.kind == steps.AUDIO_CHECK:
            audio = f"/audio/check?{self.attempts.get(listener.id, 0)}"  # the number makes a browser load another sound
            return "check.html", {"audio": audio, "choices": tuple(map(str, tones.COUNTS))}
        count = self.counts.get(step.kind, self.counts[steps.ITEM])
        if step.kind == steps.BREAK:
            return "break.html", {"done": self.site.store.answered().get(listener.id, 0), "count": count}
        self.shown[listener.id] = (standing.reached, time.time())
        return "rate.html", {**self._rating(step, lang), "count": max(count, step.number + 1)}

    def _rating(self, step: steps.ListeningStep, lang: str) -> dict[str, Any]:
        item = self.items[step.item]
        texts = {emotion: catalogue.text_or(lang, f"emotion.{emotion}", emotion) for emotion in self.study.emotions}
        asks_emotion = item.kind == "attention"  # and nothing else
        return {
            "audio": f"/audio/{item.id}",
            "emotions": tuple(texts.items()),
            "position": step.number,
            "kind": step.kind,
            "wants_segment": self.study.wants_segment and not asks_emotion,
            "wants_confidence": self.study.wants_confidence and not asks_emotion,
            "seconds": item.seconds,
            "asked": texts[item.emotion] if asks_emotion else "",
        }

    async def answer_step(self, request: Request) -> HTTPResponse:
        """Write an answer and go on to the next step; where something is wrong with it, the same step again.

        Errors: Refusal for an answer to a step that was answered already, or whose turn has not come.
        """
        form = await read_form(request)
        standing = await self._standing(request)
        if standing is None:
            raise Refusal(403, "no-listener")
        listener, step = standing.listener, standing.step
        if listener.state != "active" or field_of(form, "step") != step.name:
            raise Refusal(409, "not-current")
        if step.kind == steps.QUESTIONS:
            return await self._answer_questions(standing, form)
        if step.kind == steps.AUDIO_CHECK:
            attempt = self.attempts.get(listener.id, 0)
            if field_of(form, "heard") != str(tones.tone_count(listener.id, attempt)):
                self.attempts[listener.id] = attempt + 1
                return self._show(standing, wrong=True)
            self.attempts.pop(listener.id, None)
        if step.item:
            return await self._rate(standing, form)
        return await self._go_on(changes.advance_listener(listener.id, standing.reached))

    async def _go_on(self, change: Any) -> HTTPResponse:
        if not await self.site.write(change):  # another answer to the same step came first
            raise Refusal(409, "not-current")
        return RedirectResponse("/step", 303)

    async def _answer_questions(self, standing: Standing, form: Form) -> HTTPResponse:
        answers, wrong = answers_of_form(self.study.questions, form)
        if wrong:
            questions = [question for question in self.study.questions if question.name in wrong]
            errors = {question.name: _answer_error(question, form) for question in questions}
            return self._show(standing, answers=answers, errors=errors)
        native = str(answers.get("native", ""))
        state = "active" if screened_out(self.study, answers) is None else "screened out"
        group = primary_language(native) if native else ""
        listener = Listener(standing.listener.id, native=native, group=group, answers=answers, state=state)
        return await self._go_on(changes.answer_questions(listener, standing.reached))

    async def _rate(self, standing: Standing, form: Form) -> HTTPResponse:
        listener, step = standing.listener.id, standing.step
        reached, since = self.shown.get(listener, (-1, 0.0))
        seconds = max(0.0, time.time() - (since if reached == standing.reached else standing.since))
        response = Response(listener, step.item, "", seconds=seconds, position=step.number)
        response, error = read_rating(self.study, self.items[step.item], form, response)
        if error:
            return self._show(standing, error=error, values={name: values[0] for name, values in form.items()})
        answer = await self._go_on(changes.record_response(standing.reached, response))
        self.shown.pop(listener, None)
        return answer

    async def sound(self, request: Request) -> HTTPResponse:
        """The recording of the step where a listener stands, and no other."""
        standing, name = self.site.standing(request), request.path_params["item"]
        if standing is None or standing.listener.state != "active":
            raise Refusal(404, "not-found")
        if name == standing.step.kind == steps.AUDIO_CHECK:
            count = tones.tone_count(standing.listener.id, self.attempts.get(standing.listener.id, 0))
            return _sound(request, tones.tones(count))
        item = self.items.get(name)
        if item is None or name != standing.step.item:
            raise Refusal(404, "not-found")
        path, headers = self.audio / item.audio, {"cache-control": f"private, max-age={SOUND_SECONDS}"}
        try:
            if path.stat().st_size <= LARGEST_SOUND:
                return _sound(request, _content(path), headers)
        except OSError as error:
            raise Refusal(404, "not-found") from error
        return FileResponse(path, headers=headers, media_type="audio/wav")

    async def withdraw(self, request: Request) -> HTTPResponse:
        """Delete all answers of a listener who says so."""
        form = await read_form(request)
        standing = self.site.standing(request)
        if standing is None:
            raise Refusal(403, "no-listener")
        if field_of(form, "sure") != "yes":
            raise Refusal(422, "sure")
        await run_in_threadpool(self.site.store.withdraw, standing.listener.id)
        return RedirectResponse("/step", 303)


@functools.lru_cache(maxsize=32)
def _questionnaire(render: Callable[..., str], lang: str, title: str, questions: tuple[Question, ...]) -> str:
    """The page of a questionnaire that is not answered yet, the same for all: its lists of languages take 20 ms."""
    return render("questions.html", lang, title=title, step=steps.QUESTIONS, questions=questions)


@functools.lru_cache(maxsize=MOST_SOUNDS)
def _content(path: Path) -> bytes:
    """A short recording, which many listeners hear and no server writes."""
    return path.read_bytes()


def _sound(request: Request, content: bytes, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """A WAV file, or the part of it that is asked for: some browsers play nothing of which they get no part."""
    status, part, facts = tones.part_of(content, request.headers.get("range", ""))
    return HTTPResponse(part, status, {**facts, **(headers or {})}, media_type="audio/wav")


def _answer_error(question: Question, form: Form) -> str:
    """What is wrong with the answer to a question: a key of the catalogue under `error.`"""
    return ANSWER_ERRORS.get(question.kind, "answer") if any(form.get(question.name, ())) else "required"
