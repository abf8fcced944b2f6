/* Where the page computes: a worker, so that the page stays alive. browser.js asks it, one thing after the other. */

import { EngineError } from "./engine.js";
import { Network } from "./network.js";

let network;
let last = Promise.resolve();
const cancelled = new Set();

self.onmessage = ({ data }) => {
  if (data.settings) network = new Network(data.settings, data.record, data.base);
  else if (data.cancelled) cancelled.add(data.cancelled);
  else last = last.then(() => answer(data));
};

async function answer({ id, ...asked }) {
  try {
    const result = await network.answer(asked, () => isCancelled(id));
    self.postMessage({ id, result });
  } catch (error) {
    const isAnswer = error instanceof EngineError;
    const message = isAnswer ? error.message : `${error.name}: ${error.message}`;
    self.postMessage({ id, error: { isAnswer, message, hint: error.hint } });
  }
  cancelled.delete(id);
}

/** Lets messages in that have arrived meanwhile. */
async function isCancelled(id) {
  await new Promise((resolve) => setTimeout(resolve));
  return cancelled.has(id);
}
