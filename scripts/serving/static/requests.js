// Requests to the server, and what goes wrong with them, in words for the person at the page.

import { count, writeBytes } from "./dom.js";

const TOKEN = "lightfit-token"; // in the storage of this tab

/** What went wrong: `message` says what to do here, `said` is what the server wrote. */
export class Problem extends Error {
  constructor(message, { said = "", status = 0, retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { said, status, retryAfter });
  }

  /** Whether other inputs may fare better: the server works, and this input is at fault. */
  get ofInput() {
    return [400, 413, 415, 422].includes(this.status);
  }
}

export const keepToken = token => sessionStorage.setItem(TOKEN, token);

/** Ask the server and return what it answers, read as JSON unless `text` is asked for. */
export async function ask(path, { text = false, ...options } = {}) {
  const token = sessionStorage.getItem(TOKEN), headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
    if (answer.ok) return text ? await answer.text() : await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(
      "The server does not answer. It may have been stopped, or the connection is down: check that it runs, then try again.",
    );
  }
  throw new Problem(describe(answer.status), {
    said: await readProblem(answer), status: answer.status, retryAfter: Number(answer.headers.get("Retry-After")) || 0,
  });
}

async function readProblem(answer) {
  const body = await answer.text().catch(() => "");
  try {
    const held = JSON.parse(body), found = [held.detail, held.message, held.error].find(item => typeof item === "string");
    return found ?? JSON.stringify(held.detail ?? held);
  } catch {
    return body.startsWith("<") ? "" : body.slice(0, 500);
  }
}

function describe(status) {
  if (status === 401 || status === 403) return "This server asks for a token: enter the one that you were given.";
  if (status === 404) return "The server no longer has this model: reload the page.";
  if (status === 408 || status === 504) return "That took too long, and the server gave up: try again with fewer or smaller inputs.";
  if (status === 413) return "That is more than the server takes at once: choose fewer inputs, or smaller ones.";
  if (status === 415) return "The server does not read files of this kind: choose another one.";
  if (status === 429 || status === 503) return "The server is busy with other requests.";
  if (status >= 500) return "Something failed in the server, not in your input: try again, and tell whoever runs it if it stays.";
  return "The server cannot read this input.";
}

/** Say what to do about an input that cannot be predicted. */
export function explainInput(info, said, file) {
  const name = file ? `“${file.name}”` : "This text";
  if (/pixels/.test(said)) return `${name} has too many pixels for this server: reduce it, or cut it into pieces.`;
  if (info.domain === "images") return `${name} cannot be read as an image. Files in JPEG, PNG or WebP work: save it as one of these.`;
  if (info.domain === "series") {
    if (/column/.test(said)) return `${name} lacks a column. This model needs ${listColumns(info)}: name the columns of your table so.`;
    if (/at least .* rows/.test(said)) return `${name} has too few rows: the model looks back on ${count(info.input_shape[1])} steps, so add earlier ones.`;
    return `${name} cannot be forecast: see below what the server found, and mend the table.`;
  }
  if (info.domain === "text" && file) return `${name} cannot be read as texts. It may be a table with a column of texts (CSV, JSON, Parquet, Excel), or a file with a text on each line.`;
  if (info.domain === "text") return /empty/.test(said) ? "This text is empty: enter a few words." : "This text cannot be predicted.";
  return `${name} cannot be predicted.`;
}

/** Return the names of the columns that a table of series must have, as a list in words. */
export function listColumns({ columns }) {
  const names = [...columns.time, ...columns.series_id, ...columns.targets, ...columns.past, ...columns.known, ...columns.static];
  return names.length === 1 ? `the column ${names[0]}` : `the columns ${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** Return why a file is not even sent; empty if it may be. */
export function checkFile(info, file) {
  const most = info.limits?.bytes;
  if (!file.size) return `“${file.name}” is empty: choose another file.`;
  if (most && file.size > most) return `“${file.name}” has ${writeBytes(file.size)}, and this server takes at most ${writeBytes(most)}: choose a smaller file.`;
  return "";
}
