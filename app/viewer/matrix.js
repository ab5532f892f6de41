// The confusion matrix as a table of buttons: objects down, predictions across, background last. Darkness is the share of the row.

function compact(n) { return n < 10000 ? String(n) : n < 1e6 ? `${Math.round(n / 1000)}k` : `${(n / 1e6).toFixed(1)}M`; }
const TINT = { correct: "var(--correct)", wrong: "var(--wrong)", missed: "var(--missed)" };

class Matrix {
  constructor(root) {
    this.root = root;
    root.addEventListener("click", (e) => { const b = e.target.closest("td button"); if (b) this.send("pick", [Number(b.dataset.i), Number(b.dataset.j)]); });
    root.addEventListener("keydown", (e) => this.walk(e));
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(root);
  }
  destroy() { this.watch.disconnect(); }

  update({ data, setTriggerValue }) {
    this.send = setTriggerValue;
    const { labels, counts } = data, n = labels.length, last = n - 1, focused = this.root.getRootNode().activeElement?.dataset;
    this.n = n;
    const head = el("tr", {}, el("th", { class: "corner" }, "objects ↓", el("br"), "predicted →"), ...labels.map((name, j) => {
      return el("th", { class: j === last ? "back italic" : "", scope: "col", title: name }, el("span", {}, name));
    }));
    const rows = labels.map((name, i) => {
      const row = el("tr", { class: i === last ? "back" : "" }, el("th", { scope: "row", class: i === last ? "italic" : "", title: data.totals[i].title }, name, el("small", {}, data.totals[i].text)));
      for (let j = 0; j < n; j++) {
        const value = counts[i][j], cell = el("td", { class: `${j === last ? "back" : ""}${i === j && i !== last ? " same" : ""}` });
        if (value) {
          const kind = i === j ? "correct" : j === last ? "missed" : "wrong", share = value / (data.rows[i] || 1);
          const on = data.selected && data.selected[0] === i && data.selected[1] === j;
          const button = el("button", { type: "button", tabindex: "-1", "aria-pressed": String(!!on), title: this.words(data, i, j, value) }, compact(value));
          button.dataset.i = i; button.dataset.j = j;
          cell.style.background = `color-mix(in srgb, ${TINT[kind]} ${Math.round(10 + 52 * Math.sqrt(share))}%, var(--st-background-color))`;
          cell.append(button);
        }
        row.append(cell);
      }
      return row;
    });
    this.root.replaceChildren(el("table", { role: "grid", "aria-label": "Confusion matrix: objects down, predictions across" }, el("thead", {}, head), el("tbody", {}, ...rows)));
    this.longest = Math.max(...labels.map((t) => t.length));
    const first = this.root.querySelector("button[aria-pressed=true]") || this.root.querySelector("td button");
    if (first) first.tabIndex = 0;
    if (focused?.i !== undefined) this.button(focused.i, focused.j)?.focus({ preventScroll: true });
    this.fit();
  }

  words(data, i, j, value) {
    const last = this.n - 1, of = `${value} of ${data.rows[i]}`, row = data.labels[i], column = data.labels[j];
    if (i === last) return `${value} ${column} where there is no object to set against (false positives)`;
    if (j === last) return `${of} ${row} objects missed (false negatives), with nothing predicted on them`;
    return i === j ? `${of} ${row} objects found` : `${of} ${row} objects were taken for ${column}`;
  }

  button(i, j) { return this.root.querySelector(`button[data-i="${i}"][data-j="${j}"]`); }

  walk(e) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key], at = e.target.dataset;
    if (!step || at.i === undefined) return;
    e.preventDefault();
    for (let i = Number(at.i) + step[0], j = Number(at.j) + step[1]; i >= 0 && j >= 0 && i < this.n && j < this.n; i += step[0], j += step[1]) {
      const next = this.button(i, j);
      if (next) { e.target.tabIndex = -1; next.tabIndex = 0; next.focus(); return; }
    }
  }

  fit() {
    if (!this.n || !this.root.clientWidth) return;
    const cell = Math.max(this.n > 40 ? 20 : 26, Math.min(44, Math.floor((this.root.clientWidth - 165) / this.n) - 1));
    for (const [name, value] of [["cell", cell], ["type", cell < 30 ? 11 : 12.5], ["head", Math.min(104, 12 + this.longest * 6.6)]]) this.root.style.setProperty(`--${name}`, `${value}px`);
  }
}

const matrices = new WeakMap();
export default function (component) {
  const root = component.parentElement.querySelector(".matrix");
  if (!root) return;
  let matrix = matrices.get(root);
  if (!matrix) { matrix = new Matrix(root); matrices.set(root, matrix); }
  matrix.update(component);
  return () => { matrix.destroy(); matrices.delete(root); };
}
