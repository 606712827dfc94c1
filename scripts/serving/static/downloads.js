// Results as files: a table for spreadsheets, and JSON for programs.

import { save } from "./dom.js";

/** Save results as a CSV: a row for each input, or for each step of a forecast. */
export function saveTable(results, file) {
  const rows = results.flatMap(({ input, name, prediction, problem }) => {
    if (problem) return [{ input: name, error: problem.said || problem.message }];
    return (Array.isArray(prediction) ? prediction : [prediction]).map(({ input: start, ...row }) =>
      ({ input: name, ...(input.file && start !== undefined ? { text: start } : {}), ...row }));
  });
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const lines = [columns, ...rows.map(row => columns.map(column => row[column]))].map(cells => cells.map(writeCell).join(","));
  save(`${file}.csv`, "text/csv", `\ufeff${lines.join("\r\n")}\r\n`); // the mark tells spreadsheets that it is UTF-8
}

/** Save results as JSON, as the server answered them. */
export function saveJson(results, file) {
  const held = results.map(({ name, prediction, problem, explanation }) => ({
    input: name,
    ...(problem ? { error: problem.said || problem.message } : { prediction }),
    ...(explanation && !problem ? { explanation: { ...explanation, picture: undefined } } : {}),
  }));
  save(`${file}.json`, "application/json", `${JSON.stringify(held, null, 2)}\n`);
}

/** Write a cell; a text that a spreadsheet would take for a formula gets an apostrophe before it. */
export function writeCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
