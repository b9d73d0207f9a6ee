"""corpus: data files -> balanced conversations, validation prompts, and what was lost on the way."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.corpora import embedded
from warmgap.jobs import CorpusJob
from warmgap.stages.context import Context, recorded_config
from warmgap.store import Artifact

_SCHEMA = {k: pl.String() for k in ("id", "query_type", "user", *embedded.STYLES, "raw")}
_EXTRA = {k: pl.String() for k in ("id", "user", "reply")}


def run(job: CorpusJob, context: Context) -> Artifact:
    """conversations.parquet and validation.parquet (id, query_type, user and the reply in each tone).

    Further conversations of the embedded corpus, which a method can mix in, are in extra_<name>.parquet.
    Chat logs have the reply as it was logged (`raw`), the conversation (`messages`, JSON) and the report
    of losses (losses.parquet and .csv), whose totals are in the manifest's counts.

    Raises:
        UserError: a malformed row, named by file and line; or chat logs that lost too much.
    """
    started = time.time()
    write = _embedded if job.corpus.kind == "embedded" else _chatlogs
    with context.store.workspace(job.key) as folder:
        counts = write(job, folder)
        return context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints=job.data,
            counts=counts,
            started=started,
        )


def _embedded(job: CorpusJob, folder: Path) -> dict[str, Any]:
    rows, held_out = embedded.conversations(job.corpus), embedded.validation(job.corpus)
    pl.DataFrame(rows, schema=_SCHEMA).write_parquet(folder / "conversations.parquet")
    pl.DataFrame(held_out, schema=_SCHEMA).write_parquet(folder / "validation.parquet")
    for name in job.extra:
        mixed = pl.DataFrame(embedded.extra(job.corpus, name), schema=_EXTRA)
        mixed.write_parquet(folder / f"extra_{name}.parquet")
    return {"conversations": len(rows), "validation": len(held_out)}


def _chatlogs(job: CorpusJob, folder: Path) -> dict[str, Any]:
    from warmgap.corpora.kept import FILES, kept

    built = kept(job.corpus)
    for name in FILES:
        shutil.copy(built.folder / name, folder / name)
    return built.counts
