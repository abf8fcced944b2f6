/*
 * The engine of a page without a server: the network runs here, in a worker. See engine.js for the interface.
 *
 * The settings in page.json are those that `pannsdist export --format web` writes.
 */

import { EngineError } from "./engine.js";
import { refusal, remarks } from "./levels.js";

export async function open(settings) {
  const response = await fetch(settings.model);
  if (!response.ok) throw new EngineError(`${settings.model}: ${response.status}`, { status: response.status });
  return new Browser(settings, await response.json());
}

class Browser {
  takesThreshold = true;

  constructor(settings, record) {
    this.model = {
      name: settings.name,
      labels: record.labels,
      rateHz: record.input.rate_hz,
      multiLabel: record.multi_label,
      decides: Boolean(record.decisions),
    };
    this.worker = new Worker(new URL("browser-worker.js", import.meta.url), { type: "module" });
    this.worker.postMessage({ settings, record, base: document.baseURI });
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = (event) => this.fail(new Error(event.message || "the worker of the page did not start"));
    this.waiting = new Map();
    this.asked = 0;
    this.sounds = new WeakMap();
  }

  async models() {
    return [this.model];
  }

  async predict(sound, { signal }) {
    const { waveform, remarks } = await this.prepared(sound);
    return { ...(await this.ask({ task: "predict", waveform }, signal)), remarks };
  }

  async detect(sound, { threshold, signal }) {
    const { waveform, remarks } = await this.prepared(sound);
    const found = await this.ask({ task: "detect", waveform, threshold: threshold ?? null }, signal);
    return { events: found.events, remarks: [...remarks, ...found.remarks] };
  }

  /** A sound at the rate of the network, mono, and what is unusual about its levels; once for each sound. */
  prepared(sound) {
    if (!this.sounds.has(sound)) this.sounds.set(sound, this.prepare(sound));
    return this.sounds.get(sound);
  }

  async prepare(sound) {
    const { channels, rateHz } = await sound.decoded();
    const wrong = refusal(channels);
    if (wrong) throw new EngineError(wrong);
    const mono = meanOf(channels);
    const waveform = await this.ask({ task: "resample", waveform: mono, rateHz });
    return { waveform, remarks: remarks(channels, mono, waveform) };
  }

  ask(message, signal) {
    signal?.throwIfAborted();
    const id = (this.asked += 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...message });
      signal?.addEventListener("abort", () => {
        this.worker.postMessage({ cancelled: id });
        if (this.waiting.delete(id)) reject(signal.reason);
      });
    });
  }

  settle({ id, result, error }) {
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    if (!asked) return;
    if (!error) asked.resolve(result);
    else asked.reject(error.isAnswer ? new EngineError(error.message, { hint: error.hint }) : new Error(error.message));
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** The mean of the channels, added and divided as 32-bit floats: (S,). */
export function meanOf(channels) {
  if (channels.length === 1) return channels[0];
  const mono = channels[0].slice();
  for (const channel of channels.slice(1)) for (let i = 0; i < mono.length; i += 1) mono[i] += channel[i];
  for (let i = 0; i < mono.length; i += 1) mono[i] /= channels.length;
  return mono;
}
