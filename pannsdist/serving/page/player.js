/* Playing a sound or a part of it; one at a time on the page. */

let playing = null;

/** Stop whatever is heard. */
export function silence() {
  playing?.pause();
}

export class Player {
  /** `onTime(seconds)` follows the cursor, `onState(isPlaying)` the button, `onFailure()` says that nothing is heard. */
  constructor(file, { onTime, onState, onFailure }) {
    this.url = URL.createObjectURL(file);
    this.audio = new Audio(this.url);
    this.audio.preload = "auto";
    this.endS = Infinity;
    this.onTime = onTime;
    this.audio.addEventListener("play", () => {
      playing = this;
      onState(true);
      this.follow();
    });
    this.audio.addEventListener("pause", () => onState(false));
    this.audio.addEventListener("error", onFailure);
    for (const name of ["timeupdate", "seeked"]) this.audio.addEventListener(name, () => this.shown());
  }

  get durationS() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration : 0;
  }

  /** From `fromS` (without it, from where it stands) to `toS`. */
  async play(fromS = null, toS = Infinity) {
    if (playing !== this) silence();
    if (fromS !== null) this.audio.currentTime = fromS;
    this.endS = toS;
    try {
      await this.audio.play();
    } catch (error) {
      // A pause before the first sample, or a file that does not play, of which `error` was told.
      if (!["AbortError", "NotSupportedError"].includes(error.name)) throw error;
    }
  }

  pause() {
    this.audio.pause();
  }

  toggle() {
    if (this.audio.paused) this.play();
    else this.pause();
  }

  seek(seconds) {
    this.endS = Infinity;
    this.audio.currentTime = seconds;
  }

  close() {
    this.pause();
    this.audio.removeAttribute("src");
    URL.revokeObjectURL(this.url);
  }

  /** Moves with every frame of the screen, or with less motion four times a second, by `timeupdate`. */
  follow() {
    if (this.audio.paused) return;
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.shown();
    if (this.audio.currentTime >= this.endS) {
      this.pause();
      this.seek(this.endS);
    }
    requestAnimationFrame(() => this.follow());
  }

  shown() {
    this.onTime(this.audio.currentTime);
  }
}
