// A box under a button: one at a time, closed by Escape, by a click elsewhere, or by its own doing.

import { el } from "./dom.js";

let open = null;

/** Closes the open box, if any; true when there was one. */
export function closePopover({ focus = true } = {}) {
  if (!open) return false;
  const { box, owner, onClose } = open;
  open = null;
  box.remove();
  owner.setAttribute("aria-expanded", "false");
  if (focus) owner.focus({ preventScroll: true });
  onClose?.();
  return true;
}

/** Shows `children` under `owner`; a second call for the same owner closes it.
 *
 * `onClose` runs however the box is closed. Returns the box, or null when it was only closed. */
export function popover(owner, { label, wide = false, right = false, onClose = null }, ...children) {
  const again = open?.owner === owner;
  closePopover({ focus: again });
  if (again) return null;
  const box = el("div", { class: `popover ${wide ? "wide" : ""}`, role: "dialog", "aria-label": label }, children);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      closePopover();
      event.preventDefault();
    }
    event.stopPropagation();
  });
  open = { box, owner, onClose };
  owner.setAttribute("aria-expanded", "true");
  document.body.append(box);
  const at = owner.getBoundingClientRect();
  const left = right ? at.right - box.offsetWidth : at.left;
  box.style.setProperty("--left", `${Math.max(8, Math.min(left, innerWidth - box.offsetWidth - 8))}px`);
  const below = at.bottom + 4;
  box.style.setProperty(
    "--top",
    `${below + box.offsetHeight > innerHeight - 8 ? Math.max(8, innerHeight - box.offsetHeight - 8) : below}px`,
  );
  return box;
}

document.addEventListener("pointerdown", (event) => {
  if (open && !open.box.contains(event.target) && !open.owner.contains(event.target)) closePopover({ focus: false });
});
