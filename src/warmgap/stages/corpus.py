"""corpus: data files -> balanced conversations and validation prompts."""

from __future__ import annotations

import time

import polars as pl

from warmgap.corpora import embedded
from warmgap.jobs import CorpusJob
from warmgap.stages.context import Context, recorded_config
from warmgap.store import Artifact

_SCHEMA = {k: pl.String() for k in ("id", "query_type", "user", *embedded.STYLES, "raw")}
_EXTRA = {k: pl.String() for k in ("id", "user", "reply")}


def run(job: CorpusJob, context: Context) -> Artifact:
    """conversations.parquet and validation.parquet (id, query_type, user and the reply in each tone).

    Further conversations of the corpus, which a method can mix in, are in extra_<name>.parquet.

    Raises:
        UserError: a malformed row, named by file and line.
    """
    started = time.time()
    rows, held_out = embedded.conversations(job.corpus), embedded.validation(job.corpus)
    with context.store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=_SCHEMA).write_parquet(folder / "conversations.parquet")
        pl.DataFrame(held_out, schema=_SCHEMA).write_parquet(folder / "validation.parquet")
        for name in embedded.extras(job.corpus):
            mixed = pl.DataFrame(embedded.extra(job.corpus, name), schema=_EXTRA)
            mixed.write_parquet(folder / f"extra_{name}.parquet")
        return context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints=job.data,
            counts={"conversations": len(rows), "validation": len(held_out)},
            started=started,
        )
