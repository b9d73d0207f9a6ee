"""Rows that are kept one by one as they are answered, so that none is asked or paid for twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmgap.engines.protocol import Answer, Engine, Limits, Row, Score

FILE = "rows.jsonl"


def answered(
    engine: Callable[[], Engine],
    rows: Sequence[Row],
    limits: Limits,
    partial: Path,
    batch_rows: int,
    progress: Callable[[int, int, str], None],
) -> Mapping[str, Answer]:
    """Every row's answer by its key; those that an earlier run left in `partial` are not asked again.

    Args:
        engine: makes or finds the engine; not called if every row is there.
        rows: with keys of their own.
        limits: how to sample.
        partial: folder of the unfinished artifact.
        batch_rows: an answer may depend on the rows beside it: rows are cut into batches of so many, and
            one that lacks a row is asked whole. 0: each row stands alone.
        progress: called with rows done and rows in all.
    """
    path = partial / FILE
    kept = read_answers(path)
    done = len(kept.keys() & {row.key for row in rows})
    groups = [rows[i : i + batch_rows] for i in range(0, len(rows), batch_rows)] if batch_rows else [rows]
    for group in groups:
        if batch_rows:
            missing = list(group) if any(r.key not in kept for r in group) else []
        else:
            missing = [r for r in group if r.key not in kept]
        progress(done, len(rows), "")
        if not missing:
            continue
        with path.open("ab") as file:
            if file.tell() and not path.read_bytes().endswith(b"\n"):  # killed amid a line
                file.write(b"\n")
            for answer in engine().answer(missing, limits):
                file.write(json.dumps(asdict(answer)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                done += answer.key not in kept
                kept[answer.key] = answer
                progress(done, len(rows), "")
    return kept


def read_answers(path: Path) -> dict[str, Answer]:
    """The answers that a file holds, by key; a line that was cut is left out."""
    out: dict[str, Answer] = {}
    for text in path.read_bytes().split(b"\n") if path.is_file() else ():
        try:
            line: dict[str, Any] = json.loads(text)
        except ValueError:
            continue
        scores = tuple(Score(**s) for s in line.pop("scores"))
        answer = Answer(**line, scores=scores)
        out[answer.key] = answer
    return out
