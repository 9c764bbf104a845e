// What every chart over time has: its axes, deploy marks, crosshair, dragging to zoom, and the keyboard.

import { clip, svg } from "./dom.js";
import { named } from "./palette.js";
import { timeTicks } from "./scale.js";
import { moment } from "./units.js";

const AXIS = 20;
const TOP = 8;
const RIGHT = 10;

let canvas = null;

/** Width of a small text in px. */
export function measured(text) {
  canvas ??= document.createElement("canvas").getContext("2d");
  canvas.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return canvas.measureText(text).width;
}

/** The drawing of a time chart as `{node, plot}`.
 *
 * `of` is `{width, height, y, name, times, paint, read}`: `y` is `{ticks: [{at, label}], place(value)}`
 * with places from 0 (bottom) to 1, or `{labels: [{name, from, to}]}` for rows; `paint(plot)` gives the
 * SVG inside; `read(time, share)` what the tooltip says there, or null; `times` are the moments that the
 * keyboard stops at. */
export function timeChart(board, of) {
  const { width, height, y, name, times } = of;
  const { from, to } = board.range;
  const labels = (y.ticks ?? y.labels).map((one) => one.label);
  const left = Math.min(width * 0.4, Math.ceil(Math.max(20, ...labels.map((text) => measured(clip(text, 40))))) + 10);
  const plot = { left, top: TOP, right: Math.max(left + 10, width - RIGHT), bottom: height - AXIS };
  plot.width = plot.right - plot.left;
  plot.height = Math.max(10, plot.bottom - plot.top);
  plot.x = (time) => plot.left + ((time - from) / (to - from)) * plot.width;
  plot.y = (share) => plot.bottom - share * plot.height;
  plot.time = (x) => from + (Math.max(0, Math.min(plot.width, x - plot.left)) / plot.width) * (to - from);

  const ticks = timeTicks(from, to, plot.width, board.zone);
  const lines = svg(
    "g",
    { class: "rules" },
    (y.ticks ?? []).map((one) => rule(plot, plot.y(y.place(one.at)))),
    ticks.map((one) =>
      svg("path", { d: `M${px(plot.x(one.at))} ${plot.top}V${plot.bottom}`, class: one.day ? "newday" : "" }),
    ),
  );
  const words = svg("g", { class: "ticks" }, yLabels(plot, y), xLabels(plot, ticks));
  const cross = svg("path", { class: "cross", d: `M0 ${plot.top}V${plot.bottom}`, hidden: true });
  const chosen = svg("rect", { class: "chosen", y: plot.top, height: plot.height, hidden: true });
  const node = svg(
    "svg",
    {
      class: "chart",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "slider",
      tabindex: "0",
      "aria-label": `${name}: the arrow keys move through time, shift marks a range, enter zooms into it`,
      "aria-valuemin": String(from),
      "aria-valuemax": String(to),
      "aria-valuenow": String(to),
      "aria-valuetext": "no time chosen",
    },
    lines,
    svg(
      "svg",
      { x: plot.left, y: plot.top, width: plot.width, height: plot.height, class: "inside" },
      svg("g", { transform: `translate(${-plot.left} ${-plot.top})` }, of.paint(plot)),
    ),
    markLines(board, plot, Boolean(y.ticks)),
    words,
    chosen,
    cross,
  );
  node.append(svg("rect", { class: "catch", x: plot.left, y: plot.top, width: plot.width, height: plot.height }));
  const end = follow(board, of, node, plot, cross, chosen, times);
  return { node, plot, end };
}

const px = (value) => Math.round(value) + 0.5;
const rule = (plot, y) => svg("path", { d: `M${plot.left} ${px(y)}H${plot.right}` });

function yLabels(plot, y) {
  const at = (one) => (y.ticks ? plot.y(y.place(one.at)) : plot.y((one.from + one.to) / 2));
  return (y.ticks ?? y.labels).map((one) => {
    let text = clip(one.label, 60);
    while (text.length > 4 && measured(text) > plot.left - 10) text = `${text.slice(0, -2)}…`;
    return svg(
      "text",
      { x: plot.left - 7, y: at(one) + 4, class: "y" },
      text,
      text !== one.label && svg("title", null, clip(one.label, 300)),
    );
  });
}

function xLabels(plot, ticks) {
  return ticks.map((one) => {
    const half = measured(one.label) / 2;
    const x = Math.max(plot.left + half - 6, Math.min(plot.right + RIGHT - half - 1, plot.x(one.at)));
    return svg("text", { x, y: plot.bottom + 15, class: `x ${one.day ? "newday" : ""}` }, one.label);
  });
}

/** Deploys and the like: a dashed line each, in words where there is room before the next and nothing under them. */
function markLines(board, plot, inWords) {
  const marks = board.marks.filter((mark) => mark.time >= board.range.from && mark.time <= board.range.to);
  let free = -Infinity;
  return svg(
    "g",
    { class: "marks" },
    marks.map((mark) => {
      const x = px(plot.x(mark.time));
      const words = clip(mark.text, 60);
      const long = measured(words) + 8;
      const turned = x + long > plot.right;
      const start = turned ? x - long : x;
      const room = inWords && start > free && start >= plot.left;
      if (room) free = start + long + 4;
      return svg(
        "g",
        { vars: { "--c": named(mark.color) } },
        svg("path", { d: `M${x} ${plot.top}V${plot.bottom}` }),
        svg("path", { class: "flag", d: `M${x} ${plot.bottom}l-4 6h8z` }),
        room && svg("text", { x: turned ? x - 5 : x + 5, y: plot.top + 10, class: turned ? "turned" : "" }, words),
        svg(
          "title",
          null,
          `${clip(mark.name, 60)}: ${clip(mark.text, 300)}, ${moment(mark.time, { zone: board.zone })}`,
        ),
      );
    }),
  );
}

function near(board, plot, time) {
  const close = board.marks.find((mark) => Math.abs(plot.x(mark.time) - plot.x(time)) < 6);
  return close ? `${close.name}: ${close.text}` : null;
}

function follow(board, of, node, plot, cross, chosen, times) {
  const { cursor } = board;
  let drag = null;
  let at = -1;
  let anchor = null;
  const mine = (time) => {
    cross.toggleAttribute("hidden", time === null);
    if (time !== null) cross.setAttribute("transform", `translate(${px(plot.x(time))} 0)`);
  };
  const mark = (a, b) => {
    chosen.toggleAttribute("hidden", false);
    chosen.setAttribute("x", String(Math.min(a, b)));
    chosen.setAttribute("width", String(Math.abs(b - a)));
  };
  const unmark = () => {
    drag = anchor = null;
    chosen.toggleAttribute("hidden", true);
  };
  const leave = () => {
    cursor.clear();
    at = -1;
  };
  const place = (event) => {
    const box = node.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const zoom = (a, b) => {
    const [from, to] = [plot.time(Math.min(a, b)), plot.time(Math.max(a, b))].map(Math.round);
    unmark();
    leave();
    if (to - from >= 1000) board.zoom(from, to);
  };
  const say = (time, x, y, share) => {
    const found = of.read(time, share);
    cursor.point(found?.time ?? time, mine);
    if (!found) return cursor.tip.hide();
    cursor.tip.show({ ...found, note: near(board, plot, time) }, x, y);
    node.setAttribute("aria-valuenow", String(Math.round(found.time ?? time)));
    node.setAttribute(
      "aria-valuetext",
      [found.title, ...found.rows.map((row) => `${row.name} ${row.value}`)].join(", ").slice(0, 500),
    );
  };
  node.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (drag !== null) mark(drag, Math.max(plot.left, Math.min(plot.right, x)));
    if (x < plot.left - 4 || x > plot.right + 4 || y > plot.bottom + 4) return drag === null && leave();
    say(plot.time(x), event.clientX, event.clientY, (plot.bottom - y) / plot.height);
  });
  node.addEventListener("pointerleave", () => drag === null && leave());
  node.addEventListener("pointerdown", (event) => {
    const [x] = place(event);
    if (event.button !== 0 || x < plot.left || x > plot.right) return;
    drag = x;
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointerup", (event) => {
    const begun = drag;
    drag = null;
    const x = Math.max(plot.left, Math.min(plot.right, place(event)[0]));
    if (begun !== null && Math.abs(x - begun) > 5) zoom(begun, x);
    else unmark();
  });
  node.addEventListener("pointercancel", unmark);
  node.addEventListener("blur", () => (unmark(), leave()));
  node.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step || event.key === "Home" || event.key === "End") {
      if (times.length === 0) return;
      const last = times.length - 1;
      const before = at < 0 ? (step > 0 ? -1 : times.length) : at;
      at = event.key === "Home" ? 0 : event.key === "End" ? last : Math.max(0, Math.min(last, before + step));
      const x = plot.x(times[at]);
      if (event.shiftKey) mark((anchor ??= plot.x(times[Math.max(0, Math.min(last, before))])), x);
      else unmark();
      const box = node.getBoundingClientRect();
      say(times[at], box.left + x, box.top + plot.top, null);
    } else if (event.key === "Enter" && anchor !== null) zoom(anchor, plot.x(times[at]));
    else if (event.key === "Escape" && at >= 0) (unmark(), leave());
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return cursor.add(mine);
}
