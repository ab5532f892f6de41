"""Figures: COCO, VOC, the streamed evaluation, the check against pycocotools, validation."""
