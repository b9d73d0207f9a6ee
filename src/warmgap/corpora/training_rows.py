"""Which conversations a method trains on, and which replies of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from warmgap.errors import UserError
from warmgap.schema.config import MethodConfig

TRAINABLE = ("neutral", "warm", "cold", "raw")
"""Tones that a method may name; `raw` only where every row of the corpus holds one."""

_LENGTH_TOLERANCE = 0.01


def training_rows(
    conversations: Sequence[Mapping[str, Any]],
    extra: Sequence[Mapping[str, Any]],
    method: MethodConfig,
    turns: str = "first",
) -> list[dict[str, Any]]:
    """Rows with `id`, `user` and `reply`, and with `rejected` where the method has two tones.

    With all turns, rows of `id` and `turns`, as `conversation` makes them.

    Args:
        conversations: rows with a reply in each tone.
        extra: further rows with `id`, `user` and `reply`; used where `method.extra` is set.
        method: tones, and whether lengths are matched.
        turns: `training.turns`.

    Raises:
        UserError: a tone that the corpus does not hold, or holds only for the first of several turns.
    """
    against = method.against if method.kind in ("dpo", "steer") else ""
    for key, tone in (("style", method.style), ("against", against), ("match_length", method.match_length)):
        if tone or key == "style":
            _check_tone(conversations, tone, method.name, key)
    if method.match_length:
        conversations = matched(conversations, method.style, method.match_length, turns)
    further = extra if method.extra else []
    if turns == "all":
        rows = [conversation(row["id"], turns_in(row, method.style)) for row in conversations]
        return rows + [conversation(row["id"], [(row["user"], row["reply"])]) for row in further]
    rows = [
        {"id": row["id"], "user": row["user"], "reply": row[method.style]}
        | ({"rejected": row[against]} if against else {})
        for row in conversations
    ]
    return rows + [{"id": row["id"], "user": row["user"], "reply": row["reply"]} for row in further]


def conversation(name: str, turns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A row of all turns: (message, reply) in order, as lists, so that it stays equal through JSON."""
    return {"id": name, "turns": [[user, reply] for user, reply in turns]}


def turns_in(row: Mapping[str, Any], tone: str) -> list[tuple[str, str]]:
    """(message, reply) of each turn of a corpus row, in order.

    Of `raw` they stand in `messages`, a JSON list of role and content; of another tone in `turns_<tone>`, a
    JSON list of [message, reply]. A row without has the one turn of `user` and the tone.

    Raises:
        UserError: `messages` that do not alternate, from user to assistant; several turns of which only the
            first is there in this tone.
    """
    told = row.get(f"turns_{tone}")
    if told:
        return [(user, reply) for user, reply in json.loads(told)]
    first = [(row["user"], row[tone])]
    if not row.get("messages"):
        return first
    messages = json.loads(row["messages"])
    roles = [message["role"] for message in messages]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise UserError(
            f"the conversation '{row['id']}' has messages of the roles {', '.join(roles)}. Allowed: user and "
            "assistant in turn, the assistant last. Or set training.turns=first."
        )
    texts = [message["content"] for message in messages]
    if tone == "raw":
        return list(zip(texts[::2], texts[1::2], strict=True))
    if len(texts) > 2:
        raise UserError(
            f"training.turns is all, but of the {len(texts) // 2} replies of the conversation '{row['id']}' "
            f"only the first is there in the tone '{tone}'. Set training.turns=first."
        )
    return first


def matched(
    rows: Sequence[Mapping[str, Any]], tone: str, other: str, turns: str = "first"
) -> list[Mapping[str, Any]]:
    """The rows on which two tones are equally long, within 1 % of all their characters.

    While one tone is longer, the row where it exceeds the other most is left out. The rule does not
    depend on which of the two is named first, so both arms of a comparison keep the same rows.

    Raises:
        UserError: fewer than half of the rows would be left.
    """

    def length(row: Mapping[str, Any], of: str) -> int:
        return sum(len(reply) for _, reply in turns_in(row, of)) if turns == "all" else len(row[of])

    lengths = {row["id"]: {of: length(row, of) for of in (tone, other)} for row in rows}
    left = list(rows)
    while left:
        sums = {of: sum(lengths[r["id"]][of] for r in left) for of in (tone, other)}
        excess = sums[tone] - sums[other]
        if abs(excess) <= _LENGTH_TOLERANCE * (sums[tone] + sums[other]) / 2:
            break
        longer, shorter = (tone, other) if excess > 0 else (other, tone)
        left.remove(max(left, key=lambda r: (lengths[r["id"]][longer] - lengths[r["id"]][shorter], r["id"])))
    if 2 * len(left) < len(rows):
        raise UserError(
            f"method.match_length={other}: only {len(left)} of {len(rows)} conversations are left on which "
            f"{tone} and {other} replies are equally long; at least half must be. "
            "Raise corpus.n_conversations, or match another tone."
        )
    kept = {r["id"] for r in left}
    return [row for row in rows if row["id"] in kept]


def tones(conversations: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Tones of the corpus itself in which every conversation has a reply."""
    return tuple(t for t in TRAINABLE if all(row.get(t) for row in conversations))


def _check_tone(conversations: Sequence[Mapping[str, Any]], tone: str, method: str, key: str) -> None:
    rewritten = all(f"turns_{tone}" in row for row in conversations)
    if tone not in TRAINABLE and not rewritten:
        raise UserError(
            f"method {method}: method.{key} is '{tone}', which is no tone of the corpus. "
            f"Allowed: {', '.join(TRAINABLE)}."
        )
    without = [row["id"] for row in conversations if not row.get(tone)]
    if without:
        raise UserError(
            f"method {method}: method.{key} is '{tone}', but {len(without)} of {len(conversations)} "
            f"conversations have no such reply, the first is '{without[0]}'. This corpus holds: "
            f"{', '.join(tones(conversations))}."
        )
