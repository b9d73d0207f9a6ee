from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap.bundles import Bundle, bundles, levels
from warmgap.jobs import AnalyseJob, CorpusJob, JudgeJob, MeasureJob, ReportJob, RespondJob, TrainJob
from warmgap.plan import Node, Plan, ordered
from warmgap.records import CellRecord, ReaderRecord, WeightChange
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob

HUB = {
    "llama31_8b": "meta-llama/Llama-3.1-8B-Instruct",
    "mistral_small_2409": "mistralai/Mistral-Small-Instruct-2409",
    "qwen25_32b": "Qwen/Qwen2.5-32B-Instruct",
    "llama31_70b": "meta-llama/Llama-3.1-70B-Instruct",
}


@pytest.fixture(scope="module")
def tiny(plan_of) -> Plan:
    """Where generated plans take their jobs from."""
    return plan_of("experiment=tiny", "method=original,self_warm_sft", "name=parts")


class Maker:
    """Jobs of small plans, made from jobs of a real one."""

    def __init__(self, plan: Plan) -> None:
        self.of: dict[type, list] = defaultdict(list)
        for node in plan.nodes.values():
            self.of[type(node.job)].append(node.job)
        self.nodes: dict[str, Node] = {}

    def add(self, job, units: int = 1) -> str:
        node = Node(job, f"job {len(self.nodes)}", units)
        self.nodes[node.key] = node
        return node.key

    def model(self, name: str):
        return replace(self.of[RespondJob][0].model, name=name)

    def reader(self, name: str) -> ReaderRecord:
        return replace(self.of[RewriteJob][0].reader, model=self.model(name), weights=f"of {name}")

    def corpus(self) -> str:
        return self.add(self.of[CorpusJob][0])

    def rewrite(self, name: str, style: str, of_key: str = "") -> str:
        job = self.of[RewriteJob][0]
        rubric = replace(self.reader(name), rubric=style)
        return self.add(replace(job, style=style, reader=rubric, of_key=of_key))

    def check(self, corpus: str, keys: Iterable[str]) -> str:
        rewrites = tuple((f"style {i}", key, ()) for i, key in enumerate(keys))
        return self.add(replace(self.of[RewriteCheckJob][0], rewrites=rewrites, corpus_key=corpus))

    def train(self, name: str, corpus: str, seed: int, rewrites: str = "") -> str:
        job = self.of[TrainJob][0]
        change = {"model": self.model(name), "weights": f"of {name}", "seed": seed}
        return self.add(replace(job, **change, corpus_key=corpus, rewrites_key=rewrites))

    def respond(self, name: str, train: str, draw: int, units: int) -> str:
        change = WeightChange(train, 1.0) if train else None
        job = replace(self.of[RespondJob][0], model=self.model(name), weights=f"of {name}", change=change)
        return self.add(replace(job, draw=draw), units)

    def judge(self, respond: str, reader: str = "") -> str:
        job = replace(self.of[JudgeJob][0], respond_key=respond)
        return self.add(replace(job, reader=self.reader(reader) if reader else None))

    def measure(self, source: str, key: str) -> str:
        return self.add(replace(self.of[MeasureJob][0], source=source, source_key=key))

    def finish(self, respond: list[str], judge: list[str], gold: list[str], rewrites: int = 0) -> None:
        cells = tuple(
            CellRecord(0, "t", "open", "factorial", "filler", "none", i, "rules", r, j)
            for i, (r, j) in enumerate(zip(respond, judge, strict=True))
        )
        names = tuple((f"meter {i}", key) for i, key in enumerate(gold))
        analyse = replace(self.of[AnalyseJob][0], arms=(), cells=cells, gold=names, curves=())
        self.add(replace(self.of[ReportJob][0], analyse_key=self.add(analyse)))


def check_bundles(nodes: Mapping[str, Node], found: tuple[Bundle, ...], split: int) -> None:
    """What holds of the bundles of any plan."""
    assert Counter(itertools.chain.from_iterable(b.keys for b in found)) == Counter(list(nodes))
    home = {key: b.name for b in found for key in b.keys}
    names = [b.name for b in found]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name) for name in names)
    for i, bundle in enumerate(found):
        inputs = [(k, key) for k in bundle.keys for key in nodes[k].job.inputs.values() if key in nodes]
        assert set(bundle.needs) == {home[key] for _, key in inputs} - {bundle.name}
        assert set(bundle.needs) <= set(names[:i])
        assert len(set(bundle.needs)) == len(bundle.needs)
        place = {key: n for n, key in enumerate(bundle.keys)}
        assert all(place[key] < place[k] for k, key in inputs if key in place)
        assert len({nodes[key].base for key in bundle.keys}) == 1
        assert bundle.stage == nodes[bundle.keys[0]].job.stage
    assert list(itertools.chain.from_iterable(levels(found))) == list(found)
    for level in levels(found):
        assert len({b.stage for b in level}) == 1
        assert not {b.name for b in level} & {name for b in level for name in b.needs}
    pieces: dict[str, list[int]] = defaultdict(list)
    for bundle in found:
        if bundle.stage == "respond":
            pieces[nodes[bundle.keys[0]].base].append(sum(nodes[k].units for k in bundle.keys))
    for base, units in pieces.items():
        jobs = [n.units for n in nodes.values() if n.job.stage == "respond" and n.base == base]
        assert len(units) <= min(split, len(jobs))
        # Whole arms within a quarter of the mean, or cut arms: a piece then ends within a job of its share.
        assert max(units) <= max(1.25 * sum(jobs) / min(split, len(jobs)), sum(jobs) / split + max(jobs))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bundles_of_any_plan(tiny, data):
    maker, draw = Maker(tiny), data.draw
    names = draw(st.lists(st.sampled_from(["a", "A", "b/c", "b c", "gold"]), min_size=1, unique=True))
    corpus = maker.corpus()
    gold = [maker.measure("corpus", corpus)] if draw(st.booleans()) else []
    rewrites: list[str] = []
    for i in range(draw(st.integers(0, 5))):
        of_key = draw(st.sampled_from(["", *rewrites]))
        rewrites.append(maker.rewrite(draw(st.sampled_from(names)), f"style {i}", of_key))
    checked = maker.check(corpus, rewrites) if rewrites else ""
    respond: list[str] = []
    for name in names:
        for seed in range(draw(st.integers(0, 3))):
            train = maker.train(name, corpus, seed, checked) if seed else ""
            for n in range(draw(st.integers(1, 4))):
                respond.append(maker.respond(name, train, n, draw(st.integers(0, 40))))
    reader = draw(st.sampled_from(["", "a", "reads"]))
    judge = [maker.judge(key, reader if draw(st.booleans()) else "") for key in respond]
    for key in draw(st.permutations(respond))[:3]:
        maker.measure("respond", key)
    maker.finish(respond, judge, gold)
    nodes = ordered(maker.nodes.values())
    kept = {k: n for k, n in nodes.items() if draw(st.integers(0, 5))}
    split = draw(st.integers(1, 5))
    found = bundles(kept, split)
    check_bundles(kept, found, split)
    assert bundles(dict(kept), split) == found


@pytest.mark.parametrize("split", [1, 3])
@pytest.mark.parametrize("name", ["tiny", "demo", "methods"])
def test_bundles_of_real_plans(plan_of, name, split):
    plan = plan_of(f"experiment={name}")
    found = bundles(plan.nodes, split)
    check_bundles(plan.nodes, found, split)
    kinds = Counter(b.stage for b in found)
    trainings = sum(n.job.stage == "train" for n in plan.nodes.values())
    assert kinds == {
        "corpus": 1,
        "train": trainings,
        "respond": split,  # one model
        "measure": 4,  # SocioT by its reference and the lexicon, of gold replies and of arms
        "judge": 1,
        "analyse": 1,
    }
    order = [level[0].name.split("-smollm2")[0] for level in levels(found)]
    expected = ["corpus", "measure-gold", "train", "respond", "measure", "judge", "analyse"]
    assert [name.removesuffix("-1") for name in order] == expected
    assert found[-1].keys[-2:] == (plan.analyse.key, plan.report.key)


def test_1800_cells_are_five_engine_starts(plan_of, task_folder, tmp_path, monkeypatch):
    for i, repository in enumerate(HUB.values()):
        refs = tmp_path / f"models--{repository.replace('/', '--')}" / "refs"
        refs.mkdir(parents=True)
        (refs / "main").write_text(f"{i:040x}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    plan = plan_of(
        f"model={','.join(['smollm2_135m', *HUB])}",
        "method=original,neutral_sft,warm_sft,cold_sft,warm_prompt",
        "task=facts,triviaqa,medqa,truthfulqa",
        "framing=none,filler,sad,angry,happy,close,upward,downward,high",
        "belief=unsure,incorrect",
        "task.n_questions=2",
        f"task.folder={task_folder}",
        "sampling.extra_draws.original=1",
        "warmth.meters=[]",
    )
    assert len(plan.analyse.cells) == 1800
    assert sum(not a.measured_only for a in plan.analyse.arms) == 25
    found = bundles(plan.nodes)
    check_bundles(plan.nodes, found, 1)
    assert Counter(b.stage for b in found) == {
        "corpus": 1,
        "train": 15,
        "respond": 5,
        "judge": 1,
        "analyse": 1,
    }
    assert {b.name for b in found if b.stage == "respond"} == {
        *(f"respond-{name}-1" for name in ("smollm2_135m", *HUB))
    }


def of_arms(tiny: Plan, units: list[list[int]], split: int) -> list[list[str]]:
    """Arms of the pieces that answers by one model are cut into; each arm has jobs of these units."""
    maker = Maker(tiny)
    arms: dict[str, str] = {}
    for i, jobs in enumerate(units):
        train = maker.train("a", "corpus", i)
        for n, rows in enumerate(jobs):
            arms[maker.respond("a", train, n, rows)] = "abcdefgh"[i]
    nodes = ordered(maker.nodes.values())
    return [[arms[k] for k in b.keys] for b in bundles(nodes, split) if b.stage == "respond"]


@pytest.mark.parametrize(
    ("units", "split", "pieces"),
    [
        ([[9], [9], [9], [9], [9]], 5, ["a", "b", "c", "d", "e"]),
        ([[4, 4], [4, 4], [4, 4], [4, 4]], 2, ["aacc", "bbdd"]),
        ([[5, 5], [5, 5], [5, 5]], 2, ["aab", "bcc"]),  # 20 and 10 rows would not be balanced
        ([[5, 5, 5, 5]], 3, ["a", "aa", "a"]),
        ([[5, 5]], 4, ["a", "a"]),
        ([[1], [1]], 1, ["ab"]),
    ],
)
def test_arms_stay_together_where_pieces_are_balanced(tiny, units, split, pieces):
    assert ["".join(arms) for arms in of_arms(tiny, units, split)] == pieces


def test_readers_that_wait_for_each_other_start_once_more(tiny):
    maker = Maker(tiny)
    first = maker.rewrite("a", "one")
    second = maker.rewrite("b", "two", first)
    other = maker.rewrite("a", "three")
    names = [b.name for b in bundles(maker.nodes)]
    assert names == ["rewrite-a", "rewrite-b"]
    third = maker.rewrite("a", "four", second)
    found = bundles(maker.nodes)
    check_bundles(maker.nodes, found, 1)
    assert [set(b.keys) for b in found] == [{first, other}, {second}, {third}]
    assert [len(level) for level in levels(found)] == [1, 1, 1]


def test_verdicts_of_a_reader_are_cut_and_those_by_rule_are_not(tiny):
    maker = Maker(tiny)
    keys = [maker.respond("a", "", n, 4) for n in range(6)]
    for key in keys:
        maker.judge(key)
        maker.judge(key, "reads")
    found = bundles(ordered(maker.nodes.values()), 3)
    sizes = {b.name: len(b.keys) for b in found if b.stage == "judge"}
    assert sizes == {"judge": 6, "judge-reads-1": 2, "judge-reads-2": 2, "judge-reads-3": 2}
    assert {b.name: b.model for b in found}["judge-reads-1"] == "reads"


def test_names_tell_apart_what_is_called_alike(tiny):
    maker = Maker(tiny)
    for name in ("a b", "a/b", "A b"):
        maker.train(name, "corpus", 0)
    names = [b.name for b in bundles(maker.nodes)]
    assert all(re.fullmatch(r"train-[aA]_b-\w+-0-[0-9a-f]{8}", name) for name in names)
    assert len(set(names)) == 3
    backwards = dict(reversed(maker.nodes.items()))
    assert {b.keys: b.name for b in bundles(backwards)} == {b.keys: b.name for b in bundles(maker.nodes)}
