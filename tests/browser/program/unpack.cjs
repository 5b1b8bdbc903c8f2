// Unpacks what the package holds beside this file: the program, and the libraries that a minimal system lacks.
const fs = require("node:fs");
const { execFileSync } = require("node:child_process");
const { brotliDecompressSync } = require("node:zlib");

const packed = (name) => brotliDecompressSync(fs.readFileSync(`node_modules/@sparticuz/chromium/bin/${name}.br`));
execFileSync("tar", ["--extract", "--no-same-owner"], { input: packed("al2023.tar") });
fs.writeFileSync("chromium.new", packed("chromium"), { mode: 0o755 });
fs.renameSync("chromium.new", "chromium"); // only whole
