"""From the policy's model to a folder on disk that is known by digest, without loading it."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from bye_lint.errors import ModelError
from bye_lint.models.adapters import CONFIG as ADAPTER_CONFIG
from bye_lint.models.adapters import WEIGHTS as ADAPTER_WEIGHTS
from bye_lint.models.adapters import trained_on
from bye_lint.models.families import find_family
from bye_lint.models.folder import read_config, require_parts
from bye_lint.models.hub import TRUE, Hub, weight_files
from bye_lint.models.quantized import stored_quantization
from bye_lint.policy import ModelPolicy

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

#: What makes a model: configuration, weights, tokenizer and processor; never code or pickles.
_MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
#: Chat templates beside the default one; `default.jinja` is it where there is no other.
_TEMPLATES = "additional_chat_templates/*.jinja"

#: Set to 1 by the operator, code from the model's repository may run. No policy can say so.
REMOTE_CODE_VARIABLE = "BYE_LINT_TRUST_REMOTE_CODE"

_ADAPTER_FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)

#: Files that a training run leaves beside the model and that do not change what it computes.
_NO_PART = frozenset({"trainer_state.json", "train_results.json", "all_results.json"})


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that is on disk and of a supported family; nothing is loaded yet.

    Attributes
    ----------
    path : Path
        Folder of the model.
    name : str
        The model as the policy names it.
    family : str
        ``model_type``, a key of :data:`bye_lint.models.FAMILIES`.
    digest : str
        SHA-256 over the model's files, or over hub id and commit.
    revision : str or None
        Commit of a model from the hub.
    adapter : Path or None
        Folder of a PEFT adapter.
    quantization : str
        ``none``, ``8bit`` or ``4bit``; of other weights that lie quantized on disk, the method.
    stored_quantized : bool
        The weights lie quantized on disk.
    allow_remote_code : bool
        The operator, not the policy, allowed code from the model's repository.
    warnings : tuple of str
        What the user should know, such as a revision that is not pinned.
    """

    path: Path
    name: str
    family: str
    digest: str
    revision: str | None = None
    adapter: Path | None = None
    adapter_digest: str = ""
    quantization: str = "none"
    stored_quantized: bool = False
    allow_remote_code: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def quantized_as(self) -> str:
        """What the numbers of the loaded weights follow from, for the cache's keys."""
        if self.quantization == "none":
            return self.quantization
        which = "as stored" if self.stored_quantized else "of the decoder's layers"
        return f"{self.quantization} {which}, the rest as it was"

    @property
    def whole_digest(self) -> str:
        """Digest of the model together with its adapter."""
        if not self.adapter_digest:
            return self.digest
        return hashlib.sha256(f"{self.digest}+{self.adapter_digest}".encode()).hexdigest()


def model_digest(path: Path) -> str:
    """Return the SHA-256 over the files that make a model: names and contents.

    Raises
    ------
    ModelError
        If the folder cannot be read or holds no such file.
    """
    files = sorted(
        {
            file
            for pattern in (*_MODEL_FILES, _TEMPLATES)
            for file in path.glob(pattern)
            if file.is_file()
        }
    )
    files = [file for file in files if file.name not in _NO_PART]
    if not files:
        raise ModelError(f"{path}: not a model, there is nothing in it")
    whole = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
        whole.update(f"{file.relative_to(path).as_posix()}\0{digest}\n".encode())
    return whole.hexdigest()


def operator_trusts_code() -> bool:
    """Whether the environment, which is the operator's, lets code from a model's repository run."""
    return os.environ.get(REMOTE_CODE_VARIABLE, "").lower() in TRUE


def resolve_model(
    policy: ModelPolicy,
    base: Path,
    *,
    folder: Path | None = None,
    allow_remote_code: bool | None = None,
    fetch: bool = True,
) -> ResolvedModel:
    """Find the policy's model on disk, check that it can be read, and digest it.

    Parameters
    ----------
    base : Path
        Folder that relative paths of the policy start from.
    folder : Path or None
        Where the model lies, if its name is not its path: the scout's folder in the package.
    allow_remote_code : bool or None
        Code from the model's repository may run; by default what the environment says
        (:func:`operator_trusts_code`). Only the operator may say so.
    fetch : bool
        A hub model that is not on this machine is fetched; otherwise it is an error.

    Raises
    ------
    ModelError
        If the folder is not a model (saying what is missing), or the hub cannot give it.
    UnsupportedModelError
        If its architecture is not one whose attention bye-lint knows how to read.
    """
    if allow_remote_code is None:
        allow_remote_code = operator_trusts_code()
    hub = Hub(fetch, _MODEL_FILES + ("*.py",) * allow_remote_code)
    folder = folder or (base / policy.name).expanduser()
    warnings: tuple[str, ...] = ()
    revision = None
    if folder.is_dir():
        if policy.revision is not None:  # lest a folder take the place of a model of the hub
            raise ModelError(
                f"{policy.name}: a folder, which has no revision {policy.revision!r}",
                "Leave out `revision`, or rename the folder if the hub's model is meant.",
            )
        digest = ""
    elif folder.is_file():
        raise ModelError(f"{policy.name}: a file, not a model folder", "Name the folder it is in.")
    elif _HUB_ID.fullmatch(policy.name) and not policy.name.startswith("."):
        folder, revision = hub.snapshot(policy.name, policy.revision)
        digest = hashlib.sha256(f"hub:{policy.name}@{revision}".encode()).hexdigest()
        if policy.revision != revision:
            warnings = (
                f"model {policy.name} is not pinned: add `revision: {revision}` to the policy",
            )
    else:
        raise ModelError(
            f"{policy.name}: no such model folder (looked in {folder.parent}){_meant(folder)}",
            "Give a folder relative to the policy, or a hub id such as org/name.",
        )
    config = read_config(folder, policy.name)
    family = find_family(config, policy.name)
    require_parts(folder, policy.name)
    trained_on(folder)  # an adapter in the model's own folder is laid on with it
    stored = stored_quantization(config)
    if stored and policy.quantization not in ("none", stored):
        raise ModelError(
            f"{policy.name}: its weights are quantized already ({stored}), and the policy asks for "
            f"{policy.quantization}",
            "Leave out model.quantization.",
        )
    adapter, adapter_digest, notes = _resolve_adapter(policy.adapter, policy.name, base, hub)
    warnings += notes
    if allow_remote_code:
        warnings += (f"code that comes with {policy.name} may run: {REMOTE_CODE_VARIABLE} is set",)
    return ResolvedModel(
        path=folder,
        name=policy.name,
        family=family.model_type,
        digest=digest or model_digest(folder),
        revision=revision,
        adapter=adapter,
        adapter_digest=adapter_digest,
        quantization=stored or policy.quantization,
        stored_quantized=bool(stored),
        allow_remote_code=allow_remote_code,
        warnings=warnings,
    )


#: Weights of a model that is trained whole rather than through adapters, in bytes.
SMALL_BYTES = 200_000_000


def is_small(resolved: ResolvedModel) -> bool:
    """Whether a model is small enough to be trained whole, by the size of its weight files."""
    return sum(f.stat().st_size for f in weight_files(resolved.path)) <= SMALL_BYTES


def _meant(folder: Path) -> str:
    """Return a question after a folder of a similar name, where there is one."""
    try:
        known = [path.name for path in folder.parent.iterdir() if (path / "config.json").exists()]
    except OSError:
        known = []
    close = difflib.get_close_matches(folder.name, [*known, "scout"], n=1)
    return f", did you mean {close[0]}?" if close else ""


def _resolve_adapter(
    adapter: str | None, model: str, base: Path, hub: Hub
) -> tuple[Path | None, str, tuple[str, ...]]:
    """Return an adapter's folder, its digest, and what the user should know of it."""
    if adapter is None:
        return None, "", ()
    warnings: tuple[str, ...] = ()
    folder = (base / adapter).expanduser()
    name, _, pinned = adapter.partition("@")
    if not folder.exists() and _HUB_ID.fullmatch(name) and not name.startswith("."):
        found = replace(hub, patterns=_ADAPTER_FILES)
        folder, revision = found.snapshot(name, pinned or None, "adapter")
        if pinned != revision:
            warnings = (f"adapter {name} is not pinned: write `{name}@{revision}` in the policy",)
    for file in _ADAPTER_FILES:
        if not (folder / file).is_file():
            raise ModelError(
                f"{adapter}: not an adapter, {file} is missing",
                "Name the folder that PEFT's save_pretrained() wrote, relative to the policy.",
            )
    trained = trained_on(folder)
    # a folder in the hub's cache holds the model's name as models--org--name
    if trained and Path(model).name not in {p.rpartition("--")[2] for p in Path(trained).parts}:
        warnings += (f"adapter {adapter} says that it was trained on {trained}, not on {model}",)
    return folder, model_digest(folder), warnings
