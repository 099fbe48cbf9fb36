"""From a record to the model's input: prompt, images, and what each token is.

Where image tokens, system tokens and user text lie is read off the tokenizer's own character
offsets and the processor's own record of what it put in the place of an image; a prompt for
which that cannot be told exactly is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from bye_lint.errors import one_line
from bye_lint.formats import open_image
from bye_lint.models.chat import IMAGE_MARK, EncodeError, Prompt, render
from bye_lint.models.families import Family
from bye_lint.models.pictures import thumbnail
from bye_lint.models.spying import Witnessed, witness
from bye_lint.records import Sample

_log = logging.getLogger(__name__)

#: Values of ``Encoded.component``, in the order of ``Features.head_mass``.
SYSTEM, VISION, USER_TEXT = 0, 1, 2


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
    picture : (side, side, 3) uint8 array or None
        The first image in small (:func:`bye_lint.models.pictures.thumbnail`).
    """

    ids: npt.NDArray[np.int64]
    component: npt.NDArray[np.uint8]
    images: dict[str, Any] = field(repr=False)
    type_ids: npt.NDArray[np.int64] | None = None
    picture: npt.NDArray[np.uint8] | None = field(default=None, repr=False)

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
            with open_image(source.read()) as image:
                if image.width * image.height > max_pixels:
                    raise EncodeError(f"an image of {image.width}×{image.height} pixels")
                images.append(image.convert("RGB"))
        except UnidentifiedImageError as error:  # its message holds an address in memory
            raise EncodeError("the image cannot be decoded: it is of no known format") from error
        except EncodeError:
            raise
        except Exception as error:  # decoders of hostile bytes raise nearly everything
            what = f"the image cannot be decoded: {one_line(error)}"
            raise EncodeError.caused_by(what, error) from error
    return images


@dataclass(frozen=True)
class Encoder:
    """Turns records into one model's input.

    Parameters
    ----------
    processor : processor of the model's family
    family : Family
    image_token_id : int
        The token that the model itself replaces by what its tower saw.
    longest : int or None
        Tokens beyond which the model has no positions; a longer prompt is refused.
    """

    processor: Any
    family: Family
    image_token_id: int
    longest: int | None = None

    def encode(self, sample: Sample) -> Encoded:
        """Encode the first human turn of a record.

        Raises
        ------
        EncodeError
            If the record cannot be encoded, or its spans cannot be told.
        """
        (encoded,) = self.encode_shared([sample])
        if isinstance(encoded, EncodeError):
            raise encoded
        return encoded

    def encode_shared(
        self, samples: Sequence[Sample], *, max_pixels: int = 50_000_000
    ) -> list[Encoded | EncodeError]:
        """Encode records that show the same images, which are decoded and processed once.

        Returns
        -------
        list
            In the order of ``samples``: the input, or why there is none.
        """
        outcomes: list[Encoded | EncodeError] = []
        images: list[Image.Image] | None = None
        picture: npt.NDArray[np.uint8] | None = None
        seen: Witnessed | None = None
        for sample in samples:
            try:
                prompt = self._prompt(sample)
                if images is None:
                    images = load_images(sample, max_pixels=max_pixels)
                    picture = thumbnail(images)
                if seen is None or seen.replacements is None:
                    seen = self._process(prompt, images)
                    encoded = self._encode(prompt, seen, seen.text)
                    if not np.array_equal(encoded.ids, seen.ids):
                        raise EncodeError("the prompt is not what the processor makes of it")
                else:
                    encoded = self._encode(prompt, seen, None)
                if self.longest is not None and len(encoded) > self.longest:
                    raise EncodeError(
                        f"the prompt is {len(encoded)} tokens long, the model reads {self.longest}"
                    )
                outcomes.append(replace(encoded, picture=picture))
            except EncodeError as error:
                outcomes.append(error)
        return outcomes

    def _prompt(self, sample: Sample) -> Prompt:
        text, marks = sample.prompt, sample.prompt.count(IMAGE_MARK)
        if not sample.images:
            raise EncodeError("there is no image")
        if marks == 0:
            # Formats that keep images in a field of their own: they stand before the text.
            text = IMAGE_MARK * len(sample.images) + text
        elif marks != len(sample.images):
            raise EncodeError(f"{marks} image marks for {len(sample.images)} images")
        written = text.replace(IMAGE_MARK, "") + sample.system
        special = next((t for t in _control_tokens(self.processor) if t in written), None)
        if special is not None:
            raise EncodeError(f"the prompt spells the model's own control token {special!r}")
        if self.image_token_id in answer_tokens(self.processor, sample.answer):
            # Whoever trains on it gives the model a place for an image that is not there.
            raise EncodeError("the answer spells the model's own image token")
        return render(self.processor, self.family, sample.system, text)

    def _process(self, prompt: Prompt, images: list[Image.Image]) -> Witnessed:
        """Call the processor as its users do, and note what it puts in the place of images."""
        text = prompt.text
        if self.family.plain_prompt:
            text = text.replace(self.processor.tokenizer.bos_token, "").removesuffix("\n")
        try:
            return witness(self.processor, text, images, add_special_tokens=self._adds(prompt))
        except Exception as error:
            _log.debug("the processor, or our look at it, failed", exc_info=True)
            what = f"the processor refuses the record: {error}"
            raise EncodeError.caused_by(what, error) from error

    def _adds(self, prompt: Prompt) -> bool:
        """Whether the tokenizer adds special tokens: not where the template wrote them."""
        bos = self.processor.tokenizer.bos_token
        return not (bos and prompt.text.startswith(bos))

    def _encode(self, prompt: Prompt, seen: Witnessed, text: str | None) -> Encoded:
        """Tokenize; ``text`` is the prompt with images filled in, where it is known already."""
        if seen.replacements is not None:
            (text,), (replaced,) = self.processor.get_text_with_replacements(
                [prompt.text], list(seen.replacements)
            )
            if len(replaced) != len(seen.replacements):
                raise EncodeError("an image without a place in the prompt")
            spans = _shifted(prompt.user, replaced)
        else:
            spans = _anchored(prompt, text or "", self.processor.image_token)
        output = self.processor.tokenizer(
            text, return_offsets_mapping=True, add_special_tokens=self._adds(prompt)
        )
        ids = np.array(output["input_ids"], dtype=np.int64)
        offsets = np.array(output["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        component = np.full(len(ids), SYSTEM, dtype=np.uint8)
        for start, stop in spans:
            component[(offsets[:, 0] < stop) & (offsets[:, 1] > start)] = USER_TEXT
        vision = ids == self.image_token_id
        if int(vision.sum()) != seen.image_tokens(self.image_token_id) or not vision.any():
            raise EncodeError("image tokens are not where the processor put them")
        component[vision] = VISION
        type_ids = None
        if self.family.type_ids:
            marked = self._marks_images(seen)
            type_ids = vision.astype(np.int64) if marked else np.zeros_like(ids)
        return Encoded(ids, component, seen.images, type_ids)

    def _marks_images(self, seen: Witnessed) -> bool:
        """Whether token types are 1 for image tokens, or 0 throughout the prompt."""
        vision = (seen.ids == self.image_token_id).astype(np.int64)
        if seen.type_ids is not None and np.array_equal(seen.type_ids, vision):
            return True
        if seen.type_ids is not None and not seen.type_ids.any():
            return False
        raise EncodeError("the processor gives token types that are not known")


def answer_tokens(processor: Any, answer: str) -> list[int]:
    """Return the tokens of an answer, without those that begin or end a text."""
    ids: list[int] = processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
    return ids


def _control_tokens(processor: Any) -> tuple[str, ...]:
    """Strings that the tokenizer turns into one token of its own wherever they stand."""
    tokenizer = processor.tokenizer
    known: tuple[str, ...] | None = getattr(tokenizer, "_bye_lint_control_tokens", None)
    if known is None:
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        known = tuple(token for token in added if token.strip() and not token.isalnum())
        tokenizer._bye_lint_control_tokens = known
    return known


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


def _anchored(prompt: Prompt, text: str, image_token: str) -> list[tuple[int, int]]:
    """Move spans where a processor keeps no record: texts agree before and behind its images.

    Raises
    ------
    EncodeError
        If they do not, or the user's text stands between images.
    """
    first, last = prompt.text.find(image_token), prompt.text.rfind(image_token) + len(image_token)
    head, tail = prompt.text[:first], prompt.text[last:]
    if not (text.startswith(head) and text.endswith(tail)):
        raise EncodeError("the processor changes the text around the image")
    moved = []
    for start, stop in prompt.user:
        if stop > first and start < last:
            raise EncodeError("text between images, and the processor does not say where it lies")
        shift = len(text) - len(prompt.text) if start >= last else 0
        moved.append((start + shift, stop + shift))
    return moved
