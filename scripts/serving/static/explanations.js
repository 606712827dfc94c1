// What decided a prediction: words with their weights, a map over an image, the steps and columns of a series.

import { make, write } from "./dom.js";

const SHOWN = 10; // parts in the list

/** Return the element of the explanation of a result. */
export function explained({ explanation, input }) {
  const { of, unit, items = [] } = explanation;
  const box = make("details", { className: "explained", open: true }, make("summary", {}, "What decided"));
  const about = make("p", { className: "small muted", dir: "auto" }, `Parts in the first colour speak for “${of}”, underlined ones in the second against it. Weights are in the unit of the output (${unit}).`);
  box.append(about);
  if (input.text !== undefined && items.some(item => item.spans?.length)) box.append(highlight(input.text, items));
  if (explanation.picture) box.append(make("img", { className: "map", src: explanation.picture, alt: `Parts of the image that speak for ${of}, and against it` }));
  if (items.length) box.append(list(items));
  if (explanation.warning) box.append(make("p", { className: "warning", dir: "auto" }, explanation.warning));
  return box;
}

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
    shown.append(strength ? make("mark", { className: `${weights[start] > 0 ? "for" : "against"} strength-${strength}`, title: write(weights[start]) }, piece) : piece);
  }
  return shown;
}

function list(items) {
  const most = Math.max(...items.map(({ weight }) => Math.abs(weight))) || 1, shown = make("ul", { className: "bars parts" });
  for (const item of items.slice(0, SHOWN)) {
    const bar = make("i", { className: item.weight < 0 ? "against" : "for" });
    bar.style.width = `${(100 * Math.abs(item.weight)) / most}%`;
    shown.append(make("li", {}, make("span", { className: "name", dir: "auto" }, name(item)),
      make("span", { className: "number" }, `${item.weight < 0 ? "−" : "+"}${write(Math.abs(item.weight))}`),
      make("span", { className: "bar", ariaHidden: "true" }, bar)));
  }
  return shown;
}

function name({ input, column, step, time, unknown }) {
  if (column !== undefined) return time ? `${column} at ${time}` : `${column}, step ${step}`;
  return unknown ? `${input} (not in the vocabulary)` : String(input);
}
