// The recorded caller: says one of the assistant's sentences after each answer, for those who have no microphone.

import { ask } from "./server.js";

const PAUSE_MS = 700; // after the assistant's last sound
const PATIENCE_MS = 8000; // without an answer it goes on
const FAREWELL_MS = 8000; // after the last sentence the assistant should hang up

export class RecordedCaller {
  /** `output` is the audio node that it speaks into; `done` is called when it has nothing left to say. */
  constructor(context, output, assistant, key, done) {
    Object.assign(this, { context, output, key, done });
    this.query = new URLSearchParams({ assistant });
    this.next = 0;
  }

  async load() {
    const { sentences } = await (await ask(`/v1/caller?${this.query}`, this.key)).json();
    this.sentences = await Promise.all(sentences.map((_, number) => this.fetch(number)));
  }

  async fetch(number) {
    const response = await ask(`/v1/caller/${number}?${this.query}`, this.key);
    return this.context.decodeAudioData(await response.arrayBuffer());
  }

  /** The assistant is silent: it is our turn, unless it goes on. */
  answered() {
    this.in(PAUSE_MS);
  }

  /** The assistant speaks: we wait. */
  interrupted() {
    clearTimeout(this.timer);
  }

  in(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.speak(), delay);
  }

  speak() {
    if (this.source) return;
    if (this.next === this.sentences.length) return this.done();
    this.source = new AudioBufferSourceNode(this.context, { buffer: this.sentences[this.next++] });
    this.source.connect(this.output);
    this.source.onended = () => {
      this.source = null;
      this.in(this.next < this.sentences.length ? PATIENCE_MS : FAREWELL_MS);
    };
    this.source.start();
  }

  stop() {
    clearTimeout(this.timer);
    if (this.source) {
      this.source.onended = null;
      this.source.stop();
    }
  }
}
