"""What the stories that come as AR-LDM's HDF5 files have in common."""

from __future__ import annotations

from bench.data.card import ModalityCard

MODALITIES = {
    "image": ModalityCard(dim=64, description="RGB images, resized with anti-aliasing"),
    "text": ModalityCard(dim=1, description="a caption of each frame"),
}
KNOWN_ISSUES = (
    "The reader follows the published layout and was tested on small files of that layout, not on the frames "
    "themselves.",
    "The published files are pickles and are not read; AR-LDM's script turns them into HDF5 outside this package.",
    "Each picture is a strip of frames; the first is used. Published loaders draw one at random, at test time"
    " as well.",
    "No labels of characters are in the file, so attribute_f1 and frame_accuracy have no value here.",
)
