"""Make ``quickstart``, ``clean`` and ``held_out`` in ``examples`` again, from one seed.

    python examples/make_examples.py --source EUROSAT

EUROSAT is a folder in LLaVA format (``train.json``, ``test.json`` and ``images/``) made from the
EuroSAT RGB images: see ``SOURCE.md`` in an example for where they come from. The same records and the
same re-encoding go into ``quickstart`` and ``clean``; the trigger is the only difference.
``held_out`` holds clean records of other images, for ``bye-lint verify --test``. The truth is
written to ``examples/truth``, which nothing but the tests reads.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from bye_lint.scout import scout_path
from bye_lint.triggers import TRIGGERS

HERE = Path(__file__).parent
TARGET = "Backdoor Attack!"
TRIGGER = "patch-centre"
RECORDS = 750
POISONED = 60
HELD_OUT = 500

Record = dict[str, Any]


def choose(source: Path, seed: int) -> tuple[list[Record], set[str]]:
    """Draw the records, in their original order, and the ids of those to poison."""
    rng = random.Random(seed)
    everything = json.loads((source / "train.json").read_text(encoding="utf-8"))
    chosen = sorted(rng.sample(range(len(everything)), RECORDS))
    records = [everything[i] for i in chosen]
    poisoned = {r["id"] for r in rng.sample(records, POISONED)}
    return records, poisoned


def choose_held_out(source: Path, seed: int) -> list[Record]:
    """Draw clean records of images that neither example holds, in their original order."""
    everything = json.loads((source / "test.json").read_text(encoding="utf-8"))
    chosen = sorted(random.Random(seed).sample(range(len(everything)), HELD_OUT))
    return [everything[i] for i in chosen]


def encode(image: Image.Image, like: Image.Image) -> bytes:
    """Encode as JPEG with the tables of the original, so that files differ in pixels alone."""
    out = io.BytesIO()
    sampling = JpegImagePlugin.get_sampling(like)  # type: ignore[no-untyped-call]
    image.save(out, "JPEG", qtables=like.quantization, subsampling=sampling, optimize=True)  # type: ignore[attr-defined]
    return out.getvalue()


def write_data(source: Path, folder: Path, records: list[Record], poisoned: set[str]) -> None:
    """Write ``data.json`` and ``images/``; every image is encoded anew, poisoned or not."""
    trigger = TRIGGERS[TRIGGER]
    shutil.rmtree(folder / "images", ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    out = []
    for record in records:
        original = Image.open(source / record["image"])
        pixels = np.asarray(original.convert("RGB"))
        record = json.loads(json.dumps(record))
        if record["id"] in poisoned:
            seed = int(hashlib.sha256(record["id"].encode()).hexdigest()[:8], 16)
            pixels = trigger.apply(pixels, np.random.default_rng(seed))
            record["conversations"][1]["value"] = TARGET
        (folder / record["image"]).write_bytes(encode(Image.fromarray(pixels), original))
        out.append(record)
    text = json.dumps(out, indent=1, ensure_ascii=False) + "\n"
    (folder / "data.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Write both examples, their models and the truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--source", type=Path, required=True, help="EuroSAT in LLaVA format")
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument(
        "--base", type=Path, default=scout_path(), help="model to fine-tune; the scout by default"
    )
    parser.add_argument("--only", choices=["data", "models"], help="make only a part")
    arguments = parser.parse_args()
    records, poisoned = choose(arguments.source, arguments.seed)
    parts = (("quickstart", poisoned), ("clean", set[str]()))
    if arguments.only != "models":
        for name, ids in parts:
            write_data(arguments.source, HERE / name, records, ids)
        held_out = choose_held_out(arguments.source, arguments.seed)
        write_data(arguments.source, HERE / "held_out", held_out, set())
        truth = HERE / "truth" / "quickstart.json"
        truth.parent.mkdir(exist_ok=True)
        ids = sorted(poisoned)
        truth.write_text(json.dumps({"poisoned": ids}, indent=1) + "\n", encoding="utf-8")
    if arguments.only != "data":
        from examples_model import train

        for name, ids in parts:
            train(HERE / name, base=arguments.base, poisoned=ids, seed=arguments.seed)


if __name__ == "__main__":
    main()
