from __future__ import annotations

import polars as pl
import pytest

from warmgap.schema.tables import TABLES, Observation, Warmth, frame, polars_schema

# The contract of docs/architecture.md, written out.
OBSERVATIONS = """
    model method dose_kind dose seed variant task form prompt_mode question_id framing statement_id belief
    draw prompt response finish_reason n_tokens n_chars label label_reason asserts_right asserts_target
    asserts_other rejects_right bare_agreement commits_error not_correct error_published affirms_belief
    margin_nats judge engine precision sampling_key arm_key response_key verdict_key
"""
EFFECTS = """
    estimator outcome judge model arm_a arm_b term contrast subset scope weights estimate_pp std_error_pp df
    conf_low_pp conf_high_pp interval_method bound_low_pp bound_high_pp p_value q_value family gate n n_models
"""
MANIPULATION = """
    arm_key model method dose_kind dose seed meter unit n_prompts mean std_error lift lift_share
    lift_share_low lift_share_high verdict variant
"""


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("observations", OBSERVATIONS),
        ("effects", EFFECTS),
        ("contrasts", EFFECTS),
        ("manipulation", MANIPULATION),
    ],
)
def test_contract_tables_have_the_columns_of_the_contract_in_order(name, columns):
    assert list(polars_schema(TABLES[name])) == columns.split()


def test_warmth_and_quality_have_at_least_the_columns_of_the_contract():
    assert {"response_key", "arm_key", "meter", "unit", "value"} <= set(polars_schema(Warmth))
    rates = {"n", "unscored_pct", "refusal_pct", "truncated_pct", "cut_pct", "empty_pct", "header_leak_pct"}
    assert rates | {"duplicate_pct"} <= set(polars_schema(TABLES["quality"]))


def test_every_table_of_the_contract_that_is_built_is_declared():
    built = {"error_rates", "published_glm", "effects", "contrasts", "paired", "manipulation", "agreement"}
    published = {"published_tests", "descriptives", "comparison"}
    further = {"glmm", "sensitivity", "confounds", "dose_response", "equivalence"}
    stored = {"quality", "guardrails", "observations", "warmth", "meters", "meter_agreement", "canary"}
    assert built | published | further | stored == set(TABLES)


def test_types_follow_the_annotations():
    schema = polars_schema(Observation)
    assert schema["dose"] == pl.Float64()
    assert schema["commits_error"] == pl.Int64()
    assert schema["asserts_right"] == pl.Boolean()
    assert schema["statement_id"] == pl.String()


def row(**changes):
    return dict.fromkeys(polars_schema(Warmth)) | {"source": "gold", "value": 1} | changes


def test_a_frame_has_exactly_the_declared_columns_and_types():
    found = frame(Warmth, [dict(reversed(row().items())), row(value=None)])
    assert found.schema == polars_schema(Warmth)
    assert found["value"].to_list() == [1.0, None]
    assert found["source"].to_list() == ["gold", "gold"]
    assert frame(Warmth, []).schema == polars_schema(Warmth)


def test_a_row_with_other_columns_is_refused():
    with pytest.raises(ValueError, match=r"Warmth: row 1 differs .*\['extra'\]"):
        frame(Warmth, [row(), row(extra=1)])
    short = row()
    del short["unit"]
    with pytest.raises(ValueError, match=r"row 0 differs .*\['unit'\]"):
        frame(Warmth, [short])
