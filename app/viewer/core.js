// What every box drawing shares: verdicts at a threshold, the visual language, and the live threshold.
// Plain functions; each component's module is this text followed by its own.

const SVG = "http://www.w3.org/2000/svg";
// The verdict of each detection kind, by number: analysis.matching.matches.MATCHED.
const KIND_VERDICT = ["wrong", "correct", "duplicate", "ignored", "unjudged"];
const TERM = {
  correct: "correct (true positive)", wrong: "wrong (false positive)", missed: "missed (false negative)",
  duplicate: "duplicate (false positive)", ignored: "ignored (neither right nor wrong)",
  unjudged: "not judged (no ground truth, or not run)", found: "found", below: "below the threshold",
};
// Marks on a 12 x 12 grid: the verdict has to survive without its colour.
const MARK = {
  correct: "M2.6 6.4 L5 8.8 L9.6 3.4", wrong: "M3.2 3.2 L8.8 8.8 M8.8 3.2 L3.2 8.8",
  missed: "M6 2.6 A3.4 3.4 0 1 1 5.99 2.6 Z", duplicate: "M6 3.7 A2.3 2.3 0 1 1 5.99 3.7 Z",
  ignored: "M6 3.7 A2.3 2.3 0 1 1 5.99 3.7 Z", unjudged: "M3.4 3.4 H8.6 V8.6 H3.4 Z", below: "M3.4 6 L8.6 6",
};

// The threshold of one box: of its class where saved thresholds are chosen (`cuts`), else the slider's.
function cutOf(boxes, i, threshold) { return boxes.cuts ? boxes.cuts[boxes.cls[i]] : threshold; }

// Verdict of detection i. What happens above a threshold does not depend on what lies below it (greedy
// matching takes the best score first), so this needs no server.
function detVerdict(boxes, i, threshold) {
  if (boxes.score[i] < cutOf(boxes, i, threshold)) return "below";
  return KIND_VERDICT[boxes.kind[i]];
}
function truthVerdict(truth, j, threshold) {
  if (truth.judged === false) return "unjudged";
  if (truth.ignored[j]) return "ignored";
  return truth.score[j] >= cutOf(truth, j, threshold) && truth.score[j] >= 0 ? "found" : "missed";
}
function countImage(dets, truth, threshold, shown) {
  const c = { objects: 0, correct: 0, wrong: 0, missed: 0, ignored: 0, detections: 0 };
  for (let i = 0; i < dets.score.length; i++) {
    if (shown && !shown.has(dets.cls[i])) continue;
    const v = detVerdict(dets, i, threshold);
    if (v === "below") continue;
    c.detections++;
    if (v === "correct") c.correct++;
    else if (v === "wrong" || v === "duplicate") c.wrong++;
    else if (v === "ignored") c.ignored++;
  }
  for (let j = 0; j < truth.cls.length; j++) {
    if (shown && !shown.has(truth.cls[j])) continue;
    const v = truthVerdict(truth, j, threshold);
    if (v !== "found" && v !== "missed") continue;
    c.objects++;
    if (v === "missed") c.missed++;
  }
  return c;
}

const EMPTY_DETS = { box: [], score: [], cls: [], kind: [], partner: [], iou: [] };
const EMPTY_TRUTH = { box: [], cls: [], det: [], iou: [], score: [], ignored: [], flags: [] };

function el(tag, attrs = {}, ...children) {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) {
    if (k === "class") node.className = v;
    else if (k.startsWith("on")) node[k] = v;
    else if (v !== null && v !== undefined && v !== false) node.setAttribute(k, v === true ? "" : v);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}
function svg(tag, attrs = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(attrs)) if (v !== null && v !== undefined) node.setAttribute(k, v);
  node.append(...children);
  return node;
}
function mark(verdict, size = 12) {
  const name = verdict === "found" ? "correct" : verdict;
  const node = svg("svg", { viewBox: "0 0 12 12", width: size, height: size, class: `mark ${verdict}`, "aria-hidden": "true" });
  if (MARK[name]) node.append(svg("path", { d: MARK[name] }));
  return node;
}
// Two digits on the side of the threshold where the score is: `shown_score` of analysis/drawing/style.py.
function shownScore(score, threshold) {
  const kept = Math.fround(score), passes = kept >= Math.fround(threshold);
  // toFixed rounds the exact value as Python does, but for halves: those go to the even digit (0.125 is 0.12).
  const rounded = Number((kept * 8) % 4 === 1 ? (kept - 0.005).toFixed(2) : kept.toFixed(2));
  if (passes === (Math.fround(rounded) >= Math.fround(threshold))) return rounded.toFixed(2);
  return (rounded + (passes ? 0.01 : -0.01)).toFixed(2);
}
const percent = (a, b) => (b ? ((100 * a) / b).toFixed(1) + "\u202f%" : "–");
const whole = (n) => Math.round(n).toLocaleString("en-US");

// The live threshold: one value a page. The sidebar's slider is Streamlit's; it tells Python when it is
// released, and its handle already carries the value while it moves, so pages follow it from here.
// Where Streamlit's markup is not as expected, drawings simply follow on release.
function thresholdBus() {
  if (window.__boxscopeBus) return window.__boxscopeBus;
  const bus = { value: null, listeners: new Set(), handle: null };
  bus.emit = (value, from) => {
    if (value === bus.value && from === "slider") return;
    bus.value = value;
    for (const listener of [...bus.listeners]) listener(value, from);
  };
  const attach = () => {
    const handle = document.querySelector(".st-key-conf input[type=range]");
    if (handle === bus.handle) return;
    bus.observer?.disconnect();
    bus.handle = handle;
    if (!handle) return;
    bus.observer = new MutationObserver(() => {
      const value = parseFloat(handle.getAttribute("aria-valuetext"));
      if (Number.isFinite(value)) bus.emit(value, "slider");
    });
    bus.observer.observe(handle, { attributes: true, attributeFilter: ["aria-valuetext"] });
  };
  bus.attach = attach;
  window.__boxscopeBus = bus;
  return bus;
}
function typing(event) {
  const path = event.composedPath ? event.composedPath() : [event.target];
  return path.some((n) => n.tagName && (/^(INPUT|TEXTAREA|SELECT)$/.test(n.tagName) && n.type !== "checkbox" || n.isContentEditable
    || ["slider", "listbox", "option", "combobox", "grid", "gridcell", "tab"].includes(n.getAttribute?.("role"))));
}
