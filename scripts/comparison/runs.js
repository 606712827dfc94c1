/* The curves of the runs that are checked in the table, one column of the history at a time. */
"use strict";
(() => {
  const of = id => document.getElementById(id);
  const select = of("metric");
  if (!select) return;
  const curves = JSON.parse(of("curve-data").textContent), names = JSON.parse(of("name-data").textContent);
  const MOST = 8, HEIGHT = 320, LEFT = 64, RIGHT = 16, TOP = 12, BOTTOM = 40;
  const boxes = [...document.querySelectorAll("input[data-run]")];

  function make(tag, attributes, parent, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  /** Return round numbers from the least to the most, about five of them. */
  function ticks(low, high) {
    const span = high - low || Math.abs(high) || 1, raw = span / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= raw);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Number(at.toPrecision(12)));
    return found;
  }

  // Colours repeat after four; dashes then tell the lines apart.
  const colour = place => `var(--series-${(place % 4) + 1})`;
  const dash = place => (place < 4 ? "none" : "6 4");

  function draw() {
    const chosen = boxes.filter(box => box.checked).map(box => Number(box.dataset.run));
    boxes.forEach(box => { box.disabled = !box.checked && chosen.length >= MOST; });
    const metric = select.value, shown = chosen.filter(run => curves[run][metric]);
    const chart = of("chart"), legend = of("legend");
    chart.replaceChildren();
    legend.replaceChildren();
    if (!shown.length) {
      chart.textContent = chosen.length ? `No run that is checked has ${metric}.` : "Check runs in the table to see their curves.";
      return;
    }
    const WIDTH = Math.max(chart.clientWidth, 280);
    const points = shown.flatMap(run => curves[run][metric]);
    const xs = points.map(point => point[0]), ys = points.map(point => point[1]);
    const x0 = Math.min(...xs), x1 = Math.max(...xs), y0 = Math.min(...ys), y1 = Math.max(...ys);
    const pad = (y1 - y0 || Math.abs(y1) || 1) * 0.05, low = y0 - pad, high = y1 + pad;
    const x = value => LEFT + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT);
    const y = value => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${metric} by epoch of ${shown.map(run => names[run]).join(", ")}` }, chart);
    for (const tick of ticks(low, high)) {
      make("line", { class: "grid-line", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }, svg);
      make("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, svg, String(tick));
    }
    for (const tick of ticks(x0, x1).filter(Number.isInteger)) { // epochs
      make("text", { x: x(tick), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, svg, String(tick));
    }
    make("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, svg, "epoch");
    shown.forEach((run, place) => {
      const own = curves[run][metric], style = { stroke: colour(place), "stroke-dasharray": dash(place) };
      const line = own.length > 1
        ? make("path", { ...style, d: own.map((point, index) => `${index ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`).join("") }, svg)
        : make("circle", { cx: x(own[0][0]), cy: y(own[0][1]), r: 4, style: `fill: ${colour(place)}` }, svg);
      make("title", {}, line, `${names[run]}: ${own[own.length - 1][1]} in epoch ${own[own.length - 1][0]}`);
      const item = document.createElement("li"), mark = document.createElement("i"), name = document.createElement("bdi");
      mark.style.borderColor = colour(place);
      mark.style.borderTopStyle = place < 4 ? "solid" : "dashed";
      name.textContent = names[run];
      item.append(mark, name);
      legend.append(item);
    });
  }

  select.addEventListener("change", draw);
  boxes.forEach(box => box.addEventListener("change", draw));
  window.addEventListener("resize", draw);
  draw();
})();
