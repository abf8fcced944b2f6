/* The page: sounds come in, the engine is asked about one after the other, its answers are shown. */

import { Card, wordsOf } from "./card.js";
import { button, make } from "./dom.js";
import { openEngine } from "./engine.js";
import { silence } from "./player.js";
import { canRecord, LONGEST_S, Recording } from "./recording.js";
import { Sound } from "./sound.js";
import { describe, say, startSwitches } from "./wording.js";

const at = (id) => document.getElementById(id);
const cards = new Set();
let engine = null;
let models = [];
let queue = Promise.resolve();
let recording = null;
let recordings = 0;

/** What a screen reader says as soon as it is free. */
function announce(key, values = {}) {
  say(at("status"), key, values);
}

/* Models and token */

async function askModels() {
  at("trouble").replaceChildren();
  try {
    engine ??= await openEngine();
    models = await engine.models();
  } catch (error) {
    trouble(error);
    return;
  }
  at("token-form").hidden = true;
  at("model").replaceChildren(...models.map(({ name }) => make("option", { value: name, textContent: name })));
  at("model").disabled = models.length < 2;
  at("rule").hidden = !engine.takesThreshold;
  showModel();
  askAll();
}

function trouble(error) {
  if (error.status === 401) {
    at("token-form").hidden = false;
    at("token").focus();
  }
  const again = models.length || error.status === 401 ? [] : [say(button(askModels), "again")];
  at("trouble").replaceChildren(...wordsOf(error), ...again);
}

function showModel() {
  const { labels, rateHz, multiLabel, decides } = models.find(({ name }) => name === at("model").value);
  say(at("model-facts"), decides ? "model_calibrated" : "model_facts", {
    classes: labels.length,
    kind: { key: multiLabel ? "several_labels" : "one_label" },
    rate: rateHz,
  });
}

/* Sounds and answers */

function add(name, file) {
  const card = new Card(new Sound(name, file), { onRemove: remove, onAgain: ask });
  cards.add(card);
  at("cards").prepend(card.element);
  at("nothing").hidden = true;
  card.draw().catch((error) => at("trouble").replaceChildren(...wordsOf(error)));
  if (models.length) ask(card);
}

/** The number in the field, null while it is empty or out of its range. */
function threshold() {
  const { value, validity } = at("threshold");
  return value && validity.valid ? Number(value) : null;
}

function askAll() {
  for (const card of cards) ask(card);
}

/** Puts a sound at the end of the queue; what was asked about it before is dropped. */
function ask(card) {
  card.signal?.abort();
  card.signal = new AbortController();
  const request = { model: at("model").value, threshold: threshold(), signal: card.signal.signal };
  card.wait("waiting");
  queue = queue.then(() => answer(card, request));
}

async function answer(card, request) {
  if (request.signal.aborted) return;
  card.wait("asking");
  const { name } = card.sound;
  try {
    const [found, detection] = [await engine.predict(card.sound, request), await engine.detect(card.sound, request)];
    if (request.signal.aborted) return;
    card.answer(found, detection);
    const [[label, probability]] = found.scores;
    const said = found.decision?.length === 0 ? { key: "none_of_these" } : label;
    announce("answered", { name, label: said, probability: probability.toFixed(2), events: detection.events.length });
  } catch (error) {
    if (request.signal.aborted) return;
    card.fail(error);
    announce("answered_failed", { name });
    if (error.status === 401) trouble(error);
  }
}

function remove(card) {
  card.close();
  cards.delete(card);
  at("nothing").hidden = cards.size > 0;
  announce("removed", { name: card.sound.name });
  at("results").focus();
}

function take(files) {
  for (const file of files) add(file.name, file);
}

function drop(event) {
  event.preventDefault();
  at("drop").classList.remove("over");
  at("trouble").replaceChildren();
  for (const item of event.dataTransfer.items) {
    const file = item.getAsFile();
    if (!file) continue;
    if (item.webkitGetAsEntry()?.isDirectory) {
      at("trouble").append(say(make("p"), "folder_refused", { name: file.name }));
    } else {
      add(file.name, file);
    }
  }
}

/* Recording */

const REFUSALS = { NotAllowedError: "record_denied", NotFoundError: "record_missing" };

async function record() {
  if (recording) {
    await stopRecording();
    return;
  }
  silence();
  at("trouble").replaceChildren();
  at("record").disabled = true;
  try {
    recording = await Recording.start(showLevel);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    const key = REFUSALS[error.name] ?? "record_failed";
    at("trouble").replaceChildren(say(make("p"), key, { reason: error.message }));
    return;
  } finally {
    at("record").disabled = false;
  }
  say(at("record"), "stop");
  at("record").focus();
  at("recording").hidden = false;
  announce("record_started");
}

function showLevel(seconds, peak) {
  say(at("record-time"), "recording", { seconds: seconds.toFixed(1) });
  at("level").value = peak;
  if (seconds >= LONGEST_S && recording) stopRecording();
}

async function stopRecording() {
  const ended = recording;
  recording = null;
  say(at("record"), "record");
  at("recording").hidden = true;
  const file = await ended.stop();
  if (!ended.count) {
    at("trouble").replaceChildren(say(make("p"), "record_empty"));
    return;
  }
  recordings += 1;
  add(`recording_${recordings}.wav`, file);
}

/* The page itself */

function listen() {
  at("choose").addEventListener("click", () => at("files").click());
  at("files").addEventListener("change", () => {
    take(at("files").files);
    at("files").value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) at("drop").classList.remove("over");
  });
  document.addEventListener("drop", drop);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    silence();
    if (recording) stopRecording();
  });
  at("record").addEventListener("click", record);
  at("model").addEventListener("change", () => {
    showModel();
    askAll();
  });
  at("threshold").addEventListener("change", () => {
    if (at("threshold").reportValidity()) askAll();
  });
  at("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    engine.setToken(at("token").value);
    at("token").value = "";
    askModels();
  });
  window.addEventListener("unhandledrejection", ({ reason }) => at("trouble").replaceChildren(...wordsOf(reason)));
}

function start() {
  say(at("record-limit"), "record_limit", { seconds: LONGEST_S });
  startSwitches(at("language"), at("theme"), () => cards.forEach((card) => card.repaint()));
  at("record").hidden = at("record-limit").hidden = !canRecord();
  at("no-microphone").hidden = canRecord();
  describe(at("level"), "label", "record_started");
  listen();
  askModels();
}

start();
