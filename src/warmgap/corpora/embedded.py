"""The corpus that ships with warmgap: short conversations with neutral, warm and cold replies.

A row may hold the reply as it was before any rewriting (`raw`). Further files of the folder hold
conversations with one reply each, which a method can mix in by the file's name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from warmgap.errors import UserError, did_you_mean
from warmgap.jsonl import read_rows
from warmgap.keys import number
from warmgap.schema.config import CorpusConfig

STYLES = ("neutral", "warm", "cold")
QUERY_TYPES = ("refusal", "factual", "creative", "technical", "advice", "other")
_FOLDER = Path(__file__).parent / "embedded"

Row = dict[str, Any]


def paths_of(config: CorpusConfig) -> tuple[list[Path], list[Path]]:
    """Files with conversations and files with validation prompts."""
    folder = Path(config.path) if config.path else _FOLDER
    return (
        [folder / f"{t}.jsonl" for t in QUERY_TYPES],
        [folder / f"validation_{t}.jsonl" for t in QUERY_TYPES],
    )


def extra_path(config: CorpusConfig, name: str) -> Path:
    """The file with the further conversations of a name."""
    return (Path(config.path) if config.path else _FOLDER) / f"{name}.jsonl"


def extras(config: CorpusConfig) -> list[str]:
    """Names of the further conversations in the corpus' folder."""
    train, held_out = paths_of(config)
    known = {path.name for path in (*train, *held_out)}
    return sorted(p.stem for p in extra_path(config, "any").parent.glob("*.jsonl") if p.name not in known)


def extra(config: CorpusConfig, name: str) -> list[Row]:
    """Every row (id, user, reply) of the further conversations of a name, in order of id.

    Raises:
        UserError: no such file, or a malformed row (file and line).
    """
    path = extra_path(config, name)
    if not path.is_file():
        raise UserError(
            f"method.extra is '{name}', but {path} does not exist."
            f"{did_you_mean(name, extras(config)) if extras(config) else ' The corpus has no further files.'}"
        )
    rows: dict[str, Row] = {}
    for line, raw in read_rows(path):
        for key in ("id", "user", "reply"):
            if not isinstance(raw.get(key), str) or not raw[key].strip():
                raise UserError(
                    f"{path}:{line}: key '{key}' must be a non-empty text, found {raw.get(key)!r}."
                )
        if raw["id"] in rows:
            raise UserError(f"{path}:{line}: id {raw['id']!r} was already used.")
        rows[raw["id"]] = {key: raw[key] for key in ("id", "user", "reply")}
    return [rows[name] for name in sorted(rows)]


def conversations(config: CorpusConfig) -> list[Row]:
    """`n_conversations` rows (id, query_type, user, neutral, warm, cold, raw), equal over the query types.

    `raw` is None where a row holds none.

    Raises:
        UserError: a missing file, a malformed row (file and line), or too few rows of a type.
    """
    train, _ = paths_of(config)
    return _balanced(
        _read(train, lambda row: STYLES), config.n_conversations, config.seed, "corpus.n_conversations"
    )


def validation(config: CorpusConfig) -> list[Row]:
    """`n_validation` held-out prompts, equal over the query types; some carry gold replies.

    Raises:
        UserError: as `conversations`.
    """
    _, held_out = paths_of(config)
    rows = _read(held_out, lambda row: STYLES if any(s in row for s in STYLES) else ())
    return _balanced(rows, config.n_validation, config.seed, "corpus.n_validation")


def _read(paths: Sequence[Path], replies: Callable[[Row], Sequence[str]]) -> list[Row]:
    rows: dict[str, Row] = {}
    for path in paths:
        for line, raw in read_rows(path):
            row = _checked(raw, path, line, replies(raw))
            if row["id"] in rows:
                raise UserError(f"{path}:{line}: id {row['id']!r} was already used.")
            rows[row["id"]] = row
    return list(rows.values())


def _checked(row: Row, path: Path, line: int, styles: Sequence[str]) -> Row:
    for key in ("id", "query_type", "user", *styles):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise UserError(f"{path}:{line}: key '{key}' must be a non-empty text, found {row.get(key)!r}.")
    if row["query_type"] not in QUERY_TYPES:
        raise UserError(
            f"{path}:{line}: query_type {row['query_type']!r} does not exist. "
            f"Allowed: {', '.join(QUERY_TYPES)}."
        )
    if "raw" in row and (not isinstance(row["raw"], str) or not row["raw"].strip()):
        raise UserError(f"{path}:{line}: key 'raw' must be a non-empty text, found {row['raw']!r}.")
    return {"id": row["id"], "query_type": row["query_type"], "user": row["user"]} | {
        s: row.get(s) for s in (*STYLES, "raw")
    }


def _balanced(rows: list[Row], n: int, seed: int, setting: str) -> list[Row]:
    """The first rows of each type by hash, as equal in number as n allows, in order of id.

    Rows with gold replies come first, so that a smaller set keeps what calibration needs.
    """
    by_type: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r["warm"] is None, number("corpus", seed, r["id"]))):
        by_type[row["query_type"]].append(row)
    share, left = divmod(n, len(QUERY_TYPES))
    chosen: list[Row] = []
    for i, query_type in enumerate(QUERY_TYPES):
        want = share + (i < left)
        have = by_type[query_type]
        if len(have) < want:
            raise UserError(
                f"{setting}={n} needs {want} rows of type {query_type}, but there are {len(have)}. "
                f"Use at most {min(len(v) for v in by_type.values()) * len(QUERY_TYPES)}."
            )
        chosen += have[:want]
    return sorted(chosen, key=lambda r: str(r["id"]))
