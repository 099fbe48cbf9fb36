"""The benchmark of the extraction: it measures three ways, and reads what a check reads."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import masking_utils
from transformers.models.llava import modeling_llava

from bye_lint.models import running

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.extraction")


@pytest.fixture
def tiny(bench, monkeypatch):
    shape = bench.Shape(32, 2, 2, 3, 4, 16, 3, 64, 64, lengths=(0, 40))
    monkeypatch.setitem(bench.SHAPES, "tiny", shape)
    return shape


def test_every_way_is_measured_and_the_document_updated(bench, tiny, tmp_path, capsys):
    document, figures = tmp_path / "performance.md", tmp_path / "figures.json"
    document.write_text(
        "before\n<!-- extraction: begin -->\nold\n<!-- extraction: end -->\nbehind\n"
    )
    arguments = ["--shape", "tiny", "--device", "cpu", "--records", "8", "--repeats", "1"]
    arguments += ["--json", str(figures), "--update", str(document)]
    assert bench.main(arguments) == 0
    told = json.loads(figures.read_text())
    rows = told["rows"]
    assert [(r["tokens"] > 36, r["per_image"]) for r in rows][2:] == [(True, 1), (True, 8)]
    assert len(rows) == 4
    assert all(row[way] > 0 for row in rows for way in ("published", "plain", "ours"))
    assert "elapsed time" in told["machine"]
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("behind\n")
    assert "old" not in text
    assert text.count("| tiny (cpu, float32) |") == 4
    assert bench.main([*arguments, "--tokens", "0", "--per-image", "1"]) == 0
    assert document.read_text().count("| tiny (cpu, float32) |") == 1


@pytest.mark.parametrize("per_image", [1, 4])
def test_ours_reads_what_eager_attention_says(bench, tiny, per_image):
    torch.manual_seed(0)
    loaded = bench.build(tiny, "cpu", torch.float32)
    records = bench.make_records(tiny, 8, per_image, 0, seed=0)
    rows = dict(bench.ours(loaded, records, 200, per_image))
    loaded.model.set_attn_implementation("eager")
    for i, record in enumerate(records):
        with torch.no_grad():
            output = loaded.model(
                input_ids=torch.from_numpy(record.ids)[None],
                pixel_values=torch.from_numpy(record.images["pixel_values"]),
                output_attentions=True,
            )
        for layer, attention in enumerate(output.attentions):
            p = attention[0, :, -1].mean(0)[record.component == 1]
            p = (p / p.sum()).numpy()
            entropy = -(p * np.log(p + 1e-8)).sum()
            assert rows[i].entropy[layer] == pytest.approx(entropy, abs=1e-5)


@pytest.fixture(scope="module")
def large(bench):
    """The large shape on a device that knows shapes and no numbers."""
    return bench.build(bench.SHAPES["llava-1.5-7b"], "meta", torch.bfloat16)


def test_the_large_shape_is_that_of_llava_7b(large):
    count = sum(p.numel() for p in large.model.parameters())
    assert 7.0e9 < count < 7.1e9
    assert len(large.layers) == large.n_heads == 32


@pytest.mark.parametrize(
    ("tokens", "per_image", "shapes"),
    [(700, 8, [(2, 588 + 8 * 112)]), (3000, 1, [(10, 3000), (6, 3000)])],
)
def test_the_large_shape_goes_through_but_for_its_numbers(
    bench, large, monkeypatch, tokens, per_image, shapes
):
    """All of the command that needs no GPU: each batch, layer by layer, in the card's formats."""
    batches = []
    collate = running.collate

    def noting(*args, **kwargs):
        batch = collate(*args, **kwargs)
        batches.append(tuple(batch.inputs["input_ids"].shape))
        return batch

    monkeypatch.setattr(running, "collate", noting)
    monkeypatch.setattr(running, "_to_host", lambda tensor: torch.zeros(tensor.shape))
    # both look at numbers
    monkeypatch.setattr(modeling_llava, "torch_compilable_check", lambda *_, **__: None)
    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", lambda _: None)
    records = bench.make_records(bench.SHAPES["llava-1.5-7b"], 16, per_image, tokens, seed=0)
    rows = bench.ours(large, records, 32768, per_image)
    assert sorted(i for i, _ in rows) == list(range(16))
    assert batches == shapes
    for _, row in rows:
        assert row.head_mass.shape == (32, 32, 3)
        assert (row.image_tokens, row.grid, row.hidden.shape) == (576, (24, 24), (4096,))
