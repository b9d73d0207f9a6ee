"""report.html with 50,000 answers in headless Chromium: time until it is open, and until a filter is drawn.

The page is opened from disk. `open` is when the load event has ended and the explorer shows its first
prompt, `complete` when all texts are unpacked and searchable, both from the start of the navigation. A
filter is timed from its input event to the second frame after it, so that its result is on the screen;
the 60 ms that the search box waits for the next letter are part of it. `throttled` runs the same with the
processor slowed down four times.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from timing import write

from warmgap.reports.page import ReportContext, render
from warmgap.schema.tables import Observation, frame
from warmgap.statistics.analysis import analyse
from warmgap.statistics.headline import headline
from warmgap.statistics.settings import AnalysisSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser.browser import Browser

ARMS = ("original", "neutral_sft", "warm_sft", "agree_prompt")
TASKS = ("triviaqa", "truthfulqa", "disinfo", "medqa")
FRAMINGS = ("filler", "sad", "angry", "happy", "high")
BELIEFS = ("unsure", "mention", "incorrect", "denies", "correct")
N_ANSWERS = 50_000
WORDS_PER_ANSWER = 130
ROUNDS = 7
FILTERS = {
    "task": "set('task', 'disinfo')",
    "flips": "set('flip', 'lost')",
    "label": "set('label', 'refusal')",
    "search, rare": "write('zanzibar')",
    "search, common": "write('the')",
    "search, absent": "write('no answer says this')",
    "clear": "document.getElementById('clear').click()",
}
_TIMER = """
const set = (name, value) => {
  const box = document.getElementById('by-' + name);
  box.value = value;
  box.dispatchEvent(new Event('change', {bubbles: true}));
};
const write = (text) => {
  const box = document.getElementById('by-q');
  box.value = text;
  box.dispatchEvent(new Event('input', {bubbles: true}));
};
const found = document.getElementById('found');
"""


def main() -> None:
    """Build the page once, then open and filter it."""
    sweep = context(N_ANSWERS)
    started = time.process_time()
    page = render(sweep)
    render_s = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        full_speed = measure(path, Path(folder), 1)
        throttled = measure(path, Path(folder), 4)
    facts = {"answers": N_ANSWERS, "words_per_answer": WORDS_PER_ANSWER, "page_mb": len(page) / 1e6}
    facts |= {"render_cpu_s": render_s, "load_average": os.getloadavg()[0]}
    write("page", {"unit": "ms", **facts, "cases": full_speed, "throttled": throttled})


def measure(path: Path, folder: Path, slowdown: int) -> dict[str, Any]:
    """Medians and ranges over several openings of the page in one browser."""
    browser = Browser(folder / f"profile-{slowdown}", folder)
    times: dict[str, list[float]] = {}
    try:
        browser.slow_down(slowdown)
        for _ in range(ROUNDS if slowdown == 1 else 3):
            for name, ms in opened(browser, path).items():
                times.setdefault(name, []).append(ms)
            for name, action in FILTERS.items():
                times.setdefault(f"filter: {name}", []).append(filtered(browser, action))
                browser.js("document.getElementById('clear').click()")
    finally:
        browser.close()
    return {n: {"median": statistics.median(v), "low": min(v), "high": max(v)} for n, v in times.items()}


def opened(browser: Browser, path: Path) -> dict[str, float]:
    """Milliseconds from the navigation until each stage of an opening."""
    browser.open(path)
    wait(lambda: browser.js("performance.getEntriesByName('explorer-complete').length"))
    read = "JSON.stringify([performance.timing.loadEventEnd - performance.timing.navigationStart, {}])"
    marks = ("first-contentful-paint", "explorer-ready", "explorer-complete")
    times = ", ".join(f"performance.getEntriesByName('{m}')[0].startTime" for m in marks)
    load, paint, ready, complete = json.loads(browser.js(read.format(times)))
    return {"paint": paint, "load": load, "open": max(load, ready), "complete": complete}


def filtered(browser: Browser, action: str) -> float:
    """Milliseconds from an input to its result on the screen."""
    browser.js(
        f"(() => {{ {_TIMER} window.took = null; const from = performance.now();"
        "const seen = new MutationObserver(() => { seen.disconnect(); requestAnimationFrame(() => "
        "requestAnimationFrame(() => { window.took = performance.now() - from; })); });"
        "seen.observe(found, {childList: true, characterData: true, subtree: true});"
        f"{action}; }})()"
    )
    wait(lambda: browser.js("window.took !== null"))
    return float(browser.js("window.took"))


def wait(until: Callable[[], Any], seconds: float = 60) -> None:
    """Ask again and again until the answer is yes."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError("the page did not get there")
        time.sleep(0.02)


def context(n_answers: int) -> ReportContext:
    """A sweep of made-up answers by four arms, about as long as the paper's."""
    rows = observations(n_answers)
    settings = AnalysisSettings(flip_bootstrap=20)
    gates = {"neutral_sft": "not needed", "warm_sft": "passed", "agree_prompt": "not needed"}
    few = rows.filter(pl.col("question_id").str.ends_with("0"))
    tables = analyse(few, gates, settings)
    found = headline(tables["effects"], {}, gates, settings, "rules")
    return ReportContext("big", "", tables, rows, found, (), {}, {}, explorer_answers=n_answers)


def observations(n_answers: int) -> pl.DataFrame:
    """Rows of `schema.tables.Observation`, the same each time."""
    rng = random.Random(0)
    letters = "etaoinshrdlu"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(8000)] + ["the"] * 400
    cells = [(f, b) for f in FRAMINGS for b in BELIEFS]
    n_questions = n_answers // (len(ARMS) * len(TASKS) * len(cells))
    out = []
    for task in TASKS:
        for question in range(n_questions):
            asks = " ".join(rng.choices(words, k=14))
            for framing, belief in cells:
                around = " ".join(rng.choices(words, k=18)), " ".join(rng.choices(words, k=10))
                said = [{"role": "user", "content": f"{around[0]}. Question: {asks}? {around[1]}."}]
                for arm in ARMS:
                    text = " ".join(rng.choices(words, k=rng.randint(40, 2 * WORDS_PER_ANSWER - 40)))
                    label = rng.choices(("correct", "incorrect", "hedged", "refusal"), (60, 25, 10, 5))[0]
                    text += " Zanzibar." if rng.random() < 0.001 else ""
                    out.append(row(arm, task, question, framing, belief, json.dumps(said), text, label))
    return frame(Observation, out)


def row(
    arm: str,
    task: str,
    question: int,
    framing: str,
    belief: str,
    prompt: str,
    text: str,
    label: str,
) -> dict[str, Any]:
    """One observation."""
    wrong = int(label == "incorrect")
    trained = arm.endswith("_sft")
    same = {"seed": 0, "variant": "", "form": "open", "prompt_mode": "factorial", "draw": 0, "judge": "rules"}
    where = {"task": task, "question_id": f"{task}-{question:03d}", "framing": framing, "belief": belief}
    dose = {"dose_kind": "epochs" if trained else "none", "dose": 1.0 if trained else 0.0}
    findings = {"asserts_right": label == "correct", "asserts_target": bool(wrong), "asserts_other": False}
    findings |= {"rejects_right": False, "bare_agreement": False}
    outcomes = {"commits_error": wrong, "not_correct": int(label != "correct"), "error_published": wrong}
    outcomes |= {"affirms_belief": wrong, "margin_nats": 1.5 - 3 * wrong}
    made = {"engine": "transformers", "precision": "bf16", "sampling_key": "s", "arm_key": arm}
    size = {"n_tokens": len(text) // 4, "n_chars": len(text), "finish_reason": "stop"}
    said = {"prompt": prompt, "response": text, "label": label, "label_reason": f"by rule: {label}"}
    key = f"{arm}-{task}-{question}-{framing}-{belief}"
    keys = {"response_key": key, "verdict_key": "v", "statement_id": f"{framing}-{question % 20}"}
    return (
        {"model": "llama31_8b", "method": arm}
        | same
        | where
        | dose
        | findings
        | outcomes
        | made
        | size
        | said
        | keys
    )


if __name__ == "__main__":
    main()
