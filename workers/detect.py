"""`python -m workers.detect`: which objects and scenes the frames of MP4 files show.

    python -m workers.detect names --objects parachute skydiver          {"parachute": "parachute", "skydiver": "parachute"}
    python -m workers.detect scenes scenes.json                          the same scenes in the classifier's words
    python -m workers.detect videos --videos a.mp4 b.mp4 --objects parachute --out seen.json [--scenes FILE] [--stills DIR]

`names` and `scenes` load no model. `videos` writes a list in the order of the videos: `{"video", "frames", "objects": {name:
frames that show it}, "scene"}`; with `--stills` also the middle frame of each as PNG. A file of scenes is a JSON list, for
`videos` one for each video: null, or `{"background", "motion", "style", "objects"}`, of which null or `[]` is not asked for.
`"scene"` is null, or `{"whole": frames in which everything is as asked, "parts": {part: frames}}`. A list of arguments can be
in a file: `@file`, one a line.
The evaluation of `service` runs this as a process of its own. What `CLEARWAY_DETECTORS` watches is judged by the detector
that it names, and everything else by the miniature's classifier, which knows the miniature's world and no other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from erasers.errors import FramesError
from erasers.options import near_misses
from workers.detection.watch import Watch
from workers.errors import DetectorUnavailable
from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS, OBJECTS, STYLES, Word, canonical
from workers.scene import Part, WantedScene
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    from workers.miniature.classifier import Reading
    from workers.pipelines.base import Frames  # torch; `names` does without


class UnknownObject(ValueError):
    """No detector watches it, and the classifier has no such object."""

    def __init__(self, name: str, watch: Watch) -> None:
        words = sorted([*watch.concepts, *(word for concept in OBJECTS.values() for word in concept.all)])
        hint = near_misses(name.lower(), words) or f"it sees: {', '.join([*watch.concepts, *OBJECTS])}"
        super().__init__(f"the classifier cannot see {name!r}, and no detector of CLEARWAY_DETECTORS watches it; {hint}")


class UnknownScene(ValueError):
    """The classifier has no such background, motion or style."""

    def __init__(self, part: str, name: str, words: Mapping[str, Word]) -> None:
        hint = near_misses(name.lower(), sorted(words)) or f"it sees: {', '.join(words)}"
        super().__init__(f"the classifier cannot see the {part} {name!r}; {hint}")


def scene_named(scene: WantedScene) -> WantedScene:
    """The scene in the classifier's words; raises `UnknownScene`. Its objects are left as they are."""
    return replace(
        scene,
        background=_word("background", scene.background, BACKGROUNDS),
        motion=_word("motion", scene.motion, MOTIONS),
        style=_word("style", scene.style, STYLES),
    )


def _word(part: str, name: str | None, words: Mapping[str, Word]) -> str | None:
    if name is None:
        return None
    wanted = " ".join(name.lower().split())
    for word in words.values():
        if wanted in word.all:
            return word.name
    raise UnknownScene(part, name, words)


def read_scenes(path: Path) -> list[WantedScene | None]:
    """In the classifier's words. Raises `UnknownScene`."""
    scenes = TypeAdapter(list[WantedScene | None]).validate_json(path.read_bytes())
    return [None if scene is None else scene_named(scene) for scene in scenes]


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


def look(
    videos: Sequence[Path], objects: Sequence[str], scenes: Sequence[WantedScene | None], stills: Path | None, watch: Watch
) -> list[dict[str, object]]:
    """What is seen in each video, in order; `scenes` are theirs."""
    watched = [name for name in objects if watch.named(name) is not None]
    read = _classifier() if len(watched) < len(objects) or any(scene and _classified(scene, watch) for scene in scenes) else None
    seen: list[dict[str, object]] = []
    for video, scene in zip(videos, scenes, strict=True):
        frames = read_frames(video)
        if stills is not None:
            Image.fromarray(frames[len(frames) // 2]).save(stills / f"{video.stem}.png")
        reading = None if read is None else read(frames)
        shown = {name: watch.shown(name, frames) for name in watched}
        if reading is not None:
            shown |= {name: reading.shows(name) for name in objects if name not in shown}
        counts = {name: int(shown[name].sum()) for name in objects}
        found = None if scene is None else _scene(scene, shown, reading, len(frames))
        seen.append({"video": str(video), "frames": len(frames), "objects": counts, "scene": found})
    return seen


def _classified(scene: WantedScene, watch: Watch) -> bool:
    """Whether the classifier must look, beside what is watched."""
    return any(part != "objects" for part in scene.parts) or any(watch.named(name) is None for name in scene.objects)


def _scene(
    scene: WantedScene, shown: Mapping[str, NDArray[np.bool_]], reading: Reading | None, frames: int
) -> dict[str, object]:
    parts: dict[Part, NDArray[np.bool_]] = {}
    for part in scene.parts:
        if part == "objects":
            parts[part] = np.all([shown[name] for name in scene.objects], axis=0)
        else:
            assert reading is not None  # noqa: S101 `_classified` said so
            parts[part] = reading.has(part, scene)
    whole = np.all(list(parts.values()), axis=0) if parts else np.ones(frames, bool)
    return {"whole": int(whole.sum()), "parts": {part: int(seen.sum()) for part, seen in parts.items()}}


def _classifier() -> Callable[[Frames], Reading]:
    from workers.miniature import classifier

    return classifier.load().read


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        watch = Watch.of(WorkerSettings())
        objects = {name: object_named(name, watch) for name in getattr(options, "objects", ())}
        if options.what == "names":
            json.dump(objects, sys.stdout)
        elif options.what == "scenes":
            json.dump([scene and asdict(scene) for scene in read_scenes(options.file)], sys.stdout)
        else:
            scenes = [None] * len(options.videos) if options.scenes is None else read_scenes(options.scenes)
            asked = {object_named(name, watch) for scene in scenes if scene for name in scene.objects}
            seen = look(options.videos, sorted(asked | set(objects.values())), scenes, options.stills, watch)
            options.out.write_text(json.dumps(seen))
    except (UnknownObject, UnknownScene, DetectorUnavailable, FramesError, ValidationError) as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.detect", description="Objects in the frames of MP4 files.")
    commands = parser.add_subparsers(dest="what", required=True)
    names = commands.add_parser("names", help="what the classifier calls each object; loads no model")
    videos = commands.add_parser("videos", help="count the frames that show each object", fromfile_prefix_chars="@")
    scenes = commands.add_parser("scenes", help="the scenes of a file in the classifier's words; loads no model")
    scenes.add_argument("file", type=Path, metavar="FILE.json")
    for command in (names, videos):
        command.add_argument("--objects", nargs="*", default=[], metavar="NAME")
    videos.add_argument("--videos", nargs="+", type=Path, required=True, metavar="FILE")
    videos.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    videos.add_argument("--scenes", type=Path, metavar="FILE.json")
    videos.add_argument("--stills", type=Path, metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
