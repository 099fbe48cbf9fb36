"""Answers in tokens, as the model's chat template writes them behind its prompt.

A model is taught, and asked, in the words of its template: with the space that it puts before an
answer, and the token that it ends one with. Nothing here depends on a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bye_lint.models.chat import reply
from bye_lint.models.families import Family
from bye_lint.models.prompts import answer_tokens


@dataclass(frozen=True)
class _Form:
    """What stands before the tokens of any answer, and the tokens behind them."""

    anchor: str
    lead: str
    end: tuple[int, ...]


def said_tokens(processor: Any, family: Family, answer: str) -> list[int]:
    """Return the tokens of an answer behind the prompt, without what ends it.

    Where the tokens of prompt and answer cannot be told apart, those of the answer by itself.
    """
    form = _form(processor, family)
    before = answer_tokens(processor, form.anchor) if form.anchor else []
    if before:
        whole = answer_tokens(processor, form.anchor + form.lead + answer)
        if whole[: len(before)] == before:
            return whole[len(before) :]
    return answer_tokens(processor, answer)


def end_tokens(processor: Any, family: Family) -> list[int]:
    """Return the control tokens that end an answer: the template's, or else the end of text."""
    return list(_form(processor, family).end)


def _form(processor: Any, family: Family) -> _Form:
    tokenizer = processor.tokenizer
    known: tuple[Any, _Form] | None = getattr(tokenizer, "_bye_lint_answers", None)
    if known is None or known[0] != processor.chat_template:
        anchor, lead, tail = reply(processor, family)
        end = answer_tokens(processor, tail) if tail else []
        control = set(tokenizer.added_tokens_decoder)
        if not end or not control.issuperset(end):  # plain words end no turn
            end = [tokenizer.eos_token_id]
        known = processor.chat_template, _Form(anchor, lead, tuple(end))
        tokenizer._bye_lint_answers = known  # a processor writes its attributes to disk
    return known[1]
