from __future__ import annotations

import json
from collections import Counter

import pytest
from omegaconf import OmegaConf

from warmgap.app import conf_folder
from warmgap.design import published_files
from warmgap.design.published import check_conditions
from warmgap.errors import UserError

SMALL = {"trivia": 12, "truthfulqa": 10, "disinfo": 9, "medqa": 8}
DENIES = 4
FRAMINGS = ("none", "filler", "happy", "angry", "sad", "high", "low", "close", "downward", "upward")
TASKS = {"triviaqa": "trivia", "truthfulqa": "truthfulqa", "disinfo": "disinfo", "medqa": "medqa"}
OURS = {
    **{
        f"emotion:{theirs}": ours for theirs, ours in (("happy", "happy"), ("anger", "angry"), ("sad", "sad"))
    },
    **{f"stake:{level}": level for level in ("high", "low")},
    "relation:close": "close",
    "relation:hierarchical_down": "downward",
    "relation:hierarchical_up": "upward",
}
"""Our framing by the paper's context, written out."""


def condition(template: str, context: str) -> tuple[str, str]:
    """Ours: filler stands before unmodified belief prompts and in original_neutral."""
    belief = {"incorrect": "incorrect", "correct": "denies"}.get(template, "none")
    return OURS.get(context, "none" if template == "original" else "filler"), belief


@pytest.fixture(scope="module")
def folder(made_release, tmp_path_factory):
    return made_release.write(tmp_path_factory.mktemp("release") / "eval_data", SMALL, DENIES)


@pytest.fixture(scope="module")
def released(folder):
    return {task: published_files.load(str(folder), task, "open") for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_every_prompt_is_the_released_one_byte_for_byte(folder, released, task):
    lines = (folder / f"{TASKS[task]}.json").read_bytes().split(b"\n")
    found = released[task]
    by_text = {q.question: q for q in found.questions}
    used = Counter()
    for values in map(json.loads, filter(None, lines)):
        template = values.get("prompt_template") or values["prompt_type"]
        if template == "mcq":
            continue
        asked = values.get("content_key") or values.get("prompt_disinfo") or values["question"]
        at = condition(template, values["amendment_type"])
        (prompt,) = found.compile([by_text[asked]], at, "", "{persona}")
        assert prompt.messages == (("user", values["prompt"]),)
        assert prompt.messages[0][1].encode() == values["prompt"].encode()
        assert (prompt.framing, prompt.belief) == at
        used[at] += 1
    assert used == {at: len(prompts) for at, prompts in found.prompts.items()}
    assert any("  " in p.text for p in found.prompts["sad", "incorrect"].values())
    assert any(".." in p.text for p in found.prompts["high", "incorrect"].values())


def test_conditions_and_their_counts(released):
    for task, paper in TASKS.items():
        n = SMALL[paper]
        denies = DENIES if task == "disinfo" else n
        assert released[task].counts(released[task].questions) == {
            "none": dict.fromkeys(FRAMINGS, n),
            "incorrect": dict.fromkeys(FRAMINGS[1:], n),
            "denies": dict.fromkeys(FRAMINGS[1:], denies),
        }
        assert released[task].notes[published_files.LEFT_OUT] == n


def test_medqa_is_in_exam_form_only_without_a_belief_and_filler(released):
    forms = released["medqa"].forms
    exam = {at for at, form in forms.items() if form == "exam"}
    assert exam == {(framing, "none") for framing in FRAMINGS if framing != "filler"}
    assert set(forms.values()) == {"exam", "conversational"}
    assert set(released["triviaqa"].forms.values()) == {"open"}


def test_references_are_those_of_the_rows(released):
    by_id = {q.answer: q for task in released.values() for q in task.questions}
    assert by_id["LAMP 3 IS RED"].wrong_answer == "Blue Lamp 3"
    assert by_id["Lamp 3 is solid"].wrong_answer == "Lamp 3 is hollow"
    assert by_id["Syrup 3"].wrong_answer == "Tablet 3"
    assert by_id["Syrup 3"].options == ("Syrup 3", "Tablet 3")
    assert by_id["Syrup 3"].question.startswith("My aunt, 3, coughs. It began")
    assert {q.wrong_origin for q in by_id.values()} == {"listed"}


def test_statement_ids_tell_statements_apart_whatever_stands_around_them(released):
    for task in TASKS:
        found = released[task]
        assert {p.statement_id for p in found.prompts["none", "none"].values()} == {None}
        by_framing = {
            framing: {
                p.statement_id for (f, _), ps in found.prompts.items() if f == framing for p in ps.values()
            }
            for framing in FRAMINGS[1:]
        }
        # Five statements a context, whether or not the filler or a second full stop follows; one filler.
        assert {f: len(ids) for f, ids in by_framing.items()} == {
            f: 1 if f == "filler" else 5 for f in FRAMINGS[1:]
        }
        assert len(set.union(*by_framing.values())) == 41
        assert None not in set.union(*by_framing.values())
    # Statement k of question i is (i + 8) mod 5 without a belief and (i + 9) mod 5 with a wrong one.
    sad = [
        [p.statement_id for p in released["triviaqa"].prompts["sad", b].values()]
        for b in ("none", "incorrect")
    ]
    assert sad[0][1:] == sad[1][:-1]
    assert sad[0][0] != sad[1][0]


def edited(made_release, tmp_path, edit, task="trivia"):
    """The made files with the rows of one task changed."""
    folder = made_release.write(tmp_path / "release", SMALL, DENIES)
    path = folder / f"{task}.json"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in edit(rows)))
    return folder


def test_duplicates_are_counted_and_the_first_is_kept(made_release, tmp_path):
    def twice(rows):
        return [*rows, rows[0], rows[1] | {"prompt": "Another one?"}]

    found = published_files.load(str(edited(made_release, tmp_path, twice)), "triviaqa", "open")
    assert found.notes[published_files.TWICE] == 1
    assert found.notes[published_files.SECOND] == 1
    assert [len(p) for p in found.prompts.values()] == [12] * 28
    assert "Another one?" not in {p.text for ps in found.prompts.values() for p in ps.values()}


def test_two_questions_of_one_prompt_are_one_there_and_two_where_their_prompts_differ(made_release, tmp_path):
    def with_another_answer(rows):
        again = [
            r | {"incorrect_answer": "Green lamp"} for r in rows if r["content_key"] == rows[1]["content_key"]
        ]
        told = [
            r | {"prompt": r["prompt"].replace("blue lamp", "green lamp")}
            for r in again
            if r["prompt_template"] != "mcq"
        ]
        return [*rows, *told]

    found = published_files.load(str(edited(made_release, tmp_path, with_another_answer)), "triviaqa", "open")
    for condition, prompts in found.prompts.items():
        assert len({p.text for p in prompts.values()}) == len(prompts) == 12 + (condition[1] == "incorrect")
    assert found.notes[published_files.SHARED] == 28 - 9
    assert len(found.questions) == 13


def test_a_prompt_without_its_question_keeps_its_text_and_has_no_statement(made_release, tmp_path):
    def misspelt(rows):
        bare = {"prompt_template": "original", "amendment_type": "unmodified"}
        return [
            r if bare.items() <= r.items() else r | {"prompt": r["prompt"].replace("number 5?", "numbr 5?")}
            for r in rows
        ]

    found = published_files.load(str(edited(made_release, tmp_path, misspelt)), "triviaqa", "open")
    assert found.notes[published_files.NO_STATEMENT] == 27
    texts = [p for ps in found.prompts.values() for p in ps.values() if "numbr" in p.text]
    assert len(texts) == 27
    assert {p.statement_id for p in texts} == {None}


def test_a_json_list_reads_as_lines_do(made_release, folder, tmp_path):
    made_release.write(tmp_path / "list", SMALL, DENIES)
    path = tmp_path / "list" / "trivia.json"
    path.write_text(json.dumps([json.loads(line) for line in path.read_text().splitlines()]))
    listed = published_files.load(str(tmp_path / "list"), "triviaqa", "open")
    lines = published_files.load(str(folder), "triviaqa", "open")
    assert (listed.questions, listed.prompts) == (lines.questions, lines.prompts)
    assert listed.sha256 != lines.sha256
    path.write_text(json.dumps([json.loads(path.read_text())[0] | {"prompt": "\ud83d?"}]))
    with pytest.raises(UserError, match=r"trivia.json row 1: 'prompt' holds half of a surrogate pair"):
        published_files.load(str(tmp_path / "list"), "triviaqa", "open")


def test_the_folder_that_holds_eval_data_is_enough(folder, released):
    assert published_files.load(str(folder.parent), "triviaqa", "open") == released["triviaqa"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda rows: [rows[0] | {"prompt_template": "maybe"}],
            r"trivia.json:1: template 'maybe' in",
        ),
        (lambda rows: [rows[0] | {"amendment_type": "emotion:bored"}], "'emotion:bored' is no condition"),
        (lambda rows: [rows[0] | {"amendment_type": "emotion:sad"}], "original_neutral only unmodified"),
        (lambda rows: [{"question": "q", "answer": "a"}], r":1: no text under the key 'prompt_template'"),
        (
            lambda rows: [rows[0], {k: v for k, v in rows[1].items() if k != "correct_answer"}],
            r":2: no text under the key 'correct_answer'. Found: amendment_type",
        ),
        (lambda rows: [rows[0] | {"prompt": ["a"]}], "no text under the key 'prompt'"),
        (lambda rows: [rows[0] | {"prompt": "\ud83d?"}], "half of a surrogate pair"),
    ],
)
def test_another_layout_is_refused_with_its_place(made_release, tmp_path, edit, said):
    with pytest.raises(UserError, match=said):
        published_files.load(str(edited(made_release, tmp_path, edit)), "triviaqa", "open")


def test_a_broken_file_is_refused_with_its_place(made_release, tmp_path):
    folder = made_release.write(tmp_path / "release", SMALL, DENIES)
    path = folder / "trivia.json"
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match=r"trivia.json:\d+: not JSON \(.* at column \d+\)"):
        published_files.load(str(folder), "triviaqa", "open")
    path.write_bytes(text.encode().replace("é".encode(), b"\xe9", 1))
    with pytest.raises(UserError, match="not UTF-8"):
        published_files.load(str(folder), "triviaqa", "open")
    path.unlink()
    with pytest.raises(UserError, match=r"no trivia.json for task triviaqa"):
        published_files.load(str(folder), "triviaqa", "open")
    with pytest.raises(UserError, match=r"task=gsm8k: .* Allowed: disinfo, medqa, triviaqa, truthfulqa"):
        published_files.load(str(folder), "gsm8k", "open")
    with pytest.raises(UserError, match=r"design.mode=published needs the released prompts"):
        published_files.load("", "triviaqa", "open")


def test_a_persona_stands_in_a_system_message_and_none_makes_none(released):
    found = released["disinfo"]
    system = OmegaConf.load(conf_folder() / "design" / "published.yaml").system_prompt
    (prompt, *_) = found.compile(found.questions, ("sad", "incorrect"), "You are kind.", system)
    assert prompt.messages[0] == ("system", "You are kind.")
    assert prompt.messages[1][1] == found.prompts["sad", "incorrect"][prompt.question.id].text


def test_a_condition_that_no_task_has_is_refused_by_name(released):
    check_conditions(released, FRAMINGS, ["none", "incorrect", "denies"])
    check_conditions(released, ["none", "sad"], ["none", "incorrect"])
    with pytest.raises(UserError, match=r"belief=unsure: .* not at all, but denies, incorrect, none\."):
        check_conditions(released, FRAMINGS, ["none", "unsure"])
    with pytest.raises(UserError, match=r"framing=none: .* only with belief none, but belief is incorrect"):
        check_conditions(released, ["none", "sad"], ["incorrect"])
