/* The engine of a server: requests to the `v1` beside this page. See engine.js for the interface. */

import { EngineError } from "./engine.js";

const KEY = "token";
const TOPK = 10;

export function open() {
  return new Server();
}

class Server {
  takesThreshold = true;

  /** Kept for this tab, by the browser's sessionStorage; "" forgets it. */
  setToken(token) {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  }

  async models() {
    const { models } = await this.ask("v1/models");
    return models.map((model) => ({
      name: model.name,
      labels: model.labels,
      rateHz: model.sample_rate_hz,
      multiLabel: model.multi_label,
      decides: model.has_decisions,
    }));
  }

  async predict(sound, request) {
    const [answer] = (await this.post("v1/predict", sound, request, { topk: TOPK })).results;
    const scores = answer.scores.map(({ label, score }) => [label, score]);
    return { scores, decision: answer.decision, remarks: remarksOf(answer) };
  }

  async detect(sound, request) {
    const rule = request.threshold === null ? {} : { threshold: request.threshold };
    const [answer] = (await this.post("v1/detect", sound, request, rule)).results;
    const events = answer.events.map((event) => ({
      label: event.label,
      onsetS: event.onset_s,
      offsetS: event.offset_s,
      score: event.score,
    }));
    return { events, remarks: remarksOf(answer) };
  }

  post(path, sound, { model, signal }, fields = {}) {
    const body = new FormData();
    body.append("file", sound.file, sound.name);
    for (const [name, value] of Object.entries({ model, ...fields })) body.append(name, value);
    return this.ask(path, { method: "POST", body, signal });
  }

  async ask(path, options = {}) {
    const token = sessionStorage.getItem(KEY);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // TypeError is fetch's word for no connection
      throw new EngineError("the server does not answer", { key: "unreachable" });
    }
    const content = await contentOf(response);
    if (response.ok) return content;
    throw new EngineError(content.error.message, { hint: content.error.hint, status: response.status });
  }
}

/** What is unusual about a sound, and of a file that is cut or damaged, how much of it was read. */
function remarksOf({ remarks, incomplete }) {
  if (!incomplete) return remarks;
  const of = incomplete.whole_s === null ? "" : ` of ${incomplete.whole_s} s`;
  return [...remarks, `only ${incomplete.read_s} s${of} could be read (${incomplete.reason})`];
}

async function contentOf(response) {
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) return response.json();
  // Not this server's: something between it and the page.
  throw new EngineError(`${response.status} ${response.statusText}`, { status: response.status });
}
