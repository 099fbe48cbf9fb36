"""A data repository in a temporary folder, driven by the real git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

_AUTHOR = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


class Repo:
    """The folder and the few git commands that the tests need."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def copy(self, to: Path) -> Repo:
        """Return a copy in another folder, which is cheaper than making it again."""
        shutil.copytree(self.root, to, symlinks=True)
        made = Repo.__new__(Repo)
        made.root = to
        return made

    def git(self, *arguments: str) -> str:
        """Run git here and return what it prints."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | _AUTHOR
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, path: str, data: bytes | str) -> Path:
        """Write a file, with its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        return file

    def commit(self, message: str = "change") -> str:
        """Commit everything and return the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "--no-verify", "-m", message)
        return self.git("rev-parse", "HEAD")

    def image(self, path: str, colour: int) -> None:
        """Write a small picture, another one for each colour from 0 to 2^24 - 1."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        rgb = (colour >> 16 & 255, colour >> 8 & 255, colour & 255)
        Image.new("RGB", (8, 8), rgb).save(file)

    def records(self, rows: Sequence[Mapping[str, Any]], path: str = "data/train.jsonl") -> None:
        """Write records, one a line."""
        self.write(path, "".join(json.dumps(row) + "\n" for row in rows))


def record(
    name: str, image: str | None = None, question: str = "What is it?", answer: str = "A field."
) -> dict[str, Any]:
    """One record in LLaVA's form."""
    return {
        "id": name,
        "image": image or f"{name}.png",
        "conversations": [
            {"from": "human", "value": f"<image>\n{question}"},
            {"from": "gpt", "value": answer},
        ],
    }
