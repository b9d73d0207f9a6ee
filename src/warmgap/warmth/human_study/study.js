"use strict";
(() => {
  const study = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  let rater = null;
  let answers = [];
  let shownAt = 0;
  let storing = false;

  const place = () => "human-study:" + study.study + ":" + rater;

  // Never called before a person acts: Chromium may bind a page that reads its storage while it is being
  // loaded to none, which takes what is written and forgets it.
  function canStore() {
    try {
      localStorage.setItem("human-study:probe", "1");
      localStorage.removeItem("human-study:probe");
      return true;
    } catch {
      return false;
    }
  }

  // Only a list of answers that fits this rater's pairs in order is taken from what the browser kept.
  function kept() {
    if (!storing) return [];
    let found;
    try {
      found = JSON.parse(localStorage.getItem(place()));
    } catch {
      return [];
    }
    if (!Array.isArray(found) || found.length > study.slots[rater].length) return [];
    const fits = found.every(
      (a, i) => a && a.pair === study.slots[rater][i] && (a.chosen === "left" || a.chosen === "right")
        && typeof a.seconds === "number"
    );
    return fits ? found : [];
  }

  function keep() {
    if (!storing) return;
    try {
      localStorage.setItem(place(), JSON.stringify(answers));
    } catch {
      at("storage").hidden = false;
    }
  }

  function show(name) {
    for (const id of ["start", "rate", "done"]) at(id).hidden = id !== name;
    window.scrollTo(0, 0);
    at(name + "-title").focus();
  }

  function setText(id, text) {
    const box = at(id);
    const empty = text.trim() === "";
    box.textContent = empty ? "(an empty reply)" : text;
    box.classList.toggle("empty", empty);
  }

  function next() {
    const order = study.slots[rater];
    if (answers.length === order.length) {
      show("done");
      return;
    }
    const pair = study.pairs[order[answers.length]];
    at("rate-title").textContent = "Pair " + (answers.length + 1) + " of " + order.length
      + ": which reply is warmer?";
    at("count").textContent = answers.length + " of " + order.length + " rated";
    at("progress").max = order.length;
    at("progress").value = answers.length;
    at("prompt").textContent = pair.prompt;
    setText("left-text", pair.left);
    setText("right-text", pair.right);
    at("back").disabled = answers.length === 0;
    at("save").disabled = answers.length === 0;
    shownAt = performance.now();
    show("rate");
  }

  function choose(side) {
    const seconds = Math.round((performance.now() - shownAt) / 100) / 10;
    answers.push({ pair: study.slots[rater][answers.length], chosen: side, seconds });
    keep();
    next();
  }

  function back() {
    answers.pop();
    keep();
    next();
  }

  function download() {
    const lines = ["study_id,rater,position,pair_id,chosen,seconds"];
    answers.forEach((a, i) => lines.push([study.study, rater, i + 1, a.pair, a.chosen, a.seconds].join(",")));
    const url = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = "ratings_" + study.study + "_" + rater + ".csv";
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const code = at("code").value.trim().toLowerCase();
    if (!Object.hasOwn(study.slots, code)) {
      at("code-error").textContent = "There is no rater code \"" + code + "\". Please check it.";
      at("code").setAttribute("aria-invalid", "true");
      at("code").focus();
      return;
    }
    rater = code;
    storing = canStore();
    at("storage").hidden = storing;
    answers = kept();
    next();
  });
  at("left").addEventListener("click", () => choose("left"));
  at("right").addEventListener("click", () => choose("right"));
  for (const id of ["back", "again"]) at(id).addEventListener("click", back);
  for (const id of ["save", "download"]) at(id).addEventListener("click", download);
  document.addEventListener("keydown", (event) => {
    if (at("rate").hidden || event.repeat || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      choose(event.key === "ArrowLeft" ? "left" : "right");
    }
  });

  show("start");
})();
