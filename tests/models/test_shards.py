"""One check on several machines gives, to the byte, what it gives on one; or says what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from gitrepo import Repo
from tiny_models import QUESTIONS, make_image, make_llava

from bye_lint import cli, models
from bye_lint.store import FeatureStore

N_IMAGES = 33  # two records an image, and a null needs 60
FORMS = ("json", "sarif", "markdown", "junit", "gitlab", "github", "html")
GIVEN = "model: {name: model, device: cpu}\nfine_tune: none\n"
TO_TUNE = (
    "model: {name: model, device: cpu}\n"
    "fine_tune: {epochs: 1, batch_size: 40, method: full, canary_share: 0.2}\n"
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and a model, made once."""
    folder = tmp_path_factory.mktemp("template")
    torch.manual_seed(0)
    make_llava().save(folder / "model")
    (folder / "data").mkdir()
    rows = []
    for i in range(2 * N_IMAGES):
        name = f"{i // 2}.png"
        (folder / "data" / name).write_bytes(make_image(i // 2, 40 + i % 4, 30))
        rows.append(record(f"r{i}", name, QUESTIONS[i % len(QUESTIONS)]))
    rows.insert(40, record("again", "3.png", QUESTIONS[6 % len(QUESTIONS)]))
    rows.append(record("gone", "gone.png", "Where is it?"))
    write(folder, rows)
    return folder


@pytest.fixture
def here(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with several blocks where there would be one."""
    folder = tmp_path / "here"
    shutil.copytree(template, folder)
    monkeypatch.setenv("BYE_LINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys.modules["bye_lint.models.blocks"], "WINDOW", 6)
    monkeypatch.chdir(folder)
    policy(GIVEN)
    return folder


def record(name: str, image: str, question: str) -> dict[str, Any]:
    turns = [
        {"from": "human", "value": f"<image>\n{question}"},
        {"from": "gpt", "value": f"Answer {len(question) % 5}."},
    ]
    return {"id": name, "image": image, "conversations": turns}


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data" / "train.jsonl").write_text(text, encoding="utf-8")


def policy(text: str, *, min_samples: int = 60) -> None:
    gate = f"gate: {{min_samples: {min_samples}}}\n"
    Path("bye-lint.yaml").write_text(f"dataset: {{paths: [data]}}\n{text}{gate}", "utf-8")


def run(*arguments: str) -> int:
    return cli.run([str(a) for a in arguments])


def extract(n: int, *options: str, only: Sequence[int] = ()) -> None:
    for shard in only or range(1, n + 1):
        assert run("extract", "--shard", f"{shard}/{n}", "-o", "features", *options) == 0


def reported(out: str, *command: str) -> tuple[int, dict[str, bytes]]:
    """Run a command with every report; the times that a check took are no part of its result."""
    Path(out).mkdir()
    status = run(*command, "--quiet", *(f"--report={f}={out}/report.{f}" for f in FORMS))
    found = {form: (Path(out) / f"report.{form}").read_bytes() for form in FORMS}
    result = json.loads(found["json"])
    del result["timings"]
    return status, found | {"json": json.dumps(result).encode()}


def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(models, "load_model", refuse)


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_shards_judge_as_one_check(n: int, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, whole = reported("whole", "check")
    assert json.loads(whole["json"])["counts"]["scored"] == 2 * N_IMAGES + 1
    extract(n)
    no_model(monkeypatch)
    assert reported("parts", "judge", *(f"features/shard-{k}-of-{n}" for k in range(1, n + 1))) == (
        status,
        whole,
    )


def test_cards_of_one_machine_may_read_parts_of_one_check(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shard, device in enumerate(("cpu:0", "cpu"), 1):
        monkeypatch.setattr("bye_lint.learning.place", lambda _, at=device: (at, "float32"))
        extract(2, only=[shard])
    _, parts = reported("parts", "judge", "features")
    assert json.loads(parts["json"])["counts"]["scored"] == 2 * N_IMAGES + 1


def test_the_parts_are_about_equal_and_all(here: Path) -> None:
    extract(3)
    notes = [json.loads(p.read_text()) for p in Path("features").glob("*/shard.json")]
    sizes = [note["records"] for note in notes]
    assert sum(sizes) == 2 * N_IMAGES + 1
    assert max(sizes) - min(sizes) <= 13, "a block of images more or less"


def test_shards_come_in_any_order_and_as_a_folder_of_shards(here: Path) -> None:
    extract(3, only=[3, 1, 2])
    some = [f"features/shard-{k}-of-3" for k in (2, 3, 1)]
    assert reported("a", "judge", *some) == reported("b", "judge", "features")


def test_a_shard_that_was_cut_off_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, whole = reported("whole", "check")
    extract(2, only=[2])
    real, puts = FeatureStore.put, 0

    def dies(self: FeatureStore, rows: Any) -> None:
        nonlocal puts
        puts += 1
        if puts == 3:
            raise KeyboardInterrupt
        real(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "put", dies)
        assert run("extract", "--shard", "1/2", "-o", "features") == 130
    assert run("judge", "features/shard-1-of-2", "features/shard-2-of-2") == 2
    read: list[int] = []
    reading = models.read_batches
    monkeypatch.setattr(models, "read_batches", lambda *a, **k: _count(read, reading, *a, **k))
    extract(2, only=[1])
    assert len(read) == 1
    assert 0 < read[0] <= 13, "of three blocks of six images, two were there"
    assert reported("parts", "judge", "features") == (status, whole)
    extract(2, only=[1])
    assert len(read) == 1, "nothing is left to read"


def _count(read: list[int], extraction: Any, *arguments: Any, **options: Any) -> Any:
    read.append(len(arguments[1]))
    return extraction(*arguments, **options)


def test_the_blocks_of_a_shard_are_read_in_one_go(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool of workers a block would spend its time on starting them."""
    started: list[int] = []
    workers = sys.modules["bye_lint.models.workers"]
    encode = workers.Preparer.encode

    def counted(self: Any, blocks: Any) -> Any:
        given = list(blocks)
        started.append(len(given))
        return encode(self, iter(given))

    monkeypatch.setattr(workers.Preparer, "encode", counted)
    extract(2)
    assert started == [3, 3]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def refused(capsys: pytest.CaptureFixture[str], *words: str, command: Sequence[str] = ()) -> None:
    capsys.readouterr()
    assert run(*(command or ("judge", "features"))) == 2
    said = " ".join(capsys.readouterr().err.split())
    for word in words:
        assert word in said
    assert "internal error" not in said
    assert "Traceback" not in said


def test_a_missing_shard_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(3, only=[1, 3])
    refused(capsys, "shard 2 of 3 is missing", "bye-lint extract --shard 2/3 -o features/")


def test_a_damaged_shard_is_named_and_can_be_read_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(3)
    damage(next(Path("features/shard-2-of-3").glob("*.rows")))
    refused(capsys, "shard 2 of 3 lacks 1", "1 damaged", "bye-lint extract --shard 2/3")
    extract(3, only=[2])
    assert run("judge", "features") in (0, 1, 3)


def test_a_shard_of_other_data_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(3)
    (here / "data/20.png").write_bytes(make_image(99))
    refused(capsys, "lacks 2 of its", "from the same data")


def test_a_shard_of_another_model_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(2, only=[1])
    torch.manual_seed(1)
    make_llava(layers=4).save(here / "model")
    extract(2, only=[2])
    refused(capsys, "shard-2-of-2: not of one check with shard-1-of-2: another model")
    extract(2, only=[1])
    shutil.copytree(here / "model", here / "third")
    make_llava(layers=2).save(here / "model")
    refused(capsys, "another model than")


def test_shards_of_two_splittings_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(2, only=[1])
    extract(3, only=[2])
    refused(capsys, "another of")


def test_another_number_format_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(2, only=[1])
    policy(GIVEN.replace("device: cpu", "device: cpu, dtype: bfloat16"))
    extract(2, only=[2])
    refused(capsys, "another dtype")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"shard": 1}', "[" * 5000, '"' + "x" * 20_000 + '"', "NOTE of 2"],
    ids=["empty", "list", "nothing", "little", "deep", "long", "another folder's"],
)
def test_a_note_that_is_none(text: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(2)
    note = Path("features/shard-1-of-2/shard.json")
    other = Path("features/shard-2-of-2/shard.json").read_text("utf-8")
    note.write_text(other if text.startswith("NOTE") else text, "utf-8")
    refused(capsys, "features/shard-1-of-2/shard.json", "Extract this shard again")


def test_what_git_tracks_is_no_judge(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A change to the data could have brought it."""
    repo = Repo(here)
    repo.commit("data")
    extract(2)
    extract(2)  # what lies here is not tracked
    assert run("judge", "features") in (0, 1, 3)
    repo.commit("features")
    (here / "tuned").mkdir()
    repo.write("tuned/tuned.json", "{}")
    repo.git("add", "-A")
    (here / "link").symlink_to("features")
    (here / "deep").mkdir()
    one = ("extract", "--shard", "1/2", "-o")
    for command in (
        ("judge", "features"),
        ("judge", "link"),
        ("judge", "features/shard-1-of-2", "features/shard-2-of-2"),
        ("judge", "."),
        (*one, "features"),
        (*one, "link"),
        ("tune", "-o", "tuned"),
        ("tune", "-o", "deep/../tuned"),
        (*one, "new", "--tuned", "tuned"),
    ):
        refused(capsys, "git tracks", "outside of the checkout", command=command)
    repo.git("rm", "-rq", "--cached", "features")
    assert run("judge", "features") in (0, 1, 3)
    refused(
        capsys, "git tracks tuned/tuned.json", command=("judge", "features", "--tuned", "tuned")
    )
    (here / "deep" / "features").symlink_to("../features")
    repo.git("add", "deep")
    refused(capsys, "git tracks deep/features", command=("judge", "deep/features"))
    extract(2, only=[1])


def test_a_folder_is_refused_where_git_cannot_be_asked(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Repo(here)
    (here / "features").mkdir()
    monkeypatch.setenv("PATH", "")
    extract(1)  # an empty folder, or none, holds nothing of anyone's
    refused(capsys, "cannot be told: git is not installed", command=("judge", "features"))
    shutil.move("features", tmp_path / "features")
    assert run("judge", str(tmp_path / "features")) in (0, 1, 3)


def test_a_folder_without_shards_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, "data: no complete shard lies here", command=("judge", "data"))
    refused(capsys, "nowhere: no complete shard", command=("judge", "nowhere"))


# -- a model that has to learn the data first ---------------------------------------------------


def test_a_model_that_must_learn_is_not_split_without_having_learned(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(1)
    policy(TO_TUNE)
    words = ("has to learn the data first", "bye-lint tune -o tuned/", "model.adapter")
    refused(capsys, *words)
    refused(capsys, *words, command=("extract", "--shard", "1/2", "-o", "others"))
    assert not Path("others").exists()


def test_a_model_that_learned_once_judges_as_one_check(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(TO_TUNE)
    status, whole = reported("whole", "check")
    assert json.loads(whole["json"])["reproducibility"]["fine_tuned"]
    assert run("tune", "-o", "tuned") == 0
    monkeypatch.setenv("BYE_LINT_CACHE", str(here / "another-machine"))
    extract(3, "--tuned", "tuned")
    no_model(monkeypatch)
    assert reported("parts", "judge", "features", "--tuned", "tuned") == (status, whole)


def test_what_learned_something_else_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy(TO_TUNE)
    command = ("extract", "--shard", "1/2", "-o", "features", "--tuned", "tuned")
    refused(capsys, "tuned: no fine-tuned model lies here", "bye-lint tune", command=command)
    assert run("tune", "-o", "tuned") == 0
    assert run(*command) == 0
    refused(capsys, "holds no model that learned these", command=(*command, "--seed", "7"))
    kept = (here / "data/5.png").read_bytes()
    (here / "data/5.png").write_bytes(make_image(99))
    refused(capsys, "holds no model that learned these", command=command)
    (here / "data/5.png").write_bytes(kept)
    assert run(*command) == 0
    weights = next(Path("tuned").glob("tuned/*/model.safetensors"))
    damage(weights)
    refused(capsys, "is not the one that was written", "bye-lint tune", command=command)


def test_of_several_processes_one_speaks(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert run("tune", "-o", "tuned") == 0
    assert capsys.readouterr() == ("", "")


def test_there_may_be_nothing_to_fine_tune(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tune", "-o", "tuned") == 0
    assert "nothing to fine-tune: the model model was given" in capsys.readouterr().out
    extract(2, "--tuned", "tuned")
    assert run("judge", "features", "--tuned", "tuned") in (0, 1, 3)


def test_too_few_records_are_inconclusive_in_parts_too(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy(TO_TUNE, min_samples=1000)
    assert run("tune", "-o", "tuned") == 0
    assert "too few records" in capsys.readouterr().out
    extract(2, "--tuned", "tuned")
    assert run("judge", "features", "--tuned", "tuned") == 3
