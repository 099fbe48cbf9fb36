"""From a record to the model's input: prompt, images, and what each token is.

Where image tokens, system tokens and user text lie is read off the tokenizer's own character
offsets and the processor's own record of what it put in the place of an image; a prompt for
which that cannot be told exactly is refused.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bye_lint.models.families import Family
from bye_lint.records import Sample

#: Values of ``Encoded.component``, in the order of ``Features.head_mass``.
SYSTEM, VISION, USER_TEXT = 0, 1, 2

IMAGE_MARK = "<image>"

# Private-use characters that fence the user's text while the template is rendered.
_OPEN, _CLOSE = "\ue000", "\ue001"


class EncodeError(Exception):
    """A record cannot be turned into the model's input; it is then reported as not scored."""


@dataclass(frozen=True)
class Encoded:
    """One record as the model reads it, without padding.

    Attributes
    ----------
    ids : (n_tokens,) int64 array
    component : (n_tokens,) uint8 array
        ``SYSTEM`` (template, role tags, special tokens), ``VISION`` or ``USER_TEXT``.
    images : dict of str to array
        What the processor made of the images.
    type_ids : (n_tokens,) int64 array or None
        Token types, where the model needs them.
    """

    ids: npt.NDArray[np.int64]
    component: npt.NDArray[np.uint8]
    images: dict[str, Any] = field(repr=False)
    type_ids: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def image_tokens(self) -> int:
        """Number of image tokens."""
        return int((self.component == VISION).sum())

    @property
    def last_image_token(self) -> int:
        """Position of the last image token."""
        return int(np.flatnonzero(self.component == VISION)[-1])


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


def _apply(processor: Any, family: Family, messages: list[dict[str, Any]]) -> str:
    if family.plain_prompt:
        content = messages[-1]["content"]
        text = " ".join(part["text"] for part in content if part["type"] == "text")
        images = processor.image_token * sum(part["type"] == "image" for part in content)
        return family.plain_prompt.format(images=images, text=text)
    try:
        return str(processor.apply_chat_template(messages, add_generation_prompt=True))
    except Exception as error:  # a template may raise anything
        raise EncodeError(f"the chat template refuses the prompt: {error}") from error


def load_images(sample: Sample, *, max_pixels: int = 50_000_000) -> list[Image.Image]:
    """Decode the record's images, in RGB.

    Raises
    ------
    EncodeError
        If one cannot be read or decoded, or has too many pixels.
    """
    images = []
    for source in sample.images:
        try:
            with Image.open(io.BytesIO(source.read())) as image:
                if image.width * image.height > max_pixels:
                    raise EncodeError(f"an image of {image.width}×{image.height} pixels")
                images.append(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise EncodeError(f"the image cannot be decoded: {error}") from error
    return images


def encode(processor: Any, family: Family, sample: Sample) -> Encoded:
    """Encode the first human turn of a record.

    Raises
    ------
    EncodeError
        If the record cannot be encoded, or its spans cannot be told.
    """
    (encoded,) = encode_shared(processor, family, [sample])
    if isinstance(encoded, EncodeError):
        raise encoded
    return encoded


def encode_shared(
    processor: Any, family: Family, samples: Sequence[Sample], max_pixels: int = 50_000_000
) -> list[Encoded | EncodeError]:
    """Encode records that show the same images, which are decoded and processed once.

    Returns
    -------
    list
        In the order of ``samples``: the input, or why there is none.
    """
    outcomes: list[Encoded | EncodeError] = []
    shared: tuple[dict[str, Any], list[str]] | None = None
    for sample in samples:
        try:
            prompt = _checked_prompt(processor, family, sample)
            if shared is None:
                shared = _process_images(processor, load_images(sample, max_pixels=max_pixels))
            outcomes.append(_encode_text(processor, family, prompt, *shared))
        except EncodeError as error:
            outcomes.append(error)
    return outcomes


def _checked_prompt(processor: Any, family: Family, sample: Sample) -> Prompt:
    marks = sample.prompt.count(IMAGE_MARK)
    text = sample.prompt
    if marks == 0:
        # Formats that keep images in a field of their own: they stand before the text.
        text = IMAGE_MARK * len(sample.images) + text
    elif marks != len(sample.images):
        raise EncodeError(f"{marks} image marks for {len(sample.images)} images")
    if not sample.images:
        raise EncodeError("there is no image")
    written = text.replace(IMAGE_MARK, "") + sample.system
    special = next((token for token in _control_tokens(processor) if token in written), None)
    if special is not None:
        raise EncodeError(f"the prompt spells the model's own control token {special!r}")
    return render(processor, family, sample.system, text)


def _control_tokens(processor: Any) -> tuple[str, ...]:
    """Strings that the tokenizer turns into one token of its own wherever they stand."""
    tokenizer = processor.tokenizer
    known: tuple[str, ...] | None = getattr(tokenizer, "_bye_lint_control_tokens", None)
    if known is None:
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        known = tuple(token for token in added if token.strip() and not token.isalnum())
        tokenizer._bye_lint_control_tokens = known
    return known


def _process_images(processor: Any, images: list[Image.Image]) -> tuple[dict[str, Any], list[str]]:
    """Return the processed images and the text that takes the place of each."""
    kwargs = processor._merge_kwargs(
        tokenizer_init_kwargs=processor.tokenizer.init_kwargs, return_tensors="np"
    )["images_kwargs"]
    try:
        processed, replacements = processor._process_images([images], **kwargs)
    except Exception as error:
        raise EncodeError(f"the image processor refuses the image: {error}") from error
    unused = set(getattr(processor, "unused_input_names", ()))
    return {k: v for k, v in dict(processed).items() if k not in unused}, list(replacements)


def _encode_text(
    processor: Any,
    family: Family,
    prompt: Prompt,
    images: dict[str, Any],
    replacements: list[str],
) -> Encoded:
    tokenizer = processor.tokenizer
    (text,), (replaced,) = processor.get_text_with_replacements([prompt.text], replacements)
    if len(replaced) != len(replacements):
        raise EncodeError(f"{len(replaced)} places for {len(replacements)} images in the prompt")
    starts_itself = bool(tokenizer.bos_token) and prompt.text.startswith(tokenizer.bos_token)
    output = tokenizer(text, return_offsets_mapping=True, add_special_tokens=not starts_itself)
    ids = np.array(output["input_ids"], dtype=np.int64)
    offsets = np.array(output["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    component = np.full(len(ids), SYSTEM, dtype=np.uint8)
    for start, stop in _shifted(prompt.user, replaced):
        component[(offsets[:, 0] < stop) & (offsets[:, 1] > start)] = USER_TEXT
    vision = np.isin(ids, _image_ids(processor))
    expected = sum(part.count(processor.image_token) for part in replacements)
    if not vision.any() or int(vision.sum()) != expected:
        raise EncodeError(f"{int(vision.sum())} image tokens where {expected} were expected")
    component[vision] = VISION
    type_ids = None
    if family.type_ids:
        (types,) = processor.create_mm_token_type_ids([ids.tolist()])
        type_ids = np.array(types, dtype=np.int64)
    return Encoded(ids, component, images, type_ids)


def _image_ids(processor: Any) -> list[int]:
    return [int(processor.image_token_id)]


def _shifted(
    spans: Sequence[tuple[int, int]], replaced: Sequence[dict[str, Any]]
) -> list[tuple[int, int]]:
    """Move spans of the rendered prompt to where they lie once images have been filled in."""
    moved = []
    for start, stop in spans:
        shift = 0
        for part in replaced:
            if part["span"][1] <= start:
                shift = part["new_span"][1] - part["span"][1]
        moved.append((start + shift, stop + shift))
    return moved
