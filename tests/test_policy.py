"""The policy file: what is accepted, and what every mistake is answered with."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from bye_lint.errors import PolicyError
from bye_lint.policy import (
    DatasetPolicy,
    GatePolicy,
    ModelPolicy,
    Policy,
    ReportPolicy,
    find_policy,
    load_policy,
    parse_limit,
    policy_reference,
    policy_schema,
    show_policy,
    starter_policy,
)
from bye_lint.policy.keys import KEYS, SECTIONS
from bye_lint.policy.schema import OUTSIDE_FILE

CHOICES = {
    "formats": ("auto", "llava", "chat"),
    "detectors": ("auto", "bye"),
    "reports": ("json", "sarif"),
}


def load(text: str, path: str = "bye-lint.yaml") -> Policy:
    return load_policy(Path(path), choices=CHOICES, text=text)


def settings(policy: Policy) -> Policy:
    return dataclasses.replace(policy, base=Path(), source=None)


ACCEPTED = [
    pytest.param("", Policy(), id="empty-file-is-the-default"),
    pytest.param("# nothing yet\n", Policy(), id="comments-only"),
    pytest.param("gate:\n  # all commented out\n", Policy(), id="empty-section"),
    pytest.param("model: scout", Policy(), id="model-shorthand-scout"),
    pytest.param(
        "model: some/name", Policy(model=ModelPolicy(name="some/name")), id="model-shorthand"
    ),
    pytest.param(
        "model: {name: some/name, device: 'cuda:1'}",
        Policy(model=ModelPolicy(name="some/name", device="cuda:1")),
        id="model-in-full",
    ),
    pytest.param(
        "gate: {max_suspicious: 0.5%}", Policy(gate=GatePolicy(max_suspicious="0.5%")), id="percent"
    ),
    pytest.param(
        "dataset: {paths: [a.json, b/], fields: {answer: caption}}",
        Policy(dataset=DatasetPolicy(paths=("a.json", "b/"), fields={"answer": "caption"})),
        id="paths-and-fields",
    ),
    pytest.param(
        "reports:\n- {format: sarif, path: out.sarif}",
        Policy(reports=(ReportPolicy("sarif", "out.sarif"),)),
        id="reports",
    ),
    pytest.param("seed: 3.0", Policy(seed=3), id="integral-float-is-an-integer"),
    pytest.param(
        "x: &a {}".replace("x", "dataset") + "\nmodel: *a", Policy(), id="alias-within-bounds"
    ),
    pytest.param("\ufeffseed: 1", Policy(seed=1), id="byte-order-mark"),
    pytest.param("seed: 1\r\nmodel: scout\r\n", Policy(seed=1), id="crlf"),
]


@pytest.mark.parametrize(("text", "expected"), ACCEPTED)
def test_accepted(text: str, expected: Policy, tmp_path: Path) -> None:
    path = tmp_path / "bye-lint.yaml"
    path.write_bytes(text.encode())
    policy = load_policy(path, choices=CHOICES)
    assert settings(policy) == expected
    assert policy.base == tmp_path
    assert policy.source == str(path)


@pytest.mark.parametrize(
    ("text", "mode"), [("fine_tune: none", "none"), ("fine_tune: auto", "auto")]
)
def test_fine_tune_shorthand(text: str, mode: str) -> None:
    assert load(text).fine_tune.mode == mode


@pytest.mark.parametrize("text", ["2e-4", "2E-4", "0.0002", "2.0e-4", ".0002"])
def test_numbers_as_people_write_them(text: str) -> None:
    assert load(f"fine_tune: {{learning_rate: {text}}}").fine_tune.learning_rate == 0.0002


def test_numbers_have_the_type_of_the_field() -> None:
    assert isinstance(load("detection: {threshold: 2}").detection.threshold, float)
    assert isinstance(load("gate: {max_suspicious: 2}").gate.max_suspicious, int)


MISTAKES = [
    pytest.param(
        "gates: {}", "1:1: unknown key 'gates', expected dataset, .* did you mean gate?", id="key"
    ),
    pytest.param(
        "dataset:\n  formt: llava",
        "2:3: unknown key 'formt' in dataset, .* did you mean format?",
        id="nested-key",
    ),
    pytest.param(
        "dataset: {fields: {answr: x}}",
        "1:20: unknown key 'answr' in dataset.fields, .* did you mean answer?",
        id="field-role",
    ),
    pytest.param(
        "dataset:\n  format: lava",
        "2:11: dataset.format is 'lava', expected auto, llava or chat, did you mean llava?",
        id="format",
    ),
    pytest.param(
        "detection: bey", "1:12: detection.method is 'bey', .* did you mean bye?", id="detector"
    ),
    pytest.param(
        "reports: [{format: srif, path: x}]", "1:20: .* did you mean sarif?", id="report-format"
    ),
    *(
        pytest.param(
            text, f"{place}: {name} is 'a.x00b', expected text without NUL", id=f"nul-{name}"
        )
        for text, place, name in (
            ('baseline: "a\\0b"', "1:11", "baseline"),
            ('dataset: {image_root: "a\\0b"}', "1:23", "dataset.image_root"),
            ('dataset: {paths: [x, "a\\0b"]}', "1:22", r"dataset.paths.1."),
            ('reports: [{format: json, path: "a\\0b"}]', "1:32", r"reports.0..path"),
            ('dataset: {fields: {image: "a\\0b"}}', "1:27", "dataset.fields.image"),
        )
    ),
    *(
        pytest.param(
            f"reports: [{{format: json, path: '{path}'}}]",
            r"1:32: reports\[0\].path is .*, expected a path that stays in the working directory",
            id=f"report-to-{path}",
        )
        for path in ("/tmp/x", "../x", "a/../../x", "..", "C:x", "\\\\server\\x", ".git/hooks/x")
    ),
    pytest.param("reports: [{format: json}]", r"1:11: reports\[0\] lacks path", id="report-path"),
    pytest.param(
        "gate: {max_suspicious: 120%}",
        "1:24: gate.max_suspicious is '120%', expected a whole number .* percentage",
        id="percentage-over-100",
    ),
    pytest.param("gate: {max_skipped: -1%}", "1:21: gate.max_skipped is '-1%'", id="minus-percent"),
    pytest.param("gate: {max_skipped: -1}", "1:21: gate.max_skipped is -1", id="minus-count"),
    pytest.param("gate: {fdr: 1}", "1:13: gate.fdr is 1, .* above 0 and below 1", id="fdr"),
    pytest.param("seed: 1.5", "1:7: seed is 1.5, expected a whole number", id="fraction"),
    pytest.param("seed: true", "1:7: seed is true, expected a whole number", id="bool-is-no-int"),
    pytest.param("seed: 9e99", "1:7: seed is 9e[+]99", id="seed-too-large"),
    pytest.param(
        "detection: {threshold: .nan}", "1:24: '.nan' is not a number that can be", id="nan"
    ),
    pytest.param("model: {revision: 123}", "1:19: .* expected text, put it in quotes", id="quotes"),
    pytest.param(
        "fine_tune: off", "1:12: fine_tune.mode is false, .* did you mean none?", id="off"
    ),
    pytest.param("dataset: {paths: data}", "1:18: .* is 'data', expected a list", id="no-list"),
    pytest.param("dataset: 3", "1:10: dataset is 3, expected a mapping", id="no-mapping"),
    pytest.param("- a\n- b", "1:1: the policy is a list, expected a mapping of keys", id="list"),
    pytest.param("just words", "1:1: the policy is 'just words', expected a map", id="scalar"),
    pytest.param(
        "seed: 1\nmodel: scout\nseed: 2", "3:1: 'seed' is given twice, first on line 1", id="twice"
    ),
    pytest.param("gate: {scope: all, scope: all}", "1:20: 'scope' is given twice", id="twice-flow"),
    pytest.param("? [a]\n: 1", "1:3: a key must be one word", id="complex-key"),
    pytest.param("a: &a {}\ngate: {<<: *a}", "2:8: a key must be one word", id="merge-key"),
    pytest.param(
        "seed: !!python/object/apply:os.system ['x']", "1:7: the tag .* not allowed", id="tag"
    ),
    pytest.param("seed: !secret 1", "1:7: the tag '!secret' is not allowed", id="own-tag"),
    pytest.param("dataset: {paths: !!set {a}}", "1:18: the tag .* not allowed", id="set-tag"),
    pytest.param("seed: !!int x", "1:7: 'x' cannot be read as a number", id="not-an-int"),
    pytest.param("gate:\n\tscope: all", "2:1: not valid YAML: .*indent with spaces", id="tab"),
    pytest.param("gate: {scope: all", "1:18: not valid YAML", id="unclosed"),
    pytest.param("seed: 1\n---\nseed: 2", "2:1: not valid YAML", id="two-documents"),
    pytest.param("seed: 1\nmodel: \x07", "2:8: a control character", id="control-character"),
    pytest.param("seed: *a", "1:7: not valid YAML: found undefined alias", id="undefined-alias"),
    pytest.param("a: &a [*a]", "nested more than 20 levels", id="alias-of-itself"),
    pytest.param("[" * 100_000, "1:.*: nested more than 20 levels", id="deep"),
    pytest.param("- " * 30 + "x", "1:.*: nested more than 20 levels", id="deep-block"),
    pytest.param(
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "\n".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "more than 10000 values",
        id="alias-bomb",
    ),
    pytest.param(
        "context: {min: 10, max: 5}", "1:16: context.min is 10, .* which is 5", id="contradiction"
    ),
    pytest.param("context: {max: 5}", "1:16: context.min is 500", id="contradiction-by-default"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes_say_where_and_what(text: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(text)
    assert re.search(r"^bye-lint\.yaml:", caught.value.message)
    assert re.search(expected.replace("?", r"\?"), caught.value.message), caught.value.message


def test_all_mistakes_of_a_file_are_told_at_once_in_order() -> None:
    with pytest.raises(PolicyError) as caught:
        load("seed: x\nmodel: {nme: y}\nseed: 2\ngate: {fdr: 3, scope: al}\n")
    starts = [line.rsplit(": ", 1)[0].split(":")[1:3] for line in str(caught.value).split("\n")[:5]]
    assert starts == [["1", "7"], ["2", "9"], ["3", "1"], ["4", "13"], ["4", "23"]]


def test_a_value_with_terminal_escapes_is_not_shown_raw() -> None:
    with pytest.raises(PolicyError) as caught:
        load('"\\e[31m": 1\nmodel: {device: "\\n::error::x' + "y" * 500 + '"}')
    assert "\x1b" not in caught.value.message
    assert caught.value.message.count("\n") == 1
    assert max(map(len, caught.value.message.split("\n"))) < 250


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"seed: 1\nmodel: caf\xe9", r":2:11: byte 0xe9 is not UTF-8", id="latin-1"),
        pytest.param("seed: 1".encode("utf-16"), r":1:1: byte 0xff is not UTF-8", id="utf-16"),
        pytest.param(b"#" * (1 << 20) + b"#", "larger than 1 MiB", id="huge"),
    ],
)
def test_files_that_are_no_text(data: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "bye-lint.yaml"
    path.write_bytes(data)
    with pytest.raises(PolicyError, match=expected):
        load_policy(path)


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "missing.yaml")
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)


def test_find_walks_up_to_the_repository(tmp_path: Path) -> None:
    (tmp_path / "bye-lint.yaml").touch()
    inner = tmp_path / "repo" / "data" / "deep"
    inner.mkdir(parents=True)
    (inner / "train.json").touch()
    assert find_policy(inner / "train.json") == tmp_path / "bye-lint.yaml"
    (tmp_path / "repo" / ".git").touch()  # a worktree's .git is a file
    assert find_policy(inner) is None
    (tmp_path / "repo" / ".bye-lint.yaml").touch()
    assert find_policy(inner / "train.json") == tmp_path / "repo" / ".bye-lint.yaml"
    (tmp_path / "repo" / "data" / "bye-lint.yml").touch()
    assert find_policy(inner) == tmp_path / "repo" / "data" / "bye-lint.yml"


def test_two_policies_in_one_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bye-lint.yaml").touch()
    (tmp_path / ".bye-lint.yaml").touch()
    with pytest.raises(PolicyError, match="two policies"):
        find_policy(tmp_path)


def test_find_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bye-lint.yaml").touch()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    assert find_policy(Path()) == tmp_path / "bye-lint.yaml"


def test_starter_policy_is_the_default_and_names_every_key() -> None:
    text = starter_policy()
    assert settings(load(text)) == Policy()
    for section, keys in KEYS.items():
        for key in keys:
            assert re.search(rf"^\W*{key}:", text, re.MULTILINE), (section, key)


def test_starter_policy_holds_with_every_example_taken_up() -> None:
    # "# key: value" is an example, "# Words." is prose
    taken = re.sub(r"^( *)# (?=[a-z_]+:)", r"\1", starter_policy(), flags=re.MULTILINE)
    taken = re.sub(r"^#(   )", r"\1", taken, flags=re.MULTILINE)
    policy = load(taken)
    assert policy.reports == (ReportPolicy("sarif", "bye-lint.sarif"),)
    assert policy.fine_tune.learning_rate == 2e-4
    assert policy.dataset.fields == {"answer": "caption"}
    assert policy.gate.fdr == 0.01


@pytest.mark.parametrize(("text", "expected"), ACCEPTED)
def test_shown_policy_loads_to_the_same(text: str, expected: Policy) -> None:
    policy = load(text.lstrip("\ufeff"))
    shown = show_policy(policy)
    assert settings(load(shown)) == expected
    assert list(yaml.safe_load(shown))[:3] == ["dataset", "model", "fine_tune"]


def test_shown_policy_does_not_depend_on_where_it_was_read_from() -> None:
    assert show_policy(load("seed: 1", "a/x.yaml")) == show_policy(load("seed: 1", "b/y.yaml"))


def test_schema_is_a_schema_and_covers_every_field() -> None:
    schema = policy_schema(CHOICES)
    jsonschema.Draft202012Validator.check_schema(schema)
    names = {f.name for f in dataclasses.fields(Policy)} - set(OUTSIDE_FILE)
    assert set(schema["properties"]) == names
    for name, part in schema["properties"].items():
        assert part["description"], name
    assert set(SECTIONS) | set(KEYS[""]) == names


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("", True),
        ("model: scout", True),
        ("model: {name: scout, device: cuda}", True),
        ("fine_tune: none", True),
        ("gate: {max_suspicious: 0.5%}", True),
        ("model: 3", False),
        ("fine_tune: never", False),
        ("dataset: {format: lava}", False),
        ("gate: {max_suspicious: 101%}", False),
        ("unknown: 1", False),
    ],
)
def test_published_schema_judges_as_the_loader_does(text: str, valid: bool) -> None:
    validator = jsonschema.Draft202012Validator(policy_schema(CHOICES))
    assert validator.is_valid(yaml.safe_load(text)) is valid
    if valid:
        load(text)
    else:
        with pytest.raises(PolicyError):
            load(text)


def test_without_choices_any_name_is_accepted() -> None:
    policy = load_policy(Path("x.yaml"), text="dataset: {format: new}\ndetection: mine")
    assert (policy.dataset.format, policy.detection.method) == ("new", "mine")


def test_what_stands_in_quotes_is_text() -> None:
    assert load_policy(Path("x"), text='model: "1e5"').model.name == "1e5"


def test_default_is_allowed_even_where_the_choices_do_not_name_it() -> None:
    assert load_policy(Path("x"), text="detection: auto", choices={"detectors": ("bye",)})


@pytest.mark.parametrize(
    ("limit", "total", "expected"),
    [
        (0, 100, 0),
        (3, 100, 3),
        ("3", 100, 3),
        ("0%", 1000, 0),
        ("0.5%", 1000, 5),
        ("0.5%", 199, 0),
        ("5%", 100, 5),
        ("29%", 100, 29),
        ("0.29%", 10_000, 29),
        ("32.3%", 1000, 323),  # 322.9... in floating point
        ("100%", 7, 7),
        ("100.0 %", 7, 7),
        ("5%", 0, 0),
    ],
)
def test_parse_limit(limit: int | str, total: int, expected: int) -> None:
    assert parse_limit(limit, total) == expected


@pytest.mark.parametrize(
    "limit", [-1, True, "101%", "-1%", "x", "", "%", "1e3%", "٣%", "²", "5%%", 1.5]
)
def test_parse_limit_refuses(limit: int | str) -> None:
    with pytest.raises(PolicyError, match="is not a limit"):
        parse_limit(limit, 100)


def test_the_reference_page_is_current_and_names_every_key() -> None:
    from bye_lint import tables

    page = policy_reference(tables.choices())
    published = Path(__file__).parents[1] / "docs" / "policy.md"
    assert published.read_text(encoding="utf-8") == page, (
        'run: python -c "from bye_lint import policy, tables; '
        'print(policy.policy_reference(tables.choices()), end=str())" > docs/policy.md'
    )
    for section in KEYS.values():
        for key in section:
            assert f"| `{key}` |" in page


def test_the_mistake_that_the_reference_page_shows_is_a_real_one() -> None:
    with pytest.raises(PolicyError) as caught:
        load("\n\n\nfine_tune:\n  method: loar")
    assert f"\n{caught.value.message}\n" in policy_reference()
