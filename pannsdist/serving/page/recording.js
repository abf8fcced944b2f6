/* A recording with the microphone: float samples at the rate of the device, unprocessed. */

import { writeWav } from "./wav.js";

export const LONGEST_S = 60;
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
/** What suits a call, removes sounds that are to be recognised. */

/** Whether this page may ask for a microphone: browsers give it to https and to localhost only. */
export function canRecord() {
  return Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);
}

/** The browser's sign that the microphone is on goes out. */
function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

export class Recording {
  /** Asks for the microphone; rejects with DOMException: NotAllowedError, NotFoundError, NotReadableError. */
  static async start(onBlock) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: UNPROCESSED });
    try {
      const context = new AudioContext();
      await context.audioWorklet.addModule("recorder-worklet.js");
      await context.resume();
      return new Recording(stream, context, onBlock);
    } catch (error) {
      release(stream);
      throw error;
    }
  }

  /** `onBlock(seconds so far, peak of the block)` is called about twenty times a second. */
  constructor(stream, context, onBlock) {
    this.stream = stream;
    this.context = context;
    this.blocks = [];
    this.count = 0;
    this.node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    this.done = new Promise((resolve) => {
      this.node.port.onmessage = ({ data }) => {
        this.blocks.push(data.samples);
        this.count += data.samples.length;
        if (data.last) resolve();
        else onBlock(this.count / context.sampleRate, Math.max(...data.samples.map(Math.abs)));
      };
    });
    context.createMediaStreamSource(stream).connect(this.node);
  }

  /** The recording as a WAV file; the microphone is free afterwards. */
  async stop() {
    this.node.port.postMessage("end");
    await this.done;
    release(this.stream);
    await this.context.close();
    const samples = new Float32Array(this.count);
    let at = 0;
    for (const block of this.blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return writeWav(samples, this.context.sampleRate);
  }
}
