from __future__ import annotations

import pytest

from warmgap.errors import UserError
from warmgap.jobs import CorpusJob
from warmgap.plan import Node, Plan
from warmgap.schema.config import CorpusConfig
from warmgap_launchers.local import LocalExecutor


def test_what_the_user_can_mend_ends_as_one_message(tmp_path, request_of, plan_of, monkeypatch):
    config = CorpusConfig(name="embedded", n_conversations=10_000, n_validation=6)
    bad = Node(CorpusJob(config, {}), "corpus that is too large", 1)
    plan = plan_of("experiment=tiny")
    monkeypatch.setattr("warmgap_launchers.local.check_corpora", lambda jobs: None)
    base = request_of("experiment=tiny", "stage=corpus", f"store.root={tmp_path}").base
    with pytest.raises(UserError, match=r"^corpus of corpus that is too large: .*n_conversations=10000"):
        LocalExecutor().execute(Plan(plan.name, {bad.key: bad} | dict(plan.nodes), plan.summary), base)
    assert (tmp_path / "sweeps" / "tiny" / "plan.json").is_file()
    assert not (tmp_path / "sweeps" / "tiny" / "tables").exists()
