// Precision, recall and F1 over confidence, and precision over recall, with the threshold as a line to drag.
// It follows the sidebar's slider while that moves, and moves everything that follows the slider itself.

const PAD = { left: 34, right: 10, top: 8, bottom: 34 }, NAMES = ["precision", "recall", "f1"], WORD = { precision: "precision", recall: "recall", f1: "F1" };
const pct = (v) => (v === null || v === undefined ? "–" : `${(100 * v).toFixed(1)}\u202f%`);

class Curves {
  constructor(root) {
    this.root = root;
    this.bus = thresholdBus();
    this.onBus = (value, from) => { if (from !== this) this.move(value); };
    this.bus.listeners.add(this.onBus);
    this.watch = new ResizeObserver(() => this.layout());
    this.watch.observe(root);
  }
  destroy() { this.bus.listeners.delete(this.onBus); this.watch.disconnect(); clearTimeout(this.timer); }

  update({ data, setTriggerValue }) {
    this.send = setTriggerValue; this.data = data; this.bus.attach();
    const ground = getComputedStyle(this.root).getPropertyValue("--st-background-color").trim().slice(1);
    this.root.classList.toggle("dark", parseInt(ground.slice(0, 2), 16) < 128);
    if (!(Date.now() - (this.touched || 0) < 500)) this.threshold = data.threshold;
    this.width = 0;
    this.layout();
  }

  layout() {
    if (!this.data || !this.root.clientWidth || this.root.clientWidth === this.width) return;
    this.width = this.root.clientWidth;
    const held = this.left && this.root.getRootNode().activeElement === this.left.svg;
    this.left = this.panel("confidence", "rate", !this.data.fixed);
    this.right = this.panel("recall", "precision", false);
    this.root.replaceChildren(this.left.node, this.right.node);
    this.sizeOf(this.left); this.sizeOf(this.right);
    this.drawLeft(); this.drawRight(); this.move(this.threshold);
    if (held) this.left.svg.focus({ preventScroll: true });
  }

  panel(xWords, yWords, draggable) {
    const key = el("div", { class: "key" }), drawing = svg("svg", draggable ? { tabindex: 0, role: "slider", "aria-label": "Confidence threshold", "aria-valuemin": 0, "aria-valuemax": 1 } : { role: "img", "aria-label": `${yWords} over ${xWords}` });
    const node = el("div", { class: `panel${draggable ? " draggable" : ""}` }, key, drawing);
    if (draggable) {
      const follow = (e) => this.drag(Math.round(100 * this.left.toX(e.clientX)) / 100);
      drawing.onpointerdown = (e) => { drawing.setPointerCapture(e.pointerId); this.dragging = true; follow(e); };
      drawing.onpointermove = (e) => { if (this.dragging) follow(e); };
      drawing.onpointerup = () => { this.dragging = false; this.release(0); };
      drawing.onkeydown = (e) => {
        const by = { ArrowLeft: -0.01, ArrowDown: -0.01, ArrowRight: 0.01, ArrowUp: 0.01, PageDown: -0.1, PageUp: 0.1 }[e.key];
        const to = e.key === "Home" ? 0 : e.key === "End" ? 1 : by === undefined ? null : this.threshold + by;
        if (to === null) return;
        e.preventDefault(); e.stopPropagation();
        this.drag(to); this.release(250);
      };
    }
    return { node, key, svg: drawing, xWords, yWords };
  }

  sizeOf(p) {
    p.w = Math.max(180, p.node.clientWidth); p.h = Math.round(Math.min(300, Math.max(220, this.width * 0.25)));
    p.svg.setAttribute("viewBox", `0 0 ${p.w} ${p.h}`); p.svg.setAttribute("height", p.h);
    p.x = (v) => PAD.left + v * (p.w - PAD.left - PAD.right);
    p.y = (v) => p.h - PAD.bottom - v * (p.h - PAD.top - PAD.bottom);
    p.toX = (clientX) => { const box = p.svg.getBoundingClientRect(); return Math.min(1, Math.max(0, ((clientX - box.left) * (p.w / box.width) - PAD.left) / (p.w - PAD.left - PAD.right))); };
    const grid = svg("g", { class: "grid" });
    for (const v of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
      grid.append(svg("line", { x1: p.x(0), x2: p.x(1), y1: p.y(v), y2: p.y(v), class: v ? null : "axis" }));
      const left = svg("text", { x: p.x(0) - 6, y: p.y(v) + 4, "text-anchor": "end", class: "soft" }), under = svg("text", { x: p.x(v), y: p.y(0) + 15, "text-anchor": "middle", class: "soft" });
      left.textContent = String(Math.round(100 * v)); under.textContent = p.xWords === "confidence" ? v.toFixed(1) : String(Math.round(100 * v));
      grid.append(left, under);
    }
    const name = svg("text", { x: p.x(1), y: p.h - 4, "text-anchor": "end" });
    name.textContent = p.xWords === "confidence" ? "confidence threshold" : "recall, % (precision upwards)";
    p.svg.append(grid, name);
  }

  path(p, xs, ys) {
    let out = "", pen = false;
    for (let i = 0; i < xs.length; i++) {
      if (ys[i] === null || xs[i] === null) { pen = false; continue; }
      out += `${pen ? "L" : "M"}${p.x(xs[i]).toFixed(1)} ${p.y(ys[i]).toFixed(1)}`; pen = true;
    }
    return out;
  }

  drawLeft() {
    const p = this.left, d = this.data, xs = d.precision.map((_, i) => i / 100);
    if (d.floor > 0) p.svg.append(svg("rect", { class: "floor", x: p.x(0), y: p.y(1), width: p.x(d.floor) - p.x(0), height: p.y(0) - p.y(1) }));
    for (const s of d.marks || []) p.svg.append(svg("line", { class: "suggest", x1: p.x(s), x2: p.x(s), y1: p.y(0), y2: p.y(1) }));
    for (const name of NAMES) p.svg.append(svg("path", { class: `line ${name}`, d: this.path(p, xs, d[name]) }));
    p.cut = svg("g", {});
    p.svg.append(p.cut);
  }

  drawRight() {
    const p = this.right, d = this.data;
    for (const f of [0.2, 0.4, 0.6, 0.8]) {
      const rs = Array.from({ length: 60 }, (_, i) => f / 2 + 0.001 + (i / 59) * (0.999 - f / 2)), ps = rs.map((r) => { const q = (f * r) / (2 * r - f); return q > 0 && q <= 1 ? q : null; });
      p.svg.append(svg("path", { class: "ghost", d: this.path(p, rs, ps), "stroke-dasharray": "1 4" }));
      const text = svg("text", { x: p.x(1) - 2, y: p.y(f / (2 - f)) - 3, "text-anchor": "end", class: "soft" });
      text.textContent = `F1 ${f * 100}`;
      p.svg.append(text);
    }
    p.svg.append(svg("path", { class: "line precision", d: this.path(p, d.pr_recall, d.pr_precision) }));
    p.cut = svg("g", {});
    p.svg.append(p.cut);
  }

  move(value) {
    this.threshold = Math.min(1, Math.max(0, Math.round(value * 100) / 100));
    if (!this.left || !this.left.cut) return;
    const d = this.data, at = Math.round(this.threshold * 100), p = this.left, x = p.x(this.threshold);
    const v = d.fixed ? d.fixed : Object.fromEntries(NAMES.map((name) => [name, d[name][at]]));
    if (!d.fixed) {
      const text = svg("text", { class: "griptext", x: Math.min(Math.max(x, 22), p.w - 20), y: p.y(1) + 12 });
      text.textContent = this.threshold.toFixed(2);
      p.cut.replaceChildren(svg("line", { class: "cut", x1: x, x2: x, y1: p.y(0), y2: p.y(1) }), svg("rect", { class: "grip", x: Math.min(Math.max(x, 22), p.w - 20) - 18, y: p.y(1) - 2, width: 36, height: 19, rx: 5 }), text,
        ...NAMES.filter((n) => v[n] !== null).map((n) => svg("circle", { class: `spot line ${n}`, cx: x, cy: p.y(v[n]), r: 4.5, style: "fill: var(--st-background-color); stroke-dasharray: none" })));
      p.svg.setAttribute("aria-valuenow", this.threshold); p.svg.setAttribute("aria-valuetext", this.threshold.toFixed(2));
    }
    const q = this.right;
    q.cut.replaceChildren(...(v.recall === null || v.precision === null ? [] : [svg("circle", { class: "spot", cx: q.x(v.recall), cy: q.y(v.precision), r: 5.5 })]));
    p.key.replaceChildren(...NAMES.map((name) => el("span", { class: name }, el("i"), `${WORD[name]} `, el("b", {}, pct(v[name])))));
    q.key.replaceChildren(el("span", {}, el("b", {}, d.fixed ? "per class" : this.threshold.toFixed(2)), ` gives precision ${pct(v.precision)} at recall ${pct(v.recall)}`));
  }

  drag(value) { this.touched = Date.now(); this.move(value); this.bus.emit(this.threshold, this); }
  release(rest) { clearTimeout(this.timer); this.timer = setTimeout(() => this.send("threshold", this.threshold), rest); }
}

const all = new WeakMap();
export default function (component) {
  const root = component.parentElement.querySelector(".curves");
  if (!root) return;
  let curves = all.get(root);
  if (!curves) { curves = new Curves(root); all.set(root, curves); }
  curves.update(component);
  return () => { curves.destroy(); all.delete(root); };
}
