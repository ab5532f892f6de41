// Thumbnails: the viewer's drawing, smaller. Correct boxes stay quiet; what is wrong or missed carries its mark.

const QUIET = { correct: 1.25, unjudged: 1.5, wrong: 2, missed: 2, duplicate: 1.5, ignored: 1 };

class Grid {
  constructor(root) {
    this.root = root;
    this.threshold = 0.5;
    this.ids = new Map();
    this.bus = thresholdBus();
    this.onBus = (value) => { this.threshold = value; this.drawAll(); };
    this.bus.listeners.add(this.onBus);
    this.resize = new ResizeObserver(() => this.drawAll());
    this.resize.observe(root);
    root.addEventListener("click", (e) => { const tile = e.target.closest(".open")?.parentElement; if (tile) this.send("open", tile.dataset.id); });
    root.addEventListener("change", (e) => {
      const tile = e.target.closest(".tile");
      tile.classList.toggle("picked", e.target.checked);
      this.send("pick", { id: tile.dataset.id, on: e.target.checked });
    });
  }
  destroy() { this.bus.listeners.delete(this.onBus); this.resize.disconnect(); }

  update({ data, setTriggerValue }) {
    this.send = setTriggerValue; this.data = data; this.threshold = data.threshold;
    this.shown = data.shown ? new Set(data.shown) : null;
    this.bus.attach();
    const picked = new Set(data.picked);
    this.root.classList.toggle("collecting", picked.size > 0);
    this.root.classList.toggle("plain", Boolean(data.plain));
    const old = new Map([...this.root.children].map((n) => [n.dataset.id, n]));
    const nodes = data.tiles.map((text, k) => {
      const id = this.idOf(text), url = data.urls[k];
      let node = old.get(id);
      if (!node || node.text !== text || node.url !== url) {
        const tile = JSON.parse(text);
        node = this.build(tile, url, data.errors[k]);
        Object.assign(node, { tile, text, url });
      }
      node.classList.toggle("picked", picked.has(id));
      node.querySelector("input").checked = picked.has(id);
      return node;
    });
    // The same pictures in the same places stay untouched: nothing flickers while only the threshold moves.
    if (nodes.length !== this.root.children.length || nodes.some((n, k) => n !== this.root.children[k])) this.root.replaceChildren(...nodes);
    this.drawAll();
  }

  idOf(text) { return this.ids.get(text) ?? (this.ids.set(text, JSON.parse(text).id), this.ids.get(text)); }

  build(tile, url, error) {
    const picture = url ? el("img", { src: url, alt: "", decoding: "async", draggable: "false" }) : el("span", { class: "broken" }, error || "no picture");
    const node = el("div", { class: "tile", role: "listitem" },
      el("button", { class: "open", type: "button" }, picture, svg("svg", { class: "boxes", "aria-hidden": "true" })),
      el("label", { class: "pick", title: "Collect this image" }, el("input", { type: "checkbox", "aria-label": `Collect ${tile.name}` })),
      el("div", { class: "cap" }, el("span", { class: "name", title: tile.name }, tile.name), el("span", { class: "tallies" })));
    node.dataset.id = tile.id;
    return node;
  }

  drawAll() {
    if (!this.data) return;
    const first = this.root.querySelector(".open");
    if (!first || !first.clientWidth) return;
    const width = first.clientWidth, height = first.clientHeight;
    for (const node of this.root.children) this.draw(node, width, height);
  }

  draw(node, width, height) {
    const { dets = EMPTY_DETS, truth = EMPTY_TRUTH, ...tile } = node.tile, t = this.threshold;
    dets.cuts = truth.cuts = this.data.cuts || null;
    const s = Math.min(width / tile.width, height / tile.height) || 1, ox = (width - tile.width * s) / 2, oy = (height - tile.height * s) / 2;
    const inClass = (c) => !this.shown || this.shown.has(c), nodes = [], marks = [];
    const add = (box, verdict, dashed) => {
      const x = box[0] * s + ox, y = box[1] * s + oy, w = Math.max(2, (box[2] - box[0]) * s), h = Math.max(2, (box[3] - box[1]) * s);
      const place = { x, y, width: w, height: h, rx: 1, "stroke-dasharray": dashed ? "4 3" : null }, stroke = QUIET[verdict] || 1;
      nodes.push(svg("rect", { ...place, class: "casing", "stroke-width": stroke + 1 }), svg("rect", { ...place, class: `box ${verdict}`, "stroke-width": stroke }));
      if (!["wrong", "missed", "duplicate"].includes(verdict)) return;
      const size = Math.min(w, h) < 12 ? 9 : 12, cx = Math.min(Math.max(x, size / 2), width - size / 2), cy = Math.min(Math.max(y, size / 2), height - size / 2);
      marks.push(svg("circle", { class: `flag ${verdict}`, cx, cy, r: size / 2 }),
        svg("path", { d: MARK[verdict], class: `glyph${verdict === "duplicate" ? " dot" : ""}`, transform: `translate(${cx - size * 0.35} ${cy - size * 0.35}) scale(${(size * 0.7) / 12})` }));
    };
    for (let i = dets.score.length - 1; i >= 0; i--) {
      const verdict = detVerdict(dets, i, t);
      if (verdict !== "below" && inClass(dets.cls[i])) add(dets.box[i], verdict, false);
    }
    for (let j = 0; j < truth.cls.length; j++) {
      const verdict = truthVerdict(truth, j, t);
      if (inClass(truth.cls[j]) && (verdict === "missed" || verdict === "unjudged")) add(truth.box[j], verdict, true);
    }
    node.querySelector("svg.boxes").replaceChildren(...nodes, ...marks);
    const c = countImage(dets, truth, t, this.shown), box = node.querySelector(".tallies");
    const tally = (verdict, n) => el("span", { class: n ? "" : "zero", title: `${n} ${TERM[verdict]}` }, el("span", { class: `c-${verdict}` }, mark(verdict, 11)), String(n));
    if (tile.note !== undefined) {
      box.replaceChildren(el("span", {}, tile.note));
      node.querySelector(".open").setAttribute("aria-label", `${tile.name}: ${tile.note}. Open.`);
      return;
    }
    box.replaceChildren(...(tile.judged
      ? [tally("correct", c.correct), tally("wrong", c.wrong), tally("missed", c.missed)]
      : [el("span", { title: "detections at or above the threshold" }, String(c.detections), " found")]));
    node.querySelector(".open").setAttribute("aria-label", tile.judged
      ? `${tile.name}: ${c.correct} correct, ${c.wrong} wrong, ${c.missed} missed. Open.` : `${tile.name}: ${c.detections} detections. Open.`);
  }
}

const grids = new WeakMap();
export default function (component) {
  const root = component.parentElement.querySelector(".grid");
  if (!root) return;
  let grid = grids.get(root);
  if (!grid) { grid = new Grid(root); grids.set(root, grid); }
  grid.update(component);
  return () => { grid.destroy(); grids.delete(root); };
}
