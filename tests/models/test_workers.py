"""Records prepared in other processes are those prepared here, and a worker's death is survived."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import torch
from tiny_families import build
from tiny_models import make_image, make_sample, make_samples

import bye_lint.models.workers as workers_module
from bye_lint.models import LoadedModel, extract, load_model, resolve_model
from bye_lint.models.workers import Preparer, default_workers
from bye_lint.policy import ModelPolicy


@pytest.fixture(scope="module", params=["smolvlm"])
def loaded(request, tmp_path_factory):
    """A family whose processor is made anew without its video part, which cannot be pickled."""
    folder = build(request.param).save(tmp_path_factory.mktemp(request.param))
    return load_model(resolve_model(ModelPolicy(name=folder.name), folder.parent), device="cpu")


def all_samples():
    broken = make_sample(6, b"no image", "<image>\nWhat?")
    shared = make_sample(7, make_image(1), "<image>\nHow many buildings?")
    long = make_sample(8, make_image(8), "<image>\n" + "Where does it flow? " * 200)
    return [*make_samples(), broken, shared, long]


def test_workers_change_nothing(loaded):
    here = extract(loaded, all_samples(), workers=0)
    there = extract(loaded, all_samples(), workers=2)
    for a, b in zip(here, there, strict=True):
        assert a.error == b.error
        np.testing.assert_array_equal(a.entropy, b.entropy)
        np.testing.assert_array_equal(a.head_mass, b.head_mass)
    assert "cannot be decoded" in there[6].error
    assert "tokens long, the model reads 1024" in there[8].error


class DyingPool:
    """A pool whose workers die at the n-th group, and which takes no more afterwards."""

    def __init__(self, preparer, dies):
        self.preparer, self.dies, self.given = preparer, dies, 0

    def submit(self, function, group):
        self.given += 1
        if self.given > self.dies + 1:
            raise BrokenProcessPool("gone")
        future = Future()
        if self.given > self.dies:
            future.set_exception(BrokenProcessPool("gone"))
        else:
            future.set_result(self.preparer._here(group))
        return future

    def shutdown(self, **_):
        self.given = -1


@pytest.mark.parametrize("dies", [0, 1, 2, 3, 10])
def test_a_dead_worker_costs_time_alone(loaded, monkeypatch, dies):
    preparer = Preparer(loaded, 50_000_000, 2)
    pool = DyingPool(preparer, dies)
    monkeypatch.setattr(Preparer, "_pool", lambda *_: pool)
    samples = make_samples(6)
    blocks = [[[samples[0]], [samples[1]]], [[samples[2], samples[3]]], [[s] for s in samples[4:]]]
    found = list(preparer.encode(iter(blocks)))
    assert [len(block) for block in found] == [2, 1, 2]
    flat = [record for block in found for group in block for record in group]
    for record, sample in zip(flat, samples, strict=True):
        np.testing.assert_array_equal(record.ids, loaded.encoder.encode(sample).ids)
    assert pool.given == -1  # it was shut down


@pytest.mark.parametrize(
    ("device", "records", "cores", "expected"),
    [("cpu", 10_000, 64, 0), ("cuda", 100, 64, 0), ("cuda", 1000, 64, 8), ("cuda", 1000, 4, 3)],
)
def test_workers_are_started_where_they_pay(loaded, monkeypatch, device, records, cores, expected):
    monkeypatch.setattr(LoadedModel, "device", property(lambda _: torch.device(device)))
    monkeypatch.setattr(workers_module.os, "cpu_count", lambda: cores)
    assert default_workers(loaded, records) == expected
