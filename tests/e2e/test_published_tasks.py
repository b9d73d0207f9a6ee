"""Published tasks from one folder, end to end on the embedded model, on made files in their schemas."""

from __future__ import annotations

import json

import polars as pl

TASKS = {"truthfulqa": "open", "medqa": "exam", "triviaqa": "open", "gsm8k": "chain_of_thought"}
SMALL = (
    *(
        "method=original",
        "task.n_questions=2",
        "sampling.max_new_tokens=12",
        "sampling.extra_draws.original=1",
    ),
    *("corpus.n_conversations=12", "corpus.n_validation=6", "warmth.n_prompts=6", "warmth.max_new_tokens=8"),
    "warmth.meters=[{name: lexicon, kind: lexicon}]",
)


def test_several_tasks_run_from_one_folder(run, tmp_path, task_folder):
    asked = (f"task={','.join(TASKS)}", f"task.folder={task_folder}", "name=published", *SMALL)
    ended = run(tmp_path / "outputs", *asked)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    folder = tmp_path / "outputs" / "sweeps" / "published"
    observations = pl.read_parquet(folder / "observations.parquet")
    assert dict(observations.select("task", "form").unique().iter_rows()) == TASKS
    assert observations.height == 2 * len(TASKS)
    assert set(observations["label"]) <= {"correct", "incorrect", "hedged", "refusal", "truncated"}
    files = json.loads((folder / "plan.json").read_text())["summary"]["task_files"]
    assert set(files) == set(TASKS)
    assert all(f["questions"] == 8 and len(f["sha256"]) == 64 for f in files.values())
    assert files["triviaqa"]["wrong_answers"] == {"made: answer of another question": 8}
