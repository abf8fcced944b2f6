/* Collects the samples of the first channel of a microphone, as they are: MediaRecorder would compress them. */

const BLOCK = 2048;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
    this.ended = false;
    this.port.onmessage = () => this.end();
  }

  end() {
    this.ended = true;
    this.port.postMessage({ samples: this.block.slice(0, this.filled), last: true });
  }

  process([input]) {
    if (this.ended) return false;
    for (const sample of input[0] ?? []) {
      this.block[this.filled] = sample;
      this.filled += 1;
      if (this.filled === BLOCK) {
        this.port.postMessage({ samples: this.block.slice(), last: false });
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
