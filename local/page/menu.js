// A filter's menu: a button, and under it a search field with the values.

import { data, el, put } from "./dom.js";
import { icon } from "./icons.js";

const MOST_SHOWN = 200;

let open = null;

/** A menu button `Label value ▾`, of `{label, values, chosen, choose, names, refresh}`.
 *
 * `values()` gives the choices known now and `refresh()` asks for newer ones when the menu opens;
 * `chosen()` is the present one, `names(value)` what a value is called. */
export function menu(of) {
  const { label, chosen, names } = of;
  const button = el("button", {
    type: "button",
    class: "pill",
    "aria-haspopup": "listbox",
    "aria-expanded": "false",
    onclick: () => (open?.owner === button ? close() : show(button, of)),
  });
  const draw = () => {
    const value = chosen();
    button.classList.toggle("set", Boolean(value));
    put(button, el("span", { class: "muted" }, label), " ", value ? data(names(value), 40) : null, icon("down"));
  };
  draw();
  return { button, draw };
}

/** Closes the open menu, if any; true when there was one. */
export function close() {
  if (!open) return false;
  const { box, owner } = open;
  open = null;
  box.remove();
  owner.setAttribute("aria-expanded", "false");
  owner.focus();
  return true;
}

function show(owner, of) {
  const { label, values, chosen, names, refresh } = of;
  close();
  const list = el("div", { role: "listbox", class: "choices", "aria-label": label });
  const search = el("input", {
    type: "search",
    class: "field",
    placeholder: `Find ${label.toLowerCase()}`,
    "aria-label": `Find ${label.toLowerCase()}`,
    autocomplete: "off",
    spellcheck: "false",
  });
  const box = el("div", { class: "menu" }, search, list);
  const choose = (value) => {
    close();
    of.choose(value);
  };
  const option = (value, text) =>
    el(
      "button",
      {
        type: "button",
        role: "option",
        class: "choice",
        tabindex: "-1",
        "aria-selected": String(value === (chosen() || "")),
        title: String(text).slice(0, 400),
        onclick: () => choose(value),
      },
      value === (chosen() || "") ? icon("check") : el("i", { class: "gap" }),
      data(text, 80),
    );
  const draw = () => {
    const wanted = search.value.toLowerCase();
    const all = values().filter((value) => String(names(value)).toLowerCase().includes(wanted));
    put(
      list,
      wanted === "" && option("", "All"),
      all.slice(0, MOST_SHOWN).map((value) => option(value, names(value))),
      all.length === 0 && el("p", { class: "muted none" }, "Nothing seen yet"),
      all.length > MOST_SHOWN && el("p", { class: "muted none" }, `${all.length - MOST_SHOWN} more: type to find them`),
    );
  };
  search.addEventListener("input", draw);
  box.addEventListener("keydown", (event) => walk(event, search, list));
  draw();
  open = { box, owner };
  owner.setAttribute("aria-expanded", "true");
  document.body.append(box);
  const at = owner.getBoundingClientRect();
  box.style.setProperty("--left", `${Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8))}px`);
  box.style.setProperty("--top", `${at.bottom + 4}px`);
  search.focus();
  refresh?.().then(() => open?.box === box && !list.contains(document.activeElement) && draw());
}

function walk(event, search, list) {
  const options = [...list.querySelectorAll("[role=option]")];
  const now = options.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) (options[now + step] ?? (step < 0 ? search : options[0]))?.focus();
  else if (event.key === "Enter" && now < 0) options[0]?.click();
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

document.addEventListener("pointerdown", (event) => {
  if (open && !open.box.contains(event.target) && !open.owner.contains(event.target)) close();
});
