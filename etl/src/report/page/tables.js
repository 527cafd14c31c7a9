"use strict";
// Tables of any length: a page at a time, sorted by the columns that can be, found by text.

const ROWS = 50;

// `columns`: { title, show(row), sort(row), number }. A table keeps page and order when it gets other rows.
class Pages {
  constructor(place, caption, columns) {
    Object.assign(this, { place: byId(place), caption, columns, rows: [], page: 0, by: null, down: false });
  }

  fill(rows) {
    this.rows = rows;
    this.draw();
  }

  order() {
    if (this.by === null) return this.rows;
    const key = this.columns[this.by].sort;
    const sign = this.down ? -1 : 1;
    const compare = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : (a < b ? -1 : 1) * sign);
    return [...this.rows].sort((a, b) => compare(key(a), key(b)));
  }

  sortBy(column) {
    this.down = this.by === column ? !this.down : false;
    this.by = column;
    this.page = 0;
    this.draw();
    this.place.querySelectorAll("thead th")[column].querySelector("button").focus();
  }

  turn(by) {
    this.page += by;
    this.draw();
    const [back, on] = this.place.querySelectorAll(".pages button");
    const wanted = by < 0 ? back : on;
    (wanted.disabled ? (by < 0 ? on : back) : wanted).focus();
  }

  head() {
    const cells = this.columns.map((column, at) => {
      const attributes = { scope: "col", class: column.number ? "number" : "" };
      if (!column.sort) return element("th", attributes, column.title);
      if (this.by === at) attributes["aria-sort"] = this.down ? "descending" : "ascending";
      const button = element("button", { type: "button" }, column.title + (this.by === at ? (this.down ? " \u2193" : " \u2191") : ""));
      button.addEventListener("click", () => this.sortBy(at));
      return element("th", attributes, button);
    });
    return element("thead", null, element("tr", null, ...cells));
  }

  draw() {
    const last = Math.max(0, Math.ceil(this.rows.length / ROWS) - 1);
    this.page = Math.min(Math.max(this.page, 0), last);
    const shown = this.order().slice(this.page * ROWS, (this.page + 1) * ROWS);
    const body = element("tbody", null, ...shown.map((row) =>
      element("tr", row.marked ? { class: "marked" } : null, ...this.columns.map((column, at) =>
        element(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: column.number ? "number" : "" },
          column.show(row))))));
    const caption = this.caption(this.rows.length);
    const table = element("table", null, element("caption", null, caption), this.head(), body);
    const parts = [element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table)];
    if (last > 0) {
      const button = (name, by, isOff) => {
        const made = element("button", { type: "button", disabled: isOff }, name);
        made.addEventListener("click", () => this.turn(by));
        return made;
      };
      parts.push(element("div", { class: "pages" }, button("Back", -1, this.page === 0),
        element("span", { role: "status" }, "page " + count(this.page + 1) + " of " + count(last + 1)),
        button("On", 1, this.page === last)));
    }
    this.place.replaceChildren(...parts);
  }
}

// A table that is short by itself.
function table(caption, columns, rows) {
  const cell = (row, column, at) =>
    element(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: column.number ? "number" : "" }, column.show(row));
  const head = columns.map((column) => element("th", { scope: "col", class: column.number ? "number" : "" }, column.title));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", null, element("caption", null, caption),
      element("thead", null, element("tr", null, ...head)),
      element("tbody", null, ...rows.map((row) => element("tr", null, ...columns.map((column, at) => cell(row, column, at)))))));
}
