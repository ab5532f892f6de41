// A chart drawn by the server as SVG text (analysis.drawing.svg, which escapes every label); st.html would strip it.

export default function (component) {
  const root = component.parentElement.querySelector(".drawing");
  if (root && root.text !== component.data.svg) { root.text = component.data.svg; root.innerHTML = component.data.svg; }
}
