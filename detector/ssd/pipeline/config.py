"""`pipeline.config` of the TF2 Object Detection API: read as it is, checked, written again when a training
changes it.

Fields that leave the answers alone are kept and ignored. A field that would change them and is not supported,
or whose meaning is not known here, is a ConfigError that names it with its line. The model section is checked
when the file is read, the training section when `training` is asked for, so that any detector can be loaded
for detection.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from detector.errors import ConfigError, reason_of
from detector.paths import write_atomically
from detector.ssd.config import BatchNorm, Initializer, MultiscaleAnchors, SSDAnchors, SSDConfig
from detector.ssd.pipeline import prototext
from detector.ssd.pipeline.nms_fields import nms_settings
from detector.ssd.pipeline.reader import Reader


@dataclass(frozen=True)
class LossSettings:
    """Matching and losses of training, under the config file's names."""

    matched_threshold: float = 0.5
    alpha: float = 0.25
    gamma: float = 2.0
    delta: float = 1.0
    classification_weight: float = 1.0
    localization_weight: float = 1.0


@dataclass(frozen=True)
class TrainingSettings:
    """What `train_config` and the loss section say.

    Args:
        augmentations: (name, {parameter: value}) in order.
        fine_tune_checkpoint: a prefix (".../ckpt-0"), or "".
        fine_tune_checkpoint_type: "classification" where the file says nothing.
    """

    batch_size: int
    num_steps: int
    learning_rate_base: float
    total_steps: int
    warmup_learning_rate: float
    warmup_steps: int
    momentum: float
    loss: LossSettings
    fine_tune_checkpoint: str = ""
    fine_tune_checkpoint_type: str = "classification"
    use_bfloat16: bool = False
    gradient_clipping_by_norm: float = 0.0
    max_number_of_boxes: int = 100
    unpad_groundtruth_tensors: bool = True
    augmentations: tuple[tuple[str, Mapping[str, Any]], ...] = ()


class PipelineConfig:
    """A parsed `pipeline.config`.

    Attributes:
        ssd: the network (`SSDConfig`), checked.
        training: `TrainingSettings`, checked on first use.
        label_map_path, train_input_paths, eval_label_map_path, eval_input_paths: as the readers say, "" or
            empty.
        path: the file, or None.

    Raises:
        ConfigError: naming the field and its line.
    """

    def __init__(self, message: prototext.Message, path: str | os.PathLike | None = None):
        self.message, self.path = message, path
        self._root = Reader(message, path)
        try:
            self.ssd = _ssd(self._root, Path(path).parent.name if path else "")
        except ConfigError as error:  # what only the whole network can tell has no line
            raise ConfigError(error.message, path=path, line=error.line) from None
        train, evaluation = self._root.section("train_input_reader"), self._root.section("eval_input_reader")
        self.label_map_path, self.eval_label_map_path = (
            r.text("label_map_path", "") for r in (train, evaluation)
        )
        self.train_input_paths, self.eval_input_paths = (
            tuple(r.section("tf_record_input_reader").texts("input_path")) for r in (train, evaluation)
        )

    def ssd_config(self) -> SSDConfig:
        return self.ssd

    @cached_property
    def training(self) -> TrainingSettings:
        return _training(self._root)

    def changed(self, values: Mapping[str, Any]) -> PipelineConfig:
        """A copy with fields set by their dotted path, e.g. {"model.ssd.num_classes": 2}; checked again.

        Numbers, bools and strings are written as such; `prototext.Word("RELU_6")` gives an enum; a list sets
        a repeated field, an empty one removes it; a `prototext.Message` within a list sets a whole section.
        """
        message = self.message
        for dotted, value in values.items():
            several = value if isinstance(value, (list, tuple)) else [value]
            message = prototext.replaced(message, dotted.split("."), [_scalar(v) for v in several])
        return PipelineConfig(message, self.path)

    def refuse(self, dotted: str, why: str) -> NoReturn:
        """Raise the ConfigError that names this field with its line."""
        *sections, field = dotted.split(".")
        reader = self._root
        for name in sections:
            reader = reader.section(name)
        reader.fail(field, why)

    def text(self) -> str:
        """The file again: the same fields in the same order, without comments."""
        return prototext.write(self.message)

    def write(self, path: str | os.PathLike) -> None:
        write_atomically(path, self.text().encode())


def read_pipeline_config(path: str | os.PathLike) -> PipelineConfig:
    """Read and check a `pipeline.config`.

    Raises:
        ConfigError: the file is missing or not protobuf text, or says something that is not supported.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"expected a pipeline.config in protobuf text, it cannot be read ({reason_of(error)}).", path=path
        ) from None
    return parse_pipeline_config(text, path)


def parse_pipeline_config(text: str, path: str | os.PathLike | None = None) -> PipelineConfig:
    return PipelineConfig(prototext.parse(text, path), path)


def _scalar(value: Any) -> str | prototext.Word | prototext.Message:
    if isinstance(value, (str, prototext.Word, tuple)):
        return value
    if isinstance(value, bool):
        return prototext.Word("true" if value else "false")
    return prototext.Word(repr(value))


def _ssd(root: Reader, name: str) -> SSDConfig:
    model = root.section("model", required=True)
    ssd = model.section("ssd", required=True)
    model.no_more("only SSD detectors are supported")
    features = ssd.section("feature_extractor", required=True)
    kind = features.text("type", required=True)
    fpn = {
        "ssd_mobilenet_v2_keras": False,
        "ssd_mobilenet_v2_fpn_keras": True,
        "ssd_resnet50_v1_fpn_keras": True,
    }
    if kind not in fpn:
        features.fail(
            "type", f"expected one of {', '.join(fpn)}, got {kind!r}; other networks are not supported"
        )
    depthwise = kind == "ssd_mobilenet_v2_fpn_keras"
    architecture = {
        "ssd_mobilenet_v2_keras": "ssd_mobilenet_v2",
        "ssd_mobilenet_v2_fpn_keras": "ssd_mobilenet_v2_fpnlite",
        "ssd_resnet50_v1_fpn_keras": "ssd_resnet50_v1_fpn",
    }[kind]
    features.expect("use_depthwise", depthwise, default=False)
    features.expect("override_base_feature_extractor_hyperparams", True, default=False)
    features.expect("pad_to_multiple", 1, default=1)
    features.expect("use_explicit_padding", False, default=False)
    features.expect("num_layers", 6, default=6)
    features.expect("replace_preprocessor_with_placeholder", False, default=False)
    features.ignore("batch_norm_trainable")
    alpha, min_depth = features.number("depth_multiplier", 1.0), features.integer("min_depth", 16)
    if kind == "ssd_resnet50_v1_fpn_keras" and alpha != 1.0:
        features.fail("depth_multiplier", f"a ResNet has no narrower version, expected 1.0, got {alpha:g}")
    pyramid = features.section("fpn")
    depth = pyramid.integer("additional_layer_depth", 256)
    pyramid.expect("min_level", 3, default=3)
    pyramid.expect("max_level", 7, default=7)
    pyramid.no_more("its effect on the network is not known here")
    initializer, l2, norm = _hyperparams(features)
    features.no_more("its effect on the network is not known here")

    size = ssd.section("image_resizer", required=True)
    fixed = size.section("fixed_shape_resizer")
    size.no_more("only fixed_shape_resizer is supported")
    height, width = fixed.integer("height", 300), fixed.integer("width", 300)
    fixed.expect("resize_method", "BILINEAR", default="BILINEAR")
    fixed.expect("convert_to_grayscale", False, default=False)
    fixed.no_more("its effect on the pixels is not known here")

    predictor = ssd.section("box_predictor", required=True)
    head, predictor_initializer, predictor_l2, predictor_norm = _predictor(predictor, fpn[kind], depthwise)
    box_coder = ssd.section("box_coder", required=True)
    coder = box_coder.section("faster_rcnn_box_coder", required=True)
    box_coder.no_more("only faster_rcnn_box_coder is supported")
    scales = tuple(
        coder.number(f"{axis}_scale", value)
        for axis, value in (("y", 10.0), ("x", 10.0), ("height", 5.0), ("width", 5.0))
    )
    coder.no_more("its effect on boxes is not known here")

    anchors = _anchors(ssd.section("anchor_generator", required=True), fpn[kind])
    settings = nms_settings(ssd.section("post_processing"))
    ssd.expect("add_background_class", True, default=True)
    ssd.expect("explicit_background_class", False, default=False)
    ssd.ignore(
        "inplace_batchnorm_update",
        "use_static_shapes",
        "return_raw_detections_during_predict",
        # Read where training is asked for.
        "matcher",
        "similarity_calculator",
        "encode_background_as_zeros",
        "loss",
        "normalize_loss_by_num_matches",
        "normalize_loc_loss_by_codesize",
        "negative_class_weight",
        "weight_regression_loss_by_score",
        "use_confidences_as_targets",
        "implicit_example_weight",
        "use_expected_classification_loss_under_sampling",
        "min_num_negative_samples",
        "desired_negative_sampling_ratio",
    )
    classes, frozen = ssd.integer("num_classes", required=True), ssd.flag("freeze_batchnorm", False)
    ssd.no_more("its effect on detections is not known here")
    return SSDConfig(
        architecture,
        num_classes=classes,
        height=height,
        width=width,
        alpha=alpha,
        min_depth=min_depth,
        depth=depth,
        predictor_depth=head["depth"],
        tower_layers=head["layers"],
        anchors=anchors,
        batch_norm=norm,
        predictor_batch_norm=predictor_norm,
        initializer=initializer,
        predictor_initializer=predictor_initializer,
        l2=l2,
        predictor_l2=predictor_l2,
        class_bias=head["bias"],
        freeze_batchnorm=frozen,
        box_scales=scales,
        postprocess=settings,
        name=name,
    )


def _hyperparams(parent: Reader) -> tuple[Initializer, float, BatchNorm]:
    hyper = parent.section("conv_hyperparams", required=True)
    hyper.expect("op", "CONV", default="CONV")
    hyper.expect("activation", "RELU_6", default="RELU")
    hyper.expect("regularize_depthwise", False, default=False)
    regularizer = hyper.section("regularizer", required=True)
    l2 = regularizer.section("l2_regularizer", required=True).number("weight", 1.0)
    regularizer.no_more("only l2_regularizer is supported")
    start = hyper.section("initializer", required=True)
    drawn = Initializer("truncated_normal", 0.0, 1.0)
    for kind in ("truncated_normal", "random_normal"):
        if start.has(f"{kind}_initializer"):
            spec = start.section(f"{kind}_initializer")
            drawn = Initializer(kind, spec.number("mean", 0.0), spec.number("stddev", 1.0))
    start.no_more("only truncated_normal_initializer and random_normal_initializer are supported")
    norm = hyper.section("batch_norm", required=True)
    norm.ignore("train")
    values = BatchNorm(
        norm.number("decay", 0.999),
        norm.number("epsilon", 0.001),
        norm.flag("center", True),
        norm.flag("scale", False),
    )
    norm.no_more("its effect on the network is not known here")
    hyper.no_more("its effect on the network is not known here")
    return drawn, l2, values


def _predictor(
    predictor: Reader, fpn: bool, depthwise: bool
) -> tuple[dict[str, Any], Initializer, float, BatchNorm]:
    name = "weight_shared_convolutional_box_predictor" if fpn else "convolutional_box_predictor"
    head = predictor.section(name, required=True)
    predictor.no_more(f"this network's predictor is {name}")
    head.expect("box_code_size", 4, default=4)
    head.ignore("dropout_keep_probability", "use_dropout")
    if fpn:
        head.expect("kernel_size", 3, default=3)
        head.expect("share_prediction_tower", depthwise, default=False)
        head.expect("use_depthwise", depthwise, default=False)
        head.expect("apply_batch_norm", True, default=True)
        head.expect("score_converter", "IDENTITY", default="IDENTITY")
        depth, layers = head.integer("depth", required=True), head.integer("num_layers_before_predictor", 0)
    else:
        head.expect("kernel_size", 1, default=1)
        head.expect("use_depthwise", False, default=False)
        head.expect("apply_sigmoid_to_scores", False, default=False)
        head.expect("num_layers_before_predictor", 0, default=0)
        head.ignore("min_depth", "max_depth")  # of the layers before the predictor, of which there are none
        depth, layers = 256, 4
    bias = head.number("class_prediction_bias_init", 0.0)
    hyper = _hyperparams(head)
    head.no_more("its effect on the network is not known here")
    return {"depth": depth, "layers": layers, "bias": bias}, *hyper


def _anchors(generator: Reader, fpn: bool) -> SSDAnchors | MultiscaleAnchors:
    name = "multiscale_anchor_generator" if fpn else "ssd_anchor_generator"
    spec = generator.section(name, required=True)
    generator.no_more(f"this network's anchors are {name}")
    if fpn:
        spec.expect("normalize_coordinates", True, default=True)
        found: SSDAnchors | MultiscaleAnchors = MultiscaleAnchors(
            spec.integer("min_level", 3),
            spec.integer("max_level", 7),
            spec.number("anchor_scale", 4.0),
            tuple(spec.numbers("aspect_ratios")) or (1.0,),
            spec.integer("scales_per_octave", 2),
        )
    else:
        for axis in ("height", "width"):
            spec.expect(f"base_anchor_{axis}", 1.0, default=1.0)
        found = SSDAnchors(
            spec.integer("num_layers", 6),
            spec.number("min_scale", 0.2),
            spec.number("max_scale", 0.95),
            tuple(spec.numbers("aspect_ratios")) or (1.0,),
            spec.number("interpolated_scale_aspect_ratio", 1.0),
            spec.flag("reduce_boxes_in_lowest_layer", True),
        )
    spec.no_more("its effect on the anchors is not known here")
    return found


def _training(root: Reader) -> TrainingSettings:
    ssd = root.section("model").section("ssd")
    ssd.expect("encode_background_as_zeros", True, default=False)
    ssd.expect("normalize_loss_by_num_matches", True, default=True)
    ssd.expect("normalize_loc_loss_by_codesize", True, default=False)
    ssd.expect("negative_class_weight", 1.0, default=1.0)
    ssd.expect("use_confidences_as_targets", False, default=False)
    matcher = ssd.section("matcher").section("argmax_matcher", required=True)
    matched = matcher.number("matched_threshold", 0.5)
    matcher.expect("unmatched_threshold", matched, default=0.5)
    matcher.expect("force_match_for_each_row", True, default=False)
    matcher.expect("ignore_thresholds", False, default=False)
    ssd.section("similarity_calculator").section("iou_similarity", required=True)
    loss = ssd.section("loss", required=True)
    focal = loss.section("classification_loss", required=True).section(
        "weighted_sigmoid_focal", required=True
    )
    smooth = loss.section("localization_loss", required=True).section("weighted_smooth_l1", required=True)
    losses = LossSettings(
        matched,
        focal.number("alpha", required=True),
        focal.number("gamma", 2.0),
        smooth.number("delta", 1.0),
        loss.number("classification_weight", 1.0),
        loss.number("localization_weight", 1.0),
    )
    for section in ("hard_example_miner", "random_example_sampler"):
        if loss.has(section):
            loss.fail(section, "it is not supported")
    head = ssd.section("box_predictor")
    for name, default in (
        ("convolutional_box_predictor", True),
        ("weight_shared_convolutional_box_predictor", False),
    ):
        if head.has(name):
            head.section(name).expect("use_dropout", False, default=default)

    train = root.section("train_config", required=True)
    optimizer = train.section("optimizer", required=True)
    optimizer.expect("use_moving_average", False, default=True)
    momentum = optimizer.section("momentum_optimizer", required=True)
    rate = momentum.section("learning_rate", required=True).section(
        "cosine_decay_learning_rate", required=True
    )
    rate.expect("hold_base_rate_steps", 0, default=0)
    base, warm = rate.number("learning_rate_base", 0.002), rate.number("warmup_learning_rate", 0.0002)
    total, warm_steps = rate.integer("total_steps", 4_000_000), rate.integer("warmup_steps", 10_000)
    if warm > base:
        rate.fail("warmup_learning_rate", f"expected at most learning_rate_base {base:g}, got {warm:g}")
    if total < warm_steps:
        rate.fail("total_steps", f"expected at least warmup_steps {warm_steps}, got {total}")
    train.expect("add_regularization_loss", True, default=True)
    for name in ("freeze_variables", "update_trainable_variables", "from_detection_checkpoint"):
        if train.has(name):
            train.fail(name, "it is not supported")
    train.expect("bias_grad_multiplier", 0.0, default=0.0)
    train.expect("fine_tune_checkpoint_version", "V2", default="V2")
    train.expect("merge_multiple_label_boxes", False, default=False)
    train.expect("use_multiclass_scores", False, default=False)
    root.section("train_input_reader").expect("sample_1_of_n_examples", 1, default=1)
    settings = TrainingSettings(
        batch_size=train.integer("batch_size", 32),
        num_steps=train.integer("num_steps", 0),
        learning_rate_base=base,
        total_steps=total,
        warmup_learning_rate=warm,
        warmup_steps=warm_steps,
        momentum=momentum.number("momentum_optimizer_value", 0.9),
        loss=losses,
        fine_tune_checkpoint=train.text("fine_tune_checkpoint", ""),
        fine_tune_checkpoint_type=train.text("fine_tune_checkpoint_type", "") or "classification",
        use_bfloat16=train.flag("use_bfloat16", False),
        gradient_clipping_by_norm=train.number("gradient_clipping_by_norm", 0.0),
        max_number_of_boxes=train.integer("max_number_of_boxes", 100),
        unpad_groundtruth_tensors=train.flag("unpad_groundtruth_tensors", True),
        augmentations=tuple(_augmentations(train)),
    )
    train.ignore(
        "sync_replicas",
        "startup_delay_steps",
        "replicas_to_aggregate",
        "keep_checkpoint_every_n_hours",
        "batch_queue_capacity",
        "num_batch_queue_threads",
        "prefetch_queue_capacity",
        "retain_original_images",
        "summarize_gradients",
        "retain_original_image_additional_channels",
        "load_all_detection_checkpoint_vars",
    )
    train.no_more("its effect on the training is not known here")
    return settings


def _augmentations(train: Reader) -> Sequence[tuple[str, dict[str, Any]]]:
    return [
        (step.name, step.plain())
        for option in train.sections("data_augmentation_options")
        for step in option.children()
    ]
