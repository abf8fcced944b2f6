/*
 * What answers the page: an engine. The page knows nothing of HTTP or ONNX beyond this interface.
 *
 * `page.json` beside index.html chooses: {"engine": "server"} takes server.js, {"engine": "browser", ...} browser.js; the
 * other keys are the engine's own. Such a module exports
 *
 *     open(settings) -> Promise<Engine>          settings: the content of page.json; nothing is asked of it yet
 *
 * An Engine has
 *
 *     models() -> Promise<Model[]>               at least one, the first is shown first
 *     predict(sound, request) -> Promise<Answer>
 *     detect(sound, request) -> Promise<Detection>
 *     setToken(text)                             only where an answer can have status 401; "" forgets it
 *     takesThreshold: boolean                    whether detect heeds request.threshold; without it the page has no field
 *
 * Model      {name, labels: string[], rateHz: number, multiLabel: boolean, decides: boolean}
 *            `decides`: calibrated, its answers have a decision
 * request    {model: string, threshold: number | null, signal: AbortSignal}
 *            model: a Model's name; threshold: the least probability of an event, null for the model's own rule
 * Answer     {scores: [label, probability][], decision: string[] | null, remarks: string[]}
 *            scores: highest first, every label or as many as the engine gives; decision: [] is "none of these", null
 *            that the model has none; remarks: sentences to show, such as "it is silent"
 * Detection  {events: Event[], remarks: string[]}        sorted by onset
 * Event      {label, onsetS: number, offsetS: number, score: number}
 * sound      a Sound of sound.js:
 *            sound.name: string
 *            sound.file: Blob                    the file as it was dropped, or a WAV file (float32) of a recording
 *            sound.decoded() -> Promise<Decoded> computed once; rejects with EngineError where the browser cannot
 * Decoded    {channels: Float32Array[], rateHz: number}  at the file's own rate: nothing was resampled or mixed
 *
 * Everything that an engine rejects with is an EngineError whose `message` is a sentence for the person at the page, in
 * English as the server's; `hint` says what would be right; `key` may name a text of strings.js that is shown in place of
 * the message, in the language of the page. Any other exception is a bug, and shown as one.
 */

const ENGINES = ["server", "browser"];

export class EngineError extends Error {
  /** `status` is that of HTTP where there is one, else 0; 401 makes the page ask for a token. */
  constructor(message, { hint = "", status = 0, key = "" } = {}) {
    super(message);
    this.name = "EngineError";
    this.key = key;
    this.hint = hint;
    this.status = status;
  }
}

/** The engine that `page.json` names. */
export async function openEngine() {
  const response = await fetch("page.json", { cache: "no-cache" });
  if (!response.ok) throw new EngineError(`page.json: ${response.status}`, { status: response.status });
  const settings = await response.json();
  if (!ENGINES.includes(settings.engine)) {
    throw new EngineError(`page.json names the engine '${settings.engine}'`, { hint: `one of ${ENGINES.join(", ")}` });
  }
  const module = await import(`./${settings.engine}.js`);
  return module.open(settings);
}
