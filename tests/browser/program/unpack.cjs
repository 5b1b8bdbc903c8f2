// Unpacks what the package holds beside this file: the program, and the libraries and fonts that a minimal system lacks.
const fs = require("node:fs");
const { execFileSync } = require("node:child_process");
const { brotliDecompressSync } = require("node:zlib");

const packed = (name) => brotliDecompressSync(fs.readFileSync(`node_modules/@sparticuz/chromium/bin/${name}.br`));
for (const [name, folder] of [["al2023.tar", "lib"], ["fonts.tar", "fonts"]])
  execFileSync("tar", ["--extract", "--no-same-owner", folder], { input: packed(name) });
fs.writeFileSync("chromium.new", packed("chromium"), { mode: 0o755 });
fs.renameSync("chromium.new", "chromium"); // only whole
