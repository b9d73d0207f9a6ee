"""The SLURM executor, as far as it needs no SLURM."""

from __future__ import annotations

import errno
import os

import warmgap_launchers.slurm


def test_a_full_disk_is_named(tmp_path, run_main, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(warmgap_launchers.slurm, "claim_sweep_folder", full)
    ended = run_main("experiment=tiny", "hydra/launcher=slurm", f"store.root={tmp_path}")
    assert ended.code == 2
    assert "the disk is full: the submission could not be written" in ended.err
    assert "Traceback" not in ended.err
