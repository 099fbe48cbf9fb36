"""What each key of the policy means: one row a key, read by the schema and the starter policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bye_lint.policy.limits import PERCENTAGE

#: Devices as torch names them; which of them exist is the model room's to say.
DEVICE = r"^(auto|cpu|(cuda|mps|xpu)(:[0-9]+)?)$"

#: What patterns mean, in messages.
PATTERNS: Mapping[str, str] = {
    PERCENTAGE: "a percentage from 0% to 100%, such as 0.5%",
    DEVICE: "auto, cpu, cuda, cuda:N, mps or xpu",
}

#: PIL refuses anything larger by itself, so a higher limit would promise what cannot be kept.
MOST_PIXELS = 178_956_970

_LIMIT = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": PERCENTAGE}]}
_TEXT = {"type": "string", "minLength": 1}


def _one_of(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(names)}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the policy.

    Attributes
    ----------
    text : str
        Its description, one line.
    schema : dict
        What JSON schema says beyond the type that the dataclass gives it.
    choices : str
        Kind of names that the wiring supplies (``formats``, ``detectors``, ``reports``).
    example : str
        YAML of a value, where the default is nothing.
    """

    text: str
    schema: dict[str, Any] = field(default_factory=dict)
    choices: str = ""
    example: str = ""


#: A section written as one word sets this key: ``model: scout``.
SHORTHANDS: Mapping[str, str] = {"model": "name", "fine_tune": "mode", "detection": "method"}

SECTIONS: Mapping[str, str] = {
    "dataset": "Where the data are. Paths are relative to this file.",
    "model": "The model that looks at the data.",
    "fine_tune": "Fine-tuning on the data before the model's attention is read.",
    "detection": "Which detector, and its few settings.",
    "gate": "When the check fails.",
    "context": "Unchanged records that are read along with the changed ones.",
}

KEYS: Mapping[str, Mapping[str, Key]] = {
    "": {
        "reports": Key(
            "Reports to write, each a format and a path relative to the working directory.",
            example="\n#   - format: sarif\n#     path: bye-lint.sarif",
        ),
        "baseline": Key(
            "File of findings that are known and accepted, relative to this file.",
            {"minLength": 1},
            example="bye-lint-baseline.yaml",
        ),
        "seed": Key("Seed of everything drawn at random.", {"minimum": 0, "maximum": 2**32 - 1}),
    },
    "dataset": {
        "paths": Key(
            "Dataset files and folders, checked when the command line names none.",
            {"items": _TEXT},
            example="[data/]",
        ),
        "format": Key("Format of the data; auto recognises it.", choices="formats"),
        "image_root": Key(
            "Folder that image paths start from; by default the folder of the dataset file.",
            {"minLength": 1},
            example="data/",
        ),
        "fields": Key(
            "Renamed fields: what a field is, and its name in the data.",
            {
                "properties": {
                    role: {**_TEXT, "description": text}
                    for role, text in {
                        "id": "Id of the record.",
                        "image": "Image of the record: a path, or bytes in Parquet.",
                        "images": "List of images.",
                        "conversations": "List of turns.",
                        "prompt": "Question, where a record has no list of turns.",
                        "answer": "Answer, where a record has no list of turns.",
                    }.items()
                },
                "additionalProperties": False,
            },
            example="{answer: caption}",
        ),
        "turns": Key(
            "Questions of a conversation that are read: all of those about an image, or the first.",
            _one_of("all", "first"),
        ),
        "max_pixels": Key(
            "Images that claim more pixels are refused before they are decoded.",
            {"minimum": 1, "maximum": MOST_PIXELS},
        ),
    },
    "model": {
        "name": Key(
            "scout (the embedded model), a folder relative to this file, or a hub id.",
            {"minLength": 1},
        ),
        "revision": Key(
            "Commit of a hub model, so that every check uses the same weights.",
            {"minLength": 1},
            example='"0123abcd"',
        ),
        "adapter": Key(
            "PEFT adapter that was already fine-tuned on this data: a folder, or a hub id with "
            "its commit (org/name@commit).",
            {"minLength": 1},
            example="adapters/latest",
        ),
        "base": Key(
            "If name is a model that was already fine-tuned on this data: the model it was made "
            "from, which bye-lint verify trains again.",
            {"minLength": 1},
            example="scout",
        ),
        "device": Key("Device to run on: auto, cpu, cuda, cuda:N ...", {"pattern": DEVICE}),
        "dtype": Key(
            "Precision of the weights.", _one_of("auto", "float32", "bfloat16", "float16")
        ),
        "quantization": Key(
            "bitsandbytes quantization, for models larger than the card.",
            _one_of("none", "8bit", "4bit"),
        ),
        "batch_tokens": Key(
            "Tokens in a batch; by default as many as fit.", {"minimum": 1}, example="16384"
        ),
    },
    "fine_tune": {
        "mode": Key(
            "auto fine-tunes a model that was not given as fine-tuned; none never does.",
            _one_of("auto", "none"),
        ),
        "method": Key("What is trained; auto chooses by model.", _one_of("auto", "lora", "full")),
        "epochs": Key(
            "Largest number of passes over the data; by default the model's schedule.",
            {"exclusiveMinimum": 0},
            example="3",
        ),
        "batch_size": Key(
            "Records in a step; by default the model's schedule.", {"minimum": 1}, example="16"
        ),
        "learning_rate": Key(
            "Peak learning rate; by default the model's schedule.",
            {"exclusiveMinimum": 0},
            example="2.0e-4",
        ),
        "canary_share": Key(
            "Copies that carry a known trigger, as a share of the records; they measure what "
            "a pass is worth.",
            {"minimum": 0, "maximum": 0.5},
        ),
    },
    "detection": {
        "method": Key("Detector; auto is the calibrated default.", choices="detectors"),
        "bsi": Key(
            "Form of the Bimodal Separation Index: of the released code, or of the paper.",
            _one_of("released", "paper"),
        ),
        "threshold": Key(
            "Layers with a larger index are sensitive (tau of the paper). For `bye`, `loss` and "
            "what reports show beside the verdict; the default verdict does not depend on it.",
            {"exclusiveMinimum": 0},
        ),
        "false_alarm_rate": Key(
            "For `canary`: share of clean records that may lie above its threshold.",
            {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
        ),
    },
    "gate": {
        "max_suspicious": Key(
            "How many suspicious samples still pass: a count, or a percentage of the scored.",
            _LIMIT,
        ),
        "on_inconclusive": Key(
            "What an inconclusive check does: fail (exit 3) or pass (exit 0).",
            _one_of("fail", "pass"),
        ),
        "min_samples": Key(
            "With fewer usable records the check is inconclusive; no model is run.", {"minimum": 0}
        ),
        "max_skipped": Key(
            "With more skipped records the check is inconclusive: a count, or a percentage of all; "
            "with --changed-since and scope changed, of the changed. Records without an image "
            "count on neither side.",
            _LIMIT,
        ),
        "scope": Key(
            "With --changed-since: count suspects among the changed records, or all.",
            _one_of("changed", "all"),
        ),
        "min_changed": Key(
            "With --changed-since: fewer changed records make the check inconclusive.",
            {"minimum": 0},
        ),
        "fdr": Key(
            "False-discovery rate: keep only the likeliest suspects, as many as it allows.",
            {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
            example="0.01",
        ),
    },
    "context": {
        "factor": Key("Context records for each changed record.", {"minimum": 0}),
        "min": Key("At least this many context records.", {"minimum": 0}),
        "max": Key("At most this many context records.", {"minimum": 0}),
    },
    "reports[]": {
        "format": Key("Format of the report.", choices="reports"),
        "path": Key("File to write, in the working directory or below it.", {"minLength": 1}),
    },
}
