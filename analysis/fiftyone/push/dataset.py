"""The push: a run into a persistent FiftyOne data set, in batches, so that it can be stopped and repeated.

Ids hang on the data set, the image and the object's place, so that a push which was killed or is repeated
writes the same documents. What people did in FiftyOne stays: tags, corrected, added and deleted ground truth.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any

from analysis.fiftyone.fields import INFO, Names
from analysis.fiftyone.ids import owner_key
from analysis.fiftyone.push.documents import Documents
from analysis.fiftyone.push.evaluation import register
from analysis.fiftyone.push.evidence_maps import EvidenceMaps
from analysis.fiftyone.push.heatmaps import HeatMaps
from analysis.fiftyone.push.media import Media
from analysis.fiftyone.push.merge import write_batch
from analysis.fiftyone.push.options import PushOptions
from analysis.fiftyone.push.report import PushProgress, PushReport
from analysis.fiftyone.push.schema import arrange, declare, save_views, save_workspace
from analysis.fiftyone.push.verdicts import Judged
from analysis.fiftyone.service import environment as around
from analysis.fiftyone.service.failures import as_unavailable, is_connection_loss
from analysis.runs.store import Run
from detector.errors import InputError, UnavailableError

BATCH = 256  # images; 20 boxes each make about 3 MB of documents


def default_name(run: Run) -> str:
    """The data set's name where none is given: the run's, and six digits of its identity."""
    return f"{run.manifest.name} {run.manifest.identity[:6]}"


def push(
    run: Run,
    judged: Judged,
    options: PushOptions,
    *,
    evidence: EvidenceMaps | None = None,
    figures: Mapping[str, float | None] | None = None,
    progress: Callable[[PushProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    batch: int = BATCH,
) -> PushReport:
    """Write a judged run through the FiftyOne of this process. `PushOptions` describes the
    options.

    Raises:
        InputError: the name belongs to another data set.
        UnavailableError: the database went away; what was written stays and the next push completes it.
    """
    import pymongo.errors

    started = time.monotonic()
    name = options.name or default_name(run)
    lowest = min(options.lowest, float(judged.thresholds.min(initial=1.0)))
    done = 0
    try:
        dataset, names, all_names = _open(run, name, options.eval_key)
        owner = owner_key(run.manifest.dataset.fingerprint)
        folder = around.home() / "media" / owner
        documents = Documents(
            run,
            judged,
            names,
            owner=owner,
            pages=options.pages,
            lowest=lowest,
            run_name=(run.path.name if run.path else run.manifest.name),
            media=Media(run, folder),
            maps=(
                HeatMaps(
                    run,
                    judged,
                    names,
                    owner,
                    folder / run.manifest.identity,
                    confidence=options.heatmaps,
                    evidence=evidence,
                )
                if options.heatmaps or evidence is not None
                else None
            ),
        )
        copies = any(map(documents.media.needs_copy, range(len(run.sample_ids))))
        declare(
            dataset,
            run,
            judged,
            names,
            heatmaps=options.heatmaps,
            evidence=evidence.methods if evidence is not None else (),
            copies=copies,
        )
        _note(dataset, run, judged, names, "pushing", options.pages)
        tally = {"inserted": 0, "updated": 0, "objects": 0, "detections": 0, "kept_edits": 0}
        collection = dataset._sample_collection
        may_exist = collection.estimated_document_count() > 0
        total, cancelled = len(run.sample_ids), False
        while done < total:
            if should_stop is not None and should_stop():
                cancelled = True
                break
            end = min(done + batch, total)
            now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
            documents_now = documents.build(done, end, now)
            for doc in documents_now:
                doc["_dataset_id"] = dataset._doc.id
            written = write_batch(
                collection, documents_now, names, may_exist=may_exist, discard_edits=options.discard_edits
            )
            for key, value in written.items():
                tally[key] += value
            done = end
            if progress is not None:
                spent = time.monotonic() - started
                progress(PushProgress(done, total, "writing", done / spent, (total - done) * spent / done))
        views: list[str] = []
        if not cancelled:
            if progress is not None:
                progress(PushProgress(total, total, "finishing"))
            dataset.reload()
            dataset._doc.last_modified_at = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
            register(dataset, run, judged, names, documents, figures)
            arrange(dataset, all_names, judged.words)
            views = save_views(dataset, judged, names)
            save_workspace(dataset)
            _note(dataset, run, judged, names, "complete", options.pages)
    except (pymongo.errors.PyMongoError, ConnectionError) as error:
        if not is_connection_loss(error):
            raise as_unavailable(error) from error
        raise UnavailableError(
            f"FiftyOne's database went away after {done} of {len(run.sample_ids)} images; what was written"
            " stays, push again to complete it."
        ) from error
    return PushReport(
        dataset=name,
        predictions=names.predictions,
        eval_key=names.eval_key,
        **tally,
        below_lowest=int((~documents.written(slice(None))).sum()),
        copies=documents.media.copies,
        views=tuple(views),
        problems=(*documents.media.problems, *(evidence.problems if evidence is not None else ())),
        cancelled=cancelled,
        seconds=time.monotonic() - started,
        words=judged.words,
    )


def _open(run: Run, name: str, eval_key: str) -> tuple[Any, Names, list[Names]]:
    """The data set, new or ours, and the fields that belong to this run in it."""
    import fiftyone as fo

    manifest = run.manifest
    if not fo.dataset_exists(name):
        try:
            dataset = fo.Dataset(name, persistent=True)
        except ValueError as error:
            raise InputError(f"FiftyOne does not take the name {name!r}: {error}") from None
        dataset.media_type = "image"
        runs: dict[str, Any] = {}
    else:
        dataset = fo.load_dataset(name)
        info = dataset.info.get(INFO)
        if not info:
            if len(dataset):
                raise InputError(
                    f"FiftyOne already has a data set {name!r} that Boxscope did not make; choose another"
                    " name."
                )
            info = {
                "fingerprint": manifest.dataset.fingerprint,
                "runs": {},
            }  # killed right after it was created
        if info["fingerprint"] != manifest.dataset.fingerprint:
            raise InputError(
                f"The FiftyOne data set {name!r} holds other images or annotations than this run; choose"
                " another name."
            )
        runs = info["runs"]
        if not dataset.persistent:
            dataset.persistent = True
    known = [
        Names(r["suffix"], key=r["eval_key"].removesuffix(r["suffix"]))
        for r in sorted(runs.values(), key=lambda r: r["number"])
    ]
    if manifest.identity in runs:
        mine = runs[manifest.identity]
        names = Names(mine["suffix"], key=mine["eval_key"].removesuffix(mine["suffix"]))
    else:
        names = Names("" if not runs else f"_{len(runs) + 1}", key=eval_key)
        known.append(names)
    return dataset, names, known


def _note(dataset: Any, run: Run, judged: Judged, names: Names, state: str, pages: str) -> None:
    """What was pushed, at which operating point, for people and for the pull, in the data set's info."""
    manifest = run.manifest
    note = dict(dataset.info.get(INFO) or {"fingerprint": manifest.dataset.fingerprint, "runs": {}})
    number = note["runs"].get(manifest.identity, {}).get("number", len(note["runs"]) + 1)
    note["runs"] = note["runs"] | {
        manifest.identity: {
            "number": number,
            "suffix": names.suffix,
            "field": names.predictions,
            "eval_key": names.eval_key,
            "name": manifest.name,
            "path": str(run.path or ""),
            "state": state,
            "operating_point": judged.words,
            "point": judged.point,
            "counts": judged.counts,
            "pushed": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "simulated": manifest.detector.simulated,
        }
    }
    note["pages"] = pages
    dataset.info = dict(dataset.info) | {INFO: note, "operating point": judged.words}
    dataset.save()
