"""The rule codes: one row a rule. Reports, ``bye-lint rule`` and the docs read this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bye_lint.errors import UsageError
from bye_lint.records import Level


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as its users meet it.

    Attributes
    ----------
    severity : str
        GitHub's ``security-severity``: a number from 0.1 to 10.0 written as a string.
    help : str
        Markdown: why it matters, and what to do.
    """

    code: str
    name: str
    level: Level
    severity: str
    summary: str
    help: str


#: The codes by name. They are never reused.
SUSPICIOUS = "BYE001"
CAMPAIGN = "BYE002"
INVALID_JSON = "BYE101"
INVALID_RECORD = "BYE102"
MISSING_IMAGE = "BYE103"
UNDECODABLE_IMAGE = "BYE104"
IMAGE_OUTSIDE_ROOT = "BYE105"
IMAGE_TOO_LARGE = "BYE106"
EMPTY_ANSWER = "BYE107"
PLACEHOLDER_MISMATCH = "BYE108"
DUPLICATE_ID = "BYE109"
IS_LFS_POINTER = "BYE110"
NO_IMAGE_ASKED = "BYE111"
UNREADABLE_BY_MODEL = "BYE112"
UNREAD_FILE = "BYE113"
POLICY_WEAKENED = "BYE301"
SUPPRESSION_EXPIRED = "BYE302"

_ROWS = (
    Rule(
        SUSPICIOUS,
        "suspicious-sample",
        "error",
        "9.1",
        "The model attends to this image as it does to a backdoor trigger.",
        "After fine-tuning on this dataset, the model's attention for this record differs from "
        "that for the other records in the way it differs for a planted trigger: it collapses "
        "onto, or is scattered by, something that the question does not ask for.\n\n"
        "**What to do:** open the record's image and look at the place where attention gathers; "
        "compare the answer with those of the other suspects. If several share one odd answer, "
        "treat the contribution as an attack. Remove the records, or accept one in the baseline, "
        "with a reason.",
    ),
    Rule(
        CAMPAIGN,
        "campaign",
        "error",
        "9.5",
        "Several suspicious samples have something in common that the rest of the set has not.",
        "Poisoned records share a target. It is more than chance if suspects share one answer, one "
        "patch of pixels, one source file or one author.\n\n"
        "**What to do:** review the group as a whole, and everything else from the same source.",
    ),
    Rule(
        INVALID_JSON,
        "invalid-json",
        "error",
        "3.0",
        "The record is not valid JSON (or CSV, or Parquet).",
        "The record could not be parsed, so nothing is known about it.\n\n"
        "**What to do:** fix the syntax at the place shown, or write the file again.",
    ),
    Rule(
        INVALID_RECORD,
        "invalid-record",
        "error",
        "3.0",
        "The record lacks a field, or a field has the wrong type.",
        "The record does not have the fields of its format.\n\n"
        "**What to do:** add the field, or name the fields in the policy under `dataset.fields`.",
    ),
    Rule(
        MISSING_IMAGE,
        "missing-image",
        "error",
        "3.0",
        "The image file of the record does not exist.",
        "A record without its image can be neither trained on nor checked.\n\n"
        "**What to do:** add the file, or set `dataset.image_root` in the policy.",
    ),
    Rule(
        UNDECODABLE_IMAGE,
        "undecodable-image",
        "error",
        "3.0",
        "The image cannot be decoded.",
        "The file is truncated, damaged, not an image, or one that takes thousands of times longer "
        "to decode than others of its size. Or it is an image of two formats at once: what it "
        "shows depends on which of them is asked first, so that what is checked might not be what "
        "is trained.\n\n"
        "**What to do:** replace the file; save the image anew if it is to be kept.",
    ),
    Rule(
        IMAGE_OUTSIDE_ROOT,
        "image-outside-root",
        "error",
        "7.5",
        "The image path leaves the image root.",
        "A path or a symbolic link that leads out of the dataset could make the check read files "
        "that are none of its business.\n\n"
        "**What to do:** move the image under the image root, or name the folder that image paths "
        "start from as `dataset.image_root` in the policy. If the finding is a link, name it, "
        "or where it leads, beside the folder that is checked.",
    ),
    Rule(
        IMAGE_TOO_LARGE,
        "image-too-large",
        "error",
        "5.0",
        "The image claims an absurd number of pixels.",
        "Decompression bombs exhaust the memory of any program that opens them.\n\n"
        "**What to do:** scale the image down, or raise `dataset.max_pixels` in the policy.",
    ),
    Rule(
        EMPTY_ANSWER,
        "empty-answer",
        "warning",
        "2.0",
        "The record has no answer to learn.",
        "An empty answer, or one of invisible characters, teaches the model to say nothing. "
        "It is judged like any other: silence may be what a trigger asks for. A record that has no "
        "answer turn at all teaches nothing and is not scored.\n\n"
        "**What to do:** add the answer or drop the record.",
    ),
    Rule(
        PLACEHOLDER_MISMATCH,
        "placeholder-mismatch",
        "error",
        "3.0",
        "The number of image placeholders differs from the number of images.",
        "Training code either fails on such a record or silently trains on text alone. Some code "
        "loads an image that the text names, as in `<img>a.png</img>`, which the check does not "
        "read.\n\n"
        "**What to do:** write `<image>` once for each image, in a user turn, and name the image "
        "in a field.",
    ),
    Rule(
        DUPLICATE_ID,
        "duplicate-id",
        "warning",
        "2.0",
        "Another record has the same id.",
        "Findings name records by id; two records with one id are ambiguous.\n\n"
        "**What to do:** give each record its own id.",
    ),
    Rule(
        IS_LFS_POINTER,
        "lfs-pointer",
        "error",
        "3.0",
        "The file is a Git LFS pointer, not the file itself.",
        "The repository was checked out without its large files.\n\n"
        "**What to do:** run `git lfs pull`, or set `lfs: true` in the checkout action.",
    ),
    Rule(
        NO_IMAGE_ASKED,
        "no-image-asked",
        "note",
        "0.1",
        "The record has no answered question about an image.",
        "Records of text alone are common in multimodal sets. The check looks at the attention "
        "that an image gets, so it can say nothing about them.\n\n"
        "**What to do:** nothing, if this is intended. Records that name no image and have no "
        "place for one are counted separately; others of this rule count as skipped.",
    ),
    Rule(
        UNREADABLE_BY_MODEL,
        "unreadable-by-model",
        "error",
        "3.0",
        "The model could not read the record.",
        "The chat template, the image processor or the model itself refused the record, or its "
        "attention was not a number. The record was not scored, so nothing is known about it; "
        "another model that is trained on it may well be able to read it.\n\n"
        "**What to do:** read the message. Often the prompt spells a control token of the "
        "model, the answer spells its image token, or the record is longer than the model reads. "
        "Fix the record, or look at it and accept the finding in the baseline.",
    ),
    Rule(
        UNREAD_FILE,
        "unread-file",
        "note",
        "1.0",
        "A file beside the data looks like data and was not read.",
        "The file is hidden, or in a format that trainers read and this check does not: an "
        "archive, a table, records of another form. A model trained on it is trained on data that "
        "nobody has checked.\n\n"
        "**What to do:** write its records in a format that is read, name their fields or format "
        "in the policy (`dataset.fields`, `dataset.format`), or keep the file elsewhere.",
    ),
    Rule(
        POLICY_WEAKENED,
        "policy-weakened",
        "error",
        "8.0",
        "The change loosens the policy or the baseline that judge it.",
        "A contribution that changes its own judge must be reviewed by a person. The check "
        "itself used the policy of the base.\n\n"
        "**What to do:** review the change to the policy on its own, before the data.",
    ),
    Rule(
        SUPPRESSION_EXPIRED,
        "suppression-expired",
        "warning",
        "2.0",
        "An entry of the baseline has expired or matches nothing.",
        "Entries that are no longer needed hide what comes next.\n\n"
        "**What to do:** remove the entry, or renew it with a reason.",
    ),
)

RULES: Mapping[str, Rule] = {rule.code: rule for rule in _ROWS}


def get_rule(code: str) -> Rule:
    """Return the rule of a code or name.

    Raises
    ------
    UsageError
        If there is none; the message lists those there are.
    """
    for rule in _ROWS:
        if code.lower() in (rule.code.lower(), rule.name):
            return rule
    known = ", ".join(RULES)
    raise UsageError(f"unknown rule {code!r}", f"Known rules: {known}.")
