// What decided a prediction: words with their weights, a map over an image, the steps and columns of a series.

import { make, write, writeTime } from "./dom.js";

const SHOWN = 10; // parts in the list
const NEGLIGIBLE = 0.01; // of the strongest part: weaker ones are not listed
const short = value => write(Number(value.toPrecision(3)));

/** Return the element of the explanation of a result. */
export function explained({ explanation, input }) {
  const { of, unit, items = [], picture, warning } = explanation;
  const box = make("details", { className: "explained", open: true }, make("summary", {}, "What decided"));
  if (picture) {
    box.append(legend("red", "blue", of), make("img", { className: "map", src: picture, alt: `The image, with what speaks for ${of} in red, and against it in blue` }));
  } else {
    box.append(unit === "logit" ? legend("for", "against", of) : legend("for", "against", of, "raises", "lowers"));
    if (input.text !== undefined && items.some(item => item.spans?.length)) box.append(highlight(input.text, items));
    box.append(list(items), make("p", { className: "small muted", dir: "auto" }, unit === "logit" ? "The numbers are what each part adds to the logit." : `The numbers are what each part adds, in the unit of ${unit}.`));
  }
  if (warning) box.append(make("p", { className: "warning", dir: "auto" }, warning));
  return box;
}

function legend(plus, minus, of, up = "speaks for", down = "speaks against") {
  const key = (kind, text) => make("span", { className: `key ${kind}` }, make("i", { ariaHidden: "true" }), make("span", { dir: "auto" }, text));
  return make("p", { className: "legend" }, key(plus, `${up} “${of}”`), key(minus, `${down} it`));
}

/** Return the time stamps of the steps of a column that decided most. */
export const listTimes = (explanation, column) =>
  (explanation?.items ?? []).filter(item => item.column === column && item.time).map(item => writeTime(item.time));

/** Return a text with its parts coloured by their weights; of parts that overlap, the one of the largest weight. */
function highlight(text, items) {
  const weights = new Float64Array(text.length);
  for (const { spans, weight } of items) {
    for (const [start, end] of spans ?? []) {
      for (let place = start; place < Math.min(end, text.length); place++) {
        if (Math.abs(weight) > Math.abs(weights[place])) weights[place] = weight;
      }
    }
  }
  const most = Math.max(...items.map(({ weight }) => Math.abs(weight))) || 1, shown = make("p", { className: "quote", dir: "auto" });
  for (let start = 0, end = 0; start < text.length; start = end) {
    while (end < text.length && weights[end] === weights[start]) end++;
    const piece = text.slice(start, end), strength = Math.ceil((3 * Math.abs(weights[start])) / most);
    shown.append(strength ? make("mark", { className: `${weights[start] > 0 ? "for" : "against"} strength-${strength}`, title: short(weights[start]) }, piece) : piece);
  }
  return shown;
}

function list(items) {
  const most = Math.max(...items.map(({ weight }) => Math.abs(weight))) || 1, shown = make("ul", { className: "bars parts" });
  for (const item of items.filter(({ weight }) => Math.abs(weight) >= NEGLIGIBLE * most).slice(0, SHOWN)) {
    const bar = make("i", { className: item.weight < 0 ? "against" : "for" });
    bar.style.width = `${(100 * Math.abs(item.weight)) / most}%`;
    shown.append(make("li", {}, make("span", { className: "name", dir: "auto" }, name(item)),
      make("span", { className: "number" }, `${item.weight < 0 ? "−" : "+"}${short(Math.abs(item.weight))}`),
      make("span", { className: "bar", ariaHidden: "true" }, bar)));
  }
  return shown;
}

function name({ input, column, step, time, unknown }) {
  if (column !== undefined) return time ? `${column} at ${writeTime(time)}` : `${column}, step ${step}`;
  return unknown ? `${input} (not in the vocabulary)` : String(input);
}
