"""Which devices multiply bfloat16 faster than float32; asked without importing torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

#: What Linux calls the instructions, of x86 and of ARM.
_INSTRUCTIONS: Final = frozenset({"amx_bf16", "avx512_bf16", "bf16"})


def gains_from_bfloat16(device: str) -> bool:
    """Whether a device trains faster in bfloat16.

    A processor without instructions for it converts every number to float32 and back, and takes
    more than twice as long as in float32 (``benchmarks.precision``).

    Parameters
    ----------
    device : str
        Such as ``cpu`` or ``cuda:0``; whatever is no processor gains.

    Returns
    -------
    bool
        ``False`` for a processor that does not tell.
    """
    return device != "cpu" or _processor_has(_CPUINFO)


_CPUINFO: Final = Path("/proc/cpuinfo")


@cache
def _processor_has(described: Path) -> bool:
    try:
        text = described.read_text(encoding="utf-8", errors="replace")
    except OSError:  # macOS and Windows have no such file
        return False
    words = (
        set(flags.split())
        for name, _, flags in (line.partition(":") for line in text.splitlines())
        if name.strip() in ("flags", "Features")
    )
    # An emulator may give a machine unlike cores.
    found = [bool(_INSTRUCTIONS & flags) for flags in words]
    return bool(found) and all(found)
