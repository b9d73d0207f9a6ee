"use strict";
(() => {
  const sheet = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const place = "rewrite-sheet:" + sheet.sheet;
  let marks = sheet.pairs.map(() => ({ mark: "", note: "" }));
  let shown = 0;
  let storing = false;

  // Never called before a person acts: Chromium may bind a page that reads its storage while it is being
  // loaded to none, which takes what is written and forgets it.
  function canStore() {
    try {
      localStorage.setItem("rewrite-sheet:probe", "1");
      localStorage.removeItem("rewrite-sheet:probe");
      return true;
    } catch {
      return false;
    }
  }

  function kept() {
    let found = null;
    try {
      if (storing) found = JSON.parse(localStorage.getItem(place));
    } catch {
      found = null;
    }
    const fits = Array.isArray(found) && found.length === marks.length
      && found.every((m) => m && ["", "good", "bad"].includes(m.mark) && typeof m.note === "string");
    return fits ? found : marks;
  }

  function keep() {
    try {
      if (storing) localStorage.setItem(place, JSON.stringify(marks));
    } catch {
      at("storage").hidden = false;
    }
  }

  const n = (mark) => marks.filter((m) => m.mark === mark).length;

  function show(name) {
    for (const id of ["start", "check", "done"]) at(id).hidden = id !== name;
    window.scrollTo(0, 0);
    at(name + "-title").focus();
  }

  function fill(box, parts) {
    box.replaceChildren(...parts.map(([differs, text]) => {
      if (!differs) return document.createTextNode(text);
      const mark = document.createElement("mark");
      mark.textContent = text;
      return mark;
    }));
  }

  function counts() {
    const left = n("");
    at("count").textContent = marks.length - left + " of " + marks.length + " marked";
    at("progress").max = marks.length;
    at("progress").value = marks.length - left;
    at("save").disabled = left === marks.length;
    at("download").disabled = left === marks.length;
    at("done-title").textContent = left
      ? "The end: " + left + " of " + marks.length + (left === 1 ? " is" : " are") + " not marked"
      : "All pairs are marked";
    at("result").textContent = n("good") + " good, " + n("bad") + " bad.";
  }

  function go(to) {
    shown = to;
    counts();
    if (shown >= sheet.pairs.length) {
      show("done");
      return;
    }
    const pair = sheet.pairs[shown];
    at("check-title").textContent = "Pair " + (shown + 1) + " of " + sheet.pairs.length
      + ": does the rewrite say the same?";
    at("about").textContent = "Tone: " + pair.style + ". Message: " + pair.type;
    at("user").textContent = pair.user;
    fill(at("source"), pair.parts[0]);
    fill(at("text"), pair.parts[1]);
    at("note").value = marks[shown].note;
    for (const mark of ["good", "bad"]) at(mark).setAttribute("aria-pressed", marks[shown].mark === mark);
    at("back").disabled = shown === 0;
    show("check");
  }

  function give(mark) {
    marks[shown].mark = mark;
    keep();
    go(shown + 1);
  }

  // A cell that a spreadsheet would take for a formula gets a quote before it; marks.py takes it off.
  function cell(value) {
    const text = String(value);
    const safe = /^[=+\-@'\t\r]/.test(text) ? "'" + text : text;
    return /[",;\t\r\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  }

  function download() {
    const lines = [["sheet_id", "style", "id", "turn", "mark", "note", "text_key"]];
    sheet.pairs.forEach((p, i) => {
      if (marks[i].mark) lines.push([sheet.sheet, p.style, p.id, p.turn, marks[i].mark, marks[i].note, p.key]);
    });
    const csv = "\ufeff" + lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
    const url = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = "marks_" + sheet.sheet + ".csv";
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
  }

  function toPaper() {
    at("paper").replaceChildren(element("h1", "", "Rewrites to check, sheet " + sheet.sheet));
    sheet.pairs.forEach((pair, i) => {
      const article = document.createElement("article");
      const title = i + 1 + ". " + pair.style + ", " + pair.type + ": " + (marks[i].mark || "not marked");
      const texts = element("div", "texts", "");
      for (const parts of pair.parts) {
        const panel = element("div", "text panel", "");
        fill(panel, parts);
        texts.append(panel);
      }
      article.append(element("h2", "", title), element("div", "text user", pair.user), texts);
      if (marks[i].note) article.append(element("p", "text", "Note: " + marks[i].note));
      at("paper").append(article);
    });
  }

  at("begin").addEventListener("click", () => {
    storing = canStore();
    at("storage").hidden = storing;
    marks = kept();
    const first = marks.findIndex((m) => !m.mark);
    go(first < 0 ? marks.length : first);
  });
  at("note").addEventListener("input", () => {
    marks[shown].note = at("note").value;
    keep();
  });
  for (const mark of ["good", "bad"]) at(mark).addEventListener("click", () => give(mark));
  at("back").addEventListener("click", () => go(shown - 1));
  at("skip").addEventListener("click", () => go(shown + 1));
  at("again").addEventListener("click", () => go(Math.max(0, marks.findIndex((m) => !m.mark))));
  for (const id of ["save", "download"]) at(id).addEventListener("click", download);
  at("print").addEventListener("click", () => window.print());
  window.addEventListener("beforeprint", toPaper);
  document.addEventListener("keydown", (event) => {
    if (at("check").hidden || event.repeat || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    if (event.target === at("note")) {
      if (event.key === "Escape") at("check-title").focus();
      return;
    }
    const does = {
      1: () => give("good"), ArrowLeft: () => give("good"),
      2: () => give("bad"), ArrowRight: () => give("bad"),
      n: () => at("note").focus(),
      b: () => shown > 0 && go(shown - 1),
    }[event.key];
    if (does) {
      event.preventDefault();
      does();
    }
  });

  show("start");
})();
