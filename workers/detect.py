"""`python -m workers.detect`: which of the miniature's objects the frames of MP4 files show, judged by its classifier.

    python -m workers.detect names --objects parachute skydiver          {"parachute": "parachute", "skydiver": "parachute"}
    python -m workers.detect videos --videos a.mp4 b.mp4 --objects parachute --out seen.json [--stills DIR]

`names` loads no model. `videos` writes a list in the order of the videos: `{"video", "frames", "objects": {name: frames that
show it}}`; with `--stills` also the middle frame of each as PNG. A list of arguments can be in a file: `@file`, one a line.
The evaluation of `service` runs this as a process of its own; it knows the miniature's world and no other.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image

from workers.miniature.vocabulary import OBJECTS, canonical

if TYPE_CHECKING:
    from workers.pipelines.base import Frames  # torch; `names` does without


class UnknownObject(ValueError):
    """The classifier has no such object."""

    def __init__(self, name: str) -> None:
        words = sorted(word for concept in OBJECTS.values() for word in concept.all)
        near = difflib.get_close_matches(name.lower(), words, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it sees: {', '.join(OBJECTS)}"
        super().__init__(f"the classifier cannot see {name!r}; {hint}")


def object_named(name: str) -> str:
    """The classifier's name of what `name`, or a synonym, calls; `UnknownObject` with near misses otherwise."""
    concept = canonical(name)
    if concept is None or concept not in OBJECTS:
        raise UnknownObject(name)
    return concept


def read_frames(path: Path) -> Frames:
    """Every frame of an MP4: (T, H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        frames = [frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709) for frame in container.decode(video=0)]
        return np.stack([frame.to_ndarray() for frame in frames])


def look(videos: Sequence[Path], objects: Sequence[str], stills: Path | None) -> list[dict[str, object]]:
    """What the classifier sees in each video, in order."""
    from workers.miniature import classifier

    judge = classifier.load()
    seen: list[dict[str, object]] = []
    for video in videos:
        frames = read_frames(video)
        if stills is not None:
            Image.fromarray(frames[len(frames) // 2]).save(stills / f"{video.stem}.png")
        shown = judge.objects(frames)
        seen.append({"video": str(video), "frames": len(frames), "objects": {name: sum(shown[name]) for name in objects}})
    return seen


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        objects = {name: object_named(name) for name in options.objects}
    except UnknownObject as unknown:
        sys.stderr.write(f"{unknown}\n")
        return 2
    if options.what == "names":
        json.dump(objects, sys.stdout)
    else:
        options.out.write_text(json.dumps(look(options.videos, sorted(set(objects.values())), options.stills)))
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
