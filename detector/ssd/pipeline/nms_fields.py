"""The post-processing section of a `pipeline.config`."""

from __future__ import annotations

from detector.nms import PostprocessSettings
from detector.ssd.pipeline.reader import Reader


def nms_settings(section: Reader) -> PostprocessSettings:
    """Thresholds and caps, with the defaults of post_processing.proto.

    Raises:
        ConfigError: a switch that would change which boxes survive.
    """
    nms = section.section("batch_non_max_suppression")
    section.expect("score_converter", "SIGMOID", default="IDENTITY")
    section.expect("logit_scale", 1.0, default=1.0)
    section.no_more("its effect on scores is not known here")
    for switch in (
        "use_class_agnostic_nms",
        "use_combined_nms",
        "use_partitioned_nms",
        "use_hard_nms",
        "use_cpu_nms",
    ):
        if switch in ("use_hard_nms", "use_cpu_nms"):
            nms.ignore(switch)  # another kernel for the same answer
        else:
            nms.expect(switch, False, default=False)
    nms.expect("soft_nms_sigma", 0.0, default=0.0)
    # Both only matter to class-agnostic or combined suppression; the clip window is the whole image here.
    nms.ignore("use_static_shapes", "change_coordinate_frame", "max_classes_per_detection")
    settings = {
        "score_threshold": nms.number("score_threshold", 0.0),
        "iou_threshold": nms.number("iou_threshold", 0.6),
        "max_detections_per_class": nms.integer("max_detections_per_class", 100),
        "max_total_detections": nms.integer("max_total_detections", 100),
    }
    nms.no_more("its effect on detections is not known here")
    if settings["max_detections_per_class"] > settings["max_total_detections"]:
        nms.fail(
            "max_detections_per_class",
            f"expected at most max_total_detections {settings['max_total_detections']}",
        )
    return PostprocessSettings(**settings)
