"""Base weights: found, converted once where they are GGUF, loaded."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import ModelConfig

from .weights import (
    cache_folder,
    fingerprint,
    hub_snapshot,
    package_file,
    require_weights,
    split_source,
    weights_folder,
)

__all__ = [
    "Loaded",
    "fingerprint",
    "load",
    "materialise",
    "quieten",
    "rounded",
    "torch_dtype",
    "unmark",
    "write",
]

PRECISIONS = ("bf16", "fp32")
QUANTISATIONS = ("none", "nf4", "int8")


@dataclass(frozen=True)
class Loaded:
    """A causal language model in eval mode and its tokenizer, which pads on the left."""

    model: Any
    tokenizer: Any


def materialise(model: ModelConfig) -> Path:
    """A folder with safetensors, config, tokenizer and chat template.

    A GGUF file is converted once, exactly (fp32), into `models/<hash>` of the cache folder. The folder
    appears by one rename; where two processes convert at once, the second discards its copy.

    Raises:
        UserError: the source cannot be found, or the model is behind an API.
    """
    require_weights(model)
    scheme, _ = split_source(model)
    if scheme == "path":
        return weights_folder(model)
    if scheme == "hub":
        return hub_snapshot(model)
    source = package_file(model)
    target = cache_folder() / "models" / fingerprint(model).removeprefix("sha256:")
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".convert-"))
        try:
            _convert_gguf(source, aside)
            aside.chmod(0o755)
            try:
                os.rename(aside, target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def load(model: ModelConfig, precision: str, quantisation: str = "none", device: str = "cpu") -> Loaded:
    """The model in eval mode at one precision, and its tokenizer padding on the left.

    Args:
        model: where the weights are; `trust_remote_code` as configured.
        precision: `bf16` or `fp32`; of a quantised model, the precision of all that is not quantised.
        quantisation: `none`; `nf4` with double quantisation (QLoRA, Dettmers et al. 2023, sec. 3); or
            `int8` with outlier features kept in 16 bits (LLM.int8, Dettmers et al. 2022, sec. 3).
        device: a torch device.

    Raises:
        UserError: an unknown precision or quantisation, missing weights, or a bitsandbytes that is
            missing or cannot run int8 on the device.
    """
    if quantisation not in QUANTISATIONS:
        raise UserError(f"quantisation is '{quantisation}'.{did_you_mean(quantisation, QUANTISATIONS)}")
    dtype = torch_dtype(precision)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quieten()
    folder = materialise(model)
    options: dict[str, Any] = {"trust_remote_code": model.trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    tokenizer.padding_side = "left"  # not kept by save_pretrained
    if quantisation != "none":
        options["quantization_config"] = _bitsandbytes(quantisation, dtype, device)
        options["device_map"] = {"": device}
    network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options)
    if quantisation == "none":
        network = network.to(device)
    return Loaded(network.eval(), tokenizer)


def torch_dtype(precision: str) -> Any:
    """The torch.dtype of `bf16` or `fp32`.

    Raises:
        UserError: another word.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision is '{precision}'.{did_you_mean(precision, PRECISIONS)}")
    import torch

    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def rounded(loaded: Loaded, dtype: Any) -> Loaded:
    """`loaded` with every parameter rounded to `dtype`, in place.

    Buffers keep their precision, as after `load`: `Module.to` would round the rotary frequencies too,
    and a model with an adapter would then read positions otherwise than one without.
    """
    for parameter in loaded.model.parameters():
        parameter.data = parameter.data.to(dtype)
    loaded.model.config.dtype = dtype
    return loaded


def unmark(network: Any) -> None:
    """Removes what transformers leaves on a model that it read quantised; without it nothing is saved."""
    marks = ("hf_quantizer", "quantization_method", "is_loaded_in_4bit", "is_loaded_in_8bit")
    for mark in marks:
        network.__dict__.pop(mark, None)
    network.is_quantized = False
    network.config.__dict__.pop("quantization_config", None)


def write(loaded: Loaded, out: Path, about: Mapping[str, Any]) -> None:
    """A folder with safetensors, config, tokenizer and origin.json, which holds `about`.

    It appears by one rename and can be a model's source: path:/FOLDER.

    Raises:
        UserError: `out` exists.
    """
    if out.exists():
        raise UserError(f"'{out}' exists already; nothing was written. Remove it or name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        loaded.model.save_pretrained(aside)
        loaded.tokenizer.save_pretrained(aside)
        (aside / "origin.json").write_text(json.dumps(dict(about), indent=1))
        for path in (aside, *aside.iterdir()):  # safetensors are written for their owner only
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.rename(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def quieten() -> None:
    """Advice and progress bars of transformers and bitsandbytes off; errors still raise."""
    from transformers.utils import logging as transformers_logging

    untyped: Any = transformers_logging
    untyped.set_verbosity_error()
    untyped.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _bitsandbytes(quantisation: str, dtype: Any, device: str) -> Any:
    import importlib.util

    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            f"quantisation={quantisation} needs the package bitsandbytes, which is not installed. "
            "Run: pip install bitsandbytes, or set training.quantisation and engine.quantisation to none"
        )
    import transformers

    options: Any = transformers.BitsAndBytesConfig
    if quantisation == "int8":
        _check_int8(device)
        return options(load_in_8bit=True)
    return options(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _check_int8(device: str) -> None:
    """Quantise one row, which older releases of bitsandbytes do on CUDA devices only."""
    import bitsandbytes
    import torch

    try:
        bitsandbytes.functional.int8_vectorwise_quant(torch.ones(1, 8, dtype=torch.float16, device=device))
    except (NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"quantisation=int8 does not run on {device} with bitsandbytes {bitsandbytes.__version__}. "
            "Allowed there: quantisation=nf4 or none. "
            "Or run: pip install -U 'bitsandbytes>=0.50'"
        ) from error


def _convert_gguf(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quieten()
    where, name = source.parent, source.name
    tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name)
    with redirect_stderr(io.StringIO()):  # a progress bar that no setting turns off
        network: Any = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    unmark(network)
    network.save_pretrained(target)
    tokenizer.save_pretrained(target)
