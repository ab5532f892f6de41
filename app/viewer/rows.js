// Named rows, each a button that opens its boxes: a count and a bar (what fixing gains), or a share with its interval.

function drawRows(root, { data, setTriggerValue }) {
  const head = el("div", { class: "head" }, ...data.head.map((text, k) => el("span", { class: k ? "right" : "" }, text)));
  const rows = data.rows.map((r) => {
    const track = el("span", { class: "track" });
    if (data.line !== null && data.line !== undefined) track.append(at(el("span", { class: "mid" }), data.line));
    if (r.bar !== null && r.bar !== undefined) {
      const fill = el("span", { class: `fill ${r.verdict}` });
      fill.style.width = `${100 * r.bar}%`;
      track.append(fill);
    }
    if (r.low !== null && r.low !== undefined) {
      const span = el("span", { class: `span${r.flag ? " low" : ""}` });
      span.style.left = `${100 * r.low}%`; span.style.width = `${100 * (r.high - r.low)}%`;
      track.append(span, at(el("span", { class: `dot${r.flag ? " low" : ""}` }), r.mid));
    }
    const node = el("button", { class: `row${r.quiet ? " quiet" : ""}`, type: "button", title: r.title || "", "aria-pressed": String(r.id === data.selected), disabled: r.disabled },
      el("span", { class: "what" }, el("span", { class: `c-${r.verdict}` }, r.verdict ? mark(r.verdict, 13) : null), el("b", {}, r.name), r.note ? el("span", { class: "note" }, r.note) : null),
      el("span", { class: "n right", title: r.count_title || "" }, r.count, r.count_note ? el("small", {}, r.count_note) : null), track,
      el("span", { class: "value right" }, r.value, r.value_note ? el("small", {}, r.value_note) : null));
    node.dataset.id = r.id;
    node.onclick = () => setTriggerValue("pick", r.id);
    return node;
  });
  const held = root.getRootNode().activeElement?.dataset?.id;
  root.replaceChildren(el("div", { class: "table" }, head, ...rows), ...(data.foot ? [el("div", { class: "foot" }, data.foot)] : []));
  if (held !== undefined) rows.find((n) => n.dataset.id === held)?.focus({ preventScroll: true });
}
function at(node, share) { node.style.left = `${100 * share}%`; return node; }

export default function (component) {
  const root = component.parentElement.querySelector(".rows");
  if (root) drawRows(root, component);
}
