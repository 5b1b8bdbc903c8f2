// Holds one call with the published RTVI client, unchanged but for its sound card: what it hears of the server is
// printed, a JSON line each. node client.cjs ENDPOINT KEY PCM_FILE (16-bit mono, 16 kHz: what its caller says)

const fs = require("node:fs");
const { createRequire } = require("node:module");
const { pathToFileURL } = require("node:url");
// All that the client needs of a browser.
globalThis.window = globalThis;
globalThis.WebSocket = class extends require("ws") {
  constructor(url, protocols) {
    super(url, protocols);
    this.binaryType = "blob";
  }
};

// Node.js 18 cannot require() an ES module, which the transport does: what it will ask for is laid into the cache.
const ES_MODULES = ["x-law"];
const TRANSPORT = "@pipecat-ai/websocket-transport";

async function loadClient() {
  const within = createRequire(require.resolve(TRANSPORT));
  for (const name of ES_MODULES) {
    const path = within.resolve(name);
    require.cache[path] = { id: path, filename: path, loaded: true, exports: await import(pathToFileURL(path)) };
  }
  return { ...require("@pipecat-ai/client-js"), ...require(TRANSPORT) };
}

const [endpoint, key, file] = process.argv.slice(2);
const BLOCK = 512 * 2; // bytes, as the client's own recorder makes them
const say = (event, data = null) => console.log(JSON.stringify({ event, data }));

/** A microphone that is silent until told to speak, and a loudspeaker that counts. */
class SoundCard {
  samples = 0;
  pcm = Buffer.alloc(0);
  setUserAudioCallback(callback) { this.callback = callback; }
  setClientOptions() {}
  async initialize() {}
  async connect() {
    this.timer = setInterval(() => {
      const block = Buffer.alloc(BLOCK);
      this.pcm.copy(block);
      this.pcm = this.pcm.subarray(BLOCK);
      this.callback(block.buffer.slice(block.byteOffset, block.byteOffset + BLOCK));
    }, 32);
  }
  async disconnect() { clearInterval(this.timer); }
  speak(pcm) { this.pcm = pcm; }
  bufferBotAudio(audio) { this.samples += audio.length; }
  async userStartedSpeaking() {}
  async getAllMics() { return []; }
  async getAllCams() { return []; }
  async getAllSpeakers() { return []; }
  updateMic() {}
  updateCam() {}
  updateSpeaker() {}
  get selectedMic() { return {}; }
  get selectedCam() { return {}; }
  get selectedSpeaker() { return {}; }
  enableMic() {}
  enableCam() {}
  get isMicEnabled() { return true; }
  get isCamEnabled() { return false; }
  tracks() { return { local: {} }; }
}

async function main() {
  const { PipecatClient, RTVIEvent, WebSocketTransport } = await loadClient();
  const card = new SoundCard();
  const client = new PipecatClient({ transport: new WebSocketTransport({ mediaManager: card }), enableMic: true, enableCam: false });
  const next = (event) => new Promise((resolve) => client.once(event, resolve));
  for (const name of ["UserStartedSpeaking", "UserStoppedSpeaking", "BotStartedSpeaking", "BotStoppedSpeaking"]) {
    client.on(RTVIEvent[name], () => say(name));
  }
  for (const name of ["UserTranscript", "BotTranscript", "BotTtsText", "Metrics", "Error"]) {
    client.on(RTVIEvent[name], (data) => say(name, data));
  }
  // Of an answer its end and its text come in two messages, so that the text of the last one may come after its end.
  const told = (words) => new Promise((resolve) => {
    client.on(RTVIEvent.BotTranscript, (data) => data.text.includes(words) && resolve());
  });
  const greeted = next(RTVIEvent.BotStoppedSpeaking);
  const headers = new Headers({ "x-api-key": key });
  say("ready", await client.startBotAndConnect({ endpoint, headers }));
  await greeted;

  const answered = next(RTVIEvent.BotStoppedSpeaking);
  const hours = told("open from six");
  card.speak(fs.readFileSync(file));
  await answered;
  await hours;
  say("heard", { samples: card.samples });

  const joke = told("stage");
  await client.sendText("tell me a joke");
  await joke;
  say("refused", await client.sendClientRequest("sing", {}).catch((error) => error.data ?? error.message));

  const sorry = told("Sorry");
  await client.sendDTMF("42#");
  await sorry;

  await client.disconnectBot();
  await client.disconnect();
  say("done");
  process.exit(0);
}

main().catch((error) => {
  say("failed", String(error?.stack ?? error));
  process.exit(1);
});
