"""Whether a device gains from bfloat16 is read off what the processor says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from bye_lint import precision


def core(name: str, flags: str) -> str:
    return f"processor\t: 0\nmodel name\t: X\n{name}\t: {flags}\npower management:\n\n"


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (core("flags", "fpu avx2 avx512f avx512_vnni"), False),
        (core("flags", "fpu avx2 avx512_bf16 avx512_vnni"), True),
        (core("flags", "fpu amx_bf16 amx_tile amx_int8"), True),
        (core("Features", "fp asimd i8mm bf16"), True),
        (core("Features", "fp asimd i8mm"), False),
        (core("bugs", "bf16"), False),
        (core("flags", "avx512_bf16") + core("flags", "avx512f"), False),
        ("", False),
    ],
    ids=["older", "avx512", "amx", "arm", "older arm", "no flag", "unlike cores", "silent"],
)
def test_a_processor_gains_if_it_has_the_instructions(tmp_path, monkeypatch, described, expected):
    path = tmp_path / "cpuinfo"
    path.write_text(described, encoding="utf-8")
    monkeypatch.setattr(precision, "_CPUINFO", path)
    assert precision.gains_from_bfloat16("cpu") is expected


def test_a_processor_that_does_not_tell_stays_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "no such file")
    assert not precision.gains_from_bfloat16("cpu")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "xpu:0"])
def test_a_card_gains_whatever_the_processor_is(monkeypatch, device):
    monkeypatch.setattr(precision, "_CPUINFO", Path("/nowhere"))
    assert precision.gains_from_bfloat16(device)
