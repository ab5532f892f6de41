"""Fixtures of the analysis tests."""

from tests.analysis.fiftyone_fixtures import fifty, fiftyone_home, fo  # noqa: F401
