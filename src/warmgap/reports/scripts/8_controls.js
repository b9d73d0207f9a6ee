// The filters: one control per part of the view.
function option(value, words) {
  return make("option", { value }, visible(words));
}

function setOptions(select, options, value) {
  select.replaceChildren(...options.map(([v, words]) => option(v, words)));
  select.value = value;
}

const FLIPS = [["", "any"], ["lost", "right \u2192 wrong"], ["won", "wrong \u2192 right"], ["any", "either way"]];
const SELECTS = ["model", "task", "question", "framing", "belief", "draw", "judge", "flip", "from", "to", "label", "where"];

class Controls {
  constructor(data, change) {
    this.data = data;
    for (const name of SELECTS) at("by-" + name).addEventListener("change", () => this.chosen(name, change));
    let waiting = 0;
    at("by-q").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => change({ q: at("by-q").value }, "typed"), 60);
    });
    const arms = data.columns.map(([name, words], i) => {
      const box = make("input", { type: "checkbox", id: "arm-" + i, value: name });
      box.addEventListener("change", () => change({ arms: this.arms() }, "chosen"));
      return make("label", { for: "arm-" + i, title: words }, box, visible(name));
    });
    at("by-arms").append(...arms);
    const arm = data.columns.map(([name]) => [name, name]);
    this.options = {
      model: [["", "all models"], ...data.levels.model], task: [["", "all tasks"], ...data.levels.task],
      framing: [["", "all contexts"], ...data.levels.framing], belief: [["", "all views"], ...data.levels.belief],
      draw: [["", "all draws"], ...data.draws.map((d) => [d, "draw " + (Number(d) + 1)])],
      judge: data.judges.map((j) => [j.id, j.name]), flip: FLIPS, from: arm, to: arm,
      label: [["", "any label"], ...data.labels.map((l) => [l, l])], where: [["", "any shown arm"], ...arm],
    };
    for (const [name, options] of Object.entries(this.options)) setOptions(at("by-" + name), options, "");
    // A choice of one is no choice.
    for (const name of ["model", "task", "framing", "belief", "draw"]) at("by-" + name).parentElement.hidden = this.options[name].length < 3;
    at("by-judge").parentElement.hidden = data.judges.length < 2;
    at("turned").hidden = data.columns.length < 2;
  }

  chosen(name, change) {
    const part = { [name]: at("by-" + name).value };
    // A question of another task would leave nothing.
    if (name === "task") part.question = "";
    change(part, "chosen");
  }

  arms() {
    return Array.from(at("by-arms").querySelectorAll("input:checked"), (box) => box.value);
  }

  show(view) {
    if (view.task !== this.task || !at("by-question").options.length) {
      this.task = view.task;
      const task = place(this.data.levels.task.map((l) => l[0]), view.task);
      const questions = this.data.questions.filter((q) => task < 0 || q[0] === task);
      const words = (q) => (q[1] + ": " + q[2]).slice(0, 90);
      setOptions(at("by-question"), [["", "all questions"], ...questions.map((q) => [this.data.questionKey(q), words(q)])], "");
    }
    for (const name of SELECTS) at("by-" + name).value = view[name];
    if (document.activeElement !== at("by-q") || at("by-q").value.toLowerCase() !== view.q.toLowerCase()) at("by-q").value = view.q;
    for (const box of at("by-arms").querySelectorAll("input")) box.checked = view.arms.includes(box.value);
  }
}
