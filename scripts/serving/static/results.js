// Results on the page: labels with their probabilities, numbers with their intervals, forecasts, explanations.

import { chart } from "./chart.js";
import { count, make, percent, plural, write, writeTime } from "./dom.js";
import { explained, listTimes } from "./explanations.js";

const RANKED = 5; // labels to show of each input, until all are asked for
let numTables = 0; // made so far
const LONG = 280; // letters of a text from which it is folded

/** Return the element of one result. */
export function show(info, result) {
  const { prediction, problem, explanation } = result;
  const item = make("li", { className: "card result" }, showInput(info, result));
  if (problem) item.append(showProblem(problem));
  else if (Array.isArray(prediction)) item.append(...showForecast(info, result));
  else if ("label" in prediction) item.append(showLabels(info, prediction));
  else if (info.target?.kind === "numbers") item.append(showNumbers(prediction));
  else item.append(showTable([prediction], result.name));
  const warning = problem ? null : (Array.isArray(prediction) ? prediction[0] : prediction).warning;
  if (warning) item.append(make("p", { className: "warning", dir: "auto" }, `Doubtful: ${warning}`));
  if (explanation && !problem) item.append(explained(result));
  return item;
}

/** Return the box of a problem: what to do here, and below it what the server said. */
export function showProblem(problem, ...more) {
  const box = make("div", { className: "error" }, make("p", {}, problem.message || "This input cannot be predicted."));
  if (problem.said) {
    box.append(make("details", { className: "said" }, make("summary", {}, "What the server said"), make("p", { dir: "auto" }, problem.said)));
  }
  box.append(...more);
  return box;
}

function showInput(info, { input, name, prediction }) {
  if (input.preview) {
    const image = make("img", { src: input.preview, alt: name, className: "thumb" });
    image.addEventListener("error", () => image.replaceWith(make("span", { className: "thumb none", ariaHidden: "true" }, ending(name))));
    return make("div", { className: "input" }, image, make("p", { className: "name", dir: "auto" }, name), label(input));
  }
  if (input.file) {
    const text = prediction?.input === undefined ? null : make("p", { className: "quote", dir: "auto" }, prediction.input);
    return make("div", { className: "input" }, make("p", { className: "name", dir: "auto" }, name), text, label(input));
  }
  const text = make("p", { className: "quote", dir: "auto" }, name.length > LONG ? `${name.slice(0, LONG).trimEnd()} …` : name);
  const whole = name.length > LONG
    ? make("details", {}, make("summary", {}, "Whole text"), make("p", { className: "quote", dir: "auto" }, name)) : null;
  return make("div", { className: "input" }, text, whole, label(input));
}

const ending = name => name.split(".").at(-1).slice(0, 4).toUpperCase();

function label({ example }) {
  return example?.label === undefined ? null
    : make("p", { className: "small muted", dir: "auto" }, `In the training data: ${example.label || "no label"}`);
}

/** List the labels of a prediction, the most probable first, as {name, probability}. */
export function listLabels(prediction) {
  const labels = [];
  for (let place = 1; `label${place > 1 ? `_${place}` : ""}` in prediction; place++) {
    const end = place > 1 ? `_${place}` : "";
    labels.push({ name: prediction[`label${end}`], probability: prediction[`probability${end}`] });
  }
  return labels;
}

function showLabels(info, prediction) {
  const labels = listLabels(prediction), several = "labels" in prediction;
  const chosen = several ? new Set(prediction.labels.split("|").filter(Boolean)) : new Set([labels[0].name]);
  const list = make("ul", { className: "bars" });
  const add = ({ name, probability }) => {
    const isChosen = chosen.has(name);
    const bar = make("i");
    bar.style.width = `${100 * probability}%`;
    list.append(make("li", { className: isChosen ? "chosen" : "" },
      make("span", { className: "name", dir: "auto" }, several && isChosen ? make("span", { ariaHidden: "true" }, "✓ ") : null, name,
        several && isChosen ? make("span", { className: "visually-hidden" }, " (chosen)") : null),
      make("span", { className: "number" }, percent(probability)),
      make("span", { className: "bar", ariaHidden: "true" }, bar)));
  };
  const first = several ? Math.max(RANKED, Math.min(chosen.size, 2 * RANKED)) : RANKED;
  labels.slice(0, first).forEach(add);
  const all = info.classes?.length ?? labels.length, box = make("div", { className: "labels" });
  if (several) {
    box.append(make("p", { className: "answer" }, chosen.size ? plural(chosen.size, "label") : "No label: none reaches its threshold"));
  } else box.append(make("p", { className: "answer", dir: "auto" }, labels[0].name));
  box.append(list);
  if (labels.length > first) {
    const rest = make("button", { type: "button", className: "more no-print" }, `Show ${labels.length < all ? `${count(labels.length)} of ${count(all)}` : `all ${count(all)}`}`);
    rest.addEventListener("click", () => {
      rest.remove();
      labels.slice(first).forEach(add);
      list.tabIndex = -1;
      list.focus();
    });
    box.append(rest);
  }
  return box;
}

/** List the numbers of a prediction as {name, value, low, high}. */
function listNumbers(prediction) {
  const names = Object.keys(prediction);
  return names.filter(name => `${name}_low` in prediction && `${name}_high` in prediction)
    .map(name => ({ name, value: prediction[name], low: prediction[`${name}_low`], high: prediction[`${name}_high`] }));
}

function showNumbers(prediction) {
  const list = make("dl", { className: "numbers" });
  for (const { name, value, low, high } of listNumbers(prediction)) {
    list.append(make("dt", { dir: "auto" }, name), make("dd", {}, make("span", { className: "value" }, write(value)),
      low === null ? null : make("span", { className: "muted" }, `${write(low)} to ${write(high)}`)));
  }
  const withIntervals = listNumbers(prediction).some(({ low }) => low !== null);
  return make("div", {}, list,
    withIntervals ? make("p", { className: "small muted" }, "Nine of ten true values are expected in the interval, in the unit of the training data.") : null);
}

/** Return the columns of the interval of a target: its outermost quantiles, if there are two. */
export function boundsOf(rows, target, targets) {
  const own = name => !targets.includes(name) && name.startsWith(`${target}_q`) && /^[\d.]+$/.test(name.slice(target.length + 2));
  const level = name => Number(name.slice(target.length + 2));
  const names = Object.keys(rows[0]).filter(own).sort((a, b) => level(a) - level(b));
  return names.length < 2 ? null : [names[0], names.at(-1)];
}

function showForecast(info, { prediction, history, name, explanation }) {
  const { targets, time } = info.columns;
  const charts = targets.map(target => chart({
    target, time: time[0], past: history ?? [], ahead: prediction, bounds: boundsOf(prediction, target, targets),
    marked: listTimes(explanation, target),
  }));
  const bounds = boundsOf(prediction, targets[0], targets), between = bounds?.map(column => column.split("_q").at(-1));
  const note = bounds ? make("p", { className: "small muted" }, `The interval goes from the ${between[0]} % quantile to the ${between[1]} % quantile of the forecast.`) : null;
  return [...charts, note, showTable(prediction, name)].filter(Boolean);
}

function showTable(rows, name) {
  const columns = Object.keys(rows[0]).filter(column => column !== "warning");
  const isNumber = column => rows.every(row => row[column] === null || typeof row[column] === "number");
  const numeric = new Set(columns.filter(isNumber));
  const kindOf = column => (numeric.has(column) ? "number" : rows.every(row => /^\d{4}-\d\d/.test(row[column])) ? "time" : "");
  const head = columns.map(column => make("th", { scope: "col", className: kindOf(column), dir: "auto" }, column));
  const body = rows.map(row => make("tr", {}, ...columns.map(column =>
    make("td", { className: kindOf(column), dir: "auto", "data-value": row[column] ?? "" }, numeric.has(column) ? write(row[column]) : writeTime(row[column])))));
  const table = make("table", { className: "sortable", "data-filter": "no" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
  const label = `Table ${++numTables}, of ${name}`; // two files may have one name
  const box = make("div", { className: "scroll", role: "region", tabIndex: 0, ariaLabel: label }, table);
  window.lightfitTables?.enhance(table);
  return box;
}
