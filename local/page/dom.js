// Elements, made without markup: data enters the page as text nodes and attributes only.

const SVG = "http://www.w3.org/2000/svg";

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "class") node.setAttribute("class", value);
  else if (name === "vars") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
  else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else node.setAttribute(name, value === true ? "" : String(value));
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) set(node, name, value);
  node.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element. `vars` are CSS custom properties, `on…` are listeners; children are nodes or text. */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, same arguments. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Text from outside, isolated so that right-to-left marks in it cannot reorder what stands beside it. */
export function data(value, longest = 120) {
  return el("bdi", null, clip(value, longest));
}

// Control characters, and the marks that turn text around: shown as a sign, never obeyed.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** At most `longest` characters of a text; a name of 10 kB must not be laid out in every row. */
export function clip(value, longest) {
  const text = String(value).replace(UNSAFE, "\ufffd");
  if (text.length <= longest) return text;
  return `${Array.from(text.slice(0, longest * 2))
    .slice(0, longest)
    .join("")}…`;
}

/** Puts `children` in place of what `node` holds. */
export function put(node, ...children) {
  node.replaceChildren(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A button that copies `text()` and says so. */
export function copyButton(text, label, icon, done) {
  const button = el("button", { type: "button", class: "quiet copy", "aria-label": label, title: label }, icon());
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    await copied(text());
    button.classList.add("done");
    put(button, done());
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      button.classList.remove("done");
      button.setAttribute("aria-label", label);
      put(button, icon());
    }, 1500);
  });
  return button;
}

async function copied(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Off loopback over plain HTTP there is no clipboard API; the old command still works there.
  const area = el("textarea", { class: "offscreen", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
