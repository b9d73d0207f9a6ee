// Foreign text stays text: every character reaches the page through textContent, none as markup.
const at = (id) => document.getElementById(id);
const CLIP = 4000;
// Kept: line breaks, tabs, and the joiners that scripts and emoji need (reports/formats.py, visible).
const HIDDEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const GROUPS = new Intl.NumberFormat("en-US");

// Control characters, and invisible ones such as those that turn the direction of text, by code point.
function visible(text) {
  return text.replace(HIDDEN, (c) => "\u27e8U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9");
}

const count = (n) => (n < 10000 ? String(n) : GROUPS.format(n));
const signed = (value, digits) => {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "\u2212" : "") + text;
};

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// The first `most` characters, never half of a pair of code units.
function clipped(text, most) {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}

// Text with the places marked where a search found something.
function fill(node, text, wanted) {
  node.textContent = "";
  const lower = text.toLowerCase();
  let done = 0;
  if (wanted && lower.length === text.length) {
    for (let i = lower.indexOf(wanted); i >= 0; i = lower.indexOf(wanted, done)) {
      node.append(visible(text.slice(done, i)), make("mark", {}, visible(text.slice(i, i + wanted.length))));
      done = i + wanted.length;
    }
  }
  node.append(visible(text.slice(done)));
}

// A box of foreign text: long text is clipped until a reader asks for all of it.
function textBox(text, label, wanted) {
  const box = make("div", { class: "foreign", dir: "auto" });
  if (text.trim() === "") {
    box.classList.add("empty");
    box.textContent = text === "" ? "(empty)" : "(only white space)";
    return [box];
  }
  fill(box, clipped(text, CLIP), wanted);
  if (text.length <= CLIP) return [box];
  const all = "Show all " + count(text.length) + " characters";
  const button = make("button", { type: "button", class: "more", "aria-expanded": "false", "aria-label": all + " of " + label }, all);
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Show less" : all;
    button.setAttribute("aria-label", button.textContent + " of " + label);
    fill(box, open ? text : clipped(text, CLIP), wanted);
  });
  return [box, button];
}
