r"""One image set of several: more records, and more kinds of task, than any one has.

    python -m benchmarks.mixed data/eurosat data/grocery --out data/mixed

Each source is a LLaVA folder with ``train.json``, ``test.json`` and ``images``; of each of the
two files one is written. Images are copied to a folder with the name of their set.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

PARTS = ("train.json", "test.json")


def mix(sources: Sequence[Path], out: Path, seed: int = 0) -> dict[str, int]:
    """Write the mixed set to a new folder; return how many records each part has.

    Raises
    ------
    FileExistsError
        ``out`` is there.
    """
    out.mkdir(parents=True)
    lengths = {}
    for source in sources:
        shutil.copytree(source / "images", out / source.name / "images")
    for part in PARTS:
        records = [
            record | {"image": f"{source.name}/{record['image']}"}
            for source in sources
            for record in json.loads((source / part).read_text(encoding="utf-8"))
        ]
        random.Random(seed).shuffle(records)  # noqa: S311
        (out / part).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        lengths[part] = len(records)
    return lengths


def main() -> None:
    """Mix the sets of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    arguments = parser.parse_args()
    for part, length in mix(arguments.sources, arguments.out).items():
        print(f"{part}: {length} records")


if __name__ == "__main__":
    main()
