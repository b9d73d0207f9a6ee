from __future__ import annotations

import pytest

from warmgap_launchers.kills import OomKills


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/user/job_1", "user/job_1/memory.events"),
        ("0::/", "memory.events"),
        ("9:cpu,memory:/job_1", "memory/job_1/memory.oom_control"),
    ],
)
def test_each_kill_that_was_counted_is_told_once(tmp_path, line, file):
    (tmp_path / "own").write_text(f"4:pids:/x\n{line}\n")
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("oom 3\noom_kill 2\noom_group_kill 0\n")
    kills = OomKills(tmp_path / "own", mounted=tmp_path)
    assert not kills.any_more()
    path.write_text("oom 5\noom_kill 4\noom_group_kill 0\n")
    assert [kills.any_more() for _ in range(3)] == [True, True, False]


def test_without_control_groups_there_is_no_evidence(tmp_path):
    assert not OomKills(tmp_path / "own", mounted=tmp_path).any_more()
