"""The pages of the listening test as HTML: templates of `pages/`, filled with values and the texts of a language.

Every value is escaped, and a value that a template lacks is an error. What each template takes stands at its head.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from emobridge.listening import catalogue
from emobridge.listening.questions import CEFR_LEVELS

if TYPE_CHECKING:
    from jinja2 import Environment

CONFIDENCES = ("0", "0.25", "0.5", "0.75", "1")  # that a listener chooses from, not sure at all to entirely sure
LANGUAGE_ROWS = 5  # other languages that the questionnaire has room for
# Of the <style> that wavesurfer.js puts into the shadow root of a waveform: the one style that a content security
# policy must allow beside the files of the server. It holds for the height of the waveform that rate.js asks for.
STYLE_HASH = "sha256-Y/8t1dAKa3ay+RZEiEFEDr8dFiQhpaFvYXXUfT3p6ZU="


def render(name: str, lang: str, **context: Any) -> str:
    """A page of the test in a language of `catalogue.INTERFACES`.

    name: a file of `pages/`, such as "rate.html". Errors: jinja2's UndefinedError for a value that is missing, its
    TemplateNotFound for a page that is not there, KeyError for a text that is not there.
    """
    texts = {
        "t": partial(catalogue.text, lang),
        "text_or": partial(catalogue.text_or, lang),
        "language_choices": lambda: catalogue.language_choices(lang),
        "choice_texts": lambda question: _choices(lang, f"choice.{question.name}", question.choices),
        "level_texts": lambda: _choices(lang, "level", CEFR_LEVELS),
        "confidence_texts": lambda: _choices(lang, "confidence", CONFIDENCES),
    }
    return _environment().get_template(name).render(**texts, lang=lang, **context)


def _choices(lang: str, prefix: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """Each value with its text, which stands under `prefix.VALUE`; a value without a text stands for itself."""
    return [(value, catalogue.text_or(lang, f"{prefix}.{value}", value)) for value in values]


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("emobridge.listening", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["language_rows"] = LANGUAGE_ROWS
    environment.globals["own_name"] = lambda lang: catalogue.text(lang, "page.language")
    environment.globals["pairs"] = lambda values: [(value, value) for value in values]
    return environment
