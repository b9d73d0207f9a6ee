from __future__ import annotations

import base64

import polars as pl
import pytest

from warmgap.training.api.results import CURVE_SCHEMA, epoch_at, parse_results
from warmgap.training.checkpoints import CurvePoint

CSV = b"step,train_loss,train_accuracy,valid_loss\n1,1.5,0.4,\n2,1.25,0.5,\n"


def test_the_columns_are_those_of_a_local_training():
    local = pl.DataFrame([CurvePoint(1, 0.5, 1e-3, 8, 0.25)])
    assert dict(local.schema) == CURVE_SCHEMA


@pytest.mark.parametrize("content", [CSV, base64.b64encode(CSV), base64.encodebytes(CSV)])
def test_results_plain_or_in_base64(content):
    assert parse_results(content) == {1: 1.5, 2: 1.25}


@pytest.mark.parametrize(
    ("content", "points"),
    [
        (b"", {}),
        (b"\xff\xfe\x00", {}),
        (b"not, a, table\n", {}),
        (b"step,valid_loss\n1,2\n", {}),
        (b"step,train_loss\n1,\n,2\nx,3\n4,nan\n5,inf\n1e999,1\n6,0.5", {6: 0.5}),
        (b"step,train_loss\n1,2,3,4\n2\n3,1\n", {1: 2.0, 3: 1.0}),
        (b"====", {}),
    ],
)
def test_a_row_without_both_is_left_out(content, points):
    assert parse_results(content) == points


@pytest.mark.parametrize(
    ("step", "n_steps", "n_epochs", "epoch"),
    [
        (101, 1011, 10, 1.0),  # an epoch of 101.1 steps
        (102, 1011, 10, 1.0),
        (606, 1011, 10, 6.0),
        (1011, 1011, 10, 10.0),
        (50, 1011, 10, 0.495),
        (1, 1011, 10, 0.01),
        (3, 6, 2, 1.0),
        (1, 1, 1, 1.0),
    ],
)
def test_epochs_of_a_step(step, n_steps, n_epochs, epoch):
    assert epoch_at(step, n_steps, n_epochs) == epoch
