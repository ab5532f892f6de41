// Crops around boxes: the viewer's drawing on a small piece of the picture. A click opens the object.

function drawCrop(c, send) {
  const nodes = [], marks = [], unit = Math.max(c.width, c.height) / 140;
  for (const b of c.boxes) {
    const [x, y, w, h] = b.box, place = { x, y, width: Math.max(w, unit), height: Math.max(h, unit), rx: unit, "stroke-dasharray": b.dashed ? "5 3.5" : null };
    nodes.push(svg("rect", { ...place, class: "casing", "stroke-width": b.quiet ? 2 : 3.2 }), svg("rect", { ...place, class: `box ${b.verdict}`, "stroke-width": b.quiet ? 1.25 : 2.2 }));
    if (b.quiet || !MARK[b.verdict === "found" ? "correct" : b.verdict]) continue;
    const size = 13 * unit, cx = Math.min(Math.max(x, size / 2), c.width - size / 2), cy = Math.min(Math.max(y, size / 2), c.height - size / 2);
    marks.push(svg("circle", { class: `flag ${b.verdict}`, cx, cy, r: size / 2 }),
      svg("path", { d: MARK[b.verdict], class: `glyph${b.verdict === "duplicate" ? " dot" : ""}`, transform: `translate(${cx - size * 0.35} ${cy - size * 0.35}) scale(${(size * 0.7) / 12})` }));
  }
  const drawing = svg("svg", { class: "boxes", viewBox: `0 0 ${c.width} ${c.height}`, preserveAspectRatio: "xMidYMid meet", "aria-hidden": "true" }, ...nodes, ...marks);
  const picture = c.url ? el("img", { src: c.url, alt: "", decoding: "async", draggable: "false" }) : el("span", { class: "broken" }, c.error || "no picture");
  const button = el("button", { type: "button", title: c.title, "aria-label": `${c.title}. Open.` }, picture, drawing);
  button.onclick = () => send("open", c.id);
  return el("div", { class: "crop", role: "listitem" }, button, el("div", { class: "cap" }, el("span", { class: "name", title: c.name }, c.name), el("b", {}, c.score)),
    el("div", { class: "where", title: c.where }, c.where));
}

export default function (component) {
  const root = component.parentElement.querySelector(".crops");
  if (!root) return;
  const old = new Map([...root.children].map((n) => [n.text, n]));
  root.replaceChildren(...component.data.crops.map((c) => {
    const text = JSON.stringify(c);
    const node = old.get(text) || drawCrop(c, (name, value) => root.send(name, value));
    node.text = text;
    return node;
  }));
  root.send = component.setTriggerValue;
}
