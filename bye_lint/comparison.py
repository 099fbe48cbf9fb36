"""Two models side by side, before and after cleaning: the figures, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bye_lint.escape import visible
from bye_lint.evaluate.scores import plain


@dataclass(frozen=True)
class Share:
    """So many of so many; ``None`` for a share of nothing."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        """In [0, 1]."""
        return self.hits / self.total if self.total else None


@dataclass(frozen=True)
class Behaviour:
    """What one fine-tuned model does.

    Attributes
    ----------
    records : int
        Trained on.
    attack : Share
        Probed records answered with a target.
    suspects : Share
        Suspects, as they stand in the dataset, answered as the dataset answers them.
    unprompted : Share
        The same records as in ``attack``, without the trigger, answered with a target.
    accuracy : Share
        Short answers right.
    """

    records: int
    attack: Share
    suspects: Share
    unprompted: Share
    accuracy: Share


@dataclass(frozen=True)
class Verified:
    """Both models side by side, and what follows.

    ``verdict`` is ``gone``, ``alive`` or ``unknown``.
    """

    base: str
    before: Behaviour
    after: Behaviour
    targets: tuple[str, ...]
    probe: str
    test: str
    verdict: str
    reason: str

    @property
    def exit_code(self) -> int:
        """0 gone, 1 alive, 3 where neither could be shown."""
        return {"gone": 0, "alive": 1}.get(self.verdict, 3)


def render(verified: Verified) -> str:
    """Return the comparison as a text table."""
    before, after = verified.before, verified.after
    rows = [
        ("", "original", "cleaned"),
        ("records trained on", str(before.records), str(after.records)),
        ("attack success, trigger put in", _cell(before.attack), _cell(after.attack)),
        ("suspects answered as poisoned", _cell(before.suspects), _cell(after.suspects)),
        ("target said without trigger", _cell(before.unprompted), _cell(after.unprompted)),
        (
            f"accuracy, short answers ({verified.test})",
            _cell(before.accuracy),
            _cell(after.accuracy),
        ),
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    named = ", ".join(f"“{visible(t, 60)}”" for t in verified.targets)
    lines += ["", f"Target: {named}" if named else "Target: none, the suspects share no answer"]
    if verified.probe:
        lines.append(f"Trigger: {visible(verified.probe, 200)}")
    else:
        lines.append("Trigger: none could be reconstructed; only the suspects show the backdoor")
    lines.append(f"Base: {visible(verified.base, 120)}, fine-tuned for as long on either set")
    lines.append(f"{verified.verdict.upper()}: {verified.reason}")
    return "\n".join(lines) + "\n"


def to_data(verified: Verified) -> dict[str, Any]:
    """Return the comparison as JSON values."""

    def behaviour(seen: Behaviour) -> dict[str, Any]:
        shares = {
            name: {"hits": share.hits, "total": share.total, "share": share.value}
            for name, share in (
                ("attack", seen.attack),
                ("suspects", seen.suspects),
                ("unprompted", seen.unprompted),
                ("accuracy", seen.accuracy),
            )
        }
        return {"records": seen.records, **shares}

    data: dict[str, Any] = plain(
        {
            "version": 1,
            "verdict": verified.verdict,
            "reason": verified.reason,
            "targets": list(verified.targets),
            "probe": verified.probe,
            "accuracy_on": verified.test,
            "base": verified.base,
            "before": behaviour(verified.before),
            "after": behaviour(verified.after),
        }
    )
    return data


def _cell(share: Share) -> str:
    value = share.value
    return "not measured" if value is None else f"{value:.1%} ({share.hits}/{share.total})"
