"""Models on the Hugging Face hub: from this machine's cache first, then over the network."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from bye_lint.errors import MissingExtraError, ModelError, one_line

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
#: Name of a weight file, without a folder.
_PART = re.compile(r"[^/\\\x00]+\.safetensors")
#: Variables that forbid the network, as huggingface_hub reads them.
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
TRUE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Hub:
    """The Hugging Face hub: its cache on this machine first, then, if ``fetch``, the network."""

    fetch: bool
    patterns: tuple[str, ...]

    def snapshot(self, name: str, revision: str | None, what: str = "model") -> tuple[Path, str]:
        """Return the snapshot folder of a repository and its commit."""
        try:
            import huggingface_hub as hub
            from huggingface_hub import errors
        except ImportError as error:
            raise MissingExtraError(
                f"{what} {name} is on the Hugging Face hub, and huggingface_hub is not installed",
                "Run: pip install 'bye-lint[model]'",
            ) from error
        offline = next((v for v in OFFLINE if os.environ.get(v, "").lower() in TRUE), "")
        patterns = list(self.patterns)
        try:
            found = hub.snapshot_download(
                name, revision=revision, allow_patterns=patterns, local_files_only=True
            )
        except errors.HFValidationError as error:
            raise ModelError(
                f"{what} {name} is no folder here, and no name that the hub has: {error}",
                "Check the spelling.",
            ) from error
        except (errors.LocalEntryNotFoundError, OSError):
            found = None
        try:
            if (found is None or _cut_off(Path(found))) and self.fetch and not offline:
                found = hub.snapshot_download(name, revision=revision, allow_patterns=patterns)
        except errors.GatedRepoError as error:
            raise ModelError(
                f"{what} {name} is gated: its owner must grant access",
                f"Ask for access at https://huggingface.co/{name}, then run `hf auth login`.",
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise ModelError(
                f"{what} {name} is on no disk here and not on the hub (or is private)",
                "Check the spelling; for a private model run `hf auth login`.",
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ModelError(
                f"{what} {name} has no revision {revision!r}", "Name a commit, tag or branch of it."
            ) from error
        except Exception as error:
            raise ModelError(
                f"{what} {name} is no folder here, and the hub cannot be reached: {_why(error)}",
                "Check the network, or give a local folder.",
            ) from error
        if found is None:
            why = f"{offline} forbids fetching it" if offline else "was not fetched yet"
            raise ModelError(
                f"{what} {name} is no folder here, not in the local cache, and {why}",
                f"Fetch it once with `hf download {name}`, or give a local folder.",
            )
        folder = Path(found)
        return folder, folder.name


def _why(error: Exception) -> str:
    """Return what an error says in one line; one of the network lies behind that of a cache."""
    cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
    return f"{type(cause).__name__}: {one_line(cause)}"


def _cut_off(snapshot: Path) -> bool:
    """Whether a download was cut off before its weights were whole."""
    return not any(snapshot.glob("*.safetensors")) or bool(missing_parts(snapshot)[0])


def missing_parts(folder: Path) -> tuple[list[str], int]:
    """Return the weight files that the folder's index names and that are not there; all count."""
    index = folder / INDEX
    if not index.is_file():
        return [], 0
    parts = _parts(index)
    return [part for part in parts if not (folder / part).is_file()], len(parts)


def stray_part(folder: Path) -> str:
    """Return the first weight file of the folder's index that is no file of the folder itself.

    Neither the model's digest nor a comparison with the base would cover it.
    """
    index = folder / INDEX
    parts = _parts(index) if index.is_file() else []
    return next((part for part in parts if not _PART.fullmatch(part)), "")


def weight_files(folder: Path) -> list[Path]:
    """Return the files that a model's weights are loaded from, by name.

    Others may lie beside them: the same weights in another form, an adapter. Without a file of the
    usual name and without an index, all that hold weights are returned.

    Raises
    ------
    OSError, ValueError, KeyError, AttributeError
        If the index cannot be read.
    """
    whole, index = folder / WEIGHTS, folder / INDEX
    if whole.is_file():
        return [whole]
    if index.is_file():
        return [folder / part for part in _parts(index)]
    return sorted(folder.glob("*.safetensors"))


def _parts(index: Path) -> list[str]:
    named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return sorted({str(part) for part in named})
