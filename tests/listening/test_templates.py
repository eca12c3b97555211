"""The pages of the listening test as text: each fills in, has its fields, and nothing in it is script or style."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources

import jinja2
import pytest
from listening_pages import QUESTIONS, pages_in

from emobridge.listening import catalogue
from emobridge.listening.catalogue import INTERFACES
from emobridge.listening.templates import render

TEMPLATES = {file.name: file.read_text() for file in (resources.files("emobridge") / "listening" / "pages").iterdir()}
STATIC = resources.files("emobridge") / "listening" / "static"
# The fields of each form, by its page and where it is posted.
FIELDS = {
    ("consent", "/start"): {"consent", "lang"},
    ("questions", "/step"): {"step", *(question.name for question in QUESTIONS), "languages.level"},
    ("check", "/step"): {"step", "heard"},
    ("rate", "/step"): {"step", "emotion", "start", "end", "confidence", "plays"},
    ("rate-plain", "/step"): {"step", "emotion", "plays"},
    ("break", "/step"): {"step"},
    ("rate", "/withdraw"): {"sure"},
    ("questions", "/withdraw"): {"sure"},
    ("end", "/withdraw"): {"sure"},
    ("admin_login", "/admin"): {"token"},
    ("admin", "/admin/delete"): {"listener", "sure", "form_token"},
    ("admin", "/admin/export.json"): {"listener", "form_token"},
    ("admin", "/admin/logout"): {"form_token"},
}
PAYLOADS = (
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "</textarea><b>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{x}",
)


class Elements(HTMLParser):
    """The elements of a page: each name and its attributes, and the forms that fields stand in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.forms: dict[str, set[str]] = {}
        self._form = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.all.append((tag, attributes))
        if tag == "form":
            self._form = attributes["action"]
            self.forms.setdefault(self._form, set())
        elif tag in ("input", "select") and self._form:
            self.forms[self._form].add(attributes["name"])

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = ""


def page(name: str, lang: str = "en", **changes: object) -> str:
    template, context = pages_in(lang)[name]
    return render(template, lang, **(context | changes))


@pytest.mark.parametrize("lang", INTERFACES)
def test_every_page_fills_in_without_script_or_style_of_its_own(lang):
    for name in pages_in(lang):
        html = page(name, lang)
        elements = Elements(html).all
        assert elements[0] == ("html", {"lang": "zh-Hans" if lang == "zh" else lang}), name
        for tag, attributes in elements:
            assert tag != "style" and not [key for key in attributes if key == "style" or key.startswith("on")], name
            addresses = [attributes[key] for key in ("src", "href", "action") if key in attributes]
            assert all(re.match(r"/(?!/)|data:,$", address) for address in addresses), (name, addresses)
            if tag == "script":
                assert (STATIC / attributes["src"].removeprefix("/static/")).is_file()
        assert not re.search(r"<script[^>]*>[^<]", html), name
        assert not re.search(r"\{\{|\{%|None|Undefined", html), name


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_key_in_a_template_has_a_text(name):
    keys = re.findall(r"\bt\('([\w.-]+)'\)|\bt\('([\w.-]+)',", TEMPLATES[name])
    assert not [key for pair in keys if not catalogue.has(key := "".join(pair))]


def test_every_text_is_used():
    """A text that no template names stands for a value: of a question, a choice, an emotion, a level, a mistake."""
    source = "".join(TEMPLATES.values())
    by_value = r"(question|hint|choice|emotion|level|confidence|language|state|error)\..*"
    unused = [key for key in catalogue.messages("en") if f"'{key}'" not in source and not re.fullmatch(by_value, key)]
    parts = (
        "rate.start",
        "rate.end",
        "rate.progress",
        "rate.practice",
        "page.language",
    )  # by a name that is put together
    parts += tuple(f"admin.{column}" for column in ("number", "state", "group", "interface", "answered"))
    assert sorted(set(unused) - set(parts)) == []


def test_every_reason_of_a_refusal_has_a_text_and_every_text_of_an_error_is_used():
    rooms = [resources.files("emobridge") / name for name in ("listening", "web")]
    source = "".join(file.read_text() for room in rooms for file in room.iterdir() if file.name.endswith(".py"))
    reasons = set(re.findall(r'Refusal\(\d+, "([\w-]+)"', source))
    assert {"not-current", "no-listener", "not-found"} <= reasons
    assert not [reason for reason in reasons if not catalogue.has(f"error.{reason}")]
    errors = {key.removeprefix("error.") for key in catalogue.messages("en") if key.startswith("error.")}
    templates = "".join(TEMPLATES.values())
    assert not [key for key in errors if f'"{key}"' not in source and f"'error.{key}'" not in templates]


@pytest.mark.parametrize(("name", "action"), FIELDS)
def test_every_form_has_its_fields(name, action):
    assert Elements(page(name)).forms[action] == FIELDS[name, action]


def test_every_page_of_the_way_through_can_be_left():
    pages = {name for name in pages_in("en") if "/withdraw" in Elements(page(name)).forms}
    assert pages == {
        name for name in pages_in("en") if name.partition("-")[0] in ("questions", "check", "rate", "break", "end")
    }


@pytest.mark.parametrize("payload", PAYLOADS)
def test_values_are_text_and_nothing_else(payload):
    """Whatever a study or a listener writes: as many elements as before, and the text as it was written."""
    changes = {
        "consent": {"consent": payload, "title": payload},
        "questions-wrong": {"answers": {"years": payload, "native": payload, "languages": (f"{payload}:{payload}",)}},
        "rate-wrong": {
            "title": payload,
            "emotions": [(payload, payload)] * 4,
            "step": payload,
            "audio": f"/audio/{payload}",
            "asked": payload,
            "values": {"start": payload, "end": payload},
        },
        "end": {"listener": payload},
        "admin": {"listeners": [dict.fromkeys(("id", "state", "group", "interface", "done", "count"), payload)] * 3},
    }
    plain = {name: page(name, **_replaced(values, payload, "plain")) for name, values in changes.items()}
    for name, values in changes.items():
        elements = Elements(page(name, **values)).all
        assert [tag for tag, _ in elements] == [tag for tag, _ in Elements(plain[name]).all]
        assert [set(attributes) for _, attributes in elements] == [set(a) for _, a in Elements(plain[name]).all]


def _replaced(value: object, text: str, by: str) -> object:
    if isinstance(value, dict):
        return {key: _replaced(item, text, by) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(item, text, by) for item in value)
    return value.replace(text, by) if isinstance(value, str) else value


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="step"):
        render("break.html", "en", done=1, count=2)


@pytest.mark.parametrize("name", ["../records.py", "/etc/passwd", "nothing.html"])
def test_only_pages_are_filled_in(name):
    with pytest.raises(jinja2.TemplateNotFound):
        render(name, "en")


def test_a_mistake_keeps_what_was_answered():
    html = page("questions-wrong")
    assert '<option value="fr" selected>' in html and '<option value="C1" selected>' in html
    assert 'value="&lt;3"' in html and 'value="18-24" checked' in html


def test_an_attention_check_looks_like_an_item_but_for_what_it_asks():
    html = page("rate-asked")
    assert "Please choose “Anger”." in html and "attention" not in html
