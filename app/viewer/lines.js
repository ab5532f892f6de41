// Line charts over one shared axis (a training's steps, a sweep's trials): one panel a quantity, each with its own scale.
// New points are drawn into the same picture, so a chart that is looked at live does not flicker.

const ROOM = { left: 44, right: 8, top: 6, bottom: 18 };

function ticks(lo, hi, most) {
  const span = hi - lo || 1, raw = span / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => span / s <= most + 1e-9);
  const out = [];
  for (let v = Math.ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-6; v += step) out.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return out;
}
function short(v) {
  if (v === 0) return "0";
  const a = Math.abs(v);
  return a >= 1e5 || a < 1e-4 ? v.toExponential(1) : String(+v.toPrecision(a >= 100 ? 4 : 3));
}

class Lines {
  constructor(root) {
    this.root = root;
    this.watch = new ResizeObserver(() => { if (this.data && Math.abs(root.clientWidth - this.width) > 1) this.draw(); });
    this.watch.observe(root);
  }
  destroy() { this.watch.disconnect(); }

  update({ data }) {
    this.data = data;
    const ground = getComputedStyle(this.root).getPropertyValue("--st-background-color").trim().slice(1);
    this.root.classList.toggle("dark", parseInt(ground.slice(0, 2), 16) < 128);
    this.draw();
  }

  draw() {
    this.width = this.root.clientWidth;
    if (!this.width) return;
    this.panels = this.data.panels.map((d) => this.panel(d));
    this.root.replaceChildren(...this.panels.map((p) => p.node));
    this.panels.forEach((p) => this.fill(p));
    if (this.at !== undefined) this.point(this.at);
  }

  panel(d) {
    const head = el("div", { class: "head" }), drawing = svg("svg", { role: "img" }), node = el("div", { class: "panel", style: `--span: ${d.span || 3}` }, head, drawing);
    const p = { d, head, svg: drawing, node };
    drawing.onpointermove = (e) => { const box = drawing.getBoundingClientRect(); this.point(p.back(((e.clientX - box.left) / box.width) * p.w)); };
    drawing.onpointerleave = () => this.point(undefined);
    return p;
  }

  fill(p) {
    const { d } = p, points = d.series.flatMap((s) => s.points), xs = this.data.x;
    p.w = Math.max(160, p.node.clientWidth); p.h = d.height;
    p.svg.setAttribute("viewBox", `0 0 ${p.w} ${p.h}`); p.svg.setAttribute("height", p.h);
    const lo = d.lo ?? Math.min(0, ...points.map((q) => q[1])), hi = d.hi ?? (Math.max(lo + 1e-12, ...points.map((q) => q[1])) * 1.04 || 1);
    p.x = (v) => ROOM.left + ((v - xs[0]) / (xs[1] - xs[0] || 1)) * (p.w - ROOM.left - ROOM.right);
    p.back = (px) => xs[0] + ((px - ROOM.left) / (p.w - ROOM.left - ROOM.right)) * (xs[1] - xs[0]);
    p.y = (v) => p.h - ROOM.bottom - ((Math.min(Math.max(v, lo), hi) - lo) / (hi - lo)) * (p.h - ROOM.top - ROOM.bottom);
    const grid = svg("g", { class: "grid" });
    for (const v of ticks(lo, hi, d.height < 110 ? 3 : 4)) {
      grid.append(svg("line", { x1: p.x(xs[0]), x2: p.x(xs[1]), y1: p.y(v), y2: p.y(v), class: v === lo ? "axis" : null }));
      const text = svg("text", { x: ROOM.left - 6, y: p.y(v) + 4, "text-anchor": "end", class: "soft" });
      text.textContent = short(v);
      grid.append(text);
    }
    for (const v of ticks(xs[0], xs[1], p.w < 360 ? 3 : 5).filter(Number.isInteger)) {
      const text = svg("text", { x: p.x(v), y: p.h - 3, "text-anchor": "middle", class: "soft" });
      text.textContent = whole(v);
      grid.append(text);
    }
    p.svg.append(grid);
    for (const s of d.series) {
      const c = `s${s.colour % 5}`;
      if (!s.scatter) p.svg.append(svg("path", { class: `line ${c}`, d: s.points.map(([x, y], i) => `${i ? "L" : "M"}${p.x(x).toFixed(1)} ${p.y(y).toFixed(1)}`).join("") }));
      if (s.dots) for (const [x, y] of s.points) p.svg.append(svg("circle", { class: c, cx: p.x(x), cy: p.y(y), r: 2.6 }));
      if (s.best) p.svg.append(svg("circle", { class: `ring ${c}`, cx: p.x(s.best[0]), cy: p.y(s.best[1]), r: 6 }));
    }
    p.cursor = svg("line", { class: "cursor", y1: ROOM.top, y2: p.h - ROOM.bottom, visibility: "hidden" });
    p.svg.append(p.cursor);
    this.say(p, undefined);
  }

  say(p, at) {
    const parts = p.d.series.filter((s) => s.points.length).map((s) => {
      let q = s.points[s.points.length - 1];
      if (at !== undefined) for (const r of s.points) if (Math.abs(r[0] - at) < Math.abs(q[0] - at)) q = r;
      return [s, q];
    });
    p.head.replaceChildren(el("h4", {}, p.d.title), ...parts.map(([s, q]) => el("span", { class: `s${s.colour % 5}` }, el("i"), el("span", { style: "color: var(--st-text-color)" }, s.name ? `${s.name} ` : "", el("b", {}, p.d.digits ? q[1].toFixed(p.d.digits) : short(q[1]))))),
      ...(at !== undefined && parts.length ? [el("span", { class: "at" }, `${this.data.x_name} ${whole(parts[0][1][0])}`)] : []));
    p.svg.setAttribute("aria-label", `${p.d.title} over ${this.data.x_name}: ` + parts.map(([s, q]) => `${s.name} ${short(q[1])}`).join(", "));
    return parts.length ? parts[0][1][0] : undefined;
  }

  point(at) {
    this.at = at;
    for (const p of this.panels) {
      const x = this.say(p, at);
      const shown = at !== undefined && x !== undefined;
      p.cursor.setAttribute("visibility", shown ? "visible" : "hidden");
      if (shown) { p.cursor.setAttribute("x1", p.x(x)); p.cursor.setAttribute("x2", p.x(x)); }
    }
  }
}

const all = new WeakMap();
export default function (component) {
  const root = component.parentElement.querySelector(".lines");
  if (!root) return;
  let lines = all.get(root);
  if (!lines) { lines = new Lines(root); all.set(root, lines); }
  lines.update(component);
  return () => { lines.destroy(); all.delete(root); };
}
