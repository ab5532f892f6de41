from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import ConfigError
from detector.nms import PostprocessSettings
from detector.ssd.config import (
    BatchNorm,
    Initializer,
    mobilenet_v2,
    mobilenet_v2_fpnlite,
    resnet50_fpn,
)
from detector.ssd.pipeline.config import LossSettings, parse_pipeline_config, read_pipeline_config
from detector.ssd.pipeline.prototext import Field, Word, parse, replaced, write

HYPER = """conv_hyperparams {
  activation: RELU_6,
  regularizer { l2_regularizer { weight: 0.00004 } }
  initializer { random_normal_initializer { stddev: 0.01 mean: 0.0 } }
  batch_norm { scale: true, decay: 0.997, epsilon: 0.001, }
}"""

FPNLITE = f"""# a comment
model {{
  ssd {{
    num_classes: 3
    box_coder {{ faster_rcnn_box_coder {{ y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 }} }}
    matcher {{ argmax_matcher {{ force_match_for_each_row: true use_matmul_gather: true }} }}
    similarity_calculator {{ iou_similarity {{}} }}
    encode_background_as_zeros: true
    anchor_generator: {{ multiscale_anchor_generator {{ aspect_ratios: [1.0, 2.0, 0.5] }} }}
    image_resizer {{ fixed_shape_resizer {{ height: 320 width: 640 }} }}
    box_predictor {{
      weight_shared_convolutional_box_predictor {{
        depth: 128
        class_prediction_bias_init: -4.6
        {HYPER}
        num_layers_before_predictor: 4
        share_prediction_tower: true use_depthwise: true
      }}
    }}
    feature_extractor {{
      type: 'ssd_mobilenet_v2_fpn_keras'
      use_depthwise: true
      fpn {{ additional_layer_depth: 128 }}
      {HYPER}
      override_base_feature_extractor_hyperparams: true
    }}
    loss {{
      classification_loss {{ weighted_sigmoid_focal {{ alpha: 0.25 }} }}
      localization_loss {{ weighted_smooth_l1 {{}} }}
    }}
    normalize_loc_loss_by_codesize: true
    post_processing {{ batch_non_max_suppression {{ score_threshold: 1e-8 use_static_shapes: false }} score_converter: SIGMOID }}
  }}
}}
train_config: {{
  batch_size: 8
  num_steps: 500
  fine_tune_checkpoint: "some/" 'ckpt-0'
  data_augmentation_options {{ random_horizontal_flip {{}} }}
  data_augmentation_options {{ random_crop_image {{ min_area: 0.75 overlap_thresh: 0.0 }} }}
  optimizer {{
    momentum_optimizer: {{
      learning_rate {{ cosine_decay_learning_rate {{ learning_rate_base: .08 total_steps: 500 warmup_learning_rate: .02 warmup_steps: 50 }} }}
    }}
    use_moving_average: false
  }}
  sync_replicas: true
}}
train_input_reader: {{ label_map_path: "a \\"b\\".pbtxt" tf_record_input_reader {{ input_path: ["x", "y"] }} }}
eval_config {{ metrics_set: "coco_detection_metrics" }}
"""


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_a_whole_file_with_its_silent_defaults():
    pipeline = parse_pipeline_config(FPNLITE)
    norm = BatchNorm(0.997, 0.001, True, True)
    drawn = Initializer("random_normal", 0.0, 0.01)
    assert pipeline.ssd == mobilenet_v2_fpnlite(
        num_classes=3, width=640, batch_norm=norm, predictor_batch_norm=norm, initializer=drawn, predictor_initializer=drawn,
        postprocess=PostprocessSettings(1e-8, 0.6, 100, 100), name="",
    )  # fmt: skip
    training = pipeline.training
    assert (training.batch_size, training.num_steps, training.momentum) == (8, 500, 0.9)
    assert (
        training.learning_rate_base,
        training.total_steps,
        training.warmup_learning_rate,
        training.warmup_steps,
    ) == (0.08, 500, 0.02, 50)
    assert training.loss == LossSettings(0.5, 0.25, 2.0, 1.0, 1.0, 1.0)
    assert (
        training.fine_tune_checkpoint == "some/ckpt-0"
        and training.fine_tune_checkpoint_type == "classification"
    )
    assert training.augmentations == (
        ("random_horizontal_flip", {}),
        ("random_crop_image", {"min_area": 0.75, "overlap_thresh": 0.0}),
    )
    assert pipeline.label_map_path == 'a "b".pbtxt' and pipeline.train_input_paths == ("x", "y")
    assert pipeline.ssd_config() == pipeline.ssd


@pytest.mark.parametrize("make", [mobilenet_v2, mobilenet_v2_fpnlite, resnet50_fpn])
def test_the_zoo_s_own_files(shared, make):
    path = shared / "golden" / make().name / "pipeline.config"
    pipeline = read_pipeline_config(path)
    assert pipeline.ssd == make()
    want = {
        "ssd_mobilenet_v2": (512, 0.8, 0.75),
        "ssd_mobilenet_v2_fpnlite": (128, 0.08, 0.25),
        "ssd_resnet50_v1_fpn": (64, 0.04, 0.25),
    }
    training = pipeline.training
    assert (training.batch_size, training.learning_rate_base, training.loss.alpha) == want[
        make().architecture
    ]
    assert training.use_bfloat16 == (make is resnet50_fpn)


def test_a_user_s_file(shared):
    pipeline = read_pipeline_config(
        shared / "weights" / "ssd_mobilenet_v2_fpnlite_drowsiness" / "pipeline_file.config"
    )
    assert pipeline.ssd == mobilenet_v2_fpnlite(num_classes=2, name="ssd_mobilenet_v2_fpnlite_drowsiness")
    assert pipeline.training.fine_tune_checkpoint_type == "detection"


def test_written_again_it_reads_the_same():
    pipeline = parse_pipeline_config(FPNLITE)
    again = parse_pipeline_config(pipeline.text())
    assert again.ssd == pipeline.ssd and again.training == pipeline.training
    assert again.label_map_path == pipeline.label_map_path and again.text() == pipeline.text()
    assert (
        'metrics_set: "coco_detection_metrics"' in pipeline.text()
        and "sync_replicas: true" in pipeline.text()
    )


def test_changes_are_checked_and_written(tmp_path):
    pipeline = parse_pipeline_config(FPNLITE)
    changed = pipeline.changed({
        "model.ssd.num_classes": 7, "model.ssd.freeze_batchnorm": True, "train_config.fine_tune_checkpoint_type": "full",
        "train_input_reader.tf_record_input_reader.input_path": ["only.tfrecord"],
        "model.ssd.post_processing.batch_non_max_suppression.max_total_detections": 300,
    })  # fmt: skip
    changed.write(tmp_path / "pipeline.config")
    read = read_pipeline_config(tmp_path / "pipeline.config")
    assert (
        read.ssd.num_classes == 7
        and read.ssd.freeze_batchnorm
        and read.ssd.postprocess.max_total_detections == 300
    )
    assert read.training.fine_tune_checkpoint_type == "full" and read.train_input_paths == ("only.tfrecord",)
    assert pipeline.ssd.num_classes == 3
    with pytest.raises(ConfigError, match="num_classes: expected at least 1"):
        pipeline.changed({"model.ssd.num_classes": 0})


@pytest.mark.parametrize(
    ("part", "instead", "says"),
    [
        (
            "type: 'ssd_mobilenet_v2_fpn_keras'",
            "type: 'ssd_efficientnet-b0_bifpn_keras'",
            "feature_extractor.type: expected one of .* got 'ssd_efficientnet",
        ),
        (
            "activation: RELU_6,",
            "activation: RELU,",
            "conv_hyperparams.activation: this is RELU, only RELU_6 is supported",
        ),
        ("activation: RELU_6,", "", "conv_hyperparams.activation: this is by default RELU"),
        ("score_converter: SIGMOID", "score_converter: SOFTMAX", "score_converter: this is SOFTMAX"),
        (
            "fixed_shape_resizer { height: 320 width: 640 }",
            "keep_aspect_ratio_resizer { min_dimension: 640 }",
            "keep_aspect_ratio_resizer: this field is not supported",
        ),
        (
            "height: 320 width: 640",
            "height: 320 width: 640 resize_method: BICUBIC",
            "resize_method: this is BICUBIC",
        ),
        (
            "score_threshold: 1e-8",
            "score_threshold: 1e-8 soft_nms_sigma: 0.5",
            "soft_nms_sigma: this is 0.5, only 0 ",
        ),
        (
            "score_threshold: 1e-8",
            "score_threshold: 1e-8 use_class_agnostic_nms: true",
            "use_class_agnostic_nms: this is true",
        ),
        (
            "score_threshold: 1e-8",
            "score_threshold: 1e-8 max_total_detections: 20",
            "max_detections_per_class: expected at most max_total_detections 20",
        ),
        (
            "num_classes: 3",
            "num_classes: 3 use_new_thing: true",
            "model.ssd.use_new_thing: this field is not supported",
        ),
        ("num_classes: 3", "num_classes: three", "num_classes: expected a number, got 'three'"),
        ("num_classes: 3", "", "num_classes: expected this field, it is missing"),
        (
            "share_prediction_tower: true use_depthwise",
            "use_depthwise",
            "share_prediction_tower: this is by default false",
        ),
        (
            "override_base_feature_extractor_hyperparams: true",
            "",
            "override_base_feature_extractor_hyperparams: this is by default false",
        ),
        (
            "fpn { additional_layer_depth: 128 }",
            "fpn { additional_layer_depth: 128 max_level: 6 }",
            "fpn.max_level: this is 6, only 7",
        ),
        ("width: 640", "width: 650", "pipeline.config: .*multiples of 32, got 650x320"),
    ],
)
def test_what_would_change_the_answers_is_refused_by_name_and_line(part, instead, says, tmp_path):
    path = tmp_path / "pipeline.config"
    path.write_text(FPNLITE.replace(part, instead, 1))
    with pytest.raises(ConfigError, match=says) as caught:
        read_pipeline_config(path)
    if "this is" in says and "by default" not in says:
        assert caught.value.line == line_of(FPNLITE, part), str(caught.value)


@pytest.mark.parametrize(
    ("part", "instead", "says"),
    [
        (
            "warmup_learning_rate: .02",
            "warmup_learning_rate: .2",
            "warmup_learning_rate: expected at most learning_rate_base 0.08, got 0.2",
        ),
        ("total_steps: 500", "total_steps: 40", "total_steps: expected at least warmup_steps 50, got 40"),
        ("use_moving_average: false", "", "use_moving_average: this is by default true"),
        (
            "weighted_sigmoid_focal { alpha: 0.25 }",
            "weighted_softmax {}",
            "weighted_sigmoid_focal: expected this section",
        ),
        (
            "normalize_loc_loss_by_codesize: true",
            "",
            "normalize_loc_loss_by_codesize: this is by default false",
        ),
        ("sync_replicas: true", 'freeze_variables: ".*"', "freeze_variables: it is not supported"),
        ("momentum_optimizer: {", "adam_optimizer: {", "momentum_optimizer: expected this section"),
    ],
)
def test_training_that_is_not_supported_does_not_hinder_detection(part, instead, says):
    pipeline = parse_pipeline_config(FPNLITE.replace(part, instead, 1))
    assert pipeline.ssd.num_classes == 3
    with pytest.raises(ConfigError, match=says):
        _ = pipeline.training


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb {\n  c: 2\n", 2, "expected '}'"),
        ("a: 1\n}\n", 2, "found '}'"),
        ("a\n", 1, "expected ':' or '{' after a"),
        ("a: 1\nb:", 2, "expected a value for b"),
        ('a: 1\nb: "x\n', 2, "closing quote"),
        ("a: [1, 2", 1, "expected ']'"),
        ("a: }", 1, "expected a value for a"),
        ("{ }", 1, "expected the name of a field"),
    ],
)
def test_text_that_is_no_protobuf_text(text, line, says):
    with pytest.raises(ConfigError, match=says) as caught:
        parse(text, "file.config")
    assert caught.value.line == line and str(caught.value).startswith(f"file.config:{line}: ")


def test_a_missing_file_and_an_empty_one(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_pipeline_config(tmp_path / "none.config")
    with pytest.raises(ConfigError, match="model: expected this section"):
        parse_pipeline_config("")
    assert parse("") == () and write(()) == ""


def test_every_spelling_of_a_message():
    fields = parse(
        "a { b: 1 } a: { b: 2 }, a < b: 3 > ; c: [4, 5] d: 'it''s' e: \"\\x41\\n\\101\" f: -1.5e3 g: []"
    )
    assert [f.name for f in fields] == ["a", "a", "a", "c", "c", "d", "e", "f"]
    assert [f.value[0].value for f in fields[:3]] == ["1", "2", "3"]
    assert [f.value for f in fields[5:]] == ["its", "A\nA", Word("-1.5e3")]


def test_replacing_keeps_place_and_makes_what_is_missing():
    message = parse("a: 1 b: 2 b: 3 c: 4")
    assert write(replaced(message, ["b"], [Word("9")])) == "a: 1\nb: 9\nc: 4\n"
    assert write(replaced(message, ["d", "e"], ["x"])).endswith('d {\n  e: "x"\n}\n')


names = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True)
values = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12),
    st.integers().map(lambda i: Word(str(i))),
    st.sampled_from([Word("true"), Word("RELU_6")]),
)
messages = st.recursive(
    st.lists(st.builds(Field, names, values), max_size=4).map(tuple),
    lambda inner: st.lists(st.builds(Field, names, st.one_of(values, inner)), max_size=4).map(tuple),
    max_leaves=12,
)


def bare(message):
    return tuple(
        (f.name, type(f.value), bare(f.value) if isinstance(f.value, tuple) else f.value) for f in message
    )


@given(messages)
def test_parse_undoes_write(message):
    assert bare(parse(write(message))) == bare(message)
