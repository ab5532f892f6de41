"""The report: it needs nothing from anywhere, its numbers are those of the engine, its tables read back."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.metrics.evaluate import evaluate
from analysis.mistakes.errors import KINDS, find_errors
from analysis.report.build import build_report
from analysis.report.html import Percent, table, table_csv
from detector.errors import InputError
from tests.analysis.mistakes.test_box_lists import FOUND, OBJECTS, run_of


@pytest.fixture(scope="module")
def run():
    run = run_of(OBJECTS, FOUND)
    run._loader = lambda i: np.full((90, 120, 3), 90 + 40 * i, np.uint8)
    return run


@pytest.fixture(scope="module")
def report(run):
    return build_report(run, 0.5, worst=2)


class Reader(HTMLParser):
    """The page's words, what it would fetch, and whether every tag is closed."""

    VOID = {"meta", "img", "br", "use", "link"}

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.words, self.tags = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [
            v
            for k, v in attrs
            if k in ("src", "href", "xlink:href", "srcset") and not v.startswith(("data:", "#"))
        ]

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_whole_and_fetches_nothing(report):
    reader = Reader()
    reader.feed(report.html)
    assert not reader.open and not reader.fetched
    assert "@import" not in report.html and "url(http" not in report.html
    assert reader.tags.count("svg") == 5 and reader.tags.count("img") == 2 and "script" not in reader.tags
    ids = re.findall(r'\bid="([^"]+)"', report.html)
    assert len(ids) == len(set(ids)), "drawings of one page must not share names"


def test_its_numbers_are_the_engines(run, report):
    words = " ".join(report.html.split())
    c, e = counts(match_run(run), 0.5), evaluate(run)
    for name, value in (("objects", c.objects), ("correct", c.tp), ("wrong", c.fp), ("missed", c.fn)):
        assert re.search(rf"{name}</span><b>{value}</b>", words), name
    assert f"AP</span><b>{e['AP']:.3f}</b>" in words
    rows = list(csv.DictReader(io.StringIO(report.tables["errors.csv"])))
    assert {r["kind"]: int(r["at any stored score"]) for r in rows} == find_errors(run).counts
    assert [r["kind"] for r in rows] == list(KINDS)


def test_it_says_under_what_settings(run, report):
    assert report.html.count("confidence ≥ 0.50 · IoU ≥ 0.50 · COCO matching · by hand ab12cd34") >= 3
    for text in (
        run.manifest.dataset.fingerprint,
        run.manifest.detector.weights_hash,
        "version of numpy",
        "does not gain their sum",
    ):
        assert text in report.html
    low = build_report(run, [0.25, 0.75], pictures=False, words="scores calibrated (platt)")
    assert (
        "confidence per class (0.25 to 0.75)" in low.html
        and "scores calibrated (platt)" in low.html
        and "<img" not in low.html
    )


def test_tables_read_back(run, report, tmp_path):
    paths = report.write(tmp_path / "sub" / "my report.html")
    assert [p.name for p in paths[:2]] == ["my report.html", "my report-classes.csv"] and all(
        p.exists() for p in paths
    )
    classes = {r["class"]: r for r in csv.DictReader(io.StringIO(report.tables["classes.csv"]))}
    assert (classes["cat"]["correct"], classes["dog"]["missed"], float(classes["cat"]["recall"])) == (
        "1",
        "2",
        0.5,
    )
    matrix = {
        r["object \\ detection"]: r for r in csv.DictReader(io.StringIO(report.tables["confusion.csv"]))
    }
    assert (matrix["dog"]["cat"], matrix["dog"]["background"], matrix["background"]["dog"]) == ("1", "1", "1")
    mistakes = json.loads(report.tables["mistakes.json"])
    assert len(mistakes["predictions"]) == counts(match_run(run), 0.5).fp
    assert json.loads(report.tables["evaluation.json"])["AP"] == evaluate(run)["AP"]
    with pytest.raises(InputError, match=r"\.html"):
        report.write(tmp_path / "report.pdf")


def test_names_are_text_whatever_they_hold():
    words = table([{"class": "<script>alert(1)</script>", "n": 1}])
    assert "<script>" not in words and "&lt;script&gt;" in words
    assert "None" in table([])


def test_shares_are_shown_in_percent_and_written_as_shares():
    rows = [{"a": Percent(0.25), "b": None, "c": 1234}]
    assert "25.0 %" in table(rows) and "1,234" in table(rows)
    assert table_csv(rows) == "a,b,c\n0.25,,1234\n" and table_csv([]) == ""


def test_without_truth_there_is_no_report():
    with pytest.raises(InputError, match="ground truth"):
        build_report(SimpleNamespace(usable=np.zeros(2, bool)))


def test_an_unreadable_picture_is_a_sentence():
    html = build_report(run_of(OBJECTS, FOUND), worst=1).html  # in memory, without pictures
    assert 'class="broken"' in html and "<img" not in html
