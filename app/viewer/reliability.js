// Share correct against confidence, a bar a bin; the gap to the diagonal is marked, and beneath stands how many detections a bin holds.

function drawReliability(root, { data }) {
  const w = Math.max(220, Math.min(root.clientWidth, 460)), h = Math.round(w * 0.72), left = 34, right = 8, top = 6, bottom = 62;
  const x = (v) => left + v * (w - left - right), y = (v) => h - bottom - v * (h - top - bottom);
  const grid = svg("g", { class: "grid" });
  for (const v of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    const a = svg("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end", class: "soft" }), b = svg("text", { x: x(v), y: h - 18, "text-anchor": "middle", class: "soft" });
    a.textContent = String(Math.round(100 * v)); b.textContent = v.toFixed(1);
    grid.append(svg("line", { x1: x(0), x2: x(1), y1: y(v), y2: y(v) }), a, b);
  }
  const name = svg("text", { x: x(1), y: h - 3, "text-anchor": "end" });
  name.textContent = "confidence (% correct upwards; below: how many)";
  const nodes = [grid, name], most = Math.max(1, ...data.counts);
  data.counts.forEach((n, b) => {
    if (!n) return;
    const x1 = x(data.edges[b]) + 1, width = x(data.edges[b + 1]) - x1 - 1, right = data.accuracy[b], said = data.confidence[b];
    const group = svg("g", {}, svg("rect", { class: "bar", x: x1, width, y: y(right), height: Math.max(0.5, y(0) - y(right)) }),
      svg("rect", { class: "gap", x: x1, width, y: y(Math.max(right, said)), height: Math.max(0.5, Math.abs(y(right) - y(said))) }),
      svg("rect", { class: "many", x: x1, width, y: y(0) + 4, height: Math.max(1, (24 * n) / most) }));
    const title = svg("title");
    title.textContent = `${n} detections of ${data.edges[b].toFixed(1)} to ${data.edges[b + 1].toFixed(1)}: mean confidence ${(100 * said).toFixed(1)} %, correct ${(100 * right).toFixed(1)} %`;
    group.append(title);
    nodes.push(group);
  });
  nodes.push(svg("line", { class: "ideal", x1: x(0), x2: x(1), y1: y(0), y2: y(1) }));
  root.replaceChildren(svg("svg", { viewBox: `0 0 ${w} ${h}`, style: `max-width: ${w}px`, role: "img", "aria-label": data.words }, ...nodes));
}

export default function (component) {
  const root = component.parentElement.querySelector(".reliability");
  if (!root) return;
  drawReliability(root, component);
  const watch = new ResizeObserver(() => drawReliability(root, component));
  watch.observe(root);
  return () => watch.disconnect();
}
