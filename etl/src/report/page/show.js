"use strict";
// How values become what is seen. Everything that a device sent goes through `visible` into a text node, never into markup.

// Characters without a shape of their own, and those that turn the direction of what stands behind them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

function visible(text) {
  return String(text).replace(UNSEEN, (letter) =>
    letter === "\n" ? "\u23ce" : "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0"));
}

// An element; attributes as an object, children as elements or text.
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") made.className = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Foreign text on its own, whatever its direction.
const foreign = (text) => element("bdi", null, visible(text));

const byId = (id) => document.getElementById(id);

function replace(id, ...children) {
  byId(id).replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const NUMBER = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
const count = (number) => WHOLE.format(number);
const number = (value) => (value === null || value === undefined ? "" : NUMBER.format(value));
const plural = (amount, noun) => count(amount) + " " + noun + (amount === 1 ? "" : "s");

function bytes(amount) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (amount >= 999.5 && unit + 1 < units.length) { amount /= 1000; unit += 1; }
  return (unit === 0 || amount >= 9.95 ? count(amount) : amount.toFixed(1)) + " " + units[unit];
}

// A second since 1970 as UTC: 2026-03-01 13:05, with seconds where asked for.
function time(second, withSeconds) {
  if (second === null || second === undefined) return "";
  const text = new Date(second * 1000).toISOString().replace("T", " ");
  return text.slice(0, withSeconds ? 19 : 16);
}

function duration(seconds) {
  const round = (value) => (value < 9.95 ? Number(value.toFixed(1)) : count(value));
  if (seconds < 100) return round(seconds) + " s";
  if (seconds < 6000) return round(seconds / 60) + " min";
  if (seconds < 48 * 3600) return round(seconds / 3600) + " h";
  return round(seconds / 86400) + " days";
}

const share = (part, whole) => {
  if (whole === 0) return "";
  const percent = (100 * part) / whole;
  // What is not all is never shown as all, nor what is there as nothing.
  if (part > 0 && percent < 0.1) return "< 0.1 %";
  return (part < whole && percent > 99.9 ? "> 99.9" : Number(percent.toFixed(1))) + " %";
};
