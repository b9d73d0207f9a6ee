// Which cases a view holds. A case is a prompt of one draw; its answers lie side by side in the columns.
const WRONG = 1;
const RIGHT = 0;

function place(names, value) {
  return value === "" ? -1 : names.indexOf(value);
}

// Does the verdict turn between two arms in this case, from right to wrong (lost), back (won), or either?
function turns(data, labels, begin, end, from, to, flip) {
  const { column } = data.answers;
  for (let a = begin; a < end; a++) {
    if (column[a] !== from) continue;
    for (let b = begin; b < end; b++) {
      if (column[b] !== to) continue;
      if (flip !== "won" && labels[a] === RIGHT && labels[b] === WRONG) return true;
      if (flip !== "lost" && labels[a] === WRONG && labels[b] === RIGHT) return true;
    }
  }
  return false;
}

// Does a shown answer, or a message of the user before it, hold what is searched for?
function holds(data, flags, shown, begin, end) {
  const { column, text, prompt } = data.answers;
  let last = -1;
  for (let a = begin; a < end; a++) {
    if (!shown[column[a]]) continue;
    if (flags[text[a]]) return true;
    if (prompt[a] === last) continue;
    last = prompt[a];
    const messages = data.prompts[last];
    for (let m = 0; m < messages.length; m += 2) {
      if (messages[m] === "user" && flags[messages[m + 1]]) return true;
    }
  }
  return false;
}

// Numbers of the cases of a view, in order; and how many shown answers they have.
function find(data, view) {
  const { cases } = data;
  const arms = data.columns.map((c) => c[0]);
  const shown = Uint8Array.from(arms, (arm) => (view.arms.includes(arm) ? 1 : 0));
  const labels = data.judges.find((j) => j.id === view.judge).label;
  const label = place(data.labels, view.label);
  const where = place(arms, view.where);
  const from = arms.indexOf(view.from);
  const to = arms.indexOf(view.to);
  const fixed = FACTORS.map((f) => [cases[f], place(data.levels[f].map((l) => l[0]), view[f])]);
  fixed.push([cases.question, data.questions.findIndex((q) => data.questionKey(q) === view.question)]);
  fixed.push([cases.draw, view.draw === "" ? -1 : Number(view.draw)]);
  const tests = fixed.filter(([, wanted]) => wanted >= 0);
  const wanted = view.q.toLowerCase();
  const flags = wanted ? data.texts.holding(wanted) : null;
  const { column } = data.answers;
  const found = [];
  let nAnswers = 0;
  next: for (let c = 0; c < cases.model.length; c++) {
    for (const [codes, code] of tests) if (codes[c] !== code) continue next;
    const begin = cases.first[c];
    const end = cases.first[c + 1];
    let n = 0;
    let labelled = label < 0;
    for (let a = begin; a < end; a++) {
      if (shown[column[a]]) n += 1;
      if (labels[a] === label && (where < 0 ? shown[column[a]] : column[a] === where)) labelled = true;
    }
    if (!n || !labelled) continue;
    if (view.flip && !turns(data, labels, begin, end, from, to, view.flip)) continue;
    if (flags && !holds(data, flags, shown, begin, end)) continue;
    found.push(c);
    nAnswers += n;
  }
  return { cases: found, nAnswers };
}
