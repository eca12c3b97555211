// What the page asks of the service. Addresses are relative to the page, so that it works below a path too.
const MOST_TRIES = 20; // of a request that a busy service turns away
const USUAL_WAIT = 5; // s until the next try, where the service does not say

// An answer that is no success; its message is one line for people.
export class ServiceError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

function headersOf(token) {
  return token ? { authorization: `Bearer ${token}` } : {};
}

// The one line of an answer that is no success.
function errorOf(status, text) {
  try {
    const line = JSON.parse(text).error;
    if (typeof line === "string") return new ServiceError(status, line);
  } catch { /* not of this service: a proxy's page */ }
  return new ServiceError(status, `the service answered ${status}`);
}

async function checked(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new ServiceError(0, "the service cannot be reached");
  }
  if (!response.ok) throw errorOf(response.status, await response.text());
  return response;
}

// The models that answer; the first is the default.
export async function getModels(token) {
  return (await (await checked(fetch("models", { headers: headersOf(token) }))).json()).models;
}

// An answer as a file of a format, or (html) as the timeline of this page.
export async function convert(answer, format, token) {
  const headers = { "content-type": "application/json", ...headersOf(token) };
  const body = JSON.stringify(answer);
  for (let tries = 1; ; tries++) {
    try {
      return await (await checked(fetch(`convert?format=${format}`, { method: "POST", headers, body }))).blob();
    } catch (error) {
      if (error.status !== 429 || tries === MOST_TRIES) throw error;
      await pause(1000);
    }
  }
}

// {rows, seconds, notes} of a recording.
// progress: is called with the share that is sent, 1 while the answer is waited for, and with null and the seconds of a
// pause where the service is busy.
// signal: of an AbortController.
export async function diarize(file, name, fields, { token, progress, signal }) {
  for (let tries = 1; ; tries++) {
    const { status, text, wait } = await post(file, name, fields, token, progress, signal);
    if (status === 200) return JSON.parse(text);
    if (status !== 429 || tries === MOST_TRIES) throw errorOf(status, text);
    progress(null, wait);
    await pause(1000 * wait, signal);
  }
}

// XMLHttpRequest, since fetch does not tell how much is sent.
function post(file, name, fields, token, progress, signal) {
  return new Promise((resolve, reject) => {
    const form = new FormData(), request = new XMLHttpRequest(), stop = () => request.abort();
    for (const [key, value] of Object.entries(fields)) if (value) form.append(key, value);
    form.append("file", file, name);
    request.open("POST", "diarize");
    for (const [key, value] of Object.entries(headersOf(token))) request.setRequestHeader(key, value);
    request.upload.addEventListener("progress", event => progress(event.lengthComputable ? event.loaded / event.total : 0));
    request.upload.addEventListener("load", () => progress(1));
    request.addEventListener("load", () => resolve({
      status: request.status,
      text: request.responseText,
      wait: Math.min(60, Math.ceil(Number(request.getResponseHeader("retry-after"))) || USUAL_WAIT),
    }));
    request.addEventListener("error", () => reject(new ServiceError(0, "the service cannot be reached, or ended the upload")));
    request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", stop));
    signal.addEventListener("abort", stop);
    progress(0);
    request.send(form);
  });
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("cancelled", "AbortError"));
    }, { once: true });
  });
}
