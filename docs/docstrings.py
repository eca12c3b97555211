"""How docstrings, which are plain text, become Markdown for the site.

Doctests become blocks of code; the parameters that a paragraph explains ("path: a file ...") and the words "Errors:"
and "Returns:" that begin a sentence are set apart. Fields are listed with the comments behind them.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Class, Extension, Object

_DOCTEST = re.compile(r"^>>> .*(?:\n(?!\n|>>> ).*|\n>>> .*)*", re.MULTILINE)
_COMMENT = re.compile(r"\s#\s(?!fmt:|type:|noqa)(?P<text>\S[^#]*?)(?:\s+#\s(?:type:|noqa).*)?$")
_WORDS = re.compile(r"(?:(?<=^)|(?<=\n)|(?<=\. ))(Errors|Returns|Yields|Source):(?=\s)")


class PlainText(Extension):
    """A griffe extension that rewrites each docstring."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute; that of a class gets its fields."""
        if obj.docstring is not None:
            names = [parameter.name.lstrip("*") for parameter in getattr(obj, "parameters", ())]
            obj.docstring.value = markdown_of(obj.docstring.value, names)
            if isinstance(obj, Class):
                obj.docstring.value += fields_of(obj)


def fields_of(record: Class) -> str:
    """The public fields of a class as a list: of a dataclass all, of another class those with a comment behind them."""
    lines = []
    for field in record.attributes.values():
        comment = comment_behind(field.lines[-1]) if field.lines else ""
        is_plain = field.docstring is None and field.annotation is not None and not field.name.startswith("_")
        if is_plain and (comment or "dataclass" in record.labels):
            value = "" if field.value is None or "option(" in str(field.value) else f" = {field.value}"
            code = " ".join(f"{field.name}: {field.annotation}{value}".split())
            lines.append(f"- `{code}`" + (f": {comment}" if comment else ""))
    return "\n\n" + "\n".join(lines) if lines else ""


def comment_behind(line: str) -> str:
    """The comment at the end of a line of code; "" where there is none.

    >>> comment_behind("    start: float = 0.0  # s"), comment_behind("x = f()  # type: ignore[attr-defined]")
    ('s', '')
    """
    found = _COMMENT.search(line)
    return found["text"] if found else ""


def markdown_of(text: str, parameters: list[str] | tuple[str, ...] = ()) -> str:
    """The Markdown of a docstring.

    >>> markdown_of("Add one.\\n\\nn: a number. Errors: ValueError.\\n\\n>>> add(1)\\n2", ["n"])
    'Add one.\\n\\n**n**: a number. **Errors**: ValueError.\\n\\n```python\\n>>> add(1)\\n2\\n```'
    """
    parts, end = [], 0
    for found in _DOCTEST.finditer(text):
        parts += [_prose(text[end : found.start()], parameters), f"```python\n{found[0]}\n```"]
        end = found.end()
    return "".join((*parts, _prose(text[end:], parameters)))


def _prose(text: str, parameters: list[str] | tuple[str, ...]) -> str:
    text = _WORDS.sub(r"**\1**:", text)
    for name in parameters:
        text = re.sub(rf"(?:(?<=^)|(?<=\n)|(?<=\. )){re.escape(name)}:(?=\s)", f"**{name}**:", text)
    return text
