"""The process that holds vLLM: requests as JSON lines on its input, results as JSON lines on its output.

It runs by its path, with whatever Python has vLLM installed, so it imports nothing of this package.
A process of its own gives the GPU back when it ends, and may start processes, as a worker may not.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any


def token_logprobs(prompt_logprobs: Sequence[Any], ids: Sequence[int], n: int) -> list[float]:
    """Log-probabilities in nats of the last `n` tokens of a prompt, each after all before it.

    Args:
        prompt_logprobs: per position vLLM's entries by token id, None for the first.
        ids: the prompt.
        n: how many.
    """
    places = range(len(ids) - n, len(ids))
    return [float(prompt_logprobs[place][ids[place]].logprob) for place in places]


def result(output: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """What one of vLLM's outputs says, after a check that it is the request's own.

    Raises:
        RuntimeError: it is of another prompt.
    """
    if list(output.prompt_token_ids) != request["ids"]:
        raise RuntimeError("vLLM returned an output of another prompt")
    n = request["n_scored"]
    made = output.outputs[0]
    return {
        "ids": [int(i) for i in made.token_ids],
        "reason": str(made.finish_reason),
        "logprobs": token_logprobs(output.prompt_logprobs, request["ids"], n) if n else [],
    }


def generate(llm: Any, vllm: Any, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Results in the order of the requests."""
    adapter = batch["adapter"]
    lora: Any = None
    if adapter:
        from vllm.lora.request import LoRARequest  # type: ignore[import-not-found,unused-ignore]

        lora = LoRARequest(*adapter)
    outputs = llm.generate(
        [{"prompt_token_ids": request["ids"]} for request in batch["requests"]],
        [_sampling(vllm, request["sampling"]) for request in batch["requests"]],
        use_tqdm=False,
        lora_request=lora,
    )
    return [result(o, request) for o, request in zip(outputs, batch["requests"], strict=True)]


def _sampling(vllm: Any, settings: Mapping[str, Any]) -> Any:
    settings = dict(settings)
    schema = settings.pop("answer_schema", "")
    if schema:
        from vllm.sampling_params import (  # type: ignore[import-not-found,unused-ignore]
            StructuredOutputsParams,
        )

        settings["structured_outputs"] = StructuredOutputsParams(json=schema)
    return vllm.SamplingParams(**settings)


def main(parent: int) -> int:
    """Serve until the input ends, or the parent process, by its number."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    # vLLM prints: only what is sent below may reach the one who reads.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    first = sys.stdin.readline()
    if not first:
        return 0
    try:
        import vllm  # type: ignore[import-not-found,unused-ignore]

        llm = vllm.LLM(**json.loads(first))
    except ImportError as error:
        send(refused=f"{sys.executable} cannot import it: {error}")
        return 2
    except ValueError as error:
        send(refused=str(error))
        return 2
    send(ready=True)
    for line in sys.stdin:
        send(results=generate(llm, vllm, json.loads(line)))
    return 0


def _end_with_parent(parent: int) -> None:
    """At once, even amid a batch."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
