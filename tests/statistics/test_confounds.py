"""The published layout's belief effect and its parts, against counts made by hand."""

from __future__ import annotations

import math
from statistics import stdev

import polars as pl
import pytest
from scipy import stats

from warmgap.statistics.confounds import confounds
from warmgap.statistics.pairs import code_answers
from warmgap.statistics.settings import AnalysisSettings

# Errors of six questions: no text, filler, filler in conversational form, and that with the belief.
MEDQA = {
    ("none", "exam", "none"): [0, 0, 0, 0, 1, 1],
    ("filler", "exam", "none"): [1, 0, 0, 0, 1, 1],
    ("filler", "conversational", "none"): [1, 1, 0, 0, 1, 0],
    ("filler", "conversational", "incorrect"): [1, 1, 1, 1, 1, 0],
    # Not part of the layout's steps:
    ("none", "conversational", "none"): [1, 1, 1, 1, 1, 1],
    ("filler", "exam", "incorrect"): [1, 1, 1, 1, 1, 1],
    ("sad", "conversational", "incorrect"): [1, 1, 1, 1, 1, 1],
}
TRIVIA = {
    ("none", "open", "none"): [0, 1, 0, 0],
    ("filler", "open", "none"): [0, 0, 0, 1],
    ("filler", "open", "incorrect"): [1, 1, 0, 1],
}
# By hand, in pp. MedQA errors 2, 3, 3, 5 of 6; TriviaQA 1, 1, 3 of 4.
EXPECTED = {
    "medqa": {"total": 300 / 6, "filler": 100 / 6, "form": 0.0, "belief": 200 / 6},
    "triviaqa": {"total": 50.0, "filler": 0.0, "belief": 50.0},
    "all": {"total": 50.0, "filler": 100 / 12, "form": 0.0, "belief": (200 / 6 + 50) / 2},
}
DIFFERENCES = {
    ("medqa", "total"): [1, 1, 1, 1, 0, -1],
    ("medqa", "filler"): [1, 0, 0, 0, 0, 0],
    ("medqa", "form"): [0, 1, 0, 0, 0, -1],
    ("medqa", "belief"): [0, 0, 1, 1, 0, 0],
    ("triviaqa", "total"): [1, 0, 0, 1],
    ("triviaqa", "filler"): [0, -1, 0, 1],
    ("triviaqa", "belief"): [1, 1, 0, 0],
}


@pytest.fixture
def made(observation, to_frame):
    def rows(cells, task, **known):
        return [
            observation(
                task=task, question_id=f"q{i}", framing=framing, form=form, belief=belief,
                commits_error=error, error_published=error, **known,
            )
            for (framing, form, belief), errors in cells.items()
            for i, error in enumerate(errors)
        ]  # fmt: skip

    def study(medqa=MEDQA, trivia=TRIVIA, models=("m1",), **known):
        found = [
            r
            for m in models
            for t, c in (("medqa", medqa), ("triviaqa", trivia))
            for r in rows(c, t, model=m, **known)
        ]
        return to_frame(found)

    return study


def table(observations: pl.DataFrame) -> pl.DataFrame:
    found = confounds(code_answers(observations), {}, AnalysisSettings())
    return found.filter(outcome="commits_error")


def estimates(found: pl.DataFrame) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for row in found.iter_rows(named=True):
        out.setdefault(row["task"], {})[row["part"]] = row["estimate_pp"]
    return out


def test_parts_are_those_counted_by_hand_and_add_up(made):
    found = estimates(table(made()))
    assert found == {task: pytest.approx(parts) for task, parts in EXPECTED.items()}
    for parts in found.values():
        assert parts["total"] == pytest.approx(sum(v for p, v in parts.items() if p != "total"), abs=1e-12)


def test_intervals_are_clustered_by_question(made):
    found = table(made()).filter(pl.col("task") != "all")
    for row in found.iter_rows(named=True):
        values = DIFFERENCES[row["task"], row["part"]]
        n = len(values)
        error = stdev(values) / math.sqrt(n)
        half = stats.t.ppf(0.975, n - 1) * error
        mean = sum(values) / n
        assert row["estimate_pp"] == pytest.approx(100 * mean)
        assert row["std_error_pp"] == pytest.approx(100 * error)
        assert (row["conf_low_pp"], row["conf_high_pp"]) == pytest.approx(
            (100 * (mean - half), 100 * (mean + half))
        )
        assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(mean) / error, n - 1))
        assert (row["n"], row["n_questions"], row["df"]) == (n, n, n - 1)
    # Over both tasks, alike and independent: half of each task's standard error.
    whole = table(made()).filter(task="all", part="belief")["std_error_pp"].item()
    by_task = [stdev(DIFFERENCES[t, "belief"]) / math.sqrt(n) for t, n in (("medqa", 6), ("triviaqa", 4))]
    assert whole == pytest.approx(100 * math.hypot(*by_task) / 2)


def test_a_question_counts_only_where_every_step_is_scored(made):
    gap = MEDQA | {("filler", "exam", "none"): [1, 0, 0, 0, None, 1]}
    found = table(made(medqa=gap)).filter(task="medqa")
    assert set(found["n"]) == {5}
    # Without question 4: errors 1, 2, 2, 4 of 5.
    assert estimates(found)["medqa"] == pytest.approx({"total": 60, "filler": 20, "form": 0, "belief": 40})


def test_without_a_second_form_there_is_no_such_part(made):
    exam = {k: v for k, v in MEDQA.items() if k[1] == "exam"}
    found = estimates(table(made(medqa=exam)))
    assert found["medqa"] == pytest.approx({"total": 400 / 6, "filler": 100 / 6, "belief": 50})
    assert "form" not in found["all"]


def test_arms_and_models_have_rows_of_their_own_and_models_count_alike(made):
    better = {k: [0] * 6 if k[2] == "none" else v for k, v in MEDQA.items()}
    both = pl.concat(
        [made(), made(medqa=better, models=("m2",)), made(method="warm_sft", dose_kind="epochs", dose=2.0)]
    )
    found = table(both).filter(task="medqa", part="total")
    rows = {(r["arm"], r["model"]): r["estimate_pp"] for r in found.iter_rows(named=True)}
    assert rows == pytest.approx({
        ("original", "m1"): 50, ("original", "m2"): 500 / 6, ("original", "all"): (50 + 500 / 6) / 2,
        ("warm_sft", "m1"): 50,
    })  # fmt: skip
    assert set(found.filter(arm="original")["gate"]) == {"not needed"}


def test_statements_widen_the_interval_of_the_sentence_that_they_are(made):
    def told(question: str) -> str:
        return f"filler-{int(question[1:]) % 2}"

    plain = made()
    stated = plain.with_columns(
        statement_id=pl.when(framing="filler").then(pl.col("question_id").map_elements(told, pl.String))
    )
    a, b = (table(f).filter(task="medqa", part="filler") for f in (plain, stated))
    assert a["estimate_pp"].item() == pytest.approx(b["estimate_pp"].item())
    assert b["std_error_pp"].item() >= a["std_error_pp"].item()
    assert b["interval_method"].item() == "t_cluster_statement"


@pytest.mark.parametrize("lacks", [("none", "exam", "none"), ("filler", "exam", "none")])
def test_a_design_without_a_step_gives_no_row(made, lacks):
    less = {k: v for k, v in MEDQA.items() if k != lacks and k[1] == "exam"}
    found = table(made(medqa=less))
    assert set(found["task"]) == {"triviaqa"}
    assert table(made(prompt_mode="published")).is_empty()
