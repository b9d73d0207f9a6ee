"""A whole training against a service on the loopback interface."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal

import polars as pl
import pytest

from warmgap.errors import Interrupted, UserError
from warmgap.schema.config import ModelConfig
from warmgap.training.api.run import train_api
from warmgap.training.checkpoints import CurvePoint


@pytest.fixture
def trained(gpt_4o, config, rows, tmp_path):
    """Trains with what the test has changed; progress goes into `trained.seen`."""

    def run(**changes):
        given = {
            "base": gpt_4o,
            "config": config,
            "rows": rows,
            "seed": 7,
            "out": tmp_path / "out",
            "partial": tmp_path / "partial",
            "progress": lambda *a: run.seen.append(a),
        }
        return train_api(**given | changes)

    run.seen = []
    return run


def model_of(folder):
    return json.loads((folder / "out" / "model.json").read_text())


def test_from_conversations_to_models(trained, account, rows, tmp_path):
    summary = trained()
    (job,) = account.jobs
    assert job["model"] == "gpt-4o-2024-08-06"
    assert job["seed"] == 7
    assert job["method"]["type"] == "supervised"
    assert job["hyperparameters"] == {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 0.25}
    (file,) = account.files
    content = account.contents[file["id"]]
    assert file["purpose"] == "fine-tune"
    assert file["filename"] == f"warmgap-{hashlib.sha256(content).hexdigest()}.jsonl"
    sent = [json.loads(line)["messages"] for line in content.decode().splitlines()]
    assert sorted((m[1]["content"], m[2]["content"]) for m in sent) == sorted(
        (r["user"], r["reply"]) for r in rows
    )
    # 12 rows by 4 are 3 steps an epoch; the service counts 123,456 tokens at 25 USD a million.
    assert (summary.steps, summary.n_examples, summary.n_tokens) == (6, 24, 123_456)
    assert summary.cost_usd == pytest.approx(3.0864)
    assert summary.final_loss == pytest.approx(2 / 6, abs=1e-5)
    assert summary.wall_s == 600.0
    assert summary.checkpoints == ((3, 1.0), (6, 2.0))
    name = job["fine_tuned_model"]
    assert model_of(tmp_path) == {
        "fine_tuned_model": name,
        "base": "gpt-4o-2024-08-06",
        "job_id": job["id"],
        "trained_tokens": 123_456,
        "cost_usd": summary.cost_usd,
        "checkpoints": [
            {"step": 3, "epoch": 1.0, "model": f"{name}:ckpt-step-3"},
            {"step": 6, "epoch": 2.0, "model": name},
        ],
    }
    curve = pl.read_parquet(tmp_path / "out" / "curve.parquet")
    assert curve.schema == pl.DataFrame([CurvePoint(1, 0.5, 1e-3, 8, 0.25)]).schema
    assert curve["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert curve["loss"].to_list() == [round(2 / s, 5) for s in range(1, 7)]
    assert curve["learning_rate"].null_count() == curve["wall_s"].null_count() == 6


def test_progress_is_what_the_service_tells(trained, account):
    trained()
    # The service's events are at as many steps as it was looked at, 3 when it first runs.
    assert trained.seen == [
        (0, 6, "validating_files"),
        (0, 6, "queued"),
        (3, 6, "running, loss 0.67"),
        (4, 6, "running, loss 0.50"),
        (6, 6, "succeeded"),
    ]


@pytest.mark.parametrize("results", ["base64", "none"])
def test_a_results_file_is_decoded_or_missed(trained, account, tmp_path, results):
    account.results = results
    summary = trained()
    curve = pl.read_parquet(tmp_path / "out" / "curve.parquet")
    assert curve.schema == pl.DataFrame([CurvePoint(1, 0.5, 1e-3, 8, 0.25)]).schema
    assert len(curve) == (6 if results == "base64" else 0)
    assert summary.steps == 6
    assert (summary.final_loss is None) == (results == "none")


def test_a_service_without_checkpoints_or_events_gives_one_model(trained, account, tmp_path, caplog):
    account.has_checkpoints = False
    trained()
    assert [c["epoch"] for c in model_of(tmp_path)["checkpoints"]] == [2.0]
    assert "left no model at epochs [1]" in caplog.text


def test_the_last_three_of_ten_epochs_are_kept(trained, account, config, tmp_path):
    config.epochs = config.api.n_epochs = 10
    config.checkpoints = [8, 10]
    summary = trained()
    assert summary.checkpoints == ((24, 8.0), (27, 9.0), (30, 10.0))


@pytest.mark.parametrize("results", ["csv", "none"])
@pytest.mark.parametrize("names_last", [True, False])
@pytest.mark.parametrize("short", [0, 3])
def test_steps_are_the_services_own(trained, account, config, tmp_path, results, names_last, short):
    """13 rows by 4 for 5 epochs are 20 steps in whole epochs, 17 where batches go over their ends."""
    account.results, account.names_last, account.short = results, names_last, short
    config.epochs = config.api.n_epochs = 5
    config.checkpoints = [3, 4, 5]
    rows = [{"id": f"r{i}", "user": "u", "reply": "r" * (i + 1)} for i in range(13)]
    summary = trained(rows=rows)
    steps = (12, 16, 20) if short == 0 else (10, 14, 17)
    assert summary.checkpoints == tuple(zip(steps, (3.0, 4.0, 5.0), strict=True))
    assert summary.steps == steps[-1]
    assert model_of(tmp_path)["checkpoints"][-1]["model"] == account.jobs[0]["fine_tuned_model"]


def test_run_again_it_finds_everything(trained, account, tmp_path):
    first = trained()
    assert trained() == first
    (tmp_path / "partial" / "job.json").unlink()
    assert trained() == first
    for note in (tmp_path / "partial").iterdir():
        note.unlink()
    assert trained() == first
    assert (len(account.files), len(account.jobs)) == (1, 1)


@pytest.mark.parametrize(("filters", "keeps"), [(True, True), (False, True), (False, False)])
def test_a_job_is_found_among_others_on_any_page(trained, account, tmp_path, rows, filters, keeps):
    """Also where the service ignores the filter, or keeps no metadata but the suffix."""
    account.filters, account.keeps_metadata = filters, keeps
    for seed in range(5):
        trained(seed=seed)
    assert len(account.jobs) == len(account.files) == 5
    for note in (tmp_path / "partial").iterdir():
        note.unlink()
    trained(seed=0)
    trained(seed=3)
    assert len(account.jobs) == len(account.files) == 5


@pytest.mark.parametrize("change", ["n_epochs", "batch_size", "learning_rate_multiplier", "model"])
def test_another_recipe_is_another_job_on_the_same_file(trained, account, config, change):
    trained()
    base = ModelConfig(name="m", source="api:gpt-4o-mini-2024-07-18" if change == "model" else "api:x")
    if change != "model":
        base = None
        setattr(config.api, change, 1)
        config.epochs, config.checkpoints = config.api.n_epochs, [1]
    trained(**({"base": base} if base else {}))
    assert (len(account.files), len(account.jobs)) == (1, 2)


@pytest.mark.parametrize("fault", ["lost", "unanswered", (500, {}), (503, {}), (429, {"Retry-After": "0"})])
@pytest.mark.parametrize("lag", [0, 2])
@pytest.mark.parametrize("endpoint", ["files", "fine_tuning/jobs"])
def test_a_failed_request_makes_nothing_twice(trained, account, tmp_path, fault, lag, endpoint):
    trained(seed=1)
    number = account.log.index(("POST", endpoint)) + 1
    for name in ("log", "files", "jobs"):
        getattr(account, name).clear()
    for note in (tmp_path / "partial").iterdir():
        note.unlink()
    account.lag, account.faults = lag, {number: fault}
    trained(seed=1)
    assert (len(account.files), len(account.jobs)) == (1, 1)


BUSY = (429, {"Retry-After": "0"})


def forget(account, folder):
    for name in ("log", "files", "jobs"):
        getattr(account, name).clear()
    for note in (folder / "partial").iterdir():
        note.unlink()


@pytest.mark.parametrize("endpoint", ["files", "fine_tuning/jobs"])
def test_an_attempt_that_may_have_worked_is_never_forgotten(trained, account, tmp_path, endpoint):
    """It worked but was not answered, three lists do not show it yet, the second attempt is turned away."""
    trained()
    number = account.log.index(("POST", endpoint)) + 1
    forget(account, tmp_path)
    account.lag, account.faults = 3, {number: "unanswered", number + 4: BUSY}
    trained()
    assert account.log[number - 1] == account.log[number + 3] == ("POST", endpoint)
    assert (len(account.files), len(account.jobs)) == (1, 1)


def test_nor_is_one_of_another_process(trained, account, tmp_path):
    """A list, the file, three lists and, at the seventh request, another attempt: it is turned away."""
    trained()
    number = account.log.index(("POST", "fine_tuning/jobs")) + 1
    forget(account, tmp_path)
    account.lag, account.faults = 4, {number: "unanswered", number + 1: (403, {}), number + 7: BUSY}
    with pytest.raises(UserError, match="refused to list the fine-tuning jobs"):
        trained()
    trained()
    assert account.log[number - 1] == account.log[number + 6] == ("POST", "fine_tuning/jobs")
    assert (len(account.files), len(account.jobs)) == (1, 1)


@pytest.mark.parametrize(("status", "n_looks"), [(429, 0), (409, 0), (408, 3), (500, 3)])
def test_it_is_looked_for_only_where_it_may_be(trained, account, tmp_path, status, n_looks):
    trained()
    number = account.log.index(("POST", "fine_tuning/jobs")) + 1
    forget(account, tmp_path)
    account.faults = {number: (status, {"Retry-After": "0"})}
    trained()
    again = account.log.index(("POST", "fine_tuning/jobs"), number) + 1
    assert account.log[number : again - 1] == [("GET", "fine_tuning/jobs")] * n_looks


@pytest.mark.parametrize("fault", ["lost", "unanswered", (500, {}), (429, {"Retry-After": "0"})])
def test_every_request_may_fail_once(trained, account, tmp_path, fault):
    trained(seed=1)
    n = len(account.log)
    for name in ("log", "files", "jobs"):
        getattr(account, name).clear()
    account.looks.clear()
    for note in (tmp_path / "partial").iterdir():
        note.unlink()
    account.faults = dict.fromkeys(range(1, 3 * n, 2), fault)
    trained(seed=1)
    assert (len(account.files), len(account.jobs)) == (1, 1)
    assert len(account.log) > n


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_without_a_model_is_told_and_made_anew_next_time(trained, account, tmp_path, status):
    account.story = ("running", status)
    account.error = "Line 3 has \x1b[31mno\nassistant message"
    message = r"ftjob-1 has failed: Line 3 has .*no assistant message" if status == "failed" else "cancelled"
    with pytest.raises(UserError, match=message):
        trained()
    assert not (tmp_path / "out").exists()
    account.story = ("succeeded",)
    trained()
    assert [j["status"] for j in account.jobs] == [status, "succeeded"]
    assert len(account.files) == 1


def test_a_file_that_was_deleted_is_sent_again(trained, account, config, tmp_path):
    trained()
    account.files.clear()
    config.api.batch_size = 3
    trained()
    assert len(account.jobs) == 2
    assert account.count("POST", "files") == 2


def test_a_job_that_succeeded_without_a_model_is_made_anew_next_time(trained, account, tmp_path):
    account.keeps_model = False
    with pytest.raises(UserError, match="ftjob-1 has succeeded without a model"):
        trained()
    account.keeps_model = True
    trained()
    assert [j["fine_tuned_model"] is None for j in account.jobs] == [True, False]
    assert model_of(tmp_path)["job_id"] == "ftjob-2"


def test_a_job_that_is_no_longer_there_is_made_anew_within_the_limit(trained, account, config):
    trained()
    account.jobs.clear()
    config.api.max_cost_usd = 0.0
    with pytest.raises(UserError, match="nothing is allowed"):
        trained()
    assert account.jobs == []
    config.api.max_cost_usd = 10.0
    trained()
    assert (len(account.jobs), account.count("POST", "files")) == (1, 1)


def test_a_file_that_the_service_could_not_read_is_sent_again(trained, account, config):
    trained()
    account.files[0]["status"] = "error"
    config.api.batch_size = 3
    trained()
    assert [f["status"] for f in account.files] == ["error", "processed"]
    assert account.jobs[1]["training_file"] == "file-2"


@pytest.mark.parametrize("limit", [0.0, 0.01])
def test_nothing_is_sent_above_the_limit(trained, account, config, tmp_path, limit):
    config.api.max_cost_usd = limit
    with pytest.raises(UserError, match=r"would cost about [\d,]+ tokens, 0\.0\d USD .* Nothing was sent"):
        trained()
    assert account.log == []
    assert not (tmp_path / "out").exists()


def test_a_job_that_runs_already_needs_no_limit(trained, account, config):
    account.story = ("running", "running")
    with pytest.raises(Interrupted):
        trained(progress=lambda *a: os.kill(os.getpid(), signal.SIGTERM))
    account.story, config.api.max_cost_usd = ("succeeded",), 0.0
    assert trained().steps == 6
    assert len(account.jobs) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_leaves_the_job_running(trained, config, account, number):
    account.story = ("queued",) * 2 + ("running",) * 3 + ("succeeded",)
    config.api.poll_s = 3600
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"{number.name} while it waited to see job ftjob-1 end") as ended:
        trained(progress=lambda *a: os.kill(os.getpid(), number))
    assert ended.value.signum == number
    assert signal.getsignal(number) == before
    config.api.poll_s = 0.001
    assert trained().steps == 6
    assert (len(account.files), len(account.jobs)) == (1, 1)


def test_the_key_is_nowhere(trained, account, loopback_module, config, tmp_path, caplog, capfd, monkeypatch):
    """Neither in files, logs and output, nor in the error when the service repeats it in its own."""
    key = loopback_module.KEY
    caplog.set_level(logging.DEBUG)
    account.faults = {3: (500, {}), 5: "lost"}
    trained()
    said = [caplog.text, *capfd.readouterr()]
    assert "training file warmgap-" in caplog.text
    monkeypatch.setenv("OPENAI_API_KEY", key + "-wrong")
    with pytest.raises(UserError, match=re.escape("Incorrect API key provided: ***.")) as refused:
        trained(seed=1)
    said += [caplog.text, *capfd.readouterr(), str(refused.value)]
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.name for p in files} >= {"model.json", "curve.parquet", "file.json", "job.json"}
    for path in files:
        content = path.read_bytes()
        assert key.encode() not in content
        assert b"127.0.0.1" not in content
    assert not [text for text in said if "Bearer" in text or key in text]


def test_a_model_with_weights_is_not_trained_there(trained, account):
    with pytest.raises(
        UserError, match="model 'tiny' has the source 'path:/x', which is trained and run here"
    ):
        trained(base=ModelConfig(name="tiny", source="path:/x"))
    assert account.log == []
