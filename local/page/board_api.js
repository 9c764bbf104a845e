// Questions about boards: a few at a time, the newest first to be heard, and taken back when superseded.

import { Unavailable } from "./api.js";

// A browser has six connections to a host, one of them is the live feed's.
const AT_ONCE = 4;

let running = 0;
const waiting = [];

function next() {
  while (running < AT_ONCE && waiting.length) {
    const start = waiting.shift();
    running += 1;
    start();
  }
}

function turn(signal) {
  return new Promise((resolve, reject) => {
    const start = () => (signal.aborted ? (release(), reject(signal.reason)) : resolve());
    waiting.push(start);
    next();
  });
}

function release() {
  running -= 1;
  next();
}

/** Parsed JSON of `POST path`; throws `Unavailable` with one sentence, or what `signal` was aborted with. */
export async function post(path, body, signal) {
  await turn(signal);
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    const found = await answer.json().catch(() => null);
    if (answer.ok && found && !found.error) return found;
    throw new Unavailable(String(found?.error ?? `the API answered ${answer.status}`).slice(0, 600));
  } catch (error) {
    if (error instanceof TypeError) throw new Unavailable("tollspan does not answer. Is `tollspan up` still running?");
    throw error;
  } finally {
    release();
  }
}

/** Whether an error is only that somebody no longer wants to know. */
export const takenBack = (error) => error?.name === "AbortError";

const path = (...parts) => `/api/boards/${parts.map(encodeURIComponent).join("/")}`;

/** What a board's own questions are sent to. */
export const askPanel = (uid, number, body, signal) => post(path(uid, "panels", String(number)), body, signal);
export const askOptions = (uid, name, body, signal) => post(path(uid, "variables", name), body, signal);
export const askMarks = (uid, body, signal) => post(path(uid, "annotations"), body, signal);
export const boardPath = (uid) => path(uid);
