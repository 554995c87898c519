"""What runs left to look at, as pictures: confusion matrices, clips kept, tables, grids of images with their texts."""

from bench.pictures.confusion import Confusion, Pair, confused_order, draw_confusion, most_confused, read_confusion
from bench.pictures.drawn import Written, draw_sample, is_picture, write_samples
from bench.pictures.pieces import Piece, cut_grid
from bench.pictures.reasoning import Reasoning, Strip, draw_reasoning, read_reasoning
from bench.pictures.table import draw_table, read_table

__all__ = [
    "Confusion",
    "Pair",
    "Piece",
    "Reasoning",
    "Strip",
    "Written",
    "confused_order",
    "cut_grid",
    "draw_confusion",
    "draw_reasoning",
    "draw_sample",
    "draw_table",
    "is_picture",
    "most_confused",
    "read_confusion",
    "read_reasoning",
    "read_table",
    "write_samples",
]
