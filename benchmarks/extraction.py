"""How fast attention is read: ``python -m benchmarks.extraction``.

Three ways over the same records with the same random LLaVA model, in turns within one run:

published
    Batch 1, ``generate(max_new_tokens=1, output_attentions=True)``, eager attention, every
    layer's map copied to the host (the released code of BYE).
plain
    Batched prefill of the base model with SDPA and no probe: what reading the data costs at all.
ours
    ``bye_lint.models``: the probe, shared prefixes, the trimmed last layer.

Records are prepared beforehand for all three. Time is elapsed time, on a GPU between
synchronisations; ``--clock processor`` takes the process's own processor time instead, which a
shared machine distorts least and which knows nothing of idle cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.documents import fill
from bye_lint.models.batching import Unit, by_length, collate, share
from bye_lint.models.extraction import default_budget
from bye_lint.models.loaded import LoadedModel
from bye_lint.models.prompts import SYSTEM, USER_TEXT, VISION, Encoded
from bye_lint.models.running import Rows, launch

IMAGE_TOKEN = 5


@dataclass(frozen=True)
class Shape:
    """A LLaVA model's size; ``side`` image tokens a side."""

    width: int
    layers: int
    heads: int
    side: int
    patch: int
    tower_width: int
    tower_layers: int
    inner: int
    vocabulary: int = 4096
    lengths: tuple[int, ...] = (0,)
    records: int = 64


#: ``lengths`` and ``records`` are what is measured by default; 0 is a short question's length.
SHAPES = {
    "tiny": Shape(128, 6, 4, 11, 6, 128, 3, 344),
    "small": Shape(512, 12, 8, 24, 14, 128, 3, 1376, lengths=(0, 700, 1500, 3000), records=16),
    "llava-1.5-7b": Shape(4096, 32, 32, 24, 14, 1024, 24, 11008, 32064, lengths=(700, 1500, 3000)),
}


@dataclass(frozen=True)
class Measured:
    """One row of the table; times in seconds for all records, the median over the repeats."""

    shape: str
    device: str
    dtype: str
    tokens: int
    per_image: int
    records: int
    published: float
    plain: float
    ours: float
    published_memory: int | None
    plain_memory: int | None
    ours_memory: int | None

    @property
    def over_published(self) -> float:
        """How many times faster than the published way."""
        return self.published / self.ours

    @property
    def of_plain(self) -> float:
        """Speed as a share of the plain prefill's."""
        return self.plain / self.ours


def build(shape: Shape, device: str, dtype: torch.dtype) -> LoadedModel:
    """Build a LLaVA model of this shape with random weights."""
    image = shape.side * shape.patch
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=shape.tower_width,
            intermediate_size=4 * shape.tower_width,
            num_hidden_layers=shape.tower_layers,
            num_attention_heads=max(2, shape.tower_width // 64),
            image_size=image,
            patch_size=shape.patch,
        ),
        text_config=transformers.LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=4096,
        ),
        image_token_index=IMAGE_TOKEN,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = transformers.LlavaForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    processor = SimpleNamespace(tokenizer=SimpleNamespace(pad_token_id=0))
    return LoadedModel(model.eval().requires_grad_(False), processor)


def make_records(shape: Shape, n: int, per_image: int, tokens: int, seed: int) -> list[Encoded]:
    """Make records: a system prompt, an image, a question of its own, the generation prompt."""
    rng = np.random.default_rng(seed)
    size, image_tokens = shape.side * shape.patch, shape.side**2
    begin = np.arange(6, 6 + 12)
    records: list[Encoded] = []
    for i in range(n):
        if i % per_image == 0:
            pixels = rng.normal(size=(1, 3, size, size)).astype(np.float32)
        base = len(begin) + image_tokens
        words = max(8, tokens - base - 4) if tokens else int(rng.integers(8, 24))
        question = rng.integers(20, shape.vocabulary - 1, size=words + 4)
        ids = np.concatenate([begin, np.full(image_tokens, IMAGE_TOKEN), question])
        component = np.full(len(ids), USER_TEXT, dtype=np.uint8)
        component[: len(begin)] = SYSTEM
        component[len(begin) : base] = VISION
        component[-4:] = SYSTEM
        records.append(Encoded(ids.astype(np.int64), component, {"pixel_values": pixels}))
    return records


@torch.inference_mode()
def published(loaded: LoadedModel, records: Sequence[Encoded]) -> None:
    """Read one record at a time by generating, with all maps, as the released code does."""
    model: Any = loaded.model
    for record in records:
        ids = torch.from_numpy(record.ids)[None].to(loaded.device)
        pixels = torch.from_numpy(record.images["pixel_values"])
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels.to(loaded.device, loaded.dtype),
            max_new_tokens=1,
            do_sample=False,
            output_attentions=True,
            return_dict_in_generate=True,
            pad_token_id=0,
        )
        vision = torch.from_numpy(record.component == VISION)
        for layer in output.attentions[0]:
            p = layer[0].float().cpu()[:, -1].mean(0)[vision]
            p = p / p.sum()
            float(-(p * torch.log(p + 1e-8)).sum())


@torch.inference_mode()
def plain(loaded: LoadedModel, records: Sequence[Encoded], budget: int) -> None:
    """Prefill in batches with SDPA; nothing is read."""
    units = [Unit((i,), (record,)) for i, record in enumerate(records)]
    last = []
    for batch in by_length(units, budget):
        inputs = collate(batch, loaded.family, pad_id=0).inputs
        moved = {
            name: tensor.to(
                loaded.device, loaded.dtype if tensor.is_floating_point() else tensor.dtype
            )
            for name, tensor in inputs.items()
        }
        last.append(loaded.base(**moved, use_cache=False).last_hidden_state[:, -1].clone())
    for states in last:  # fetched at the end, so that the device never waits for the host
        states.cpu()


def ours(loaded: LoadedModel, records: Sequence[Encoded], budget: int, per_image: int) -> Rows:
    """Read the attention as a check does."""
    units: list[Unit] = []
    for start in range(0, len(records), per_image):
        group = list(enumerate(records))[start : start + per_image]
        units += share(group, loaded.window, int(loaded.config.hidden_size))
    rows: Rows = []
    before = None
    for batch in by_length(units, budget):
        launched = launch(loaded, batch)
        if before is not None:
            rows += before.rows()
        before = launched
    if before is not None:
        rows += before.rows()
    return rows


def measure(call: Callable[[], object], device: str, clock: str) -> tuple[float, int | None]:
    """Return seconds and, on a GPU, the peak of allocated bytes."""
    if not device.startswith("cuda"):
        watch = time.process_time if clock == "processor" else time.perf_counter
        start = watch()
        call()
        return watch() - start, None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated()


def compare(
    name: str,
    device: str,
    *,
    per_image: int,
    tokens: int,
    n: int,
    repeats: int,
    clock: str = "elapsed",
    seed: int = 0,
) -> Measured:
    """Measure the three ways in turns and return their medians."""
    shape = SHAPES[name]
    torch.manual_seed(seed)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    loaded = build(shape, device, dtype)
    model: Any = loaded.model
    records = make_records(shape, n, per_image, tokens, seed)
    budget = default_budget(loaded)
    few = records[: max(per_image, min(n, 8))]
    ways: dict[str, tuple[str, Callable[[], object], float]] = {
        # The published way costs the same for every record, so a few of them will do.
        "published": ("eager", lambda: published(loaded, few), n / len(few)),
        "plain": ("sdpa", lambda: plain(loaded, records, budget), 1.0),
        "ours": ("sdpa", lambda: ours(loaded, records, budget, per_image), 1.0),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    memory: dict[str, int | None] = {}
    for repeat in range(repeats + 1):
        for way, (attention, call, scale) in ways.items():
            model.set_attn_implementation(attention)
            taken, peak = measure(call, device, clock)
            if repeat:  # the first round warms up
                seconds[way].append(taken * scale)
                memory[way] = peak
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    return Measured(
        shape=name,
        device=device,
        dtype=str(dtype).removeprefix("torch."),
        tokens=round(sum(len(record) for record in records) / n),
        per_image=per_image,
        records=n,
        **medians,
        **{f"{way}_memory": peak for way, peak in memory.items()},
    )


def machine(device: str, clock: str) -> str:
    """Say what it was measured on, and by which clock."""
    if device.startswith("cuda"):
        name, clock = torch.cuda.get_device_name(), "elapsed"
    else:
        name = f"{_processor()}, {torch.get_num_threads()} thread(s)"
    return (
        f"{name}, {clock} time, Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def to_markdown(rows: Sequence[Measured], where: str) -> str:
    """Return the table of docs/performance.md."""
    lines = [
        f"Measured on: {where}.",
        "",
        "| shape | records | tokens | records an image | published, records/s | plain, records/s "
        "| ours, records/s | ours, tokens/s | ours / published | ours / plain |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.shape} ({row.device}, {row.dtype}) "
        f"| {row.records} | {row.tokens} | {row.per_image} "
        f"| {row.records / row.published:.1f} | {row.records / row.plain:.1f} "
        f"| {row.records / row.ours:.1f} | {row.tokens * row.records / row.ours:.0f} "
        f"| {row.over_published:.2f}× | {row.of_plain:.2f} |"
        for row in rows
    ]
    peaks = [row for row in rows if row.ours_memory is not None]
    if peaks:
        lines += [
            "",
            "| shape | tokens | peak memory: published | plain | ours |",
            "|---|---|---|---|---|",
        ]
    for row in peaks:
        cells = [row.published_memory, row.plain_memory, row.ours_memory]
        gib = " | ".join(f"{(cell or 0) / 2**30:.2f} GiB" for cell in cells)
        lines.append(f"| {row.shape} | {row.tokens} | {gib} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write JSON and Markdown where asked."""
    parser = argparse.ArgumentParser(description="How fast attention is read.")
    parser.add_argument("--shape", action="append", choices=sorted(SHAPES))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--per-image", type=int, nargs="+", default=[1, 8])
    parser.add_argument(
        "--tokens", type=int, nargs="+", help="lengths of the sequences; 0: a short question"
    )
    parser.add_argument("--records", type=int, help="by default 64; 16 of the small shape")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=["elapsed", "processor"], default="elapsed")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    parser.add_argument("--update", type=Path, help="put the table into this document")
    options = parser.parse_args(arguments)
    default = ["llava-1.5-7b"] if options.device != "cpu" else ["tiny", "small"]
    where = machine(options.device, options.clock)
    where += f"; medians of {options.repeats}"
    rows = []
    for shape in options.shape or default:
        for tokens in options.tokens or SHAPES[shape].lengths:
            for per_image in options.per_image:
                row = compare(
                    shape,
                    options.device,
                    per_image=per_image,
                    tokens=tokens,
                    n=options.records or SHAPES[shape].records,
                    repeats=options.repeats,
                    clock=options.clock,
                )
                rows.append(row)
                print(to_markdown([row], where).splitlines()[4], flush=True)
    table = to_markdown(rows, where)
    print(table)
    if options.json:
        ratios = [{"over_published": r.over_published, "of_plain": r.of_plain} for r in rows]
        data = {
            "machine": where,
            "rows": [{**asdict(row), **ratio} for row, ratio in zip(rows, ratios, strict=True)],
        }
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(table, encoding="utf-8")
    if options.update:
        fill(options.update, "extraction", table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
