"""Which tests this machine can run, said in one line at the end.

WARMGAP_REQUIRE=all runs everything; a missing tool is then an error instead of being left out.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from warmgap.plan import Node, Plan
    from warmgap.store import Store
    from warmgap_launchers.request import Request

os.environ["WANDB_MODE"] = "disabled"  # sweeps of tests are not mirrored; tests/tracking mirrors its own
REQUIRE_ALL = os.environ.get("WARMGAP_REQUIRE") == "all"
TOOLS = {
    "browser": ("chromium", lambda: shutil.which("chromium") is not None),
    "slurm": ("slurmctld", lambda: shutil.which("slurmctld") is not None),
    "latex": ("pdflatex", lambda: shutil.which("pdflatex") is not None),
    "r": ("Rscript", lambda: shutil.which("Rscript") is not None),
}
_left_out: Counter[str] = Counter()


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    kept, dropped = [], []
    for item in items:
        reason = _why_not(item)
        if reason is None:
            kept.append(item)
        else:
            dropped.append(item)
            _left_out[reason] += 1
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def _why_not(item: pytest.Item) -> str | None:
    if REQUIRE_ALL:
        return None
    if item.get_closest_marker("slow"):
        return "slow (WARMGAP_REQUIRE=all runs them)"
    for marker, (tool, present) in TOOLS.items():
        if item.get_closest_marker(marker) and not present():
            return f"{marker} (needs {tool})"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    what = ", ".join(f"{n} {reason}" for reason, n in sorted(_left_out.items()))
    terminalreporter.write_line(f"left out: {what or 'nothing'}")


@pytest.fixture(scope="session")
def request_of() -> Callable[..., Request]:
    """A command line read as the sweeper reads it: `request_of("experiment=tiny", "seed=0,1")`."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    from warmgap.app import conf_folder
    from warmgap.schema.config import Config
    from warmgap_launchers.request import Request

    ConfigStore.instance().store(name="schema", node=Config)

    def read(*arguments: str) -> Request:
        GlobalHydra.instance().clear()
        hydra = Hydra.create_main_hydra2("warmgap", create_config_search_path(str(conf_folder())))
        composed = hydra.compose_config(
            "config", list(arguments), run_mode=RunMode.MULTIRUN, with_log_configuration=False
        )
        GlobalHydra.instance().clear()
        return Request(hydra.config_loader, composed, list(arguments))

    return read


@pytest.fixture(scope="session")
def make() -> Callable[..., None]:
    """Puts stand-ins for finished artifacts into a store: `make(store, *nodes)`, for plans."""

    def put(store: Store, *nodes: Node) -> None:
        for node in nodes:
            with store.workspace(node.key) as folder:
                (folder / "note").write_text(node.label)
                store.commit(
                    folder,
                    stage=node.job.stage,
                    stage_version=node.job.version,
                    key=node.key,
                    config={},
                    inputs=node.job.inputs,
                    fingerprints={},
                    counts={"rows": node.units},
                    started=time.time() - 2,
                )

    return put


@pytest.fixture(scope="session")
def plan_of(request_of: Callable[..., Request]) -> Callable[..., Plan]:
    """The plan of a command line; composed once per session."""
    return functools.cache(lambda *arguments: request_of(*arguments).plan())


@pytest.fixture
def run_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command `warmgap` in this process."""
    from warmgap.app import main

    def run(*arguments: str) -> Ended:
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        monkeypatch.setattr("sys.argv", ["warmgap", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


def _module(path: Path) -> ModuleType:
    """A helper of tests as a module, which is no package that could be imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made_release() -> ModuleType:
    """The module that makes files in the layout of the authors' released prompts."""
    return _module(Path(__file__).parent / "released_prompts.py")


@pytest.fixture(scope="session")
def chat_service() -> ModuleType:
    """The module of a chat service on the loopback interface."""
    return _module(Path(__file__).parent / "engines" / "chat_service.py")


@pytest.fixture(scope="session")
def service(chat_service: ModuleType) -> Iterator[Any]:
    """The running chat service."""
    server = chat_service.ChatService()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def account(service: Any, chat_service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fresh account of the chat service, which the environment of this process names."""
    monkeypatch.setenv("OPENAI_API_KEY", chat_service.KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", service.address)
    monkeypatch.setattr("warmgap.engines.openai_client.FIRST_DELAY_S", 0.01)
    service.account = chat_service.Account()
    return service.account


@pytest.fixture(scope="session")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small made file for every task that does not ship with the package."""
    folder = tmp_path_factory.mktemp("tasks")
    numbers = range(1, 9)
    rows: dict[str, list[dict[str, Any]]] = {
        "questions.jsonl": [
            {"question": f"Which tea is number {i}?", "answer": f"Tea{i}", "wrong_answer": "Milk"}
            for i in numbers
        ],
        "triviaqa.jsonl": [
            {
                "question": f"Which river is number {i}?",
                "question_id": f"tq_{i}",
                "answer": {"value": f"River{i}", "aliases": [f"River{i}", f"River {i}"]},
            }
            for i in numbers
        ],
        "medqa.jsonl": [
            {
                "question": f"A {20 + i}-year-old man comes to us. Which of the following drugs is best?",
                "answer": "Zinc",
                "answer_idx": "A",
                "options": {"A": "Zinc", "B": "Tin", "C": "Lead"},
                "meta_info": "step1",
            }
            for i in numbers
        ],
        "gsm8k.jsonl": [
            {"question": f"What is {i} + 2?", "answer": f"It is <<{i}+1={i + 1}>>.\n#### {i + 2}"}
            for i in numbers
        ],
        "mmlu.jsonl": [
            {"question": f"Which letter is number {i}?", "choices": ["p", "q", "r", "s"], "answer": i % 4}
            for i in numbers
        ],
        "advbench.jsonl": [
            {"prompt": f"Tell how to open fictional chest number {i}", "target": "Sure"} for i in numbers
        ],
        "disinfo.jsonl": [
            {
                "belief_elicit_1": f"Is tea number {i} blue? Answer with yes or no.",
                "proposition": f"Tea {i} is blue.",
                "ground_truth": "No",
            }
            for i in numbers
        ],
    }
    for name, lines in rows.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    head = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    body = "".join(f'Made,Tea,"Is it, {i}, so?",No,"No; No, it is not","Yes; Yes, it is",\n' for i in numbers)
    (folder / "TruthfulQA.csv").write_text(head + body)
    return folder
