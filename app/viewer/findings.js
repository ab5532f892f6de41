// The doctor's findings: how grave, what, how often, what to do; each a button that opens its images.

function drawFindings(root, { data, setTriggerValue }) {
  const held = root.getRootNode().activeElement?.dataset?.kind;
  const items = data.findings.map((f) => {
    const node = el("button", { class: "item", type: "button", role: "listitem", "aria-expanded": String(f.kind === data.selected) },
      el("span", { class: `grave ${f.severity}` }, el("i", { "aria-hidden": "true" }), f.severity),
      el("span", { class: "says" }, el("span", { class: "kind" }, f.kind), `: ${f.sentence}`),
      el("span", { class: "many" }, f.count.toLocaleString("en"), f.fixable ? el("span", { class: "fixable", title: "A fixed copy fixes it" }, "fixable") : null),
      el("span", { class: "advice" }, f.advice));
    node.dataset.kind = f.kind;
    node.onclick = () => setTriggerValue("pick", f.kind);
    return node;
  });
  root.replaceChildren(...items);
  if (held !== undefined) items.find((n) => n.dataset.kind === held)?.focus({ preventScroll: true });
}

export default function (component) {
  const root = component.parentElement.querySelector(".findings");
  if (root) drawFindings(root, component);
}
