from __future__ import annotations

import os
import signal
import threading

import pytest
import torch

from warmgap.errors import Interrupted
from warmgap.training.checkpoints import read_state
from warmgap.training.interrupt import SIGNALS, Interruption
from warmgap.training.module import AdapterModule
from warmgap.training.run import train


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def silent(done, total, text):
    pass


def adapters(out):
    return {p.parent.name: p.read_bytes() for p in out.rglob("adapter_model.safetensors")}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_inside_and_raised_at_the_end(number):
    before = signal.getsignal(number)
    interruption = Interruption()

    def inside():
        with interruption:
            interruption.obey("anywhere")
            os.kill(os.getpid(), number)
            assert interruption.signal == number

    with pytest.raises(Interrupted, match=number.name) as told:
        inside()
    assert told.value.signum == number
    assert signal.getsignal(number) == before


def test_another_error_is_not_hidden_by_a_signal():
    def inside():
        with Interruption():
            os.kill(os.getpid(), signal.SIGTERM)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        inside()


def test_other_threads_leave_the_handlers_alone():
    found = []

    def inside():
        with Interruption():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def _agreed(rank, file, number, found):
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    interruption = Interruption()
    interruption.signal = number if rank else None
    interruption.agree("cpu")
    found[rank] = interruption.signal


@pytest.mark.parametrize("number", [None, *SIGNALS])
def test_what_one_process_was_told_all_know(tmp_path, number):
    context = torch.multiprocessing.get_context("fork")
    found = context.Manager().dict()
    arguments = [(rank, tmp_path / "store", number, found) for rank in range(2)]
    processes = [context.Process(target=_agreed, args=a) for a in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert dict(found) == {0: number, 1: number}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("at_pass", [1, 4, 5, 9, 16])
def test_the_state_is_written_after_the_pass_under_way(
    tiny, config, rows, tmp_path, monkeypatch, number, at_pass
):
    """Two passes a step; no state would be written before the last of 8 steps."""
    config.save_every_steps = 0
    train(tiny, config, rows, 0, tmp_path / "whole", tmp_path / "p0", silent)
    passes = []
    real = AdapterModule.answer_loss

    def told(self, batch):
        passes.append(batch["index"])
        if len(passes) == at_pass:
            os.kill(os.getpid(), number)
        return real(self, batch)

    before = signal.getsignal(number)
    monkeypatch.setattr(AdapterModule, "answer_loss", told)
    with pytest.raises(Interrupted, match=f"{number.name} after step {at_pass // 2} of 8"):
        train(tiny, config, rows, 0, tmp_path / "told", tmp_path / "p1", silent)
    assert len(passes) == at_pass
    assert signal.getsignal(number) == before
    state = read_state(tmp_path / "p1")
    assert (state.step if state else 0) == at_pass // 2
    assert not (tmp_path / "told").exists()
    passes[:] = [-1] * 100
    train(tiny, config, rows, 0, tmp_path / "told", tmp_path / "p1", silent)
    assert adapters(tmp_path / "told") == adapters(tmp_path / "whole")
    assert [i for i in passes if i >= 0] == list(range(at_pass // 2 * 2, 16))
