// The box viewer: SVG in screen pixels over a scaled image, so lines and labels keep their size at any zoom.

const DASH = { truth: "6 4" };
const KEYS = [
  ["← →", "previous, next image"], ["↑ ↓", "next box; Enter selects, Esc releases"], ["t", "ground truth"],
  ["p", "predictions"], ["b", "predictions below the threshold"], ["h", "heat map"], ["+ −", "threshold up, down"],
  ["wheel", "zoom"], ["drag", "move"], ["double click, 0", "whole image"], ["?", "this list"],
];
const measure = document.createElement("canvas").getContext("2d");

class BoxViewer {
  constructor(root) {
    this.root = root;
    const q = (s) => root.querySelector(s);
    this.stage = q(".stage"); this.img = q(".stage > img"); this.heatCanvas = q(".heatmap"); this.overlay = q(".overlay");
    this.tip = q(".tip"); this.notice = q(".notice"); this.range = q(".conf input"); this.output = q(".conf output");
    this.scale = q(".scale"); this.help = q(".help"); this.status = q("[role=status]");
    this.layers = { truth: true, preds: true, below: false };
    this.view = { k: 1, x: 0, y: 0 };
    this.hover = null; this.selected = null; this.threshold = 0.5; this.opacity = 0.75; this.key = null; this.data = null;
    this.bus = thresholdBus();
    this.onBus = (value, from) => { if (from !== "viewer") this.setThreshold(value); };
    this.bus.listeners.add(this.onBus);
    this.buildHelp();
    q(".foot .legend").replaceChildren(el("span", {}, el("i"), "prediction"), el("span", {}, el("i", { class: "dashed" }), "ground truth"));
    this.listen();
  }

  destroy() {
    this.bus.listeners.delete(this.onBus);
    document.removeEventListener("keydown", this.onKey);
    this.resize.disconnect();
  }

  buildHelp() {
    const list = el("dl");
    for (const [k, v] of KEYS) list.append(el("dt", {}, k), el("dd", {}, v));
    const legend = el("div", { class: "legend" });
    for (const v of ["correct", "wrong", "missed", "duplicate"]) legend.append(el("span", { class: `c-${v}` }, mark(v), " ", el("span", { style: "color: var(--st-text-color)" }, TERM[v])));
    this.help.replaceChildren(list, legend, el("div", { style: "margin-top:6px" }, "Solid: prediction. Dashed: ground truth."));
  }

  // ---- data from Python
  update({ data, setTriggerValue }) {
    this.send = setTriggerValue;
    this.bus.attach();
    const fresh = data.key !== this.key;
    const apply = () => {
      this.data = data; this.key = data.key;
      this.dets = data.dets || EMPTY_DETS; this.truth = data.truth || EMPTY_TRUTH;
      this.shown = data.shown ? new Set(data.shown) : null;
      this.selected = data.selected || null;
      this.img.alt = data.name;
      if (fresh) { this.view = { k: 1, x: 0, y: 0 }; this.hover = null; this.tip.hidden = true; }
      if (!(Date.now() - (this.touched || 0) < 500)) this.setThreshold(data.threshold, true);
      this.prepareHeat();
      this.chrome();
      this.layout();
    };
    this.notice.hidden = !data.error;
    if (data.error) this.notice.textContent = data.error;
    this.img.hidden = !!data.error;
    if (!fresh || data.error || !data.url) { apply(); if (data.url && this.img.getAttribute("src") !== data.url) this.img.src = data.url; return; }
    // Boxes and picture change together: the new picture is decoded before anything is drawn.
    const next = new Image();
    next.src = data.url;
    this.stage.classList.add("busy");
    this.pending = data.key;
    const swap = () => {
      if (this.pending !== data.key) return;
      this.stage.classList.remove("busy");
      this.img.src = data.url;
      apply();
      for (const url of data.near || []) new Image().src = url;
    };
    next.decode().then(swap, swap);
  }

  chrome() {
    const d = this.data, q = (s) => this.root.querySelector(s);
    q(".name").textContent = d.name; q(".title").title = d.name;
    q(".place").textContent = d.place || "";
    q("[data-a=prev]").disabled = !d.has_prev; q("[data-a=next]").disabled = !d.has_next;
    q("[data-a=truth]").disabled = !d.labelled;
    const heat = q("[data-a=heat]");
    heat.disabled = !d.heat_offered; heat.title = d.heat_reason || "Confidence map (h)";
    heat.setAttribute("aria-pressed", String(!!d.heat));
    for (const name of ["truth", "preds", "below"]) q(`[data-a=${name}]`).setAttribute("aria-pressed", String(this.layers[name]));
    q(".conf").hidden = !!this.dets.cuts;  // with thresholds per class there is no one number to move
    q(".point").textContent = q(".point").title = d.point || "";
  }

  setThreshold(value, quiet) {
    if (!Number.isFinite(value)) return;
    this.threshold = Math.min(1, Math.max(0, Math.round(value * 100) / 100));
    this.range.value = this.threshold; this.output.textContent = this.threshold.toFixed(2);
    if (this.data && !quiet) this.draw();
  }

  // User moved it here: everything on the page follows; Python hears when it rests.
  moveThreshold(value, rest) {
    this.touched = Date.now();
    this.setThreshold(value);
    this.bus.emit(this.threshold, "viewer");
    clearTimeout(this.timer);
    if (rest !== null) this.timer = setTimeout(() => this.send("threshold", this.threshold), rest);
  }

  // ---- geometry
  layout() {
    const width = this.stage.parentElement.clientWidth, { width: w, height: h } = this.data;
    if (!width || !w || !h) { if (this.data.error) this.stage.style.height = "220px"; return; }
    const height = Math.min((width * h) / w, this.data.max_height || 560);
    this.stage.style.height = `${Math.round(height)}px`;
    this.s0 = Math.min(width / w, height / h);
    this.ox = (width - w * this.s0) / 2; this.oy = (height - h * this.s0) / 2;
    this.W = width; this.H = height;
    this.clampView(); this.draw();
  }
  clampView() {
    const v = this.view;
    v.k = Math.min(40, Math.max(1, v.k));
    v.x = Math.min(0, Math.max(this.W * (1 - v.k), v.x)); v.y = Math.min(0, Math.max(this.H * (1 - v.k), v.y));
  }
  toScreen([x1, y1, x2, y2]) {
    const f = this.s0 * this.view.k, ax = this.ox * this.view.k + this.view.x, ay = this.oy * this.view.k + this.view.y;
    return [x1 * f + ax, y1 * f + ay, x2 * f + ax, y2 * f + ay];
  }

  // ---- what is to be seen
  items() {
    const out = [], sel = this.selected, hov = this.hover, t = this.threshold;
    const isOpen = (side, i) => [sel, hov].some((s) => s && (s.side === side && s.index === i));
    const partnerOpen = (side, i) => [sel, hov].some((s) => s && s.side !== side && this.partnerOf(s) === i);
    const inClass = (c) => !this.shown || this.shown.has(c);
    for (let i = 0; i < this.dets.score.length; i++) {
      const verdict = detVerdict(this.dets, i, t), open = isOpen("det", i) || partnerOpen("det", i);
      const wanted = verdict === "below" ? this.layers.below && this.layers.preds : this.layers.preds;
      if ((wanted && inClass(this.dets.cls[i])) || open) out.push({ side: "det", index: i, verdict, box: this.dets.box[i], cls: this.dets.cls[i], open });
    }
    for (let j = 0; j < this.truth.cls.length; j++) {
      const verdict = truthVerdict(this.truth, j, t), open = isOpen("truth", j) || partnerOpen("truth", j);
      if ((this.layers.truth && inClass(this.truth.cls[j])) || open) out.push({ side: "truth", index: j, verdict, box: this.truth.box[j], cls: this.truth.cls[j], open });
    }
    const rank = { below: 0, ignored: 1, found: 2, unjudged: 3, correct: 3, duplicate: 4, wrong: 5, missed: 6 };
    return out.sort((a, b) => (a.open - b.open) || rank[a.verdict] - rank[b.verdict]);
  }
  partnerOf(s) {
    const p = s.side === "det" ? this.dets.partner[s.index] : this.truth.det[s.index];
    return p === undefined ? -1 : p;
  }
  className(c) { return this.data.classes[c] ?? `class ${c}`; }

  draw() {
    if (!this.data || !this.W) return;
    const { k, x, y } = this.view, f = this.s0 * k;
    for (const layer of [this.img, this.heatCanvas]) {
      layer.style.width = `${this.data.width * this.s0}px`; layer.style.height = `${this.data.height * this.s0}px`;
      layer.style.transform = `translate(${this.ox * k + x}px, ${this.oy * k + y}px) scale(${k})`;
    }
    this.img.style.imageRendering = f > 4 ? "pixelated" : "auto";
    const items = this.items();
    this.drawn = items;
    const nodes = [];
    if (this.heat && this.data.heat) nodes.push(...this.contours(f));
    for (const item of items) this.drawBox(item, nodes);
    this.drawTie(nodes);
    this.drawLabels(items, nodes);
    this.overlay.replaceChildren(...nodes);
    this.drawCounts();
  }

  drawBox(item, nodes) {
    const [x1, y1, x2, y2] = this.toScreen(item.box);
    const place = { x: x1, y: y1, width: Math.max(1, x2 - x1), height: Math.max(1, y2 - y1), rx: 1 };
    const truth = item.side === "truth", strong = item.open || item.verdict === "missed" || item.verdict === "wrong";
    const width = item.verdict === "below" ? 1 : item.open ? 3 : truth && item.verdict === "found" ? 1.25 : strong ? 2.25 : 2;
    if (this.selected && this.selected.side === item.side && this.selected.index === item.index) nodes.push(svg("rect", { ...place, class: "halo", "stroke-width": width + 4 }));
    if (item.verdict !== "below") nodes.push(svg("rect", { ...place, class: "casing", "stroke-width": width + 1.5, "stroke-dasharray": truth ? DASH.truth : null }));
    nodes.push(svg("rect", { ...place, class: `box ${item.verdict}`, "stroke-width": width, "stroke-dasharray": truth ? DASH.truth : null, "data-side": item.side, "data-index": item.index }));
  }

  drawTie(nodes) {
    const s = this.hover || this.selected;
    if (!s) return;
    const p = this.partnerOf(s);
    if (p < 0) return;
    const a = this.toScreen((s.side === "det" ? this.dets : this.truth).box[s.index]);
    const b = this.toScreen((s.side === "det" ? this.truth : this.dets).box[p]);
    nodes.push(svg("line", { class: "tie", x1: (a[0] + a[2]) / 2, y1: (a[1] + a[3]) / 2, x2: (b[0] + b[2]) / 2, y2: (b[1] + b[3]) / 2 }));
  }

  labelText(item) {
    const name = this.className(item.cls);
    return item.side === "det" ? `${name} ${shownScore(this.dets.score[item.index], cutOf(this.dets, item.index, this.threshold))}` : name;
  }

  // A label never covers the centre of another object nor another label; where no place is left, the mark
  // alone stays and the words come on hover.
  drawLabels(items, nodes) {
    const placed = [], labels = [];
    const centres = items.map((item) => { const b = this.toScreen(item.box); return { item, x: (b[0] + b[2]) / 2, y: (b[1] + b[3]) / 2 }; });
    const rank = (i) => (i.open ? 0 : i.verdict === "missed" ? 1 : i.verdict === "wrong" ? 2 : 3);
    measure.font = "500 12px 'Source Sans', sans-serif";
    for (const item of [...items].sort((a, b) => rank(a) - rank(b) || (b.box[2] - b.box[0]) * (b.box[3] - b.box[1]) - (a.box[2] - a.box[0]) * (a.box[3] - a.box[1]))) {
      if (!item.open && (item.verdict === "below" || (item.side === "truth" && item.verdict === "found" && this.layers.preds))) continue;
      const [x1, y1, x2, y2] = this.toScreen(item.box), w = x2 - x1, h = y2 - y1;
      if (x2 < 0 || y2 < 0 || x1 > this.W || y1 > this.H) continue;
      const text = this.labelText(item), lw = measure.measureText(text).width + 29, lh = 18;
      const small = w < 44 || h < 18;
      let spot = null;
      if (!small || item.open) {
        const top = Math.max(y1, 0), left = Math.max(x1, 0);
        const options = [[left, y1 - lh], [left, top], [left, y2], [x2 - lw, y1 - lh], [x2 - lw, y2], [x2, top], [x1 - lw, top]];
        spot = options.find(([lx, ly]) => lx >= 0 && ly >= 0 && lx + lw <= this.W && ly + lh <= this.H
          && !placed.some((p) => lx < p[2] && lx + lw > p[0] && ly < p[3] && ly + lh > p[1])
          && !centres.some((c) => c.item !== item && !this.sameObject(c.item, item) && c.x > lx - 2 && c.x < lx + lw + 2 && c.y > ly - 2 && c.y < ly + lh + 2));
      }
      if (spot) { placed.push([spot[0], spot[1], spot[0] + lw, spot[1] + lh]); labels.push(this.label(item, text, spot[0], spot[1], lw, lh)); }
      else if (Math.min(w, h) >= 7) {
        const size = small ? 11 : 13, lx = Math.min(Math.max(0, x1 - size / 2), this.W - size), ly = Math.min(Math.max(0, y1 - size / 2), this.H - size);
        nodes.push(this.badge(item, lx, ly, size));
      }
    }
    nodes.push(...labels);
  }
  sameObject(a, b) { return a.side !== b.side && this.partnerOf(a) === b.index; }
  glyph(item, x, y, size) {
    const name = item.verdict === "found" ? "correct" : item.verdict;
    if (!MARK[name]) return null;
    const dot = name === "duplicate" || name === "ignored";
    return svg("path", { d: MARK[name], class: `glyph${dot ? " dot" : ""}`, transform: `translate(${x} ${y}) scale(${size / 12})` });
  }
  label(item, text, x, y, w, h) {
    const g = svg("g", {}, svg("rect", { class: "plate", x, y, width: w, height: h, rx: 3 }),
      svg("rect", { class: `flag ${item.verdict}`, x, y, width: 19, height: h, rx: 3 }));
    const glyph = this.glyph(item, x + 3.5, y + 3, 12);
    if (glyph) g.append(glyph);
    const t = svg("text", { x: x + 24, y: y + 13 });
    t.textContent = text;
    g.append(t);
    return g;
  }
  badge(item, x, y, size) {
    const g = svg("g", {}, svg("circle", { class: `flag ${item.verdict}`, cx: x + size / 2, cy: y + size / 2, r: size / 2, stroke: "rgba(8,10,12,.6)", "stroke-width": 1 }));
    const glyph = this.glyph(item, x + size * 0.15, y + size * 0.15, size * 0.7);
    if (glyph) g.append(glyph);
    return g;
  }

  drawCounts() {
    const box = this.root.querySelector(".counts"), c = countImage(this.dets, this.truth, this.threshold, this.shown);
    const part = (v, n, words) => el("span", { title: TERM[v] || "" }, el("span", { class: `c-${v}` }, mark(v)), " ", el("b", {}, String(n)), ` ${words}`);
    box.replaceChildren(...(this.data.labelled
      ? [el("span", {}, el("b", {}, String(c.objects)), c.objects === 1 ? " object" : " objects"), part("correct", c.correct, "correct"), part("wrong", c.wrong, "wrong"), part("missed", c.missed, "missed")]
      : [el("span", {}, el("b", {}, String(c.detections)), ` of ${this.dets.score.length} detections at ${this.dets.cuts ? "the threshold of their class" : this.threshold.toFixed(2)} or more`), el("span", {}, "no ground truth")]));
  }

  // ---- heat map
  prepareHeat() {
    const heat = this.data.heat;
    this.heatCanvas.hidden = this.scale.hidden = !heat;
    if (!heat) { this.heat = null; return; }
    if (!this.heat || this.heat.id !== heat.id) {
      const raw = atob(heat.values), values = new Uint8Array(raw.length);
      for (let i = 0; i < raw.length; i++) values[i] = raw.charCodeAt(i);
      this.heat = { ...heat, values };
      this.heatCanvas.width = heat.width; this.heatCanvas.height = heat.height;
      const context = this.heatCanvas.getContext("2d"), pixels = context.createImageData(heat.width, heat.height);
      for (let i = 0; i < values.length; i++) {
        const [r, g, b] = heat.colours[values[i]];
        pixels.data.set([r, g, b, Math.min(255, values[i] * 3)], 4 * i);
      }
      context.putImageData(pixels, 0, 0);
    }
    this.heatCanvas.style.opacity = this.opacity;
    const bar = this.scale.querySelector("canvas"), context = bar.getContext("2d");
    for (let i = 0; i <= 100; i++) { context.fillStyle = `rgb(${heat.colours[Math.round(i * 2.55)].join()})`; context.fillRect(i, 0, 1, 8); }
    this.scale.querySelector("input").value = this.opacity;
    this.scale.title = heat.title || "";
  }

  contours(f) {
    const d = this.contourPath(this.threshold);
    if (!d) return [];
    const { width: gw, height: gh } = this.heat, sx = (this.data.width / gw) * f, sy = (this.data.height / gh) * f;
    const [ax, ay] = this.toScreen([0, 0, 0, 0]);
    const transform = `translate(${ax} ${ay}) scale(${sx} ${sy})`;
    return [svg("path", { d, transform, class: "contour under" }), svg("path", { d, transform, class: "contour" })];
  }
  // Marching squares over cell centres; the line lies where the map crosses the threshold.
  contourPath(level) {
    const { values, width: w, height: h } = this.heat, L = level * 255, out = [];
    const at = (x, y) => values[y * w + x];
    const cross = (a, b) => (L - a) / (b - a || 1);
    for (let y = 0; y < h - 1; y++) for (let x = 0; x < w - 1; x++) {
      const a = at(x, y), b = at(x + 1, y), c = at(x + 1, y + 1), d = at(x, y + 1);
      const bits = (a >= L) | ((b >= L) << 1) | ((c >= L) << 2) | ((d >= L) << 3);
      if (bits === 0 || bits === 15) continue;
      const T = [x + 0.5 + cross(a, b), y + 0.5], R = [x + 1.5, y + 0.5 + cross(b, c)], B = [x + 0.5 + cross(d, c), y + 1.5], Lf = [x + 0.5, y + 0.5 + cross(a, d)];
      const lines = { 1: [[Lf, T]], 14: [[Lf, T]], 2: [[T, R]], 13: [[T, R]], 4: [[R, B]], 11: [[R, B]], 8: [[B, Lf]], 7: [[B, Lf]], 3: [[Lf, R]], 12: [[Lf, R]], 6: [[T, B]], 9: [[T, B]], 5: [[Lf, T], [R, B]], 10: [[T, R], [B, Lf]] }[bits];
      for (const [p, q] of lines) out.push(`M${p[0].toFixed(2)} ${p[1].toFixed(2)}L${q[0].toFixed(2)} ${q[1].toFixed(2)}`);
    }
    return out.join("");
  }

  // ---- naming a box
  describe(s) {
    const t = cutOf(s.side === "det" ? this.dets : this.truth, s.index, this.threshold);
    if (s.side === "det") {
      const i = s.index, verdict = detVerdict(this.dets, i, this.threshold), p = this.dets.partner[i];
      const head = `${this.className(this.dets.cls[i])} ${shownScore(this.dets.score[i], cutOf(this.dets, i, this.threshold))}`;
      let sub = TERM[verdict];
      if (p >= 0) sub += `; object: ${this.className(this.truth.cls[p])}, IoU ${this.dets.iou[i].toFixed(2)}`;
      else if (verdict === "wrong") sub += `; no free object of its class at IoU ${this.data.iou.toFixed(2)} or more`;
      return { verdict, head, sub };
    }
    const j = s.index, verdict = truthVerdict(this.truth, j, this.threshold), d = this.truth.det[j];
    let sub = TERM[verdict];
    if (d >= 0) sub += verdict === "missed"
      ? `; found at ${shownScore(this.dets.score[d], t)}, IoU ${this.truth.iou[j].toFixed(2)}, below the threshold ${t.toFixed(2)}`
      : `; by ${this.className(this.dets.cls[d])} ${shownScore(this.dets.score[d], cutOf(this.dets, d, this.threshold))}, IoU ${this.truth.iou[j].toFixed(2)}`;
    else if (verdict === "missed") sub += `; nothing of its class reaches IoU ${this.data.iou.toFixed(2)}`;
    if (this.truth.flags[j]) sub += `; ${this.truth.flags[j]}`;
    return { verdict, head: `${this.className(this.truth.cls[j])}, ground truth`, sub };
  }
  showTip(px, py) {
    if (!this.hover) { this.tip.hidden = true; return; }
    const { verdict, head, sub } = this.describe(this.hover);
    this.tip.replaceChildren(el("div", {}, mark(verdict), " ", el("b", {}, head)), el("div", { class: "sub" }, sub));
    this.tip.hidden = false;
    const w = this.tip.offsetWidth, h = this.tip.offsetHeight;
    this.tip.style.left = `${px + 16 + w > this.W ? Math.max(4, px - w - 12) : px + 16}px`;
    this.tip.style.top = `${py + 16 + h > this.H ? Math.max(4, py - h - 12) : py + 16}px`;
  }

  // Every box under a point, the smallest first: small objects stay reachable under large ones.
  under(px, py) {
    const pad = 3;
    return (this.drawn || []).map((item) => ({ item, b: this.toScreen(item.box) }))
      .filter(({ b }) => px >= b[0] - pad && px <= b[2] + pad && py >= b[1] - pad && py <= b[3] + pad)
      .map(({ item, b }) => ({ item, area: (b[2] - b[0]) * (b[3] - b[1]), edge: Math.min(Math.abs(px - b[0]), Math.abs(px - b[2]), Math.abs(py - b[1]), Math.abs(py - b[3])) }))
      .sort((a, b) => (b.edge <= pad) - (a.edge <= pad) || a.area - b.area).map((u) => u.item);
  }
  same(a, b) { return a && b ? a.side === b.side && a.index === b.index : !a && !b; }
  setHover(s, px, py) {
    const next = s ? { side: s.side, index: s.index } : null;
    const changed = !this.same(next, this.hover);
    this.hover = next;
    if (changed) this.draw();
    this.showTip(px, py);
  }
  select(s) {
    this.selected = s ? { side: s.side, index: s.index } : null;
    this.draw();
    if (s) { const d = this.describe(s); this.status.textContent = `${d.head}: ${d.sub}`; }
    this.send("select", this.selected || { side: "none", index: -1 });
  }
  walk(step) {
    const list = this.items().filter((i) => i.verdict !== "below").sort((a, b) => a.box[0] - b.box[0] || a.box[1] - b.box[1]);
    if (!list.length) return;
    const at = list.findIndex((i) => this.same(i, this.hover || this.selected));
    const next = list[(at + step + list.length) % list.length], b = this.toScreen(next.box);
    this.setHover(next, Math.min(this.W, Math.max(0, b[2])), Math.min(this.H, Math.max(0, b[1])));
    const d = this.describe(next);
    this.status.textContent = `${d.head}: ${d.sub}`;
  }
  zoom(factor, px, py) {
    const v = this.view, k = Math.min(40, Math.max(1, v.k * factor)), f = k / v.k;
    v.x = px - (px - v.x) * f; v.y = py - (py - v.y) * f; v.k = k;
    this.clampView(); this.draw();
  }

  // ---- hands
  listen() {
    const stage = this.stage, point = (e) => { const r = stage.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
    const inPanel = (e) => e.target.closest(".scale, .help");
    stage.addEventListener("wheel", (e) => {
      if (!this.data || (this.view.k === 1 && e.deltaY > 0)) return;      // zoomed out fully: the page scrolls
      e.preventDefault();
      this.zoom(Math.exp(-Math.max(-80, Math.min(80, e.deltaY)) * 0.004), ...point(e));
    }, { passive: false });
    let down = null;
    stage.addEventListener("pointerdown", (e) => { if (e.button === 0 && !inPanel(e)) { down = { p: point(e), x: this.view.x, y: this.view.y, moved: false }; stage.setPointerCapture(e.pointerId); } });
    stage.addEventListener("pointermove", (e) => {
      const p = point(e);
      if (down) {
        const dx = p[0] - down.p[0], dy = p[1] - down.p[1];
        if (Math.hypot(dx, dy) > 3) { down.moved = true; stage.classList.add("moving"); this.tip.hidden = true; }
        if (down.moved) { this.view.x = down.x + dx; this.view.y = down.y + dy; this.clampView(); this.draw(); }
      } else if (this.data) this.setHover(inPanel(e) ? null : this.under(...p)[0], ...p);
    });
    stage.addEventListener("pointerup", (e) => {
      const was = down;
      down = null; stage.classList.remove("moving");
      if (!was || was.moved || !this.data) return;
      const stack = this.under(...point(e));
      // Clicking the same spot again goes one box deeper.
      const at = stack.findIndex((i) => this.same(i, this.selected));
      this.select(stack.length ? stack[(at + 1) % stack.length] : null);
    });
    stage.addEventListener("pointercancel", () => { down = null; stage.classList.remove("moving"); });
    stage.addEventListener("pointerleave", () => { if (!down) this.setHover(null); });
    stage.addEventListener("dblclick", (e) => { if (!inPanel(e)) { this.view = { k: 1, x: 0, y: 0 }; this.draw(); } });
    this.range.addEventListener("input", () => this.moveThreshold(parseFloat(this.range.value), null));
    this.range.addEventListener("change", () => this.moveThreshold(parseFloat(this.range.value), 0));
    this.scale.querySelector("input").addEventListener("input", (e) => { this.opacity = parseFloat(e.target.value); this.heatCanvas.style.opacity = this.opacity; });
    for (const bar of this.root.querySelectorAll(".bar")) bar.addEventListener("click", (e) => { const b = e.target.closest("[data-a]"); if (b && !b.disabled) this.act(b.dataset.a); });
    this.onKey = (e) => this.keydown(e);
    document.addEventListener("keydown", this.onKey);
    this.resize = new ResizeObserver(() => { if (this.data) this.layout(); });
    this.resize.observe(stage.parentElement);
  }
  act(name) {
    if (name === "prev" || name === "next") { if (this.data[`has_${name}`]) this.send("step", name === "prev" ? -1 : 1); }
    else if (name === "heat") { if (this.data.heat_offered) this.send("heat", !this.data.heat); }
    else if (name === "help") { this.help.hidden = !this.help.hidden; this.root.querySelector("[data-a=help]").setAttribute("aria-expanded", String(!this.help.hidden)); }
    else if (!this.root.querySelector(`[data-a=${name}]`).disabled) { this.layers[name] = !this.layers[name]; this.chrome(); this.draw(); }
  }
  keydown(e) {
    if (!this.data || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || typing(e)) return;
    const onStage = e.composedPath().includes(this.stage);
    const actions = {
      ArrowLeft: () => this.act("prev"), ArrowRight: () => this.act("next"), t: () => this.act("truth"), p: () => this.act("preds"),
      b: () => this.act("below"), h: () => this.act("heat"), "?": () => this.act("help"), "0": () => { this.view = { k: 1, x: 0, y: 0 }; this.draw(); },
      "+": () => this.moveThreshold(this.threshold + 0.05, 250), "=": () => this.moveThreshold(this.threshold + 0.05, 250),
      "-": () => this.moveThreshold(this.threshold - 0.05, 250), "_": () => this.moveThreshold(this.threshold - 0.05, 250),
      Escape: () => { if (!this.help.hidden) this.act("help"); else { this.setHover(null); this.select(null); } },
      ...(onStage ? { ArrowDown: () => this.walk(1), ArrowUp: () => this.walk(-1), Enter: () => this.hover && this.select(this.hover) } : {}),
    };
    const action = actions[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!action || (e.key === "Escape" && !this.selected && !this.hover && this.help.hidden)) return;
    e.preventDefault();
    action();
  }
}

const viewers = new WeakMap();
export default function (component) {
  const root = component.parentElement.querySelector(".viewer");
  if (!root) return;
  let viewer = viewers.get(root);
  if (!viewer) { viewer = new BoxViewer(root); viewers.set(root, viewer); }
  viewer.update(component);
  return () => { viewer.destroy(); viewers.delete(root); };
}
