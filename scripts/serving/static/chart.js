// A forecast as a picture: what was before, the forecast, its interval, axes, and the value at the step under the pointer.

import { count, make, plural, write, writeShort, writeTime } from "./dom.js";

const PAST = 4; // as many known steps as forecasts times this number, until all are asked for
const HEIGHT = 260, TOP = 12, BOTTOM = 30, RIGHT = 14, LETTER = 7.2; // pixels
const SPACE = "http://www.w3.org/2000/svg";

/**
 * Return a figure of one target.
 *
 * `past` and `ahead` are rows with the time under `time` and the value under `target`; `bounds` names the columns of the
 * interval, if there is one; `marked` are time stamps of known steps to point out.
 */
export function chart({ target, time, past, ahead, bounds, marked }) {
  const known = past.map(row => ({ time: row[time], value: row[target], isPast: true, isMarked: marked.includes(writeTime(row[time])) }));
  const forecast = ahead.map(row => ({ time: row[time], value: row[target], low: row[bounds?.[0]], high: row[bounds?.[1]] }));
  let steps = [...known.slice(-PAST * forecast.length), ...forecast];
  const label = `${target}: forecast of ${plural(ahead.length, "step")} from ${writeTime(ahead[0][time])} to ${writeTime(ahead.at(-1)[time])}`;
  const plot = make("div", { className: "plot", tabIndex: 0, role: "slider", ariaLabel: `${label}. The arrow keys go through the steps.` });
  const readout = make("p", { className: "readout", ariaHidden: "true" });
  const figure = make("figure", { className: "chart" },
    make("figcaption", {}, make("strong", { dir: "auto" }, target), legend(past.length > 0, Boolean(bounds), marked.length > 0)), readout, plot);
  let chosen = steps.length - forecast.length, shown = null;
  if (steps.length < known.length + forecast.length) {
    const more = make("button", { type: "button", className: "more no-print" }, `Show all ${count(known.length)} known steps`);
    more.addEventListener("click", () => {
      more.remove();
      chosen += known.length + forecast.length - steps.length;
      steps = [...known, ...forecast];
      plot.setAttribute("aria-valuemax", steps.length);
      render(shown.width);
      plot.focus();
    });
    figure.append(more);
  }

  function render(width) {
    shown = draw(steps, width);
    plot.replaceChildren(shown.svg);
    say(chosen);
  }

  function say(index) {
    chosen = Math.min(Math.max(index, 0), steps.length - 1);
    const { time: stamp, value, low, high, isPast, isMarked } = steps[chosen];
    const interval = low === undefined || low === null ? "" : `, between ${write(low)} and ${write(high)}`;
    const said = `${writeTime(stamp)}: ${value === null || value === undefined ? "no value" : write(value)}${interval}${isPast ? " (known)" : " (forecast)"}${isMarked ? ", decided much" : ""}`;
    plot.setAttribute("aria-valuenow", chosen + 1);
    plot.setAttribute("aria-valuetext", said);
    readout.textContent = said;
    shown?.mark(chosen);
  }

  plot.setAttribute("aria-valuemin", 1);
  plot.setAttribute("aria-valuemax", steps.length);
  plot.addEventListener("pointermove", event => say(shown.stepAt(event.clientX - plot.getBoundingClientRect().left)));
  plot.addEventListener("pointerdown", event => say(shown.stepAt(event.clientX - plot.getBoundingClientRect().left)));
  plot.addEventListener("keydown", event => {
    const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -steps.length, End: steps.length };
    if (!(event.key in moves)) return;
    event.preventDefault();
    say(chosen + moves[event.key]);
  });
  new ResizeObserver(() => {
    const width = Math.max(Math.floor(plot.clientWidth), 240);
    if (shown?.width !== width) render(width);
  }).observe(plot);
  return figure;
}

function legend(withPast, withInterval, withMarks) {
  const item = (kind, text) => make("span", { className: `key ${kind}` }, make("i", { ariaHidden: "true" }), text);
  return make("span", { className: "legend" },
    withPast ? item("past", "known before") : null, item("ahead", "forecast"), withInterval ? item("band", "interval") : null,
    withMarks ? item("marked", "steps that decided most") : null);
}

function draw(steps, width) {
  const values = steps.flatMap(({ value, low, high }) => [value, low, high]).filter(Number.isFinite);
  const ticks = niceTicks(Math.min(...values), Math.max(...values));
  const labels = ticks.map(writeShort), left = 10 + LETTER * Math.max(...labels.map(text => text.length));
  const least = Math.min(ticks[0], ...values), most = Math.max(ticks.at(-1), ...values), inner = width - left - RIGHT;
  const x = index => left + (inner * (index + 0.5)) / steps.length;
  const y = value => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - least) / (most - least || 1));
  const svg = document.createElementNS(SPACE, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("aria-hidden", "true");
  const add = (tag, attributes, text = "") => {
    const made = document.createElementNS(SPACE, tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.textContent = text;
    svg.append(made);
    return made;
  };
  ticks.forEach((tick, place) => {
    add("line", { class: "rule", x1: left, x2: width - RIGHT, y1: y(tick), y2: y(tick) });
    add("text", { class: "tick", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, labels[place]);
  });
  drawTimes(steps, { x, left, width, add });
  const first = steps.findIndex(step => !step.isPast);
  if (first > 0) add("line", { class: "now", x1: x(first - 0.5), x2: x(first - 0.5), y1: TOP, y2: HEIGHT - BOTTOM });
  const band = steps.map((step, index) => ({ ...step, index })).filter(step => Number.isFinite(step.low));
  if (band.length) {
    const edge = [...band.map(({ index, high }) => [index, high]), ...band.reverse().map(({ index, low }) => [index, low])];
    add("polygon", { class: "band", points: edge.map(([index, value]) => `${x(index)},${y(value)}`).join(" ") });
  }
  const line = (from, to) => {
    let path = "", isOpen = false;
    for (let index = from; index < to; index++) {
      const { value } = steps[index], isKnown = Number.isFinite(value);
      if (isKnown) path += `${isOpen ? "L" : "M"}${x(index).toFixed(1)},${y(value).toFixed(1)}`;
      isOpen = isKnown;
    }
    return path;
  };
  add("path", { class: "line past", d: line(0, first) });
  add("path", { class: "line ahead", d: line(Math.max(first - 1, 0), steps.length) });
  steps.forEach(({ isMarked, value }, index) => {
    if (isMarked && Number.isFinite(value)) add("circle", { class: "marked", r: 4.5, cx: x(index), cy: y(value) });
  });
  const cursor = add("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, x1: -9, x2: -9 });
  const dot = add("circle", { class: "dot", r: 4, cx: -9, cy: -9 });
  return {
    svg,
    width,
    stepAt: place => Math.round(((place - left) / inner) * steps.length - 0.5),
    mark(index) {
      ["x1", "x2"].forEach(name => cursor.setAttribute(name, x(index)));
      dot.setAttribute("cx", x(index));
      dot.setAttribute("cy", Number.isFinite(steps[index].value) ? y(steps[index].value) : -9);
    },
  };
}

/** Draw as many time stamps below the axis as fit: days, where the steps are parts of days. */
function drawTimes(steps, { x, left, width, add }) {
  const all = steps.map((step, index) => ({ index, text: writeTime(step.time) }));
  const midnights = all.filter(({ text }) => / 00:00$|^\S+$/.test(text)).map(({ index, text }) => ({ index, text: text.replace(/ 00:00$/, "") }));
  const labels = midnights.length >= 2 ? midnights : all;
  const letters = Math.max(...labels.map(({ text }) => text.length)), space = LETTER * letters + 18;
  const distance = ((width - left - RIGHT) / steps.length) * (labels.length > 1 ? labels[1].index - labels[0].index : 1);
  const every = Math.max(Math.ceil(space / distance), 1);
  let free = 0; // where the last label ends
  for (let place = 0; place < labels.length; place += every) {
    const { index, text } = labels[place], half = (LETTER * text.length) / 2;
    const middle = Math.min(Math.max(x(index), half), width - half);
    if (middle - half < free) continue;
    free = middle + half + 10;
    add("line", { class: "rule", x1: x(index), x2: x(index), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 5 });
    add("text", { class: "tick", x: middle, y: HEIGHT - 8, "text-anchor": "middle" }, text);
  }
}

function niceTicks(least, most) {
  if (least === most) [least, most] = [least - Math.abs(least || 1) / 2, most + Math.abs(most || 1) / 2];
  const rough = (most - least) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough) ?? 10 * power;
  const ticks = [];
  for (let place = Math.ceil(least / step - 1e-9); place * step <= most + step * 1e-9; place++) ticks.push(Number((place * step).toPrecision(12)));
  return ticks.length ? ticks : [least, most];
}
