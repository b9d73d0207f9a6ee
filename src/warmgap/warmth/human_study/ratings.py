"""Read raters' CSV files and the key; a malformed row is named by file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from warmgap.errors import UserError, did_you_mean, nearest
from warmgap.warmth.human_study.export import KEY_COLUMNS, METER_COLUMNS, SLOT_COLUMNS

RATING_COLUMNS = ("study_id", "rater", "pair_id", "chosen")
SIDES = ("left", "right")
_FEW = 12
"""So many codes are written out in an error."""


@dataclass(frozen=True)
class KeyRow:
    """What the key says of a pair."""

    a_is_left: bool
    model: str
    prefers_a: Mapping[str, bool | None]
    """By meter: whether it scores the reply of arm_a higher; None for a tie or a missing score."""


@dataclass(frozen=True)
class Key:
    """A study's key: arms, pairs and the pairs that each rater was given."""

    study_id: str
    arm_a: str
    arm_b: str
    pairs: Mapping[str, KeyRow]
    slots: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Rating:
    """One rater's choice in one pair."""

    rater: str
    pair_id: str
    chose_a: bool


def read_key(folder: Path) -> Key:
    """The key of a study's folder, as `export` wrote it.

    Raises:
        UserError: a missing or malformed file.
    """
    path = folder / "private" / "key.csv"
    scores: dict[str, dict[str, bool | None]] = {}
    for line, row in rows_of(folder / "private" / "meters.csv", METER_COLUMNS):
        a, b = (_score(row[c], c, folder / "private" / "meters.csv", line) for c in ("value_a", "value_b"))
        warmer = None if a is None or b is None or a == b else a > b
        scores.setdefault(row["pair_id"], {})[row["meter"]] = warmer
    pairs: dict[str, KeyRow] = {}
    named: set[tuple[str, str, str]] = set()
    for line, row in rows_of(path, KEY_COLUMNS):
        side = _one_of(row["arm_a_side"], SIDES, "arm_a_side", path, line)
        if row["pair_id"] in pairs:
            raise UserError(f"{path}:{line}: pair_id {row['pair_id']!r} was already used.")
        pairs[row["pair_id"]] = KeyRow(side == "left", row["model"], scores.get(row["pair_id"], {}))
        named.add((row["study_id"], row["arm_a"], row["arm_b"]))
    if len(named) != 1:
        raise UserError(
            f"{path}: expected the pairs of one study and two arms, found {len(named)} combinations. "
            "Use the file as export wrote it."
        )
    slots: dict[str, set[str]] = {}
    for line, row in rows_of(folder / "assignment.csv", SLOT_COLUMNS):
        _one_of(row["pair_id"], pairs, "pair_id", folder / "assignment.csv", line)
        slots.setdefault(row["rater"], set()).add(row["pair_id"])
    ((study_id, arm_a, arm_b),) = named
    return Key(study_id, arm_a, arm_b, pairs, {r: frozenset(p) for r, p in slots.items()})


def read_ratings(paths: Sequence[Path], key: Key) -> tuple[Rating, ...]:
    """All ratings of a study, each rater's choice in a pair once.

    A row that says the same as an earlier one (a file downloaded twice) counts once.

    Raises:
        UserError: a row with another study, an unknown rater, a pair that the rater was not given, a
            side other than left and right, or two different choices of a rater in a pair.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for path in paths:
        for line, row in rows_of(path, RATING_COLUMNS):
            here = f"{path}:{line}"
            if row["study_id"] != key.study_id:
                raise UserError(
                    f"{here}: these are ratings of study {row['study_id']!r}. Allowed: {key.study_id}, the "
                    "study of this key. Give --study the folder that the page came from."
                )
            rater = _one_of(row["rater"], key.slots, "rater", path, line)
            pair = _one_of(row["pair_id"], key.pairs, "pair_id", path, line)
            if pair not in key.slots[rater]:
                raise UserError(
                    f"{here}: rater {rater} was not given pair {pair}. "
                    f"Allowed: {', '.join(sorted(key.slots[rater]))}."
                )
            side = _one_of(row["chosen"], SIDES, "chosen", path, line)
            before = found.setdefault((rater, pair), (side, here))
            if before[0] != side:
                raise UserError(
                    f"{here}: rater {rater} chose {side} in pair {pair}, but {before[0]} in {before[1]}. "
                    "Allowed: one choice. Keep the file that counts; if two persons used one code, "
                    "leave both out."
                )
    if not found:
        raise UserError("no file holds a rating. Give --ratings the CSV files that raters sent back.")
    return tuple(
        Rating(rater, pair, (side == "left") == key.pairs[pair].a_is_left)
        for (rater, pair), (side, _) in sorted(found.items())
    )


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row of a CSV file that has at least the columns.

    Raises:
        UserError: the file is missing, not UTF-8 or not CSV, lacks a column, or a row is too short
            or too long.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            reader = csv.reader(f, strict=True)
            header = next(reader, [])
            if missing := [c for c in columns if c not in header]:
                raise UserError(
                    f"{path}:1: the column {missing[0]!r} is missing. "
                    f"Found: {', '.join(header) or 'nothing'}. "
                    f"Needed, separated by commas: {', '.join(columns)}."
                )
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise UserError(
                        f"{path}:{reader.line_num}: {len(cells)} cells, but the header names {len(header)}."
                    )
                yield reader.line_num, {c: v.strip() for c, v in zip(header, cells, strict=True)}
    except csv.Error as e:
        raise UserError(
            f"{path}:{reader.line_num}: not CSV ({e}). Use the file as it was downloaded."
        ) from None
    except UnicodeDecodeError as e:
        raise UserError(f"{path}: not UTF-8 (byte {e.start}). Save the file as UTF-8.") from None
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}.") from None


def _one_of(value: str, allowed: Iterable[str], name: str, path: Path, line: int) -> str:
    known = sorted(allowed)
    if value in known:
        return value
    hint = did_you_mean(value, known)
    if len(known) > _FEW:
        near = nearest(value, known)
        hint = f" Did you mean {near!r}?" if near else ""
        hint += f" Allowed: {len(known)} codes from {known[0]} to {known[-1]}."
    raise UserError(f"{path}:{line}: {name} {value!r} does not exist.{hint}")


def _score(text: str, name: str, path: Path, line: int) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        raise UserError(
            f"{path}:{line}: {name} is {text!r}. Allowed: a number, or nothing where the meter has none."
        ) from None
    return value if value is not None and math.isfinite(value) else None
