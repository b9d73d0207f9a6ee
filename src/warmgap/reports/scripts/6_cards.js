// One case: its prompts in full, and the answers of the shown arms side by side.
const MARKS = { correct: "\u2713", incorrect: "\u2717", hedged: "\u2248", refusal: "\u2298", truncated: "\u2026", unscored: "?" };

function caseWords(data, c, view) {
  const { cases, levels } = data;
  const words = [levels.framing[cases.framing[c]][1], levels.belief[cases.belief[c]][1]];
  if (levels.form.length > 1) words.push(levels.form[cases.form[c]][0]);
  if (levels.model.length > 1) words.unshift(levels.model[cases.model[c]][0]);
  if (view.draw === "" && data.draws.length > 1) words.push("draw " + (cases.draw[c] + 1));
  return words;
}

// Names a case in an address, whatever else a later page holds.
function caseName(data, c) {
  const { cases, levels } = data;
  const parts = ["model", "form", "framing", "belief"].map((f) => levels[f][cases[f][c]][0]);
  return [data.questionKey(data.questions[cases.question[c]]), ...parts, cases.draw[c]].join("/");
}

function pill(label) {
  return make("span", { class: "pill " + label }, make("span", { "aria-hidden": "true" }, MARKS[label] + " "), label);
}

function drawPrompts(data, answers, view) {
  const { columns, prompts, texts } = data;
  const asked = new Map();
  for (const a of answers) {
    const id = data.answers.prompt[a];
    asked.set(id, [...(asked.get(id) ?? []), columns[data.answers.column[a]][0]]);
  }
  return [...asked].map(([id, arms], i) => {
    const head = asked.size === 1 ? "Prompt, the same for all arms shown" : "Prompt of " + [...new Set(arms)].join(", ");
    const messages = make("div", { class: "messages" });
    for (let m = 0; m < prompts[id].length; m += 2) {
      const role = visible(prompts[id][m]);
      const body = textBox(texts.get(prompts[id][m + 1]), "message of " + role, role === "user" ? view.q.toLowerCase() : "");
      messages.append(make("div", { class: "message " + (role === "user" ? "user" : "other") }, make("p", { class: "role" }, role), ...body));
    }
    return make("details", { class: "prompt", open: i === 0 }, make("summary", {}, visible(head)), messages);
  });
}

function facts(data, a, judge) {
  const { tokens, margin, cut } = data.answers;
  const rows = [];
  if (judge.reason[a] >= 0 && judge.reasons[judge.reason[a]]) rows.push(["reason", judge.reasons[judge.reason[a]]]);
  if (judge.found[a] >= 0) {
    const found = data.findings.filter((_, i) => judge.found[a] & (1 << i));
    rows.push(["found", found.join(", ") || "no claim"]);
  }
  for (const other of data.judges) {
    if (other !== judge && other.label[a] >= 0) rows.push([other.name, data.labels[other.label[a]]]);
  }
  for (const meter of data.warmth) {
    if (meter.value[a] !== null) rows.push(["warmth", signed(meter.value[a], 3) + " " + meter.unit + " (" + meter.meter + ")"]);
  }
  if (margin[a] !== null) rows.push(["margin", signed(margin[a], 2) + " nats"]);
  rows.push(["length", count(tokens[a]) + " tokens" + (cut[a] ? ", cut at the limit" : "")]);
  return make("dl", { class: "small" }, ...rows.flatMap(([k, v]) => [make("dt", {}, visible(k)), make("dd", {}, visible(v))]));
}

function drawCard(data, a, view, judge, grey) {
  const [name, words] = data.columns[data.answers.column[a]];
  const card = make("article", { class: "card" + (grey ? " failed" : ""), "aria-label": "answer of " + visible(name) }, make("h4", {}, visible(name)));
  const what = [words, grey ? "gate not passed" : ""].filter(Boolean).join("; ");
  if (what) card.append(make("p", { class: "what" }, what));
  if (judge.label[a] >= 0) card.append(pill(data.labels[judge.label[a]]));
  card.append(...textBox(data.texts.get(data.answers.text[a]), "the answer of " + visible(name), view.q.toLowerCase()));
  card.append(facts(data, a, judge));
  return card;
}

async function drawCase(data, c, view, box) {
  const { cases, columns, answers } = data;
  const here = [];
  for (let a = cases.first[c]; a < cases.first[c + 1]; a++) {
    if (view.arms.includes(columns[answers.column[a]][0])) here.push(a);
  }
  const messages = here.flatMap((a) => data.prompts[answers.prompt[a]].filter((_, m) => m % 2));
  await data.texts.need([...here.map((a) => answers.text[a]), ...messages]);
  if (box.dataset.wanted !== caseName(data, c)) return; // another case was chosen meanwhile
  const [task, question, text] = data.questions[cases.question[c]];
  const judge = data.judges.find((j) => j.id === view.judge);
  const grey = data.grey[cases.model[c]];
  const title = make("h3", { id: "case-title", tabindex: "-1", dir: "auto" });
  fill(title, text || question, view.q.toLowerCase());
  const words = [data.levels.task[task][0], question, ...caseWords(data, c, view)].flatMap((w, i) => [i ? " \u00b7 " : "", make("bdi", {}, visible(w))]);
  const cards = here.map((a) => drawCard(data, a, view, judge, grey.includes(answers.column[a])));
  box.replaceChildren(title, make("p", { class: "what" }, ...words), ...drawPrompts(data, here, view), make("div", { class: "cards" }, ...cards));
}
