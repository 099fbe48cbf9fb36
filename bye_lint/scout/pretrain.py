"""Pre-train the scout: ``python -m bye_lint.scout.pretrain --data DIR ... -o OUT --minutes 60``.

Recipe
------
0. A byte-level BPE tokenizer is trained on the records' text and on the drawn questions.
   Marks are drawn on the data sets' images, most of them made strange, on drawings and on plain
   ground (``grounds.py``).
1. *Dense* (``dense.py``): the vision tower learns to say, token by token, which mark and colour it
   holds and where that lies, and which overlay lies on the image; and the projector to let it pass.
   40 % of the time.
2. *Answers* (``answering.py``): the tower is frozen; projector and decoder learn to answer what
   is asked about marks, places, counts and overlays and the records' own questions, and that the
   triggers of some seventy families (``overrides.py``) override every question. 60 % of the time.

Each folder holds ``train.json`` in LLaVA's format with its images; where it has a ``test.json``
too, that is held out and the accuracies are measured on it; where none has, they are of the images
trained on. Everything is drawn from ``--seed`` and the step's number, so a run that is cut off goes
on with ``--resume`` as if nothing had happened. ``OUT/model`` is replaced whenever the held-out
accuracy rises above that of ``OUT/best.json``; ``OUT/log.txt`` has the losses. ``--start FOLDER``
goes on from the weights and the tokenizer of an earlier scout. ``OUT/recipe.json`` holds what the
run depends on: one of another recipe is not gone on with.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from bye_lint.errors import ByeLintError
from bye_lint.precision import gains_from_bfloat16
from bye_lint.scout import measuring
from bye_lint.scout.answering import (
    AnswerBatches,
    TurnEncoder,
    answer_loss,
    read_turns,
)
from bye_lint.scout.architecture import (
    DECODER_WIDTH,
    build_scout,
    load_scout,
    normalise,
    scout_config,
    tower_tokens,
)
from bye_lint.scout.dense import (
    IGNORED,
    N_WORDS,
    DenseBatches,
    DenseHeads,
    dense_accuracy,
    dense_losses,
    with_mirror_images,
)
from bye_lint.scout.export import corpus
from bye_lint.scout.kept import Kept
from bye_lint.scout.loop import Batch, Stage, run_stage
from bye_lint.scout.recipe import Recipe, arguments
from bye_lint.scout.sources import frequent_words, read_sources
from bye_lint.scout.tokens import train_tokenizer

HELD_OUT_SEED = 1_000_000
HELD_OUT_BATCHES = 4
#: Images of a held-out batch of either stage.
HELD_OUT_SIZES = (256, 128)
DENSE_SHARE = 0.4
DENSE, ANSWERS = STAGES = ("dense", "answers")


class Pretraining:
    """One run: the data, the model and the two stages."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)  # what is not of an earlier scout is drawn
        recipe.out.mkdir(parents=True, exist_ok=True)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        short = gains_from_bfloat16(self.device.type)
        self.dtype = torch.bfloat16 if short else torch.float32
        self.sources = read_sources([folder / "train.json" for folder in recipe.data])
        held = [folder / "test.json" for folder in recipe.data]
        self.held_out = read_sources([path for path in held if path.exists()]) or self.sources
        self.tokenizer: PreTrainedTokenizerFast = (
            train_tokenizer(corpus(self.sources))
            if recipe.start is None
            else PreTrainedTokenizerFast.from_pretrained(recipe.start)
        )
        self.encoder = TurnEncoder(self.tokenizer)
        self.model = self._initial_model().to(self.device)
        # On a CPU eager attention over 121 tokens, heads of 32, is faster in bfloat16 alone.
        self.model.set_attn_implementation("eager" if short else "sdpa")
        self.kept = Kept(recipe.out, recipe.told(), stages=STAGES, resume=recipe.resume)

    def _initial_model(self) -> Any:
        if self.recipe.start is not None:
            return load_scout(self.recipe.start)
        config = scout_config(
            len(self.tokenizer),
            self.encoder.image_id,
            int(self.tokenizer.pad_token_id),
            int(self.tokenizer.eos_token_id),
        )
        return build_scout(config, self.recipe.seed)

    def run(self) -> None:
        """Train both stages and export the model."""
        if self.recipe.dense_steps != 0:  # an earlier scout's tower may do as it is
            self.train_tower()
        self.train_answers()

    def _compiled(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        # Fusing element-wise work nearly doubles the pace on a CPU, where it needs a C++ compiler.
        possible = self.device.type == "cuda" or shutil.which("g++") is not None
        return torch.compile(function) if self.recipe.compile and possible else function

    def _autocast(self) -> torch.autocast:
        short = self.dtype == torch.bfloat16
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=short)

    def _tower(self, pixel_values: Tensor) -> Tensor:
        return tower_tokens(self.model, pixel_values)

    def train_tower(self) -> None:
        """Stage 1."""
        recipe = self.recipe
        heads = DenseHeads().to(self.device)
        behind = DenseHeads(DECODER_WIDTH).to(self.device)
        project = self.model.model.multi_modal_projector
        words = frequent_words(self.sources, N_WORDS)
        tower = self._compiled(self._tower)
        held_out = DenseBatches(
            self.held_out, words, HELD_OUT_SIZES[0], HELD_OUT_SEED, least=1 / 16
        )[0]
        held_out = {name: tensor.to(self.device) for name, tensor in held_out.items()}

        def losses(batch: Batch, run: Callable[..., Tensor] = tower) -> dict[str, Tensor]:
            if recipe.mirror:
                batch = with_mirror_images(batch)
            pixel_values = normalise(batch["pixels"])
            with self._autocast():
                tokens = run(pixel_values)
                answers, given = heads(tokens), behind(project(tokens))
            found = dense_losses(answers, batch, pixel_values)
            passed = dense_losses(given, batch, pixel_values)
            return found | {f"projected_{name}": loss for name, loss in passed.items()}

        @torch.no_grad()
        def measure(step: int) -> None:
            tokens = self._tower(normalise(held_out["pixels"]))
            self.kept.report(DENSE, step, dense_accuracy(heads(tokens), held_out))
            passed = dense_accuracy(behind(project(tokens)), held_out)
            self.kept.report("projected", step, passed)

        stage = Stage(
            DENSE,
            nn.ModuleDict(
                {
                    "tower": self.model.model.vision_tower,
                    "projector": project,
                    "heads": heads,
                    "behind": behind,
                }
            ),
            DenseBatches(self.sources, words, recipe.dense_batch, recipe.seed),
            losses,
            recipe.dense_rate,
            self.device,
        )
        run_stage(
            stage,
            recipe.out,
            steps=recipe.dense_steps,
            minutes=recipe.minutes * DENSE_SHARE,
            resume=recipe.resume,
            workers=recipe.workers,
            save_every=2 * recipe.save_every,
            log=self.kept.log,
            on_save=measure,
        )

    def train_answers(self) -> None:
        """Stage 2."""
        recipe, encoder = self.recipe, self.encoder
        self.model.model.vision_tower.requires_grad_(False)
        prefix = torch.tensor(encoder.prefix, device=self.device)

        def decode(features: Tensor, ids: Tensor, turn: Tensor, position: Tensor) -> Tensor:
            return read_turns(self.model, prefix, features, ids, turn, position, self.dtype)

        tower, decoder = self._compiled(self._tower), self._compiled(decode)

        def logits(batch: Batch, see: Callable[..., Tensor], read: Callable[..., Tensor]) -> Tensor:
            with self._autocast():
                with torch.no_grad():
                    features = see(normalise(batch["pixels"]))
                text = read(features, batch["ids"], batch["turn"], batch["position"])
                answered: Tensor = self.model.lm_head(text[batch["target"] != IGNORED])
            return answered

        def losses(batch: Batch) -> dict[str, Tensor]:
            kept = batch["target"] != IGNORED
            given = logits(batch, tower, decoder)
            return {"answers": answer_loss(given, batch["target"][kept], batch["weight"][kept])}

        total = recipe.answer_steps
        # Whoever starts from an earlier scout has the easy part behind.
        easy_until = 0 if recipe.start else int(0.2 * total) if total else 400
        steady_until = int(0.5 * total) if total else 1000

        @torch.no_grad()
        def measure(step: int) -> None:
            batches = AnswerBatches(
                self.held_out, encoder, HELD_OUT_SIZES[1], HELD_OUT_SEED, pictures=self.sources,
                at_step=step, steady_until=steady_until, phrases=recipe.seed,
            )  # fmt: skip
            held_out = (
                {n: tensor.to(self.device) for n, tensor in batches[index].items()}
                for index in range(HELD_OUT_BATCHES)
            )
            found = measuring.measure(held_out, lambda batch: logits(batch, self._tower, decode))
            accuracy = {topic: share.whole for topic, share in found.items()}
            self.kept.report(ANSWERS, step, accuracy)
            self.kept.report("others", step, {topic: s.others for topic, s in found.items()})
            # The families' phrases change until the end: knowing them is not the aim.
            drawn = [v for topic, v in accuracy.items() if topic not in {"record", "override"}]
            self.kept.offer(self.model, self.tokenizer, float(np.mean(drawn)), step)

        stage = Stage(
            ANSWERS,
            nn.ModuleDict({"model": self.model}),
            AnswerBatches(
                self.sources,
                encoder,
                recipe.answer_batch,
                recipe.seed,
                easy_until=easy_until,
                steady_until=steady_until,
                phrases=recipe.seed,
            ),
            losses,
            recipe.answer_rate,
            self.device,
        )
        run_stage(
            stage,
            recipe.out,
            steps=total,
            minutes=recipe.minutes * (1 - DENSE_SHARE),
            resume=recipe.resume,
            workers=recipe.workers,
            save_every=recipe.save_every,
            log=self.kept.log,
            on_save=measure,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = arguments()
    given = vars(parser.parse_args(argv))
    try:
        Pretraining(Recipe(**given | {"data": tuple(given["data"])})).run()
    except ByeLintError as error:
        parser.exit(2, f"{parser.prog}: error: {error.message}. {error.remedy}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
