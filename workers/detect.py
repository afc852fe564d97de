"""`python -m workers.detect`: which objects the frames of MP4 files show.

    python -m workers.detect names --objects parachute skydiver          {"parachute": "parachute", "skydiver": "parachute"}
    python -m workers.detect videos --videos a.mp4 b.mp4 --objects parachute --out seen.json [--stills DIR]

`names` loads no model. `videos` writes a list in the order of the videos: `{"video", "frames", "objects": {name: frames that
show it}}`; with `--stills` also the middle frame of each as PNG. A list of arguments can be in a file: `@file`, one a line.
The evaluation of `service` runs this as a process of its own. What `CLEARWAY_DETECTORS` watches is judged by the detector
that it names, and everything else by the miniature's classifier, which knows the miniature's world and no other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image
from pydantic import ValidationError

from erasers.errors import FramesError
from erasers.options import near_misses
from workers.detection.watch import Watch
from workers.errors import DetectorUnavailable
from workers.miniature.vocabulary import OBJECTS, canonical
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    from workers.pipelines.base import Frames  # torch; `names` does without


class UnknownObject(ValueError):
    """No detector watches it, and the classifier has no such object."""

    def __init__(self, name: str, watch: Watch) -> None:
        words = sorted([*watch.concepts, *(word for concept in OBJECTS.values() for word in concept.all)])
        hint = near_misses(name.lower(), words) or f"it sees: {', '.join([*watch.concepts, *OBJECTS])}"
        super().__init__(f"the classifier cannot see {name!r}, and no detector of CLEARWAY_DETECTORS watches it; {hint}")


def object_named(name: str, watch: Watch) -> str:
    """What a detector is to watch, or the classifier's name of what `name`, or a synonym, calls; else `UnknownObject`."""
    if (watched := watch.named(name)) is not None:
        return watched
    concept = canonical(name)
    if concept is None or concept not in OBJECTS:
        raise UnknownObject(name, watch)
    return concept


def read_frames(path: Path) -> Frames:
    """Every frame of an MP4: (T, H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        frames = [frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709) for frame in container.decode(video=0)]
        return np.stack([frame.to_ndarray() for frame in frames])


def look(videos: Sequence[Path], objects: Sequence[str], stills: Path | None, watch: Watch) -> list[dict[str, object]]:
    """What is seen in each video, in order."""
    watched = [name for name in objects if watch.named(name) is not None]
    see = _classifier() if len(watched) < len(objects) else None
    seen: list[dict[str, object]] = []
    for video in videos:
        frames = read_frames(video)
        if stills is not None:
            Image.fromarray(frames[len(frames) // 2]).save(stills / f"{video.stem}.png")
        shown = {} if see is None else see(frames)
        shown |= {name: watch.shown(name, frames).tolist() for name in watched}
        seen.append({"video": str(video), "frames": len(frames), "objects": {name: sum(shown[name]) for name in objects}})
    return seen


def _classifier() -> Callable[[Frames], dict[str, list[bool]]]:
    from workers.miniature import classifier

    return classifier.load().objects


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        watch = Watch.of(WorkerSettings())
        objects = {name: object_named(name, watch) for name in options.objects}
        if options.what == "names":
            json.dump(objects, sys.stdout)
        else:
            seen = look(options.videos, sorted(set(objects.values())), options.stills, watch)
            options.out.write_text(json.dumps(seen))
    except (UnknownObject, DetectorUnavailable, FramesError, ValidationError) as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.detect", description="Objects in the frames of MP4 files.")
    commands = parser.add_subparsers(dest="what", required=True)
    names = commands.add_parser("names", help="what the classifier calls each object; loads no model")
    videos = commands.add_parser("videos", help="count the frames that show each object", fromfile_prefix_chars="@")
    for command in (names, videos):
        command.add_argument("--objects", nargs="*", default=[], metavar="NAME")
    videos.add_argument("--videos", nargs="+", type=Path, required=True, metavar="FILE")
    videos.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    videos.add_argument("--stills", type=Path, metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
