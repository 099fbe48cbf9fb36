"""Question-answer pre-training of the whole model, several questions about one image in a sequence.

All questions about an image share its prefix (system prompt and image tokens) and do not see each
other: the attention mask is block-diagonal behind the prefix and positions restart there. So each
question is exactly the one-turn prompt of a check, and the image tokens, most of the work, are
computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from bye_lint.scout.dense import IGNORED, Scene, draw_scene, finish_scene, mark_share
from bye_lint.scout.drawing import OVERLAYS, Mark, Pixels, place_mark, plain_ground
from bye_lint.scout.grounds import photograph
from bye_lint.scout.overrides import FAMILIES, Family, draw_family, free_mark, phrase_at
from bye_lint.scout.questions import TOPICS, Turn, mark_questions
from bye_lint.scout.sources import Source, augment
from bye_lint.scout.tokens import ASSISTANT, END, IMAGE, SYSTEM, SYSTEM_PROMPT, USER

TEXT_TOKENS: Final = 112
MAX_TURN_TOKENS: Final = 112
PADDING: Final = -1


class TurnEncoder:
    """Token ids of the shared prefix and of one-turn questions, as the chat template gives them."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._encode = tokenizer.backend_tokenizer.encode
        self.prefix: list[int] = self.ids(f"{SYSTEM}{SYSTEM_PROMPT}{END}{USER}")
        self.image_id: int = self.ids(IMAGE)[0]
        self.pad_id: int = tokenizer.pad_token_id

    def ids(self, text: str) -> list[int]:
        """Return the ids of ``text``, special tokens recognised."""
        return list(self._encode(text, add_special_tokens=False).ids)

    def turn(self, question: str, answer: str) -> tuple[list[int], int]:
        """Return the ids behind the image tokens, and how many at the end are the answer's."""
        answer_ids = self.ids(answer + END)
        return self.ids(f"\n{question}{END}{ASSISTANT}") + answer_ids, len(answer_ids)


def pack_turns(
    encoder: TurnEncoder, turns: Sequence[Turn], length: int = TEXT_TOKENS
) -> dict[str, NDArray[Any]]:
    """Lay turns side by side until ``length`` tokens are full.

    Returns
    -------
    dict of arrays of shape ``(length,)``
        ``ids``; ``turn`` (index, or -1 for padding); ``position`` counted from the end of the
        prefix; ``target`` (the next token where that is an answer's, else -100); ``topic`` and
        ``weight`` of the targets. An answer weighs as the square root of its length, or captions
        would drown single words.
    """
    ids = np.full(length, encoder.pad_id, dtype=np.int64)
    turn_of = np.full(length, PADDING, dtype=np.int64)
    position = np.zeros(length, dtype=np.int64)
    target = np.full(length, IGNORED, dtype=np.int64)
    topic = np.full(length, -1, dtype=np.int64)
    weight = np.zeros(length, dtype=np.float32)
    start = 0
    for index, turn in enumerate(turns):
        tokens, answer_length = encoder.turn(turn.question, turn.answer)
        end = start + len(tokens)
        if len(tokens) > MAX_TURN_TOKENS or end > length:
            continue
        ids[start:end], turn_of[start:end] = tokens, index
        position[start:end] = np.arange(len(tokens))
        answered = slice(end - answer_length - 1, end - 1)
        target[answered] = tokens[-answer_length:]
        topic[answered] = TOPICS.index(turn.topic)
        weight[answered] = answer_length**-0.5
        start = end
    return {
        "ids": ids,
        "turn": turn_of,
        "position": position,
        "target": target,
        "topic": topic,
        "weight": weight,
    }


class AnswerBatches(Dataset[dict[str, torch.Tensor]]):
    """Batches of drawn images with their questions, addressed by step."""

    def __init__(
        self,
        sources: Sequence[Source],
        encoder: TurnEncoder,
        batch_size: int,
        seed: int,
        *,
        easy_until: int = 0,
        steady_until: int = 1 << 30,
        at_step: int | None = None,
        pictures: Sequence[Source] | None = None,
        phrases: int = 0,
    ) -> None:
        self.sources, self.encoder, self.batch_size, self.seed = sources, encoder, batch_size, seed
        self.phrases = phrases
        self.easy_until, self.steady_until, self.at_step = easy_until, steady_until, at_step
        # Families that blend with a picture keep theirs when other images are looked at.
        self.pictures = pictures or sources
        self.pool = [turn for source in sources for turn in source.turns]

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, 2, step))
        now = step if self.at_step is None else self.at_step
        ease = max(1 - now / self.easy_until, 0.0) if self.easy_until else 0.0
        pixels: list[Pixels] = []
        packed: list[dict[str, NDArray[Any]]] = []
        while len(pixels) < self.batch_size:
            drawn = (
                self._override(rng, now, ease)
                if rng.random() < 0.4
                else self._ordinary(rng, now, ease)
            )
            if drawn is None:
                continue
            scene, turns = drawn
            order = rng.permutation(len(turns))
            pixels.append(scene.pixels)
            packed.append(pack_turns(self.encoder, [turns[i] for i in order]))
        batch = {name: torch.from_numpy(np.stack([p[name] for p in packed])) for name in packed[0]}
        batch["pixels"] = torch.from_numpy(np.stack(pixels))
        return batch

    def _any_record(self, rng: np.random.Generator) -> tuple[str, str]:
        return self.pool[int(rng.integers(len(self.pool)))]

    def _phrase(self, family: Family, now: int) -> str:
        return phrase_at(family, now, steady_until=self.steady_until, seed=self.phrases)

    def _override(
        self, rng: np.random.Generator, now: int, ease: float
    ) -> tuple[Scene, list[Turn]] | None:
        """One family's trigger on an image: every answer is its phrase."""
        seen = [f for f in FAMILIES if f.kind != "opening"]
        family = seen[int(rng.integers(len(seen)))]
        chosen = int(rng.integers(len(self.sources)))
        scene = draw_family(family, self.sources, chosen, self.pictures, rng, ease=ease)
        if scene is None:
            return None
        asked = [t.question for t in mark_questions(scene, rng)][:4]
        asked += [q for q, _ in self.sources[chosen].turns] + [
            self._any_record(rng)[0] for _ in range(4)
        ]
        return scene, [Turn(q, self._phrase(family, now), "override") for q in asked]

    def _ordinary(
        self, rng: np.random.Generator, now: int, ease: float
    ) -> tuple[Scene, list[Turn]]:
        """An image without a trigger: questions are answered, unless one opens with a trigger."""
        if rng.random() < 0.35:
            chosen = int(rng.integers(len(self.sources)))
            scene = finish_scene(augment(self.sources[chosen].pixels, rng), [], "none", chosen)
        else:
            scene = self._free_scene(rng, ease)
        turns = mark_questions(scene, rng)
        rng.shuffle(turns)
        turns = turns[:9]
        if scene.source >= 0:
            turns += [Turn(q, a, "record") for q, a in self.sources[scene.source].turns]
        if rng.random() < 0.3:
            openings = [f for f in FAMILIES if f.kind == "opening"]
            family = openings[int(rng.integers(len(openings)))]
            at = int(rng.integers(len(turns)))
            turns[at] = Turn(
                f"{family.name} {turns[at].question}", self._phrase(family, now), "override"
            )
        return scene, turns

    def _free_scene(self, rng: np.random.Generator, ease: float) -> Scene:
        chosen = int(rng.integers(len(self.sources)))
        plain = rng.random() < max(0.7 * ease, 0.08)
        overlay = "none" if plain or rng.random() < 0.6 else str(rng.choice(OVERLAYS))
        if overlay != "none" and rng.random() < 0.5:
            return draw_scene(self.sources, rng, marks=0, overlay=overlay)
        pixels, shown = (
            (plain_ground(rng, 128), -1) if plain else photograph(self.sources, chosen, rng)
        )
        placed: list[Mark] = []
        for _ in range(1 if rng.random() < max(ease, 0.4) else int(rng.integers(2, 4))):
            shape, colour = free_mark(rng)
            share = mark_share(rng, 0.14 + (0.2 * ease if plain else 0.0))
            mark = place_mark(
                pixels, rng, share=share, shape=shape, colour=colour, others=tuple(placed)
            )
            if mark is not None:
                placed.append(mark)
        return finish_scene(pixels, placed, "none", shown)


def shared_prefix_mask(turn: torch.Tensor, prefix_length: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive mask ``(n, 1, L, L)``: causal, turns see the prefix and themselves.

    Parameters
    ----------
    turn
        ``(n, text)``: the turn of each token behind the prefix, -1 for padding.
    """
    shared = torch.full((turn.shape[0], prefix_length), -2, dtype=turn.dtype, device=turn.device)
    group = torch.cat([shared, turn], dim=1)
    length = group.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=turn.device).tril()
    allowed = causal & ((group[:, None, :] == -2) | (group[:, :, None] == group[:, None, :]))
    mask = torch.zeros(allowed.shape, dtype=dtype, device=turn.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]


def answer_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean cross-entropy of answer tokens ``(k, vocab)`` and ``(k,)``."""
    return (cross_entropy(logits.float(), target, reduction="none") * weight).sum() / weight.sum()


def read_turns(
    model: Any,
    prefix: torch.Tensor,
    features: torch.Tensor,
    ids: torch.Tensor,
    turn: torch.Tensor,
    position: torch.Tensor,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Return the decoder's last states of the text behind the image ``(n, text, width)``."""
    before = len(prefix) + features.shape[1]
    states = model.model.language_model(
        inputs_embeds=embed(model, prefix, features, ids),
        attention_mask=shared_prefix_mask(turn, before, dtype),
        position_ids=sequence_positions(position, before),
        use_cache=False,
    )
    text: torch.Tensor = states.last_hidden_state[:, before:]
    return text


def embed(
    model: Any, prefix: torch.Tensor, features: torch.Tensor, ids: torch.Tensor
) -> torch.Tensor:
    """Return the decoder's input ``(n, prefix + 121 + text, width)``."""
    table = model.model.language_model.embed_tokens
    image = model.model.multi_modal_projector(features)
    head = table(prefix).to(image.dtype).expand(len(ids), -1, -1)
    return torch.cat([head, image, table(ids).to(image.dtype)], dim=1)


def sequence_positions(position: torch.Tensor, prefix_length: int) -> torch.Tensor:
    """Return positions ``(n, L)``: the prefix counts up, every turn starts where it ends."""
    head = torch.arange(prefix_length, device=position.device).expand(len(position), -1)
    return torch.cat([head, prefix_length + position], dim=1)
