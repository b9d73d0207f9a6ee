// A view: what is filtered, shown and chosen, as plain texts; and its form in the address.
const PLACE = "#explorer?";
const FACTORS = ["model", "task", "framing", "belief"];

// The view that a page opens with.
function firstView(data) {
  const { columns, pair } = data;
  let arms = columns.map((_, i) => i);
  if (arms.length > 6) {
    const own = ["original", "agree_prompt"].map((name) => columns.findIndex((c) => c[0].split(",")[0] === name));
    arms = arms.filter((i) => pair.includes(i) || own.includes(i));
    if (!arms.length) arms = [0, 1, 2, 3, 4, 5];
  }
  const to = pair[1] >= 0 ? pair[1] : columns.length - 1;
  const from = pair[0] >= 0 && pair[0] !== to ? pair[0] : 0;
  return {
    q: "", model: "", task: "", question: "", framing: "", belief: "", draw: data.draws.length > 1 ? "0" : "",
    judge: data.judges[0].id, flip: "", from: columns[from][0], to: columns[to][0], label: "", where: "",
    arms: arms.map((i) => columns[i][0]), at: "",
  };
}

// Only what differs from the first view stands in the address.
function addressOf(view, first) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    if (name === "arms") {
      if (value.join("\n") !== first.arms.join("\n")) value.forEach((arm) => parts.append("arms", arm));
    } else if (value !== first[name]) parts.set(name, value);
  }
  return PLACE + parts;
}

// The view of an address, null for an address of something else. Unknown values are dropped.
function viewOf(address, first, data) {
  if (!address.startsWith(PLACE)) return null;
  const parts = new URLSearchParams(address.slice(PLACE.length));
  const view = { ...first };
  const arms = data.columns.map((c) => c[0]);
  const known = {
    ...Object.fromEntries(FACTORS.map((f) => [f, data.levels[f].map((l) => l[0])])),
    judge: data.judges.map((j) => j.id), flip: ["lost", "won", "any"], from: arms, to: arms,
    label: data.labels, where: arms, draw: data.draws,
    question: data.questions.map((q) => data.questionKey(q)),
  };
  for (const [name, value] of parts) {
    if (!Object.hasOwn(first, name) || name === "arms") continue;
    if (!Object.hasOwn(known, name) || value === "" || known[name].includes(value)) view[name] = value;
  }
  if (view.judge === "") view.judge = first.judge;
  if (parts.has("arms")) view.arms = arms.filter((arm) => parts.getAll("arms").includes(arm));
  return view;
}
