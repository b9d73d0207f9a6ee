"""Write a study's folder: what raters may have, and the key apart.

<folder>/study.html          the page for raters
<folder>/pairs.csv           the same pairs for another platform
<folder>/assignment.csv      which rater sees which pairs, in order
<folder>/private/key.csv     which side is which arm: never for raters
<folder>/private/meters.csv  what the warmth meters say of each reply: never for raters
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from warmgap.errors import UserError
from warmgap.store import write_text
from warmgap.warmth.human_study.page import render
from warmgap.warmth.human_study.pairs import Study

PAIR_COLUMNS = ("pair_id", "prompt", "reply_left", "reply_right")
SLOT_COLUMNS = ("study_id", "rater", "position", "pair_id")
KEY_COLUMNS = (
    "study_id",
    "pair_id",
    "arm_a_side",
    "arm_a",
    "arm_b",
    "model",
    "seed_a",
    "seed_b",
    "text_id",
    "response_key_a",
    "response_key_b",
)
METER_COLUMNS = ("pair_id", "meter", "value_a", "value_b")

_README = """# A study of warmth in pairs

Study {study_id}: {n_pairs} pairs of replies, {n_raters} raters, {per_rater} pairs each.

1. Give every rater the file study.html and one code of assignment.csv ({first} to {last}), each code to one
   person. The page needs no network and no server. It keeps its progress in the browser.
2. Each rater downloads a CSV at the end and sends it back.
3. Read all of them: python -m warmgap.warmth.human_study import --study THIS_FOLDER --ratings *.csv

The folder private/ tells the sides apart. Do not give it, or this folder as a whole, to raters.

pairs.csv and study.html hold replies as language models wrote them, unread and unchanged. Spreadsheets may
take a reply that starts with = for a formula: open pairs.csv as text. Equal and empty replies were not
removed.
"""
_PRIVATE_README = """# Not for raters

key.csv says which side of each pair is which arm; meters.csv what the warmth meters say of each reply.
Whoever has read either cannot rate, and whoever rates must not get either. `import` reads them once the
ratings are in.
"""


def write_study(study: Study, folder: Path) -> None:
    """Write pairs, slots, page and, apart from them, key and meters.

    Raises:
        UserError: the folder holds something already, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(
                f"{folder} is there already. A study that was given to raters is not written over: "
                "name another folder with --out, or remove this one."
            )
        private = folder / "private"
        private.mkdir(parents=True, exist_ok=True)
        _write(
            folder / "pairs.csv",
            PAIR_COLUMNS,
            ((p.pair_id, p.prompt, p.reply_left, p.reply_right) for p in study.pairs),
        )
        _write(
            folder / "assignment.csv",
            SLOT_COLUMNS,
            (
                (study.study_id, rater, position, pair_id)
                for rater, pair_ids in study.slots
                for position, pair_id in enumerate(pair_ids, 1)
            ),
        )
        write_text(folder / "study.html", render(study))
        write_text(folder / "README.md", _readme(study))
        write_key(study, private / "key.csv")
        _write(
            private / "meters.csv",
            METER_COLUMNS,
            ((p.pair_id, *score) for p in study.pairs for score in p.scores),
        )
        write_text(private / "README.md", _PRIVATE_README)
    except OSError as e:
        raise UserError(f"cannot write {folder}: {e.strerror}. Name another folder with --out.") from None


def write_key(study: Study, path: Path) -> None:
    """Write which side of each pair is arm_a. Do not give this file to raters: it ends the blinding."""
    rows = (
        (
            study.study_id,
            p.pair_id,
            "left" if p.a_is_left else "right",
            study.arm_a,
            study.arm_b,
            p.model,
            p.seed_a,
            p.seed_b,
            p.text_id,
            p.response_key_a,
            p.response_key_b,
        )
        for p in study.pairs
    )
    _write(path, KEY_COLUMNS, rows)


def _readme(study: Study) -> str:
    return _README.format(
        study_id=study.study_id,
        n_pairs=len(study.pairs),
        n_raters=len(study.slots),
        per_rater=len(study.slots[0][1]),
        first=study.slots[0][0],
        last=study.slots[-1][0],
    )


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows(rows)
