// Inputs as requests: as many in one as the server takes, and each bad input by itself.

import { ask, checkFile, explainInput, Problem } from "./requests.js";

const MOST_RANKED = 20_000; // classes times inputs to ask for; beyond it, the ten most probable of each
const EXPLAINED = 16; // inputs that the server explains in one request
const ROOM = 2_000; // bytes of a request beside its files
const encoder = new TextEncoder();

/**
 * Predict inputs and call `found` with each result, in order: {input, name, prediction, history} or {input, name, problem}.
 *
 * An input is {text} or {file}. A table yields several results.
 */
export async function predictAll(info, inputs, { path, explain, signal, found }) {
  const jobs = [];
  for (const input of inputs) {
    const problem = input.file && checkFile(info, input.file);
    if (problem) jobs.push({ inputs: [input], problem: new Problem(problem) });
    else addTo(jobs, input, info, explain ? EXPLAINED : (info.limits?.inputs ?? 1000));
  }
  const queries = new URLSearchParams(chooseQueries(info, inputs.length, explain));
  while (jobs.length) {
    const job = jobs.shift();
    if (job.problem) {
      found({ input: job.inputs[0], name: nameOf(job.inputs[0]), problem: job.problem });
      continue;
    }
    try {
      const answer = await ask(`${path}?${queries}`, { method: "POST", signal, ...writeRequest(info, job.inputs) });
      tellApart(info, job.inputs, answer).forEach(found);
    } catch (error) {
      if (!(error instanceof Problem) || !error.ofInput) throw error;
      if (job.inputs.length > 1) jobs.unshift(...job.inputs.map(input => ({ inputs: [input] })));
      else found({ input: job.inputs[0], name: nameOf(job.inputs[0]), problem: ofInput(info, job.inputs[0], error) });
    }
  }
}

export const isTable = (info, input) => Boolean(input.file) && (info.domain === "series" || info.domain === "text");
const nameOf = input => (input.file ? input.file.name : input.text);
const sizeOf = input => (input.file ? input.file.size + ROOM : 6 * encoder.encode(input.text).length);

function addTo(jobs, input, info, most) {
  const last = jobs.at(-1), size = sizeOf(input);
  const fits = last && !last.problem && !isTable(info, input) && !isTable(info, last.inputs[0])
    && last.inputs.length < most && last.size + size < (info.limits?.bytes ?? Infinity);
  if (fits) {
    last.inputs.push(input);
    last.size += size;
  } else jobs.push({ inputs: [input], size });
}

function chooseQueries(info, numInputs, explain) {
  const names = info.classes?.length ?? 0;
  const queries = { top: names && names * numInputs > MOST_RANKED ? Math.min(names, 10) : Math.max(names, 1) };
  if (info.target?.kind === "numbers") queries.top = 1;
  if (info.domain === "series") queries.history = true;
  if (explain) queries.explain = true;
  return queries;
}

function writeRequest(info, inputs) {
  if (!inputs[0].file) {
    const body = JSON.stringify({ texts: inputs.map(input => input.text) });
    return { headers: { "Content-Type": "application/json" }, body };
  }
  const body = new FormData();
  inputs.forEach(({ file }) => body.append("file", file));
  return { body };
}

/** Return a result for each prediction of an answer. */
function tellApart(info, inputs, answer) {
  return answer.predictions.map((prediction, place) => {
    const table = isTable(info, inputs[0]), input = table ? inputs[0] : inputs[place];
    const several = table && answer.predictions.length > 1;
    const result = { input, prediction, name: nameOf(input), history: answer.history?.[place] ?? null };
    if (several) result.name = info.domain === "series" ? nameSeries(info, prediction, place) : `${nameOf(input)}, text ${place + 1}`;
    result.explanation = prediction.explanation ?? answer.explanations?.[place] ?? null;
    if (prediction.error) {
      const own = info.domain === "text" ? {} : input; // one text of a table, not all of the file
      result.problem = ofInput(info, own, new Problem("", { said: prediction.error }));
    }
    return result;
  });
}

function nameSeries(info, prediction, place) {
  const first = Array.isArray(prediction) ? prediction[0] : prediction;
  const ids = info.columns.series_id.map(name => first?.[name]).filter(id => id !== undefined && id !== null);
  return ids.length ? ids.join(", ") : `series ${place + 1}`;
}

function ofInput(info, input, error) {
  if (error.status === 413) return error;
  return new Problem(explainInput(info, error.said, input.file), { said: error.said, status: error.status });
}
