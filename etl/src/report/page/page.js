"use strict";
// The page: facts in, sections filled. It is filled anew when it is served and there are newer facts; what was chosen stays.

let facts = JSON.parse(byId("facts").textContent);
let drawn = [];

const place = (name) => facts.panels.models[name];
const modelOf = (at) => (at === null ? "no model" : place(at));

const devices = new Pages("devices-table",
  (rows) => plural(rows, "device") + (facts.devices.names.length < facts.devices.count
    ? " of the " + count(facts.devices.names.length) + " that were silent the longest, of " + count(facts.devices.count) : "") + "; those silent the longest first",
  [
    { title: "Device", show: (row) => foreign(row.name), sort: (row) => row.name },
    { title: "Model", show: (row) => (row.model === null ? "" : foreign(place(row.model))), sort: (row) => (row.model === null ? null : place(row.model)) },
    { title: "Last seen (UTC)", show: (row) => time(row.last, true), sort: (row) => row.last },
    { title: "Silent for", number: true, show: (row) => element("span", { class: row.silent ? "bad" : "" }, duration(facts.freshness.row - row.last) + (row.silent ? ", silent" : "")), sort: (row) => -row.last },
    { title: "Messages", number: true, show: (row) => count(row.messages), sort: (row) => row.messages },
    { title: "Every", number: true, show: (row) => (row.every === null ? "" : duration(row.every)), sort: (row) => row.every },
    { title: "Longest gap", number: true, show: (row) => (row.messages < 2 ? "" : row.gap < facts.devices.step ? "under " + duration(facts.devices.step) : duration(row.gap)), sort: (row) => row.gap },
  ]);

const columns = new Pages("columns-table", (rows) => plural(rows, "column") + ", in the table's order", [
  { title: "Column", show: (row) => foreign(row.name), sort: (row) => row.name },
  { title: "Type", show: (row) => row.type, sort: (row) => row.type },
  { title: "Filled", number: true, show: (row) => share(row.values, facts.columns.rows), sort: (row) => row.values },
  { title: "Values", number: true, show: (row) => count(row.values), sort: (row) => row.values },
  { title: "First seen (UTC)", show: (row) => first(row), sort: (row) => row.first },
  { title: "Path in records", show: (row) => foreign(row.path), sort: (row) => row.path },
  { title: "Other types of the path", show: (row) => element("span", null, ...row.siblings.flatMap((name, at) => [at ? ", " : "", foreign(name)])), sort: (row) => -row.siblings.length },
]);

function first(row) {
  if (row.first === null) return "never";
  const isBound = facts.columns.looked_back_to !== null && row.first <= facts.columns.looked_back_to;
  return time(row.first) + (isBound ? " or before" : "");
}

function drawHead() {
  document.title = facts.table + " \u2013 iotlake";
  replace("title", foreign(facts.table));
  replace("about", "in ", foreign(facts.lake), ", " + time(facts.since) + " to " + time(facts.until) + " UTC");
  replace("made", "Made by iotlake " + facts.iotlake + " at " + time(facts.generated, true) + " UTC. Times are UTC. Rows are filed by ", foreign(facts.filed_by), ".");
}

function drawAccounts() {
  const of = facts.accounts;
  const sum = plural(of.records, "record") + " = " + plural(of.rows, "row") + " + " + count(of.rejected) + " rejected";
  replace("balance", element("strong", null, sum), " in " + plural(of.sources, "source") + " with files in this time: ",
    element("span", { class: of.balances ? "good" : "bad" }, of.balances
      ? "balanced; receipts and files agree in every hour." : "not balanced. iotlake audit says more."));
  byId("differences").hidden = of.balances;
  replace("differences", ...of.differences.map((text) => element("li", null, foreign(text))));
  byId("unread").hidden = facts.unread.length === 0;
  replace("unread", ...facts.unread.map((text) => element("li", null, foreign(text))));
  const total = (list) => list.reduce((sum, value) => sum + value, 0);
  const { hours, undated, freshness } = facts;
  const behind = (second) => (second === null ? null : duration(Math.max(0, facts.generated - second)) + " before this page");
  const tile = (id, name, value, more) => element("div", null, element("dt", null, name), element("dd", { id }, value, more ? element("small", null, more) : null));
  replace("tiles",
    tile("tile-rows", "Rows", count(total(hours.rows) + undated.rows), undated.rows ? count(undated.rows) + " under no hour" : null),
    tile("tile-rejects", "Rejects", count(total(hours.rejected) + undated.rejected), undated.rejected ? count(undated.rejected) + " under no hour" : null),
    facts.devices.column === null ? null : tile("tile-devices", "Devices", count(facts.devices.count), count(facts.devices.silent_count) + " silent"),
    tile("tile-newest", "Newest row", freshness.row === null ? "none" : time(freshness.row, true), behind(freshness.row)),
    tile("tile-written", "Last file written", freshness.written === null ? "not known" : time(freshness.written, true), behind(freshness.written)),
    tile("tile-bytes", "Files in this time", bytes(total(hours.bytes) + undated.bytes), plural(total(hours.files) + undated.files, "file")));
}

function drawHours() {
  const { hours, undated } = facts;
  const x = hours.rows.map((rows, at) => hours.begin + at * hours.step);
  const one = (id, title, name, values, show, place) => chart(byId("hours-charts"), id, title, x, [{ name, values, colour: place }], show, true);
  const by = hours.step === 3600 ? " by hour" : " by day";
  one("rows", "Rows" + by, "rows", hours.rows, count, 0);
  one("rejected", "Rejects" + by, "rejects", hours.rejected, count, 6);
  one("bytes", "Bytes" + by, "bytes", hours.bytes, bytes, 2);
  const rows = x.map((second, at) => ({ at: time(second), rows: hours.rows[at], rejected: hours.rejected[at], bytes: hours.bytes[at], files: hours.files[at] }));
  if (undated.files > 0) rows.push(Object.assign({ at: "under no hour" }, undated));
  const amount = (title, name, show) => ({ title, number: true, show: (row) => show(row[name]) });
  replace("hours-table", table("Rows, rejects, bytes and files" + by, [{ title: hours.step === 3600 ? "Hour (UTC)" : "Day (UTC)", show: (row) => row.at },
    amount("Rows", "rows", count), amount("Rejects", "rejected", count), amount("Bytes", "bytes", bytes), amount("Files", "files", count)], rows));
}

function drawDevices() {
  const of = facts.devices;
  byId("devices-controls").hidden = of.column === null;
  if (of.column === null) {
    replace("devices-about", "There is no device column: name one with ", element("code", null, "--device COLUMN"), ".");
    replace("devices-table");
    return;
  }
  replace("devices-about", "Told apart by ", foreign(of.column), ". Silent is who has sent nothing for five times its usual interval before the newest row, and for longer than "
    + duration(of.step) + "." + (of.nameless ? " " + plural(of.nameless, "row") + " without a device." : ""));
  const found = byId("devices-find").value.toLowerCase();
  const isSilent = byId("devices-silent").checked;
  const rows = of.names.map((name, at) => ({ name, model: of.models[at], messages: of.messages[at], last: of.last[at], every: of.every[at], gap: of.gap[at], silent: of.silent[at], marked: of.silent[at] }));
  devices.fill(rows.filter((row) => (!isSilent || row.silent) && (found === "" || row.name.toLowerCase().includes(found) || (row.model !== null && place(row.model).toLowerCase().includes(found)))));
}

function drawColumns() {
  const of = facts.columns;
  replace("columns-about", "Filled says how many of the " + plural(of.rows, "row") + " of this time have a value. A path whose values came in several types has a column for each."
    + (of.looked_back_to === null ? "" : " Files before " + time(of.looked_back_to) + " were not looked at.")
    + (of.listed.length < of.count ? " The first " + count(of.listed.length) + " of " + count(of.count) + "; iotlake schema has all." : ""));
  const found = byId("columns-find").value.toLowerCase();
  const isChosen = (row) => (!byId("columns-siblings").checked || row.siblings.length > 0) && (found === "" || row.name.includes(found) || row.path.toLowerCase().includes(found));
  columns.fill(of.listed.filter(isChosen));
}

function drawRejects() {
  const of = facts.rejects;
  replace("rejects-about", of.records === 0 ? "No record of this time was rejected." : plural(of.records, "record") + " of this time became no row. Nothing of them is lost: their bytes are in ", of.records === 0 ? null : foreign(facts.rejects_table), of.records === 0 ? null : ".");
  const open = new Set([...document.querySelectorAll(".reason details[open]")].map((details) => details.dataset.reason));
  replace("rejects-list", ...of.reasons.map((reason) => {
    const samples = reason.samples.flatMap((sample) => [
      element("p", null, "line " + count(sample.line) + " of ", foreign(sample.source), ", " + plural(sample.length, "byte")),
      element("pre", { tabindex: "0" }, foreign(sample.text))]);
    const details = element("details", { "data-reason": reason.reason, open: open.has(reason.reason) },
      element("summary", null, "Samples", reason.hour === null ? "" : " of " + time(reason.hour)), ...samples);
    return element("div", { class: "reason" }, element("h3", null, foreign(reason.reason), ": " + plural(reason.records, "record") + ", " + share(reason.records, of.records)),
      details, element("p", null, "All of them:"), element("pre", { tabindex: "0" }, visible(reason.command)));
  }));
}

function drawFiles() {
  const of = facts.files;
  const rejects = of.rejects_files ? " Rejects: " + plural(of.rejects_files, "file") + ", " + bytes(of.rejects_bytes) + "." : "";
  replace("files-about", "The whole table: " + plural(of.files, "file") + ", " + bytes(of.bytes) + ", in " + plural(of.hours, "partition") + "." + rejects
    + (of.untidy_hours === 0 ? " No hour has more files than would do." : " " + plural(of.untidy_hours, "hour") + " with more files than would do, at up to " + bytes(of.whole) + " each: every query opens each of them."));
  if (of.untidy.length === 0) {
    replace("files-table");
    return;
  }
  const hours = table("Hours with small files, those with most first", [
    { title: "Hour (UTC)", show: (row) => (row.hour === null ? "under no hour" : time(row.hour)) },
    { title: "Files", number: true, show: (row) => count(row.files) },
    { title: "Would do", number: true, show: (row) => count(row.would_do) },
    { title: "Bytes", number: true, show: (row) => bytes(row.bytes) },
    { title: "Bytes of a file", number: true, show: (row) => bytes(row.bytes / row.files) }], of.untidy);
  const command = "iotlake compact " + facts.table + " " + facts.arguments;
  replace("files-table", hours, element("p", null, "This makes few of many, once an hour is over:"), element("pre", { tabindex: "0" }, visible(command)));
}

// What can be chosen; the choice stays where it is still there.
function fillChoices() {
  const { lines, models } = facts.panels;
  const options = (id, choices) => {
    const chosen = byId(id).value;
    replace(id, ...choices.map(([value, text]) => element("option", { value }, visible(text))));
    if (choices.some(([value]) => value === chosen)) byId(id).value = chosen;
  };
  const withLines = new Set(lines.map((line) => line.model));
  options("model", [["all", "each model"], ...models.map((name, at) => ["m" + at, name]).filter((choice, at) => withLines.has(at)), ...(withLines.has(null) && models.length ? [["none", "no model"]] : [])]);
  fillDevices();
}

function fillDevices() {
  const chosen = byId("device").value;
  const model = byId("model").value;
  const isOf = (line) => model === "all" || (model === "none" ? line.model === null : line.model === Number(model.slice(1)));
  const named = facts.panels.lines.filter((line) => line.device !== null && isOf(line)).map((line) => [facts.devices.names[line.device], facts.devices.names[line.device]]);
  named.sort((a, b) => (a[1] < b[1] ? -1 : 1));
  const choices = [["", "average of the model"], ...(named.length > 1 && model !== "all" ? [["each", "each device, up to 16"]] : []), ...named.map(([value, text]) => ["d" + value, text])];
  replace("device", ...choices.map(([value, text]) => element("option", { value }, visible(text))));
  if (choices.some(([value]) => value === chosen)) byId("device").value = chosen;
}

// The lines that were chosen, with their names.
function chosenLines() {
  const [model, device] = [byId("model").value, byId("device").value];
  const { lines } = facts.panels;
  const isOf = (line) => model === "all" || (model === "none" ? line.model === null : line.model === Number(model.slice(1)));
  const name = (line) => facts.devices.names[line.device];
  if (device.startsWith("d")) return lines.filter((line) => line.device !== null && name(line) === device.slice(1)).slice(0, 1).map((line) => ({ line, name: name(line) }));
  if (device === "each") return lines.filter((line) => line.device !== null && isOf(line)).slice(0, 16).map((line) => ({ line, name: name(line) }));
  return lines.filter((line) => line.device === null && isOf(line)).map((line) => ({ line, name: facts.panels.models.length ? modelOf(line.model) : "all rows" }));
}

function drawMeasures() {
  const { begin, step, measures, lines } = facts.panels;
  const chosen = chosenLines();
  drawn = chosen;
  const bound = (id) => { const told = Date.parse(byId(id).value + "Z"); return Number.isNaN(told) ? null : told / 1000; };
  const all = lines.filter((line) => line.device === null);
  const low = Math.max(Math.min(...all.map((line) => line.from)), Math.floor(((bound("from") ?? begin) - begin) / step));
  const high = Math.min(Math.max(...all.map((line) => line.from + line.messages.length)), Math.ceil(((bound("to") ?? Infinity) - begin) / step));
  const steps = all.length === 0 || high <= low ? [] : Array.from({ length: high - low }, (_, at) => low + at);
  const x = steps.map((at) => begin + at * step);
  const cut = (line, values) => steps.map((at) => (values.length === 0 ? null : values[at - line.from] ?? null));
  const panels = [{ name: "messages", unit: "in " + duration(step), show: count, of: (line) => cut(line, line.messages) },
    ...measures.map((measure, place) => ({ name: measure.name, unit: measure.unit, show: number, of: (line) => cut(line, line.values[place]) }))];
  const shown = panels.map((panel) => Object.assign(panel, { lines: chosen.map(({ line, name }, at) => ({ name, colour: at, values: panel.of(line) })).filter((line) => line.values.some((value) => value !== null)) }));
  const used = shown.filter((panel) => panel.lines.length > 0);
  removeCharts((id) => id.startsWith("measure-") && !used.some((panel) => "measure-" + panel.name === id));
  for (const panel of used) chart(byId("measures-charts"), "measure-" + panel.name, panel.name + " (" + panel.unit + ")", x, panel.lines, panel.show, false);
  const listed = lines.length - all.length;
  const left = listed > 0 && listed < facts.devices.count ? " The " + count(listed) + " devices with most messages have lines of their own." : "";
  replace("measures-about", "Averages of " + duration(step) + "." + left + (used.length === 0 ? " Nothing in this time." : ""));
  drawLegend();
  tabulate(x, used);
}

function drawLegend() {
  replace("legend", ...drawn.map(({ name }, at) => element("li", null, swatch(at), foreign(name))));
}

const points = new Pages("measures-table", () => "The lines, step by step", []);

function tabulate(x, panels) {
  const rows = x.flatMap((second, at) => drawn.map(({ name }) => ({ second, name, values: panels.map((panel) => (panel.lines.find((line) => line.name === name) || { values: [] }).values[at] ?? null) })));
  points.columns = [{ title: "From (UTC)", show: (row) => time(row.second), sort: (row) => row.second }, { title: "Line", show: (row) => foreign(row.name), sort: (row) => row.name },
    ...panels.map((panel, place) => ({ title: panel.name + " (" + panel.unit + ")", number: true, show: (row) => (row.values[place] === null ? "" : panel.show(row.values[place])), sort: (row) => row.values[place] }))];
  // A step without messages is nothing to tell.
  points.fill(rows.filter((row) => row.values.some((value) => value !== null && value !== 0)));
}

function draw() {
  drawHead();
  drawAccounts();
  drawHours();
  fillChoices();
  drawMeasures();
  drawDevices();
  drawColumns();
  drawRejects();
  drawFiles();
}

byId("devices-find").addEventListener("input", drawDevices);
byId("devices-silent").addEventListener("change", drawDevices);
byId("columns-find").addEventListener("input", drawColumns);
byId("columns-siblings").addEventListener("change", drawColumns);
byId("model").addEventListener("change", () => { fillDevices(); drawMeasures(); });
for (const id of ["device", "from", "to"]) byId(id).addEventListener("change", drawMeasures);
byId("all-time").addEventListener("click", () => { byId("from").value = ""; byId("to").value = ""; drawMeasures(); });

// Where it is served, it asks for newer facts: on demand, and every half minute while it is seen.
let isAsking = false;
async function lookAgain() {
  if (isAsking) return;
  isAsking = true;
  byId("looked").textContent = "looking\u2026";
  try {
    const answer = await fetch("facts.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    facts = await answer.json();
    draw();
    byId("looked").textContent = "as of " + time(facts.generated, true) + " UTC";
  } catch (error) {
    byId("looked").textContent = "cannot look again: " + visible(error.message);
  }
  isAsking = false;
}

if (location.protocol === "http:") {
  byId("live").hidden = false;
  byId("refresh").addEventListener("click", lookAgain);
  setInterval(() => { if (byId("keep").checked && !document.hidden) lookAgain(); }, 30000);
}

draw();
