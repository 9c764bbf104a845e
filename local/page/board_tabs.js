// The boards side by side; a change of board keeps the time and the filters.

import { boardAddress } from "./board_address.js";
import { data, el, put } from "./dom.js";

/** A board's title without the name of the project, which stands on the page already. */
export const shortTitle = (title) => String(title).replace(/^Tollspan: /, "");

/** Draws `boards` `[{uid, title, description}]` into `nav`; `state` is what the address says now. */
export function drawTabs(nav, boards, state) {
  // A trace belongs to its own board alone, and so do its rows and the panel that fills the page.
  const values = Object.fromEntries(Object.entries(state?.values ?? {}).filter(([name]) => name !== "trace_id"));
  const carried = { ...state, values, view: null, rows: [] };
  put(
    nav,
    boards.map(({ uid, title, description }) =>
      el(
        "a",
        {
          href: boardAddress({ ...carried, uid }),
          title: description,
          "aria-current": uid === state?.uid ? "page" : null,
        },
        data(shortTitle(title), 40),
      ),
    ),
  );
}
