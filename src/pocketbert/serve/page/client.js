// The server, asked over HTTP. Paths are relative, so that a proxy may put the server anywhere.

const KEY = "pocketbert key"; // in the storage of this tab, gone when it is closed
const HEADERS = { total: "x-total-time", queue: "x-queue-time", tokenising: "x-tokenization-time", inference: "x-inference-time" };

/** Why there is no answer: `status` as in HTTP, 0 where the server cannot be reached. */
export class Refusal extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export function setKey(value) {
  sessionStorage.setItem(KEY, value);
}

function authorisation() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function fetchText(path, options) {
  try {
    const response = await fetch(path, options);
    return [response, await response.text()];
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server cannot be reached. It has stopped, or the network between is down.");
  }
}

/** What the server says of a mistake, in its own words where it has some. */
function refusal(response, text) {
  let said = `The server answered ${response.status} ${response.statusText}`.trim();
  try {
    said = JSON.parse(text).error ?? said;
  } catch {
    // Not from the server itself, but from something in between.
  }
  const wait = response.headers.get("Retry-After");
  if (response.status === 401) said = authorisation().Authorization ? "The server does not take this API key." : "The server wants an API key.";
  return new Refusal(response.status === 429 && wait ? `${said} Try again in ${wait} s.` : said, response.status);
}

function figuresOf(response) {
  const read = (name) => response.headers.get(name);
  const times = Object.entries(HEADERS).filter(([, name]) => read(name) !== null);
  return {
    times: Object.fromEntries(times.map(([key, name]) => [key, Number(read(name))])),
    tokens: read("x-compute-tokens"),
    truncated: read("x-truncated"),
  };
}

/** The models that the server has. */
export async function fetchModels() {
  const [response, text] = await fetchText("models", { headers: authorisation(), cache: "no-store" });
  if (!response.ok) throw refusal(response, text);
  return JSON.parse(text);
}

/**
 * Send one request.
 *
 * @returns the reply; what its headers say of it; and the milliseconds until all of it was here.
 */
export async function send({ route, body }, signal) {
  const headers = { "Content-Type": "application/json", ...authorisation() };
  const start = performance.now();
  const [response, text] = await fetchText(route, { method: "POST", headers, body: JSON.stringify(body), signal });
  const milliseconds = performance.now() - start;
  if (!response.ok) throw refusal(response, text);
  return { reply: JSON.parse(text), milliseconds, ...figuresOf(response) };
}

const quoted = (value) => `'${value.replaceAll("'", "'\\''")}'`;

/** The same request for a command line; a key is not written out. */
export function asCurl({ route, body }) {
  const key = authorisation().Authorization ? ' \\\n  -H "Authorization: Bearer $API_KEY"' : "";
  const url = new URL(route, document.baseURI).href;
  return `curl ${quoted(url)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d ${quoted(JSON.stringify(body))}`;
}
