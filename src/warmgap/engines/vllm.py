"""The vllm engine: rows answered by vLLM in a process of its own, adapters beside the base's weights.

One process serves all arms of one base: an adapter is named with each batch. Token ids come from the
model's chat template, as in the transformers engine; the noise of a row is vLLM's, from the row's seed.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from warmgap.errors import UserError
from warmgap.models import adapters, chat, steering
from warmgap.models.base import fingerprint, materialise
from warmgap.models.dequantise import write_dequantised
from warmgap.models.weights import cache_folder
from warmgap.schema.config import EngineConfig, ModelConfig

from .open import CAPABILITIES
from .protocol import Answer, Change, Limits, Row
from .vllm_process import VllmProcess, serving
from .vllm_requests import (
    answer_of,
    check_adapter,
    check_length,
    environment,
    llm_arguments,
    requests_of,
    write_scaled,
)


class VllmEngine:
    """Answers rows with a base model, or with an adapter beside it.

    Args:
        model: the base.
        engine: settings.
    """

    name = "vllm"
    capabilities = CAPABILITIES["vllm"]

    def __init__(self, model: ModelConfig, engine: EngineConfig) -> None:
        self._model, self._settings = model, engine
        self._changes: tuple[Change, ...] | None = None
        self._process: VllmProcess

    def become(self, changes: Sequence[Change]) -> None:
        """Answer with the base and these changes from now on.

        A quantised base is rounded and dequantised once, into the cache folder, and served in plain
        weights. A steering vector is written into the weights as the bias of one MLP, which Llama models
        can hold: such weights need a process of their own.

        Raises:
            UserError: weights or a change that cannot be read, do not fit, or cannot be served.
        """
        wanted = tuple(changes)
        if wanted == self._changes and not self._process.ended:
            return
        self._changes = None
        base = _dequantised(self._model, self._settings)
        adapter: Change | None = None
        with ExitStack() as temporary:  # steered weights, read once
            for change in wanted:
                if (change.folder / steering.FILE).is_file():
                    base = _steered(base, change, self._settings, temporary)
                elif adapter is None:
                    adapters.read_adapter(change.folder)  # refuses what is not plain LoRA
                    check_adapter(change.folder, self._settings.vllm.max_lora_rank)
                    adapter = change
                else:
                    raise UserError("engine vllm serves one adapter at a time. Use engine=transformers")
            folder = materialise(base)
            self._tokenizer, self._stops = _tokenizer(folder, self._model)
            arguments = llm_arguments(folder, self._model.trust_remote_code, self._settings)
            # A training or an engine before this one has left its memory with this process.
            gc.collect()
            torch.cuda.empty_cache()
            settings = self._settings.vllm
            self._process = serving(settings.python, arguments, environment(settings))
        self._adapter = self._named(adapter) if adapter else None
        self._changes = wanted

    def _named(self, adapter: Change) -> tuple[str, int, str]:
        number, folder = self._process.adapter(adapter.folder, adapter.amount), adapter.folder
        if adapter.amount != 1:
            # Kept as long as it answers: vLLM may read an adapter again.
            self._kept = tempfile.TemporaryDirectory(prefix="warmgap-adapter-")
            folder = Path(self._kept.name) / "scaled"
            write_scaled(adapter.folder, adapter.amount, folder)
        return f"adapter-{number}", number, str(folder)

    def answer(self, rows: Sequence[Row], limits: Limits) -> Iterator[Answer]:
        """One answer per row; rows are cut into batches in the order given.

        Raises:
            UserError: a row that is too long, or a temperature that vLLM does not have.
            RuntimeError: vLLM's process ended.
        """
        size = self._settings.batch_rows
        for start in range(0, len(rows), size):
            yield from self._batch(rows[start : start + size], limits)

    def _batch(self, rows: Sequence[Row], limits: Limits) -> Iterator[Answer]:
        asked = [requests_of(self._tokenizer, row, limits, self._stops) for row in rows]
        together = [request for of_row in asked for request in of_row]
        check_length(together, self._settings.vllm.max_model_len)
        found = iter(self._process.run(together, self._adapter))
        for row, of_row in zip(rows, asked, strict=True):
            results = [next(found) for _ in of_row]
            yield answer_of(self._tokenizer, row, of_row, results, set(self._stops))


def open_engine(model: ModelConfig, engine: EngineConfig, changes: Sequence[Change]) -> VllmEngine:
    """The engine for a base, answering as one arm.

    Raises:
        UserError: as `VllmEngine.become`.
    """
    opened = VllmEngine(model, engine)
    opened.become(changes)
    return opened


def _tokenizer(folder: Path, model: ModelConfig) -> tuple[Any, tuple[int, ...]]:
    """The tokenizer, and the tokens that end an answer by it, its template, or the model's settings."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    options = {"trust_remote_code": model.trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    if (folder / "generation_config.json").is_file():
        config: Any = GenerationConfig.from_pretrained(folder)
    else:
        config = AutoConfig.from_pretrained(folder, **options)
    return tokenizer, chat.stop_ids(tokenizer, config)


def _dequantised(model: ModelConfig, engine: EngineConfig) -> ModelConfig:
    if engine.quantisation == "none":
        return model
    name = "-".join([fingerprint(model).replace(":", "-"), engine.quantisation, engine.precision])
    out = cache_folder() / "dequantised" / name
    if not out.is_dir():
        write_dequantised(model, engine.quantisation, engine.precision, out)
    return replace(model, source=f"path:{out}")


def _steered(model: ModelConfig, change: Change, engine: EngineConfig, temporary: ExitStack) -> ModelConfig:
    if change.amount == 0:
        return model
    room = cache_folder()
    room.mkdir(parents=True, exist_ok=True)
    out = Path(temporary.enter_context(tempfile.TemporaryDirectory(dir=room))) / "steered"
    steering.write_steered(model, change.folder, change.amount, out, engine.precision)
    return replace(model, source=f"path:{out}")
