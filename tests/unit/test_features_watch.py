"""The frames that people see are those the features are of."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.dataset import open_dataset
from bench.data.features import watch as module
from bench.data.features.watch import watch
from bench.data.worlds.scenes.video_qa import featurise

SCALE = "shapes-videoqa@0.01"


def test_the_frames_of_a_generated_video_have_the_features_that_methods_saw():
    data = open_dataset(SCALE)
    clips = data.test().clips
    watched = watch(SCALE, str(clips.ids[3]), digest=data.digest)
    assert watched is not None and watched.grid is None and watched.frames.shape == (8, 4, 32, 32, 3)
    features = featurise(watched.frames.reshape(1, 32, 32, 32, 3))[0]
    expected = np.concatenate([clips.appearance[3].ravel(), clips.motion[3].ravel()])
    assert np.allclose(features, expected, atol=1e-6)


def test_a_video_that_is_not_there_has_no_frames():
    assert watch(SCALE, "test-x") is None and watch(SCALE, "other-000001") is None


def test_other_content_has_no_frames():
    assert watch(SCALE, "test-000001", digest="0" * 64) is None


def test_a_dataset_of_features_alone_has_no_frames(monkeypatch):
    monkeypatch.setattr(module, "open_dataset", None)  # nothing is opened for it
    assert watch("msvd-qa", "vid1") is None and watch("baby", "1") is None


@pytest.mark.realdata
def test_real_frames_and_photos_are_found_by_their_id():
    sprite = watch("sprites-qa", "sprite-1173")
    assert sprite is not None and sprite.frames.shape == (8, 2, 64, 64, 3) and sprite.frames.max() > 0
    photo = watch("daquar", "image1")
    assert photo is not None and photo.grid == (4, 4) and photo.frames.shape == (16, 1, 30, 40, 3)
    # Regions lie row by row: the seam between the first two is as smooth as the photo is.
    left, right = photo.frames[0, 0].astype(int), photo.frames[1, 0].astype(int)
    assert np.abs(left[:, -1] - right[:, 0]).mean() < np.abs(left[:, -1] - right[:, -1]).mean()
