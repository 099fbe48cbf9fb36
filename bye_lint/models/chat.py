"""The prompt as the model's chat template renders it, and which characters are the user's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bye_lint.models.families import Family

IMAGE_MARK = "<image>"

#: Stands for the function of that name that a template asks for today's date, lest a record read
#: differently tomorrow.
_DATE = "strftime_now"
_FIXED = (
    ("%Y", "2025"), ("%y", "25"), ("%m", "01"), ("%B", "January"), ("%b", "Jan"), ("%d", "01"),
    ("%A", "Wednesday"), ("%a", "Wed"), ("%H", "00"), ("%M", "00"), ("%S", "00"),
)  # fmt: skip
_NEW_YEAR = (
    f"{{%- macro {_DATE}(format) -%}}{{{{- format"
    + "".join(f"|replace({code!r}, {text!r})" for code, text in _FIXED)
    + " -}}{%- endmacro %}\n"  # a line of its own, which goes: the template's first is still one
)

# Private-use characters that fence the user's text while the template is rendered.
_OPEN, _CLOSE = "\ue000", "\ue001"


class EncodeError(Exception):
    """A record cannot be turned into the model's input; it is then reported as not scored.

    Attributes
    ----------
    passing : bool
        Not the record's fault, and perhaps gone the next time: a disk or memory that failed.
    """

    passing = False

    @classmethod
    def caused_by(cls, what: str, error: Exception) -> EncodeError:
        """Return the error that something else has raised."""
        made = cls(what)
        # what Pillow and processors say of damaged files are OSErrors, too, without a number
        of_system = isinstance(error, OSError) and error.errno is not None
        made.passing = of_system or isinstance(error, MemoryError)
        return made


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt, and which of its characters are the user's."""

    text: str
    user: tuple[tuple[int, int], ...]


def conversation(system: str, prompt: str) -> list[dict[str, Any]]:
    """Return the messages of a prompt: ``<image>`` becomes the template's image part.

    White space around each piece of text is dropped: templates put their own around images.
    """
    content: list[dict[str, str]] = []
    for i, piece in enumerate(prompt.split(IMAGE_MARK)):
        if i:
            content.append({"type": "image"})
        if text := piece.strip():
            content.append({"type": "text", "text": text})
    messages = [{"role": "user", "content": content}]
    if system:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
    return messages


def render(processor: Any, family: Family, system: str, prompt: str) -> Prompt:
    """Render the prompt with the processor's chat template, generation prompt included.

    Raises
    ------
    EncodeError
        If the template cannot be rendered, or changes the user's text.
    """
    if any(mark in prompt or mark in system for mark in (_OPEN, _CLOSE)):
        raise EncodeError("the prompt holds private-use characters U+E000 or U+E001")
    messages = conversation(system, prompt)
    parts = [part for part in messages[-1]["content"] if part["type"] == "text"]
    plain = _apply(processor, family, messages)
    for part in parts:
        part["text"] = f"{_OPEN}{part['text']}{_CLOSE}"
    fenced = _apply(processor, family, messages)
    spans, at, text = [], 0, ""
    for i, piece in enumerate(re.split(f"[{_OPEN}{_CLOSE}]", fenced)):
        if i % 2:
            spans.append((at, at + len(piece)))
        text += piece
        at += len(piece)
    if text != plain or len(spans) != len(parts):
        raise EncodeError("the chat template changes the user's text")
    return Prompt(plain, tuple(spans))


def reply(processor: Any, family: Family) -> tuple[str, str, str]:
    """Return what the template writes around an answer.

    Returns
    -------
    anchor : str
        The prompt from the user's last character on; empty where it cannot be told.
    lead : str
        The space that stands between prompt and answer. Nothing else is told: it would become the
        first token that the model says, at which attention is read, and that one a constant.
    tail : str
        What ends the answer, without white space around it.
    """
    if family.plain_prompt:
        return "", "", ""
    question = f"{IMAGE_MARK}x"
    try:
        prompt = render(processor, family, "", question)
    except EncodeError:  # it wants a system prompt, say
        return "", "", ""
    anchor = prompt.text[prompt.user[-1][1] :]
    fenced = f"{_OPEN}x{_CLOSE}"
    for content in ([{"type": "text", "text": fenced}], fenced):  # some templates want a string
        answered = [*conversation("", question), {"role": "assistant", "content": content}]
        try:
            whole = _apply(processor, family, answered, generation=False)
        except EncodeError:
            continue
        head, _, rest = whole.partition(_OPEN)
        said, _, tail = rest.partition(_CLOSE)
        if said == "x":
            spaced = head == f"{prompt.text} "
            return anchor, " " if spaced else "", tail.strip()
    return anchor, "", ""


def _apply(
    processor: Any, family: Family, messages: list[dict[str, Any]], *, generation: bool = True
) -> str:
    if family.plain_prompt:
        content = messages[-1]["content"]
        return family.plain_prompt.format(
            images=processor.image_token * sum(part["type"] == "image" for part in content),
            bos=processor.tokenizer.bos_token,
            text=" ".join(part["text"] for part in content if part["type"] == "text"),
        )
    try:
        return str(
            processor.apply_chat_template(
                messages, chat_template=_undated(processor), add_generation_prompt=generation
            )
        )
    except Exception as error:  # a template may raise anything
        raise EncodeError(f"the chat template refuses the prompt: {error}") from error


def _undated(processor: Any) -> str | None:
    """Return the processor's template with a fixed date; ``None`` where it asks for none."""
    template = processor.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return _NEW_YEAR + template if isinstance(template, str) and _DATE in template else None
