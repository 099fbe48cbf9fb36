"""What a processor does to a prompt, seen from outside.

Processors expand each image of a prompt into its tokens in a way of their own. Calling the
processor as its users do, while noting what passes through it, gives the images, the token ids
and the text that stands for each image at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Outputs of a processor that describe the text, not the images.
_OF_TEXT = frozenset(
    {"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", "labels"}
)


@dataclass(frozen=True)
class Witnessed:
    """What one call of a processor gave, and what it put in the place of each image.

    Attributes
    ----------
    ids : (n_tokens,) int64 array
    type_ids : (n_tokens,) int64 array or None
    images : dict of str to array
        Everything that the model wants beside the text.
    replacements : tuple of str or None
        Text that stands for each image; ``None`` where the processor does not say.
    text : str or None
        The prompt with images filled in, as the tokenizer got it.
    """

    ids: npt.NDArray[np.int64]
    type_ids: npt.NDArray[np.int64] | None
    images: dict[str, Any] = field(repr=False)
    replacements: tuple[str, ...] | None
    text: str | None

    def image_tokens(self, image_token_id: int) -> int:
        """Count the tokens that stand for image features."""
        return int((self.ids == image_token_id).sum())


class _Listener:
    """Stands before a tokenizer and notes the text it is given."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.texts: list[str] = []

    def __call__(self, text: Any = None, *args: Any, **kwargs: Any) -> Any:
        self.texts += [text] if isinstance(text, str) else list(text)
        return self._tokenizer(text, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def witness(
    processor: Any, text: str, images: list[Image.Image], *, add_special_tokens: bool
) -> Witnessed:
    """Call the processor on one prompt and note what happens inside."""
    replacements: list[str] = []
    told = False
    original = getattr(processor, "get_text_with_replacements", None)

    def noting(texts: Any, images_replacements: Any = (), *args: Any, **kwargs: Any) -> Any:
        nonlocal told
        told = True
        replacements.extend(images_replacements)
        return original(texts, images_replacements, *args, **kwargs) if original else None

    listener = _Listener(processor.tokenizer)
    with _replaced(processor, tokenizer=listener, get_text_with_replacements=noting):
        output = processor(
            text=text, images=images, return_tensors="pt", add_special_tokens=add_special_tokens
        )
    arrays = {name: _numpy(value) for name, value in output.items()}
    types = arrays.get("mm_token_type_ids", arrays.get("token_type_ids"))
    return Witnessed(
        ids=arrays["input_ids"][0].astype(np.int64),
        type_ids=None if types is None else types[0].astype(np.int64),
        images={name: value for name, value in arrays.items() if name not in _OF_TEXT},
        replacements=tuple(replacements) if told and replacements else None,
        text=listener.texts[-1] if listener.texts else None,
    )


def _numpy(value: Any) -> Any:
    if not hasattr(value, "numpy"):
        return np.asarray(value)
    # numpy has no bfloat16, which Llama 4's images come in; float32 holds the same numbers
    return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()


@contextmanager
def _replaced(processor: Any, **attributes: Any) -> Iterator[None]:
    """Set attributes of the processor for a while."""
    before = {name: processor.__dict__[name] for name in attributes if name in processor.__dict__}
    processor.__dict__.update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            if name in before:
                processor.__dict__[name] = before[name]
            else:
                del processor.__dict__[name]
