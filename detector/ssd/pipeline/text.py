"""A network's config as the text of a `pipeline.config`, for networks that did not come from one."""

from __future__ import annotations

from detector.ssd.config import BatchNorm, Initializer, MultiscaleAnchors, SSDConfig

EXTRACTORS = {
    "ssd_mobilenet_v2": "ssd_mobilenet_v2_keras",
    "ssd_mobilenet_v2_fpnlite": "ssd_mobilenet_v2_fpn_keras",
    "ssd_resnet50_v1_fpn": "ssd_resnet50_v1_fpn_keras",
}
PREDICTORS = {False: "convolutional_box_predictor", True: "weight_shared_convolutional_box_predictor"}
"""The predictor's section, by `SSDConfig.fpn`."""


def model_text(config: SSDConfig) -> str:
    """The `model` section.

    Law: `parse_pipeline_config(model_text(c)).ssd == c`, but for the name; a ResNet with `alpha` other than 1
    has no such text, and reading it back says so.
    """
    kind = config.architecture
    pyramid = (
        f"fpn {{ min_level: 3 max_level: 7 additional_layer_depth: {config.depth} }}" if config.fpn else ""
    )
    depthwise = "use_depthwise: true" if config.depthwise else ""
    y, x, h, w = config.box_scales
    nms = config.postprocess
    return f"""model {{ ssd {{
        num_classes: {config.num_classes}
        freeze_batchnorm: {_flag(config.freeze_batchnorm)}
        image_resizer {{ fixed_shape_resizer {{ height: {config.height} width: {config.width} }} }}
        feature_extractor {{
            type: "{EXTRACTORS[kind]}"
            depth_multiplier: {config.alpha!r} min_depth: {config.min_depth} {depthwise} {pyramid}
            {_hyperparams(config.l2, config.initializer, config.batch_norm)}
            override_base_feature_extractor_hyperparams: true
        }}
        box_coder {{ faster_rcnn_box_coder {{
            y_scale: {y!r} x_scale: {x!r} height_scale: {h!r} width_scale: {w!r}
        }} }}
        matcher {{ argmax_matcher {{ force_match_for_each_row: true }} }}
        similarity_calculator {{ iou_similarity {{ }} }}
        encode_background_as_zeros: true
        {_predictor(config)}
        {_anchors(config)}
        normalize_loss_by_num_matches: true
        normalize_loc_loss_by_codesize: true
        post_processing {{
            batch_non_max_suppression {{
                score_threshold: {nms.score_threshold!r} iou_threshold: {nms.iou_threshold!r}
                max_detections_per_class: {nms.max_detections_per_class}
                max_total_detections: {nms.max_total_detections}
            }}
            score_converter: SIGMOID
        }}
    }} }}"""


def _predictor(config: SSDConfig) -> str:
    hyper = _hyperparams(config.predictor_l2, config.predictor_initializer, config.predictor_batch_norm)
    if not config.fpn:
        inner = "kernel_size: 1 use_dropout: false"
    else:
        inner = (
            f"depth: {config.predictor_depth} num_layers_before_predictor: {config.tower_layers}"
            " kernel_size: 3"
        )
        if config.depthwise:
            inner += " share_prediction_tower: true use_depthwise: true"
    return (
        f"box_predictor {{ {PREDICTORS[config.fpn]} {{ {inner} class_prediction_bias_init:"
        f" {config.class_bias!r} {hyper} }} }}"
    )


def _anchors(config: SSDConfig) -> str:
    a = config.anchors
    ratios = ", ".join(repr(r) for r in a.aspect_ratios)
    if isinstance(a, MultiscaleAnchors):
        return (
            f"anchor_generator {{ multiscale_anchor_generator {{ min_level: {a.min_level} max_level:"
            f" {a.max_level} anchor_scale: {a.anchor_scale!r} aspect_ratios: [{ratios}] scales_per_octave:"
            f" {a.scales_per_octave} }} }}"
        )
    return (
        f"anchor_generator {{ ssd_anchor_generator {{ num_layers: {a.num_layers} min_scale: {a.min_scale!r}"
        f" max_scale: {a.max_scale!r} aspect_ratios: [{ratios}] interpolated_scale_aspect_ratio:"
        f" {a.interpolated_scale_aspect_ratio!r} reduce_boxes_in_lowest_layer:"
        f" {_flag(a.reduce_boxes_in_lowest_layer)} }} }}"
    )


def _hyperparams(l2: float, drawn: Initializer, norm: BatchNorm) -> str:
    return (
        f"conv_hyperparams {{ activation: RELU_6 regularizer {{ l2_regularizer {{ weight: {l2!r} }} }}"
        f" initializer {{ {drawn.kind}_initializer {{ mean: {drawn.mean!r} stddev: {drawn.stddev!r} }} }}"
        f" batch_norm {{ decay: {norm.decay!r} epsilon: {norm.epsilon!r} center: {_flag(norm.center)} scale:"
        f" {_flag(norm.scale)} }} }}"
    )


def _flag(value: bool) -> str:
    return "true" if value else "false"
