// One object as two detectors have it: the same piece of the picture twice, each with its side's box. A click opens the image.

function drawPane(c, side) {
  const unit = Math.max(c.width, c.height) / 140, nodes = [];
  for (const b of side.boxes) {
    const [x, y, w, h] = b.box, place = { x, y, width: Math.max(w, unit), height: Math.max(h, unit), rx: unit, "stroke-dasharray": b.look === "gone" ? "5 3.5" : null };
    const thin = b.look === "below";
    nodes.push(svg("rect", { ...place, class: "casing", "stroke-width": thin ? 2 : 3.2 }), svg("rect", { ...place, class: `box ${b.look}`, "stroke-width": thin ? 1.25 : 2.2 }));
  }
  const drawing = svg("svg", { class: "boxes", viewBox: `0 0 ${c.width} ${c.height}`, preserveAspectRatio: "xMidYMid meet", "aria-hidden": "true" }, ...nodes);
  const picture = c.url ? el("img", { src: c.url, alt: "", decoding: "async", draggable: "false" }) : el("span", { class: "broken" }, c.error || "no picture");
  return el("span", { class: "pane" }, picture, drawing, el("span", { class: "side" }, side.says));
}

function drawPair(c, send) {
  const button = el("button", { type: "button", title: c.title, "aria-label": `${c.title} Open.` }, ...c.sides.map((side) => drawPane(c, side)));
  button.onclick = () => send("open", c.id);
  return el("div", { class: "pair", role: "listitem" }, button, el("div", { class: "cap" }, el("span", { class: "name", title: c.where }, `${c.name} · ${c.where}`), el("b", {}, c.change)),
    el("div", { class: "why", title: c.title }, c.why));
}

export default function (component) {
  const root = component.parentElement.querySelector(".pairs");
  if (!root) return;
  const old = new Map([...root.children].map((n) => [n.text, n]));
  root.replaceChildren(...component.data.pairs.map((c) => {
    const text = JSON.stringify(c);
    const node = old.get(text) || drawPair(c, (name, value) => root.send(name, value));
    node.text = text;
    return node;
  }));
  root.send = component.setTriggerValue;
}
