"""The devices that a model can run on, and how fast they multiply; torch is imported when asked."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bye_lint.models.memory import free_memory

_UNKNOWN = 2**62


@dataclass(frozen=True, slots=True)
class Device:
    """A device; bytes are 0 where they cannot be told."""

    name: str
    title: str
    free: int = 0
    total: int = 0


def devices() -> list[Device]:
    """Return the processor and, where torch is installed and finds them, the accelerators."""
    free = free_memory()
    found = [
        Device("cpu", f"{os.cpu_count() or 1} cores", free if free < _UNKNOWN else 0, _all_memory())
    ]
    try:
        import torch
    except ImportError:
        return found
    for index in range(count("cuda")):
        left, total = torch.cuda.mem_get_info(index)
        found.append(Device(f"cuda:{index}", torch.cuda.get_device_name(index), left, total))
    for index in range(count("xpu")):
        found.append(Device(f"xpu:{index}", torch.xpu.get_device_name(index)))
    if count("mps"):
        found.append(Device("mps", "Apple GPU"))
    return found


def count(kind: str) -> int:
    """Return how many devices of a kind torch finds here, such as ``cuda``; none is touched."""
    try:
        import torch
    except ImportError:
        return 0
    if kind == "cpu":
        return 1
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    found = {"cuda": torch.cuda, "xpu": torch.xpu}.get(kind)
    return found.device_count() if found is not None and found.is_available() else 0


def is_here(device: str) -> bool:
    """Whether torch finds a device, such as ``cuda:1``."""
    kind, _, index = device.partition(":")
    return int(index or 0) < count(kind)


def settle(device: str, dtype: str) -> tuple[str, str]:
    """Settle what ``auto`` means without importing torch, for the cache's keys.

    Returns
    -------
    device, dtype : str
        A GPU if the driver and a torch that can use it are there, and ``CUDA_VISIBLE_DEVICES`` does
        not hide it, in bfloat16; else ``cpu`` and float32. Where the GPU computes no bfloat16,
        float16: the newest of the machine stands for the first, and the oldest for any other.
    """
    if device == "auto":
        seen = Path("/dev/nvidiactl").exists() and not _hidden() and not _torch_is_for_cpus()
        device = "cuda" if seen else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
        if device.startswith("cuda") and _generation(device) < _BFLOAT16:
            dtype = "float16"
    return device, dtype


#: Major compute capability from which on a GPU computes bfloat16: Ampere's.
_BFLOAT16 = 8


def _generation(device: str) -> int:
    """Return the major compute capability to reckon with; Ampere's where none can be told."""
    # CUDA numbers the fastest card first, unless it is told which or how
    told = {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} & os.environ.keys()
    first = device in ("cuda", "cuda:0") and not told
    return (max if first else min)(_generations(), default=_BFLOAT16)


@cache
def _generations() -> tuple[int, ...]:
    """Return the major compute capabilities of the machine's GPUs; none where they can't be told.

    The driver's library is asked, since torch must not be imported for a key; it starts nothing.
    """
    found: list[int] = []
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() != 0:
            return ()
        number, major, minor = ctypes.c_uint(), ctypes.c_int(), ctypes.c_int()
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(number))
        for index in range(number.value):
            card = ctypes.c_void_p()
            numbers = ctypes.byref(major), ctypes.byref(minor)
            if (
                nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(card)) == 0
                and nvml.nvmlDeviceGetCudaComputeCapability(card, *numbers) == 0
            ):
                found.append(major.value)
        nvml.nvmlShutdown()
    except (OSError, AttributeError):  # no such library here, or an older one
        pass
    return tuple(found)


def _hidden() -> bool:
    """Whether the environment hides every GPU: CUDA stops at the first that is none."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named is not None and named.partition(",")[0].strip() in ("", "-1", "NoDevFiles")


def _torch_is_for_cpus() -> bool:
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return True


def _all_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


@cache
def throughput(device: str, dtype: str, *, seconds: float = 0.2) -> float | None:
    """Measure the floating-point operations a second of a matrix product.

    Parameters
    ----------
    device, dtype : str
        Such as ``cpu`` and ``float32``.
    seconds : float
        How long to measure; the best product counts, since others share the machine.

    Returns
    -------
    float or None
        ``None`` where torch is not installed or the device cannot multiply such numbers.
    """
    try:
        import torch
    except ImportError:
        return None
    side = 1024 if device == "cpu" else 4096
    try:
        left = torch.ones(side, side, device=device).to(getattr(torch, dtype))
        right = torch.ones(side, side, device=device).to(getattr(torch, dtype))
        best = float("inf")
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or best == float("inf"):
            began = time.perf_counter()
            torch.matmul(left, right)
            _finish(torch, device)
            best = min(best, time.perf_counter() - began)
    except (RuntimeError, AssertionError, AttributeError):
        return None
    return 2.0 * side**3 / best


def _finish(torch: Any, device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()
