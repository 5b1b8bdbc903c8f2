// One call: microphone (or recorded caller) -> worklet -> WebSocket -> worklet -> loudspeaker.

import { RecordedCaller } from "./caller.js";
import { audioFrame, decode, messageFrame } from "./rtvi.js";
import { ask, GONE, Refused } from "./server.js";

const RATE = 16000;
const MONITOR_GAIN = 0.5; // how loud the visitor hears the recorded caller
const WANTED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
const MICROPHONE_ERRORS = {
  NotAllowedError: ["microphone_refused", "The browser may not use the microphone. Allow it in the address bar, or let the recorded caller talk."],
  NotFoundError: ["no_microphone", "There is no microphone. Let the recorded caller talk instead."],
  NotReadableError: ["microphone_busy", "The microphone is in use by another program."],
};

/**
 * Events: `ready`, `message` (detail: type and data) and, once, `ended` (detail: the reason, a stable word, and what the
 * server has `told` about it, if it has).
 * `start` raises `Refused` if there is no call.
 */
export class Call extends EventTarget {
  constructor({ assistant, key, recorded }) {
    super();
    Object.assign(this, { assistant, key, recorded });
    this.over = false;
  }

  async start() {
    if (!window.isSecureContext) {
      throw new Refused("not_secure", "Browsers give sound to secure pages only: open this one by https or as localhost.");
    }
    try {
      await this.openAudio();
      await this.connect();
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Levels of the two sides now, 0 to 1. */
  get levels() {
    return this.meters ? this.meters.map(level) : [0, 0];
  }

  say(text) {
    this.send(messageFrame("send-text", { content: text, options: { run_immediately: true, audio_response: true } }));
  }

  hangUp() {
    this.reason ??= "you_hung_up";
    this.send(messageFrame("disconnect-bot"));
    this.socket?.close(1000);
    this.end();
  }

  // --- sound ---------------------------------------------------------------------------------------------------

  async openAudio() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.openWorklets();
    const mono = { channelCount: 1, channelCountMode: "explicit" };
    this.capture = new AudioWorkletNode(this.context, "capture", { ...mono, numberOfOutputs: 0 });
    this.capture.port.onmessage = ({ data }) => this.ready && this.send(audioFrame(data, RATE));
    this.playback = new AudioWorkletNode(this.context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.playback.connect(this.context.destination);
    const voice = await (this.recorded ? this.openCaller() : this.openMicrophone());
    voice.connect(this.capture);
    this.meters = [voice, this.playback].map((node) => this.meter(node));
    await this.context.resume();
  }

  async openWorklets() {
    try {
      await Promise.all(["capture", "playback"].map((name) => this.context.audioWorklet.addModule(`/static/${name}.js`)));
    } catch {
      throw new Refused(...GONE);
    }
  }

  async openMicrophone() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    } catch (error) {
      throw new Refused(...(MICROPHONE_ERRORS[error.name] ?? ["microphone_failed", `The microphone failed: ${error.message}`]));
    }
    this.stream.getAudioTracks()[0].onended = () => this.finish("microphone_lost");
    return this.context.createMediaStreamSource(this.stream);
  }

  async openCaller() {
    const voice = new GainNode(this.context);
    voice.connect(new GainNode(this.context, { gain: MONITOR_GAIN })).connect(this.context.destination);
    this.caller = new RecordedCaller(this.context, voice, this.assistant, this.key, () => this.hangUp());
    await this.caller.load();
    return voice;
  }

  meter(node) {
    const analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    node.connect(analyser);
    return analyser;
  }

  // --- the wire ------------------------------------------------------------------------------------------------

  async connect() {
    const answer = await ask(`/v1/talk/browser/call/${encodeURIComponent(this.assistant)}`, this.key);
    const { wsUrl } = await answer.json();
    const url = new URL(new URL(wsUrl).pathname, location.href); // the host that this page came from reaches us
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = ({ reason }) => this.finish(reason || (this.ready ? "connection_lost" : "connection_refused"));
    this.socket.onopen = () => this.send(messageFrame("client-ready", CLIENT));
  }

  send(frame) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(frame);
  }

  receive(data) {
    const frame = decode(data);
    if (frame?.pcm) this.playback.port.postMessage(frame);
    else if (frame) this.onMessage(frame.message);
  }

  onMessage({ type, data }) {
    if (type === "bot-ready") {
      this.ready = true;
      this.caller?.in(ANSWER_MS);
      this.dispatchEvent(new Event("ready"));
    } else if (type === "bot-started-speaking") {
      this.caller?.interrupted();
    } else if (type === "bot-stopped-speaking") {
      this.caller?.answered();
    } else if (type === "server-message" && data?.type === "call-ending") {
      this.told = data;
    } else if (type === "server-message" && data?.type === "interrupted") {
      this.playback.port.postMessage("flush");
    }
    this.dispatchEvent(new CustomEvent("message", { detail: { type, data } }));
  }

  // --- the end -------------------------------------------------------------------------------------------------

  finish(reason) {
    this.reason ??= reason;
    this.socket?.close();
    this.end();
  }

  end() {
    if (this.over) return;
    this.over = true;
    this.release();
    this.dispatchEvent(new CustomEvent("ended", { detail: { reason: this.reason, told: this.told } }));
  }

  release() {
    this.caller?.stop();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.meters = null;
  }
}

const ANSWER_MS = 5000; // an assistant without a greeting is spoken to after this time
const CLIENT = { version: "2.1.0", about: { library: "callboard-page" } };

/** Loudness of what an analyser hears, from -60 dB (0) to full scale (1). */
function level(analyser) {
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return power ? Math.max(0, Math.min(1, 1 + Math.log10(power) / 6)) : 0;
}
