// The list of cases: only the rows in sight are in the document.
const ROW_PX = 64;
const SPARE = 6;

class Listing {
  constructor(box, data, choose) {
    this.box = box;
    this.data = data;
    this.choose = choose;
    this.cases = [];
    this.chosen = -1;
    this.rows = make("div", { role: "presentation", class: "rows" });
    box.append(this.rows);
    box.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("keydown", (event) => this.key(event));
  }

  show(cases, chosen, view) {
    this.cases = cases;
    this.view = view;
    this.rows.style.height = cases.length * ROW_PX + "px";
    this.mark(chosen);
  }

  // Make a row the chosen one and bring it into sight.
  mark(chosen) {
    this.chosen = chosen;
    const top = chosen * ROW_PX;
    const height = this.box.clientHeight;
    if (chosen >= 0 && (top < this.box.scrollTop || top + ROW_PX > this.box.scrollTop + height)) {
      this.box.scrollTop = Math.max(0, top - Math.max(0, height - ROW_PX) / 2);
    }
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PX) - SPARE);
    const last = Math.min(this.cases.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW_PX) + SPARE);
    const rows = [];
    for (let i = first; i < last; i++) rows.push(this.row(i));
    this.rows.replaceChildren(...rows);
    if (this.chosen >= first && this.chosen < last) this.box.setAttribute("aria-activedescendant", "row-" + this.chosen);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(i) {
    const { data, view } = this;
    const { cases, answers, columns } = data;
    const c = this.cases[i];
    const [, question, text] = data.questions[cases.question[c]];
    const labels = data.judges.find((j) => j.id === view.judge).label;
    const marks = [];
    const said = [];
    for (let a = cases.first[c]; a < cases.first[c + 1]; a++) {
      const name = columns[answers.column[a]][0];
      if (!view.arms.includes(name) || labels[a] < 0) continue;
      const label = data.labels[labels[a]];
      marks.push(make("span", { class: "mark " + label, title: visible(name) + ": " + label }, MARKS[label]));
      said.push(name + " " + label);
    }
    const words = caseWords(data, c, view).join(" \u00b7 ");
    const row = make(
      "div",
      {
        role: "option", id: "row-" + i, class: "row", "aria-selected": String(i === this.chosen),
        "aria-posinset": String(i + 1), "aria-setsize": String(this.cases.length),
        "aria-label": visible([text || question, words, ...said].join("; ")),
      },
      make("div", { class: "asks", dir: "auto" }, visible(text || question)),
      make("div", { class: "about" }, make("span", { class: "words" }, visible(words)), make("span", { class: "marks" }, ...marks)),
    );
    row.style.top = i * ROW_PX + "px";
    row.addEventListener("click", () => this.choose(i, true));
    return row;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.cases.length, End: this.cases.length };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    this.step(steps[event.key]);
  }

  step(by) {
    if (!this.cases.length) return;
    this.choose(Math.min(this.cases.length - 1, Math.max(0, this.chosen + by)), false);
  }
}
