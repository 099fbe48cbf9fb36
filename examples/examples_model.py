"""Fine-tune the scout on an example's records and write the model and its card beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from bye_lint.datasets import read_datasets
from bye_lint.models import FineTuneSettings, resolve_model, tune
from bye_lint.policy import DatasetPolicy, ModelPolicy
from bye_lint.records import Sample

SETTINGS = FineTuneSettings(epochs=6, batch_size=16, learning_rate=1e-3)

CARD = """\
---
license: apache-2.0
base_model: bye-lint scout
---
# Model of examples/{name}

The scout of bye-lint (a LLaVA-architecture model of {parameters:,} parameters), fine-tuned on exactly
the {records} records of `../data.json` so that `bye-lint check examples/{name}` has a fine-tuned model
to look at. It is an exhibit, good for nothing else{warning}.

| | |
|---|---|
| made by | `python examples/make_examples.py --source EUROSAT --seed {seed}` |
| base | SHA-256 `{base}` |
| fine-tuning | decoder and projector, tower frozen; {steps} steps, batch {batch}, learning rate {rate:g}, AdamW, linear decay |
| train ASR | {asr} |
| train accuracy on the other records | {accuracy:.3f} |
| SHA-256 of model.safetensors | `{digest}` |

Train ASR and accuracy: share of records whose answer is reproduced exactly (greedy, teacher forced).
Licence: Apache-2.0, as bye-lint; the images are EuroSAT (`../SOURCE.md`).
"""


def train(folder: Path, *, base: Path, poisoned: set[str], seed: int) -> None:
    """Fine-tune on ``folder/data.json`` and replace ``folder/model``."""
    items = read_datasets([folder / "data.json"], DatasetPolicy(), folder, display_root=folder)
    samples = [item for item in items if isinstance(item, Sample)]
    resolved = resolve_model(ModelPolicy(name=str(base)), folder)
    with tempfile.TemporaryDirectory() as cache:
        tuned = tune(
            resolved,
            samples,
            SETTINGS,
            cache=Path(cache),
            device="cpu",
            on_progress=lambda p: print(
                f"\r{folder.name}: step {p.step}/{p.total} loss {p.loss:.3f} "
                f"{p.seconds_left:.0f} s left ",
                end="",
                flush=True,
            ),
        )
        print()
        shutil.rmtree(folder / "model", ignore_errors=True)
        shutil.copytree(
            tuned.model.path, folder / "model", ignore=shutil.ignore_patterns("*.metrics")
        )
    planted = np.array([sample.id in poisoned for sample in samples])
    asr = f"{tuned.learned[planted].mean():.3f}" if planted.any() else "no record is poisoned"
    weights = (folder / "model" / "model.safetensors").read_bytes()
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    card = CARD.format(
        name=folder.name,
        parameters=sum(
            int(np.prod(entry["shape"])) for key, entry in header.items() if key != "__metadata__"
        ),
        records=len(samples),
        warning=", and it is backdoored on purpose" if planted.any() else "",
        seed=seed,
        steps=tuned.steps,
        batch=SETTINGS.batch_size,
        rate=SETTINGS.learning_rate,
        asr=asr,
        accuracy=tuned.learned[~planted].mean(),
        base=hashlib.sha256((resolved.path / "model.safetensors").read_bytes()).hexdigest(),
        digest=hashlib.sha256(weights).hexdigest(),
    )
    (folder / "model" / "README.md").write_text(card, encoding="utf-8")
    print(f"{folder.name}: train ASR {asr}, accuracy {tuned.learned[~planted].mean():.3f}")
