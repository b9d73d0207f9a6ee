"""Which questions of a large sweep stand on its page: whole ones, chosen without a look at answers."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from warmgap.keys import number
from warmgap.reports.formats import count

_QUESTION = ("task", "question_id")


@dataclass(frozen=True)
class Sample:
    """Observations of the chosen questions, and how many there are of how many."""

    observations: pl.DataFrame
    n_answers: int
    of_answers: int
    n_questions: int
    of_questions: int

    @property
    def sentence(self) -> str:
        """What is shown, for the page."""
        if self.n_answers == self.of_answers:
            return f"All {count(self.n_answers)} answers to {count(self.n_questions)} questions are here."
        return (
            f"A sample is here: {count(self.n_answers)} of {count(self.of_answers)} answers, all to "
            f"{count(self.n_questions)} of {count(self.of_questions)} questions. The questions were drawn by "
            "a hash, alike from every task, without a look at the answers. Numbers above are of all answers."
        )


def sample_questions(observations: pl.DataFrame, most: int) -> Sample:
    """All answers to as many questions as stay within `most` answers; at least one question.

    Questions are ordered by a hash inside their task, and tasks take turns until the next question
    would not fit. An answer with several verdicts counts once. The order of rows does not matter.

    Args:
        observations: rows of `schema.tables.Observation`.
        most: how many answers may be shown.
    """
    sizes = observations.group_by(_QUESTION).agg(n=pl.col("response_key").n_unique())
    total, questions = int(sizes["n"].sum()), sizes.height
    if total <= most:
        return Sample(observations, total, total, questions, questions)
    hashes = [number("explorer", *row) for row in sizes.select(_QUESTION).iter_rows()]
    ordered = (
        sizes.with_columns(hash=pl.Series(hashes, dtype=pl.UInt64))
        .with_columns(turn=pl.col("hash").rank("ordinal").over("task"))
        .sort("turn", "hash", *_QUESTION)
    )
    kept = ordered.filter((pl.col("n").cum_sum() <= most) | (pl.int_range(pl.len()) == 0))
    chosen = observations.join(kept.select(_QUESTION), on=_QUESTION, how="semi", maintain_order="left")
    return Sample(chosen, int(kept["n"].sum()), total, kept.height, questions)
