"""FiftyOne plugin of Boxscope: the operator "Explain in Boxscope".

`analysis.fiftyone.service.plugin.install` copies this file into FiftyOne's plugins folder; FiftyOne's App
imports the copy.
"""

from __future__ import annotations

import fiftyone.operators as operators
from fiftyone.operators import types


class ExplainInBoxscope(operators.Operator):
    """Offers the Boxscope page of the selected label, or of the sample that is open or selected."""

    @property
    def config(self):
        return operators.OperatorConfig(
            name="explain_in_boxscope",
            label="Explain in Boxscope",
            dynamic=True,
            description="Why was it missed, or why is it wrong? Opens the object's page in Boxscope.",
        )

    def resolve_placement(self, ctx):
        button = types.Button(label="Explain in Boxscope", icon="help_outline", prompt=True)
        return types.Placement(types.Places.SAMPLES_VIEWER_ACTIONS, button)

    def resolve_input(self, ctx):
        inputs = types.Object()
        links = find_links(ctx)
        if links:
            text = "\n\n".join(f"[{title}]({link})" for title, link in links)
        else:
            text = "Select a label, or open a sample, of a data set that Boxscope pushed."
        inputs.md(text, name="links")
        return types.Property(
            inputs, view=types.PromptView(label="Explain in Boxscope", submit_button_label="Done")
        )

    def execute(self, ctx):
        return {"links": [link for _, link in find_links(ctx)]}


def find_links(ctx) -> list[tuple[str, str]]:
    """(title, address) of the selected labels, else of the open or selected samples; ten at most."""
    found = []
    for chosen in (ctx.selected_labels or [])[:10]:
        sample = source_sample(ctx, chosen["sample_id"])
        label = find_label(sample, chosen["label_id"]) if sample is not None else None
        link = label and label.to_dict().get("link")
        if link:
            found.append((f"{label.label} in {sample['image_id']}", link))
    if found:
        return found
    for sample_id in filter(None, [ctx.current_sample, *(ctx.selected or [])][:10]):
        sample = source_sample(ctx, sample_id)
        if sample is not None and sample.has_field("boxscope_link") and sample["boxscope_link"]:
            found.append((f"Image {sample['image_id']}", sample["boxscope_link"]))
    return found


def source_sample(ctx, sample_id):
    """The data set's sample, also where a patch of it is shown."""
    try:
        return ctx.dataset[sample_id]
    except KeyError:
        try:
            return ctx.dataset[ctx.view[sample_id]["sample_id"]]
        except (KeyError, ValueError, AttributeError):
            return None


def find_label(sample, label_id):
    for name in sample.field_names:
        value = sample[name]
        for label in getattr(value, "detections", None) or []:
            if label.id == label_id:
                return label
    return None


def register(plugin):
    plugin.register(ExplainInBoxscope)
