// Counts at the operating point. `curve` holds them at each of the slider's 101 places, so they follow the
// slider in the browser; where the choice of images itself depends on the threshold there is no curve.

class Strip {
  constructor(root) {
    this.root = root;
    this.bus = thresholdBus();
    this.onBus = (value) => this.draw(value);
    this.bus.listeners.add(this.onBus);
  }
  destroy() { this.bus.listeners.delete(this.onBus); }
  update({ data }) {
    this.data = data;
    this.bus.attach();
    this.draw(data.threshold);
  }
  draw(threshold) {
    const d = this.data, at = Math.round(threshold * 100), live = d.curve && threshold !== d.threshold;
    const n = live ? Object.fromEntries(["correct", "wrong", "detections"].map((k) => [k, d.curve[k][at]])) : d.now;
    const cell = (words, value, title, verdict) => el("span", { class: "cell", title }, verdict ? el("span", { class: `c-${verdict}` }, mark(verdict, 13)) : null, el("b", {}, value), words);
    const cells = [];
    if (d.tag) cells.push(el("span", { class: "tag", title: d.tag_title || "" }, d.tag));
    if (d.judged) {
      const missed = d.objects - n.correct, judged = n.correct + n.wrong;
      cells.push(
        cell("objects", whole(d.objects), `${whole(d.objects)} ground-truth objects counted in ${d.images}`),
        cell("correct", whole(n.correct), `${whole(n.correct)} true positives: found, of ${whole(d.objects)} objects`, "correct"),
        cell("wrong", whole(n.wrong), `${whole(n.wrong)} false positives, duplicates among them, of ${whole(judged)} judged detections`, "wrong"),
        cell("missed", whole(missed), `${whole(missed)} false negatives of ${whole(d.objects)} objects`, "missed"),
        el("span", { class: "gap" }),
        cell("precision", percent(n.correct, judged), `correct / (correct + wrong) = ${whole(n.correct)} / ${whole(judged)}`),
        cell("recall", percent(n.correct, d.objects), `correct / objects = ${whole(n.correct)} / ${whole(d.objects)}`),
        cell("F1", percent(2 * n.correct, judged + d.objects), `2 correct / (2 correct + wrong + missed) = ${whole(2 * n.correct)} / ${whole(judged + d.objects)}`));
    } else {
      cells.push(cell("detections", whole(n.detections), `detections at or above ${threshold.toFixed(2)} in ${d.images}`), el("span", {}, d.unjudged || "no ground truth, so nothing to compare with"));
    }
    cells.push(el("span", { class: "point", title: d.point_title || "" }, d.point.replace("{confidence}", threshold.toFixed(2))));
    this.root.replaceChildren(...cells);
  }
}

const strips = new WeakMap();
export default function (component) {
  const root = component.parentElement.querySelector(".strip");
  if (!root) return;
  let strip = strips.get(root);
  if (!strip) { strip = new Strip(root); strips.set(root, strip); }
  strip.update(component);
  return () => { strip.destroy(); strips.delete(root); };
}
