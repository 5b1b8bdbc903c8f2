// The audio worklet of the assistant's side: a queue of PCM against jitter, which can be thrown away at once.

import { Resampler } from "./resampler.js";

const PRIME_S = 0.06; // so much is gathered before a pause ends
const FADE_S = 0.005; // a voice that is cut off must not click

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];
    this.at = 0; // of the next sample in the first block
    this.queued = 0; // samples
    this.waited = 0; // samples of silence since audio is there
    this.playing = false;
    this.fade = 0; // samples until a flush is silent
    this.port.onmessage = ({ data }) => (data === "flush" ? this.flush() : this.add(data));
  }

  add({ pcm, rate }) {
    if (rate !== this.rate) {
      this.rate = rate;
      this.resampler = new Resampler(rate, sampleRate);
    }
    if (this.fade) this.drop();
    const samples = this.resampler.process(Float32Array.from(pcm, (sample) => sample / 32768));
    this.queue.push(samples);
    this.queued += samples.length;
  }

  flush() {
    this.fade = this.playing ? FADE_S * sampleRate : 0;
    if (!this.fade) this.drop();
  }

  drop() {
    this.queue = [];
    this.at = this.queued = this.waited = this.fade = 0;
    this.playing = false;
  }

  process(_, [[output]]) {
    if (!this.playing && this.queued) {
      this.waited += output.length;
      this.playing = Math.max(this.queued, this.waited) >= PRIME_S * sampleRate;
    }
    if (this.playing) this.play(output);
    return true;
  }

  play(output) {
    for (let at = 0; at < output.length; at++) {
      if (!this.queued) return this.drop();
      output[at] = this.next() * (this.fade ? this.fade / (FADE_S * sampleRate) : 1);
      if (this.fade && --this.fade <= 0) return this.drop();
    }
  }

  next() {
    while (this.at === this.queue[0].length) {
      this.queue.shift();
      this.at = 0;
    }
    this.queued--;
    return this.queue[0][this.at++];
  }
}

registerProcessor("playback", Playback);
