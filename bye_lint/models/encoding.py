"""From records to training examples, within a bound on the memory that their images take."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from bye_lint.errors import ModelError
from bye_lint.models.answers import end_tokens, said_tokens
from bye_lint.models.chat import EncodeError
from bye_lint.models.examples import Example
from bye_lint.models.grids import rope_index
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.prompts import Encoded
from bye_lint.records import Sample

#: Images of all examples in bytes beyond which each is read again when its batch comes. Not a
#: share of the machine's memory: what is computed must not depend on the machine.
KEPT_BYTES = 4 * 2**30

#: Tokens of an answer that are learned. Attention is read at the first; one answer of a megabyte
#: must not take the memory of all others in its batch.
LEARNED_TOKENS = 512
_LEARNED_CHARACTERS = 32 * LEARNED_TOKENS

#: Images whose features are computed together; a multiple of the tower's batch.
_PIXELS_AT_ONCE = 256

#: Records whose images are kept after they were read again, and how many bytes of these.
_READ_AHEAD, _READ_AHEAD_BYTES = 64, 2**28

Pixels = dict[str, Tensor]


def answer_ids(loaded: LoadedModel, sample: Sample) -> Tensor:
    """Return the tokens that the model is to learn: the first answer and the end of the turn.

    They are those that the chat template writes (:mod:`bye_lint.models.answers`). Of a long answer
    its beginning, at most :data:`LEARNED_TOKENS`, which ends no turn.
    """
    processor, family = loaded.processor, loaded.family
    ids = said_tokens(processor, family, sample.answer[:_LEARNED_CHARACTERS])
    if len(sample.answer) <= _LEARNED_CHARACTERS:
        ids += end_tokens(processor, family)
    return torch.tensor(ids[:LEARNED_TOKENS], dtype=torch.long)


def encode_examples(
    loaded: LoadedModel,
    samples: Sequence[Sample],
    *,
    on_pixels: Callable[[Pixels], None] | None = None,
    kept_bytes: int = KEPT_BYTES,
    max_pixels: int = 50_000_000,
) -> tuple[list[Example | None], Pixels]:
    """Encode records for training.

    Parameters
    ----------
    on_pixels : callable or None
        Takes the images of families whose tower sees one image as one tensor, some at a time; they
        are not returned then.
    kept_bytes : int
        Where the images of all records take more, they are read again as they are needed.
    max_pixels : int
        A record with a larger image is not encoded: as many as are allowed where it is read, lest
        it be scored by a model that has not learned it.

    Returns
    -------
    list of Example or None
        In the order of the samples; ``None`` for a record that cannot be encoded.
    dict
        Key of an image to its pixels ``(3, height, width)``, each image once; empty where the
        family's tower is not one image, one tensor (the examples then carry their inputs).
    """
    examples: list[Example | None] = []
    pixels: Pixels = {}
    seen: set[str] = set()
    again = _Again(loaded, samples, max_pixels)
    plain: bool | None = None
    held = 0
    shown: object = None
    encodings = _encoded(loaded, samples, max_pixels)
    for i, (sample, encoded) in enumerate(zip(samples, encodings, strict=True)):
        if isinstance(encoded, EncodeError):
            if encoded.passing:
                raise ModelError(f"record {sample.id!r}: {encoded}", "Run again.") from encoded
            examples.append(None)
            continue
        answer = answer_ids(loaded, sample)
        ids = torch.cat([torch.from_numpy(encoded.ids), answer])
        tensors: Mapping[str, Tensor] = _tensors(encoded)
        tokens = _of_tokens(loaded, encoded, len(answer))
        if plain is None:
            known = _plain(loaded, tensors)
            width = int(loaded.whole_config.vision_config.hidden_size) if known else 0
            features = 2 * encoded.image_tokens * width * len(samples)
            plain = known and features <= kept_bytes
        keys: list[str] = []
        if plain:
            # Each image by itself, however many a record has: features stand in for all pixels.
            images = tensors["pixel_values"]
            tensors = {name: t for name, t in tensors.items() if name != "pixel_values"}
            for image in images:
                keys.append(hashlib.sha256(image.numpy().tobytes()).hexdigest())
                if keys[-1] not in seen:
                    seen.add(keys[-1])
                    pixels[keys[-1]] = image
        if encoded.images is not shown:  # the questions of a conversation have them in common
            held += _size(tensors)
        shown = encoded.images
        if held > kept_bytes:
            tensors = _Inputs(again, i, tuple(tensors))
        examples.append(Example(ids, len(answer), tuple(keys), tensors, tokens))
        if on_pixels is not None and len(pixels) >= _PIXELS_AT_ONCE:
            on_pixels(pixels)
            pixels = {}
    if on_pixels is not None and pixels:
        on_pixels(pixels)
        pixels = {}
    return examples, pixels


def _encoded(
    loaded: LoadedModel, samples: Sequence[Sample], max_pixels: int
) -> Iterator[Encoded | EncodeError]:
    """Encode records in their order; images that some in a row have in common are decoded once."""
    encoder = loaded.encoder
    for _, group in groupby(samples, key=lambda sample: sample.images):
        yield from encoder.encode_shared(list(group), max_pixels=max_pixels)


class _Again:
    """Reads the images of a record once more, and keeps those of the last records.

    No cache of functools: one around a method would hold the model, and its memory on the device,
    until Python looks for cycles.
    """

    def __init__(self, loaded: LoadedModel, samples: Sequence[Sample], max_pixels: int) -> None:
        self._loaded, self._samples, self._max_pixels = loaded, samples, max_pixels
        self._kept: OrderedDict[int, dict[str, Tensor]] = OrderedDict()
        self._bytes = 0

    def tensors(self, i: int) -> dict[str, Tensor]:
        """Return what the model takes of a record's images."""
        if i in self._kept:
            self._kept.move_to_end(i)
            return self._kept[i]
        self._kept[i] = found = self._tensors(i)
        self._bytes += _size(found)
        while len(self._kept) > 1 and (
            len(self._kept) > _READ_AHEAD or self._bytes > _READ_AHEAD_BYTES
        ):
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return found

    def _tensors(self, i: int) -> dict[str, Tensor]:
        (encoded,) = self._loaded.encoder.encode_shared(
            [self._samples[i]], max_pixels=self._max_pixels
        )
        if isinstance(encoded, EncodeError):
            raise ModelError(
                f"record {self._samples[i].id!r} changed during the fine-tuning: {encoded}",
                "Leave the data alone while they are checked, and run again.",
            )
        return _tensors(encoded)


class _Inputs(Mapping[str, Tensor]):
    """What the model takes of a record's images, read when it is asked for."""

    def __init__(self, again: _Again, i: int, names: tuple[str, ...]) -> None:
        self._again, self._i, self._names = again, i, names

    def __getitem__(self, name: str) -> Tensor:
        return self._again.tensors(self._i)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _of_tokens(loaded: LoadedModel, encoded: Encoded, n_answer: int) -> dict[str, Tensor]:
    """Return what the family wants of each token of prompt and answer beside its id."""
    family = loaded.family
    tokens: dict[str, Tensor] = {}
    if encoded.type_ids is not None:
        # Where types mark images the answer is text like the prompt; where they are 0 throughout
        # the prompt they mark what sees both ways, and the answer does not.
        of_answer = 0 if encoded.type_ids.any() else 1
        types = np.append(encoded.type_ids, [of_answer] * n_answer).astype(np.int64)
        tokens[family.type_ids] = torch.from_numpy(types)
    if family.positions == "rope_index":
        prompt = rope_index(loaded.base)(encoded)
        answer = prompt.max() + 1 + torch.arange(n_answer).expand(len(prompt), -1)
        tokens["position_ids"] = torch.cat([prompt, answer], dim=1)
    return tokens


def _tensors(encoded: Encoded) -> dict[str, Tensor]:
    return {name: torch.as_tensor(np.asarray(array)) for name, array in encoded.images.items()}


def _plain(loaded: LoadedModel, tensors: Mapping[str, Tensor]) -> bool:
    """Whether an image is one tensor, and its features one layer's, that depend on nothing else.

    Not in LLaVAs that join several layers, nor where the tower takes images of any size (Pixtral).
    """
    one_layer = isinstance(getattr(loaded.whole_config, "vision_feature_layer", None), int)
    return loaded.family.model_type == "llava" and one_layer and set(tensors) == {"pixel_values"}
