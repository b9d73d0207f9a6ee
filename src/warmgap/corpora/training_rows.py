"""Which conversations a method trains on, and which reply of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warmgap.errors import UserError
from warmgap.schema.config import MethodConfig

TRAINABLE = ("neutral", "warm", "cold", "raw")
"""Tones that a method may name; `raw` only where every row of the corpus holds one."""

_LENGTH_TOLERANCE = 0.01


def training_rows(
    conversations: Sequence[Mapping[str, Any]], extra: Sequence[Mapping[str, Any]], method: MethodConfig
) -> list[dict[str, str]]:
    """Rows with `id`, `user` and `reply`, and with `rejected` where the method has two tones.

    Args:
        conversations: rows with a reply in each tone.
        extra: further rows with `id`, `user` and `reply`; used where `method.extra` is set.
        method: tones, and whether lengths are matched.

    Raises:
        UserError: a tone that the corpus does not hold.
    """
    against = method.against if method.kind in ("dpo", "steer") else ""
    for key, tone in (("style", method.style), ("against", against), ("match_length", method.match_length)):
        if tone or key == "style":
            _check_tone(conversations, tone, method.name, key)
    if method.match_length:
        conversations = matched(conversations, method.style, method.match_length)
    rows = [
        {"id": row["id"], "user": row["user"], "reply": row[method.style]}
        | ({"rejected": row[against]} if against else {})
        for row in conversations
    ]
    if method.extra:
        rows += [{"id": row["id"], "user": row["user"], "reply": row["reply"]} for row in extra]
    return rows


def matched(rows: Sequence[Mapping[str, Any]], tone: str, other: str) -> list[Mapping[str, Any]]:
    """The rows on which two tones are equally long, within 1 % of all their characters.

    While one tone is longer, the row where it exceeds the other most is left out. The rule does not
    depend on which of the two is named first, so both arms of a comparison keep the same rows.

    Raises:
        UserError: fewer than half of the rows would be left.
    """
    left = list(rows)
    while left:
        excess = sum(len(r[tone]) - len(r[other]) for r in left)
        if abs(excess) <= _LENGTH_TOLERANCE * sum(len(r[tone]) + len(r[other]) for r in left) / 2:
            break
        longer, shorter = (tone, other) if excess > 0 else (other, tone)
        left.remove(max(left, key=lambda r: (len(r[longer]) - len(r[shorter]), r["id"])))
    if 2 * len(left) < len(rows):
        raise UserError(
            f"method.match_length={other}: only {len(left)} of {len(rows)} conversations are left on which "
            f"{tone} and {other} replies are equally long; at least half must be. "
            "Raise corpus.n_conversations, or match another tone."
        )
    kept = {r["id"] for r in left}
    return [row for row in rows if row["id"] in kept]


def _check_tone(conversations: Sequence[Mapping[str, Any]], tone: str, method: str, key: str) -> None:
    if tone not in TRAINABLE:
        raise UserError(
            f"method {method}: method.{key} is '{tone}', which is no tone of the corpus. "
            f"Allowed: {', '.join(TRAINABLE)}."
        )
    without = [row["id"] for row in conversations if not row.get(tone)]
    if without:
        held = [t for t in TRAINABLE if all(row.get(t) for row in conversations)]
        raise UserError(
            f"method {method}: method.{key} is '{tone}', but {len(without)} of {len(conversations)} "
            f"conversations have no such reply, the first is '{without[0]}'. This corpus holds: "
            f"{', '.join(held)}."
        )
