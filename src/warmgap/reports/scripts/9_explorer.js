// The explorer: view, list and case joined; the address always says what is shown.
class Explorer {
  constructor(data) {
    this.data = data;
    this.first = firstView(data);
    this.view = { ...this.first };
    this.found = { cases: [], nAnswers: 0 };
    this.controls = new Controls(data, (part, how) => this.change(part, how));
    this.listing = new Listing(at("results"), data, (i, far) => this.choose(i, far));
    at("clear").addEventListener("click", () => this.change({ ...this.first, arms: this.view.arms, judge: this.view.judge }, "chosen"));
    at("before").addEventListener("click", () => this.listing.step(-1));
    at("after").addEventListener("click", () => this.listing.step(1));
    at("explorer").addEventListener("keydown", (event) => this.key(event));
    addEventListener("popstate", (event) => this.open(event.state));
  }

  // Take the view of the address; where that names none, the view this place of the history had.
  open(state) {
    const address = location.hash.startsWith(PLACE) ? location.hash : state?.view ?? "";
    const view = viewOf(address, this.first, this.data);
    if (view === null) return;
    this.view = view;
    this.filter();
    if (!state) at("explorer").scrollIntoView();
  }

  start() {
    if (location.hash.startsWith(PLACE)) this.open(null);
    else this.filter();
    history.replaceState({ view: addressOf(this.view, this.first) }, "");
  }

  change(part, how) {
    this.view = { ...this.view, ...part };
    this.filter();
    this.write(how === "typed" && this.typing ? "replace" : "push");
    this.typing = how === "typed";
  }

  filter() {
    this.found = find(this.data, this.view);
    const { cases } = this.found;
    const chosen = cases.indexOf(this.caseAt());
    this.controls.show(this.view);
    if (cases.length && chosen < 0) this.put(0);
    this.listing.show(cases, cases.length ? Math.max(0, chosen) : -1, this.view);
    this.say();
    this.detail();
  }

  // The number of the chosen case, -1 where the page has none of its name.
  caseAt() {
    const { first } = this.data.cases;
    if (this.view.at === "" || this.here !== undefined && caseName(this.data, this.here) === this.view.at) return this.here ?? -1;
    for (let c = 0; c < first.length - 1; c++) {
      if (caseName(this.data, c) === this.view.at) {
        this.here = c;
        return c;
      }
    }
    return -1;
  }

  put(i) {
    this.here = this.found.cases[i];
    this.view.at = caseName(this.data, this.here);
  }

  choose(i, far) {
    this.put(i);
    this.listing.mark(i);
    this.detail();
    this.write(far ? "push" : "replace");
    this.typing = false;
  }

  detail() {
    const { cases } = this.found;
    const i = this.listing.chosen;
    at("before").disabled = i <= 0;
    at("after").disabled = i < 0 || i >= cases.length - 1;
    at("place").textContent = i < 0 ? "" : count(i + 1) + " of " + count(cases.length);
    const link = addressOf(this.view, this.first);
    at("link").href = link;
    const box = at("case");
    box.dataset.wanted = i < 0 ? "" : this.view.at;
    if (i < 0) {
      box.replaceChildren(make("p", { class: "none" }, "No answer fits these filters."));
      return Promise.resolve();
    }
    return drawCase(this.data, cases[i], this.view, box);
  }

  say() {
    const { cases, nAnswers } = this.found;
    const pending = this.view.q && !this.data.texts.complete ? "; still unpacking, more may follow" : "";
    at("found").textContent = count(cases.length) + (cases.length === 1 ? " prompt, " : " prompts, ") + count(nAnswers)
      + (nAnswers === 1 ? " answer" : " answers") + pending;
  }

  write(how) {
    const address = addressOf(this.view, this.first);
    if (address === location.hash) return;
    if (how === "push") history.pushState({ view: address }, "", address);
    else history.replaceState({ view: address }, "", address);
  }

  // Letters are shortcuts only inside the explorer, and never while something is written or chosen.
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const field = event.target.closest("input[type=search], select");
    if (event.target === at("by-q") && (event.key === "Enter" || event.key === "ArrowDown")) {
      event.preventDefault();
      at("results").focus();
    }
    if (field) return;
    if (event.key === "j" || event.key === "k") this.listing.step(event.key === "j" ? 1 : -1);
    else if (event.key === "/") {
      event.preventDefault();
      at("by-q").focus();
      at("by-q").select();
    } else if (event.key === "Enter" && event.target === at("results")) {
      at("case-title")?.focus();
    } else if (event.key === "Escape" && at("case").contains(event.target)) at("results").focus();
  }
}

async function startExplorer() {
  if (!window.DecompressionStream) {
    at("explorer-needs").textContent = "The explorer needs a newer browser, one that can unpack compressed data.";
    return;
  }
  const data = await unpack(at("answers-index"));
  data.texts = new Texts(data.block_sizes);
  data.draws = [...new Set(data.cases.draw)].sort((a, b) => a - b).map(String);
  data.questionKey = (q) => data.levels.task[q[0]][0] + "/" + q[1];
  const explorer = new Explorer(data);
  at("explorer-body").hidden = false;
  at("explorer-needs").hidden = true;
  at("examples").hidden = true;
  explorer.start();
  await explorer.detail();
  performance.mark("explorer-ready");
  await data.texts.all();
  if (explorer.view.q) explorer.filter();
  performance.mark("explorer-complete");
}

if (at("explorer-body")) {
  startExplorer().catch((error) => {
    at("explorer-needs").hidden = false;
    at("explorer-needs").textContent = "The answers could not be unpacked: " + error.message;
  });
}
