"use strict";
// Charts by uPlot. Each can be read by keys: arrows move along it, and what stands there is said below it. What it shows also
// stands in a table.

const COLOURS = 8;
const DASHES = [null, [8, 4], [3, 3]];
const charts = new Map();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (place) => colour("--l" + (place % COLOURS));
const dashOf = (place) => DASHES[Math.floor(place / COLOURS) % DASHES.length];

// Draws, or draws anew, the chart `id` in `place`. `lines`: { name, values }, of the times `x`.
function chart(place, id, title, x, lines, show, isBars) {
  const old = charts.get(id);
  if (old) old.plot.destroy();
  let frame = old && old.frame;
  if (!frame) {
    frame = element("div", { class: "chart", id: "chart-" + id, tabindex: "0", role: "group" },
      element("h3", null, title), element("div", { class: "plot", "aria-hidden": "true" }),
      element("p", { class: "reading", role: "status" }));
    place.append(frame);
    frame.addEventListener("keydown", (event) => moved(charts.get(id), event));
  }
  frame.setAttribute("aria-label", title + ". Arrow keys read it; a table is below.");
  const reading = frame.querySelector(".reading");
  reading.textContent = "";
  const read = (plot) => { reading.textContent = said(plot.cursor.idx, x, lines, show); };
  const axis = (more) => Object.assign({ stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 } }, more);
  const options = {
    width: Math.max(240, frame.clientWidth || 340), height: 190, legend: { show: false },
    tzDate: (second) => uPlot.tzDate(new Date(second * 1000), "Etc/UTC"),
    scales: { x: { range: (plot, low, high) => span(low, high, x, isBars) }, y: { range: (plot, low, high) => range(low, high, isBars) } },
    axes: [axis({ size: 32, values: (plot, seconds) => seconds.map(stamp) }), axis({ size: 62, values: (plot, values) => values.map((value) => (isShown(value, show) ? show(value) : "")) })],
    series: [{}, ...lines.map((line, at) => series(line, at, isBars))],
    hooks: { setCursor: [read] },
  };
  const plot = new uPlot(options, [x, ...lines.map((line) => line.values)], frame.querySelector(".plot"));
  charts.set(id, { plot, frame, x, lines, redraw: () => chart(place, id, title, x, lines, show, isBars) });
}

function series(line, at, isBars) {
  const stroke = colourOf(line.colour === undefined ? at : line.colour);
  const dash = dashOf(line.colour === undefined ? at : line.colour);
  return isBars
    ? { label: visible(line.name), stroke, fill: stroke, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 40] }) }
    : { label: visible(line.name), stroke, width: 1.5, dash, spanGaps: true, points: { size: 4 } };
}

// Of what is counted there are no halves.
const isShown = (value, show) => value !== null && (show !== count || Number.isInteger(value));

// Room for half a bar at both ends.
function span(low, high, x, isBars) {
  if (low === null || high === null) return [0, 1];
  const step = x.length > 1 ? x[1] - x[0] : 3600;
  return isBars || low === high ? [low - step / 2, high + step / 2] : [low, high];
}

// The hour, and at midnight the day.
const stamp = (second) => (second % 86400 === 0 ? time(second).slice(5, 10) : time(second).slice(11));

function range(low, high, isBars) {
  if (low === null || high === null) return [0, 1];
  if (isBars) return [0, high > 0 ? high * 1.05 : 1];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

// What stands at a place of a chart.
function said(at, x, lines, show) {
  if (at === null || at === undefined) return "";
  const values = lines.filter((line) => line.values[at] !== null && line.values[at] !== undefined).slice(0, 6);
  const told = values.map((line) => (lines.length > 1 ? visible(line.name) + " " : "") + show(line.values[at]));
  return time(x[at]) + "  " + (told.join(" \u00b7 ") || "nothing");
}

function moved(of, event) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  const step = steps[event.key];
  if (step === undefined || of.x.length === 0) return;
  event.preventDefault();
  const { plot, x } = of;
  const from = plot.cursor.idx === null || plot.cursor.idx === undefined ? (step > 0 ? -1 : x.length) : plot.cursor.idx;
  const at = Math.min(Math.max(from + step, 0), x.length - 1);
  plot.setCursor({ left: plot.valToPos(x[at], "x"), top: plot.bbox.height / 2 / devicePixelRatio });
}

function removeCharts(isGone) {
  for (const [id, of] of charts) {
    if (!isGone(id)) continue;
    of.plot.destroy();
    of.frame.remove();
    charts.delete(id);
  }
}

function redrawCharts() {
  for (const of of [...charts.values()]) of.redraw();
}

// A piece of a line, for a legend.
function swatch(place) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 7");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "line");
  const dash = dashOf(place);
  const attributes = { x1: 0, x2: 16, y1: 3.5, y2: 3.5, stroke: colourOf(place), "stroke-width": 2.5,
    "stroke-dasharray": dash ? dash.map((length) => length / 2).join(" ") : "none" };
  for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { redrawCharts(); drawLegend(); });
let widths;
addEventListener("resize", () => { clearTimeout(widths); widths = setTimeout(redrawCharts, 150); });
