// The server's HTTP, with its refusals as errors that a visitor can read.

export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export const GONE = ["server_gone", "The server does not answer. Is it running?"];

/** The response; raises `Refused` with the server's own code and words, or `server_gone`. */
export async function ask(path, key) {
  let response;
  try {
    response = await fetch(path, { headers: key ? { "x-api-key": key } : {} });
  } catch {
    throw new Refused(...GONE);
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Refused(error?.code ?? `http_${response.status}`, error?.message ?? `The server answered ${response.status}.`);
}
