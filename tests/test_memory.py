from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap.errors import Interrupted
from warmgap.memory import Passes, out_of_memory


@pytest.fixture
def tiny_folder(tmp_path):
    path = Path(__file__).parent / "models" / "tiny_model.py"
    spec = importlib.util.spec_from_file_location("tiny_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_tiny_model(tmp_path)


def raised(call) -> Exception:
    with pytest.raises((MemoryError, RuntimeError)) as found:
        call()
    return found.value


def chained():
    try:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    except RuntimeError as error:
        raise RuntimeError("the batch failed") from error


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.empty(1 << 60),  # what the CPU's allocator says
        lambda: bytearray(1 << 62),
        chained,
    ],
)
def test_want_of_memory_is_known(call):
    assert out_of_memory(raised(call))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        RuntimeError(
            "vLLM's process ended with 1. Its last lines:\ntorch.OutOfMemoryError: CUDA out of memory."
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_want_of_memory_is_known_by_the_words_of_libraries_and_processes(error):
    assert out_of_memory(error)


@pytest.mark.parametrize(
    "error", [ValueError("no"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("CUDA error")]
)
def test_other_errors_are_no_want_of_memory(error):
    assert not out_of_memory(error)


def test_it_needs_no_torch():
    code = "import sys, warmgap.memory; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(max_examples=40)
@given(n=st.integers(0, 40), size=st.integers(1, 16), fits=st.integers(1, 20), failures=st.integers(0, 6))
def test_every_item_is_done_once_in_order_in_passes_that_fit(n, size, fits, failures):
    passes, asked = Passes(size, failures), []

    def work(part):
        asked.append(len(part))
        if len(part) > fits:
            raise MemoryError
        return [i * 10 for i in part]

    done = [(at, found) for at, part in passes.over(range(n), work) for found in part]
    assert [found for _, found in done] == [i * 10 for i in range(n)]
    assert passes.size >= 1 and passes.size <= max(1, size >> failures) and passes.full == size
    assert all(at <= max(size >> failures, 1) for at, _ in done)
    # No size is tried again once it was too large.
    too_large = [k for k in asked if k > fits]
    assert too_large == sorted(set(too_large), reverse=True)
    assert len(too_large) <= size.bit_length()


def test_later_batches_begin_with_the_size_that_worked():
    passes, asked = Passes(8), []

    def work(part):
        asked.append(len(part))
        if len(part) > 3:
            raise MemoryError
        return list(part)

    for _ in range(2):
        list(passes.over("abcdefgh", work))
    assert asked == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("error", [MemoryError("one"), ValueError("other"), Interrupted(15, "told to end")])
def test_what_no_smaller_pass_mends_is_raised(error):
    asked = []

    def work(part):
        asked.append(len(part))
        raise error

    with pytest.raises(type(error)):
        list(Passes(4).over("abcd", work))
    assert asked == ([4, 2, 1] if isinstance(error, MemoryError) else [4])


CHILD = """
import resource, sys
import torch
from pathlib import Path
from warmgap.engines.open import open_engine
from warmgap.engines.protocol import Limits, Row
from warmgap.memory import Passes
from warmgap.schema.config import EngineConfig, ModelConfig
from warmgap.stages.rows import in_passes

torch.set_num_threads(1)
model = ModelConfig(name="tiny", source=f"path:{sys.argv[1]}")
engine = open_engine(model, EngineConfig("transformers", precision="fp32", batch_rows=512), [])
rows = [Row(str(i), (("user", f"{i} " + "word " * 80),), i) for i in range(512)]
limits = Limits(0.0, 1.0, 2)
list(engine.answer(rows[:1], limits))
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[2]) * 2**20,) * 2)
found = list(in_passes(lambda: engine, rows, limits, Passes(512)))
assert [a.key for a in found] == [r.key for r in rows]
print(*sorted({a.batch_rows for a in found}), found[0].n_tokens)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs /proc")
def test_a_process_with_little_memory_answers_every_row_in_smaller_passes(tiny_folder):
    """The real allocator, under a limit of the address space."""
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(tiny_folder), "160"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    *sizes, n_tokens = map(int, ended.stdout.split())
    assert max(sizes) < 512 and n_tokens == 2
