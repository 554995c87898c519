"""What the generated dishes are made of: how ingredients look, and how likely each is in each dish.

Ingredients share forms and colours, dishes share ingredients, and some ingredients cannot be seen at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ingredient(NamedTuple):
    """How an ingredient looks.

    Attributes:
        form: Name of the pieces' form; empty for what dissolves.
        rgb: Colour.
        size: Half of a piece's extent, in units of the scene.
        aspect: Height over width of a piece.
        pieces: Most pieces on a plate.
    """

    form: str = ""
    rgb: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: float = 0.0
    aspect: float = 1.0
    pieces: int = 0


_RED, _ORANGE, _YELLOW = (0.83, 0.17, 0.13), (0.93, 0.53, 0.13), (0.95, 0.82, 0.25)
_GREEN, _DARK_GREEN, _PALE_GREEN = (0.33, 0.65, 0.20), (0.10, 0.35, 0.15), (0.68, 0.82, 0.42)
_WHITE, _CREAM, _BROWN = (0.97, 0.96, 0.92), (0.93, 0.84, 0.62), (0.50, 0.30, 0.14)
_BLACK, _PINK, _PURPLE = (0.12, 0.10, 0.10), (0.97, 0.62, 0.58), (0.55, 0.20, 0.45)

INGREDIENTS = {
    "tomato": Ingredient("circle", _RED, 0.102, 1.0, 3),
    "pepper": Ingredient("square", _RED, 0.12, 0.4, 3),
    "chilli": Ingredient("moon", _RED, 0.095, 1.0, 2),
    "carrot": Ingredient("circle", _ORANGE, 0.081, 1.0, 4),
    "pumpkin": Ingredient("moon", _ORANGE, 0.12, 1.0, 2),
    "salmon": Ingredient("square", _ORANGE, 0.132, 0.6, 2),
    "corn": Ingredient("square", _YELLOW, 0.058, 1.0, 5),
    "cheese": Ingredient("triangle", _YELLOW, 0.108, 1.0, 2),
    "lemon": Ingredient("half", _YELLOW, 0.108, 1.0, 2),
    "potato": Ingredient("circle", _CREAM, 0.102, 0.8, 3),
    "cucumber": Ingredient("ring", _GREEN, 0.101, 1.0, 3),
    "peas": Ingredient("circle", _GREEN, 0.051, 1.0, 5),
    "lettuce": Ingredient("flower", _PALE_GREEN, 0.18, 1.0, 2),
    "avocado": Ingredient("half", _PALE_GREEN, 0.108, 1.0, 2),
    "broccoli": Ingredient("flower", _DARK_GREEN, 0.108, 1.0, 3),
    "seaweed": Ingredient("square", _DARK_GREEN, 0.108, 0.8, 2),
    "herbs": Ingredient("cross", _DARK_GREEN, 0.065, 1.0, 4),
    "rice": Ingredient("circle", _WHITE, 0.065, 0.5, 5),
    "tofu": Ingredient("square", _WHITE, 0.101, 1.0, 3),
    "egg": Ingredient("circle", _WHITE, 0.12, 0.8, 2),
    "feta": Ingredient("triangle", _WHITE, 0.088, 1.0, 3),
    "noodles": Ingredient("ring", _CREAM, 0.156, 0.6, 3),
    "mushroom": Ingredient("half", _BROWN, 0.101, 1.0, 3),
    "meat": Ingredient("square", _BROWN, 0.12, 0.7, 2),
    "beans": Ingredient("circle", _BROWN, 0.072, 0.55, 5),
    "olives": Ingredient("ring", _BLACK, 0.072, 1.0, 4),
    "shrimp": Ingredient("moon", _PINK, 0.102, 1.0, 3),
    "onion": Ingredient("ring", _PURPLE, 0.108, 1.0, 2),
    "beetroot": Ingredient("circle", _PURPLE, 0.102, 1.0, 3),
    "garlic": Ingredient(),
    "cumin": Ingredient(),
    "soy": Ingredient(),
}
"""Looks of the 32 ingredients by name; garlic, cumin and soy dissolve."""

INGREDIENT_NAMES = tuple(INGREDIENTS)

DISHES: dict[str, tuple[str, str, str]] = {
    # usual, common, rare
    "garden salad": ("lettuce tomato cucumber", "onion carrot corn", "lemon herbs avocado"),
    "greek salad": ("cucumber tomato feta olives", "onion lettuce", "pepper herbs garlic"),
    "bean salad": ("beans corn onion", "tomato pepper avocado", "lettuce herbs cumin"),
    "potato salad": ("potato egg onion", "cucumber herbs peas", "carrot lemon"),
    "beet salad": ("beetroot feta lettuce", "lemon herbs", "onion cucumber egg"),
    "chilli stew": ("beans meat chilli cumin", "tomato onion corn", "pepper garlic cheese"),
    "vegetable curry": ("potato peas carrot cumin", "chilli tomato herbs", "rice garlic onion"),
    "pumpkin curry": ("pumpkin chilli cumin", "rice beans herbs", "tofu carrot garlic"),
    "fried rice": ("rice egg peas soy", "carrot shrimp", "corn garlic onion"),
    "paella": ("rice shrimp pepper", "peas lemon garlic", "tomato onion beans"),
    "sushi plate": ("rice seaweed salmon", "avocado cucumber soy", "shrimp egg"),
    "poke bowl": ("rice salmon avocado", "seaweed cucumber corn soy", "carrot onion"),
    "ramen": ("noodles egg seaweed soy", "mushroom meat", "corn tofu herbs"),
    "tofu noodles": ("noodles tofu broccoli soy", "mushroom carrot", "chilli garlic pepper"),
    "shrimp noodles": ("noodles shrimp garlic", "lemon herbs tomato", "broccoli chilli peas"),
    "pizza": ("cheese tomato", "olives mushroom pepper", "onion herbs meat"),
    "mushroom plate": ("mushroom potato garlic", "meat herbs onion", "cheese broccoli peas"),
    "omelette": ("egg cheese", "mushroom tomato herbs", "onion pepper potato"),
}
"""Ingredients of each dish that are usual, common and rare in it."""

DISH_NAMES = tuple(DISHES)

_USUAL, _COMMON, _RARE, _STRAY = 0.88, 0.45, 0.18, 0.02


def probabilities() -> np.ndarray:
    """Returns (dishes, ingredients): how likely each ingredient is in each dish; a stray one is never impossible."""
    table = np.full((len(DISHES), len(INGREDIENTS)), _STRAY)
    for row, levels in enumerate(DISHES.values()):
        for level, chance in zip(levels, (_USUAL, _COMMON, _RARE), strict=True):
            table[row, [INGREDIENT_NAMES.index(name) for name in level.split()]] = chance
    return table
