"""What a corpus lost on the way, and why: the report in which every conversation is accounted for."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from warmgap.corpora.query_types import QUERY_TYPES
from warmgap.errors import UserError

DROPPED, CUT, NOTICED = "dropped", "cut", "noticed"
ACTIONS = (DROPPED, CUT, NOTICED)
"""Left out; kept without a part of it; kept as it is."""
UNKNOWN = "unknown"
"""Type of what holds no message and reply to tell it by."""
_EXAMPLES = 5


class Losses:
    """Counts by reason and query type, with a few examples each.

    A dropped conversation has one reason, the first that was found, and is neither cut nor noticed: so
    the dropped and the kept are together what was read.
    """

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._found: Counter[tuple[str, str, str]] = Counter()
        self._examples: dict[tuple[str, str], list[str]] = defaultdict(list)

    def read(self, query_type: str) -> None:
        """One more record was read, or lost to a break."""
        self._read[query_type] += 1

    def add(self, action: str, reason: str, query_type: str, id: str, where: str) -> None:
        """A fault of one record, by its id and position."""
        self._found[action, reason, query_type] += 1
        examples = self._examples[action, reason]
        if len(examples) < _EXAMPLES:
            examples.append(f"{id} at {where}" if id else where)

    @property
    def n_read(self) -> int:
        """Records in all."""
        return self._read.total()

    def counts(self, action: str) -> dict[str, int]:
        """Records by reason, most frequent first."""
        of_reason: Counter[str] = Counter()
        for (found, reason, _), n in self._found.items():
            if found == action:
                of_reason[reason] += n
        return dict(sorted(of_reason.items(), key=lambda item: (-item[1], item[0])))

    @property
    def share(self) -> float:
        """Share of all records that were dropped."""
        return sum(self.counts(DROPPED).values()) / self.n_read if self.n_read else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """One row per action, reason and query type, and one over `all`, with the share of what was read."""
        out = []
        for action in ACTIONS:
            for reason, total in self.counts(action).items():
                parts = {t: self._found[action, reason, t] for t in (*QUERY_TYPES, UNKNOWN)}
                for name, n in {"all": total, **parts}.items():
                    if n:
                        read = self.n_read if name == "all" else self._read[name]
                        out.append(
                            {
                                "action": action,
                                "reason": reason,
                                "query_type": name,
                                "n": n,
                                "n_read": read,
                                "share_pct": 100 * n / read,
                                "examples": json.dumps(self._examples[action, reason])
                                if name == "all"
                                else "[]",
                            }
                        )
        return out

    def require(self, max_share: float, corpus: str) -> None:
        """Refuse a corpus that lost too much.

        Raises:
            UserError: a larger share was dropped, with the whole report.
        """
        if self.share > max_share:
            raise UserError(
                f"corpus {corpus}: {sum(self.counts(DROPPED).values())} of {self.n_read} conversations were "
                f"dropped, {100 * self.share:.1f} %, more than corpus.chatlogs.max_lost_share={max_share} "
                f"allows. Mend the file, or allow it with corpus.chatlogs.max_lost_share=1.\n"
                f"{loss_text(self.rows())}"
            )


def loss_text(rows: Sequence[dict[str, Any]]) -> str:
    """The report as lines of text: totals by reason, shares by type in per cent, and where."""
    types = (*QUERY_TYPES, UNKNOWN)
    head = f"{'':9}{'reason':24}{'n':>8}{'%':>7}" + "".join(f"{name:>11}" for name in types)
    lines = [head]
    share = {(r["action"], r["reason"], r["query_type"]): r["share_pct"] for r in rows}
    for row in rows:
        if row["query_type"] == "all":
            at = (row["action"], row["reason"])
            parts = "".join(f"{share.get((*at, name), 0.0):11.1f}" for name in types)
            lines.append(f"{at[0]:9}{at[1]:24}{row['n']:8}{row['share_pct']:7.2f}{parts}")
            lines.append(f"{'':9}  e.g. {'; '.join(json.loads(row['examples'])[:2])}")
    return "\n".join(lines)
