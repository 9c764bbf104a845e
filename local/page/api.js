// The JSON API, and the live feed that says when to ask it again.

/** A refusal or a failure of the API, with a sentence for people. */
export class Unavailable extends Error {}

/** Parsed JSON of `GET path`; throws `Unavailable` with one sentence. */
export function get(path, asked = null) {
  const text = asked?.toString();
  return send("GET", text ? `${path}?${text}` : path);
}

/** Parsed JSON of a request without a body, likewise. */
export async function send(method, path) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { accept: "application/json" } });
  } catch {
    throw new Unavailable("tollspan does not answer. Is `tollspan up` still running?");
  }
  let body = null;
  try {
    body = await answer.json();
  } catch {
    body = null;
  }
  if (answer.status === 401)
    throw new Unavailable("This page asks for a token: open it as /?token= followed by the value of TOLLSPAN_TOKEN.");
  if (!answer.ok || body === null)
    throw new Unavailable(String(body?.error ?? `the API answered ${answer.status}`).slice(0, 300));
  return body;
}

const POLL_MS = 2000;
const RETRY_MS = 5000;

/** Tells `onChange` when calls may have changed: by server-sent events, else every two seconds; `onGone` when some went.
 *
 * Hidden tabs give their connection back, because a browser allows six per host over HTTP/1.1. */
export class Live {
  constructor(onChange, onState, onGone) {
    Object.assign(this, { onChange, onState, onGone });
    this.state = "";
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.start()));
  }

  start() {
    this.stop();
    this.source = new EventSource("/api/live");
    this.source.addEventListener("open", () => {
      clearInterval(this.poll);
      this.poll = null;
      this.say("live");
      this.onChange();
    });
    this.source.addEventListener("calls", () => this.onChange());
    this.source.addEventListener("gone", () => this.onGone());
    this.source.addEventListener("error", () => {
      this.say("polling");
      this.poll ??= setInterval(() => this.onChange(), POLL_MS);
      if (this.source.readyState === EventSource.CLOSED) {
        clearTimeout(this.retry);
        this.retry = setTimeout(() => this.start(), RETRY_MS);
      }
    });
  }

  stop() {
    this.source?.close();
    clearInterval(this.poll);
    clearTimeout(this.retry);
    this.poll = null;
  }

  say(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }
}
