"""Images, records and readers for the tests of this room."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bye_lint.datasets import read_datasets
from bye_lint.policy import DatasetPolicy
from bye_lint.records import Sample, Skipped

Read = Callable[..., list[Sample | Skipped]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read paths below the test's folder with a policy of these settings."""

    def call(*names: str, **settings: Any) -> list[Sample | Skipped]:
        paths = [tmp_path / name for name in names]
        policy = DatasetPolicy(**settings)
        return list(read_datasets(paths, policy, tmp_path, display_root=tmp_path))

    return call


@pytest.fixture(scope="session")
def png() -> bytes:
    """Return the bytes of a small image."""
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), "blue").save(stream, "PNG")
    return stream.getvalue()
