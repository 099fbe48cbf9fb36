"""Whether a model fits, told from the headers of its weight files before anything is loaded."""

from __future__ import annotations

import gc
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bye_lint.errors import ModelError
from bye_lint.models.hub import weight_files
from bye_lint.models.quantized import number_bytes
from bye_lint.records import LFS_POINTER

if TYPE_CHECKING:
    import torch

    from bye_lint.models.resolve import ResolvedModel

TOO_LARGE = "Use a larger device, `quantization: 4bit`, or a smaller model."

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that a check will take: the weights, and the activations of one batch."""

    weights: int
    activations: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.weights + self.activations


def estimate_memory(
    resolved: ResolvedModel,
    *,
    dtype: str = "bfloat16",
    quantization: str = "none",
    batch_tokens: int = 8192,
) -> MemoryEstimate:
    """Estimate the memory of a check from the headers of the weight files; nothing is loaded.

    Raises
    ------
    ModelError
        If a weight file is damaged.
    """
    size = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}[dtype]
    weights = weight_bytes(resolved, size, quantization)
    config = json.loads((resolved.path / "config.json").read_text(encoding="utf-8"))
    text = section(config, "text_config") or config
    width = number(text, "hidden_size", 4096)
    inner = number(text, "intermediate_size", 4 * width)
    # Alive at once in a decoder layer: residual, normed input, q, k, v, output and two MLP rows.
    live = batch_tokens * (6 * width + 2 * inner) * (4 if dtype == "float32" else 2)
    return MemoryEstimate(weights, live)


def weight_bytes(resolved: ResolvedModel, size: float, quantization: str) -> int:
    """Bytes of a model's weights, of which those that are not quantized take ``size`` each.

    Raises
    ------
    ModelError
        If a weight file is damaged.
    """
    files = weight_files(resolved.path)
    # all are looked into, for one that is damaged is told here
    counts = [item for file in files for item in parameters(file).items()]
    if resolved.stored_quantized:
        return sum(file.stat().st_size for file in files)
    return int(sum(n * number_bytes(name, size, quantization) for name, n in counts))


def section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a part of a configuration, empty where it is lacking or no mapping."""
    found = config.get(key)
    return found if isinstance(found, Mapping) else {}


def number(holder: Mapping[str, Any], key: str, default: int) -> int:
    """Return a positive number of a configuration, the first of a list, or the default."""
    value = holder.get(key)
    if isinstance(value, list | tuple) and value:
        value = value[0]
    return int(value) if isinstance(value, int | float) and value > 0 else default


def parameters(file: Path) -> dict[str, int]:
    """Count the numbers of each tensor in a safetensors file by its header.

    Raises
    ------
    ModelError
        If the file is damaged, or stands for weights that Git LFS did not fetch.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            if LFS_POINTER.startswith(start) and start:
                raise ModelError(f"{file}: a Git LFS pointer, no weights", "Run: git lfs pull")
            (length,) = struct.unpack("<Q", start)
            if length > 100_000_000:
                raise ValueError("the header is too long")
            header = json.loads(stream.read(length))
        counts, end = {}, 0
        for name, entry in header.items():
            if name != "__metadata__":
                start, stop = entry["data_offsets"]
                counts[name] = (stop - start) // _BYTES.get(entry["dtype"], 1)
                end = max(end, stop)
        if file.stat().st_size != 8 + length + end:
            raise ValueError("it is not as long as its header says")
        return counts
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(
            f"{file}: a damaged weight file: {error}", "Fetch or save the model again."
        ) from error


def check_memory(
    resolved: ResolvedModel, device: torch.device, dtype: torch.dtype, quantization: str
) -> None:
    """Refuse a model that will not fit, before it is loaded.

    Raises
    ------
    ModelError
        Saying how much is needed and how much there is.
    """
    needed = estimate_memory(
        resolved,
        dtype=str(dtype).removeprefix("torch."),
        quantization=quantization,
        batch_tokens=2048,
    ).total
    gc.collect()  # a model that this process has done with, such as the one it fine-tuned
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = free_memory()
    if needed > free:
        raise ModelError(
            f"{resolved.name}: needs about {needed / 2**30:.1f} GiB, and {device} has "
            f"{free / 2**30:.1f} GiB free",
            TOO_LARGE,
        )


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory did not suffice; only CUDA has a class for it."""
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and any(words in said for words in _TOO_LITTLE)


#: How allocators say it, and the libraries of CUDA where their own workspaces do not fit.
_TOO_LITTLE = (
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def free_memory() -> int:
    """Memory that this process may still take, in bytes; huge where it cannot be told."""
    return min(_free_of_machine(), _free_of_group())


def _free_of_machine() -> int:
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 2**62


#: Where the limits of a container are seen from inside (cgroup v2).
_GROUP = Path("/sys/fs/cgroup")


def _free_of_group() -> int:
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return 2**62
        held = int((_GROUP / "memory.current").read_text(encoding="ascii"))
        # files that were read and can be read again are let go where memory is asked for
        lines = (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        held -= sum(int(n) for name, n in map(str.split, lines) if name == "inactive_file")
        return max(0, int(limit) - held)
    except (OSError, ValueError):
        return 2**62
