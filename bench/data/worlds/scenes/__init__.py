"""A procedural world of flat coloured things: one renderer, and data sets with exact truth drawn from it.

A scene (`description.Scenes`) is arrays of numbers; `render.render` turns it into pixels of any size and
`render.owners` into masks. What is drawn is a function of (seed, part, index) alone (`draws`), so a larger data set
begins with the smaller one, and parts never share a draw.

| module | what it draws | words |
|---|---|---|
| `pictures` | one or two objects, a full caption | 8 shapes, 8 colours, 2 sizes, 5 places, 4 grounds |
| `edits` | pairs that differ in one attribute, instruction, exact target | the same, and make, turn, into, move, to |
| `stories` | 4 frames, looks are told once | 6 names, their shapes, 8 colours, 3 places, 2 poses, 4 grounds |
| `videos`, `questions` | 32 frames, 5 questions each | 4 shapes, 4 colours, 5 motions, appears, vanishes; 21 answers |
| `dishes`, `recipes` | plates of 18 dishes under 4 `conditions` | 32 ingredients, 3 of which cannot be seen |

| word | values |
|---|---|
| shape | circle, square, triangle, cross, ring, star, heart, moon (videos: the first four) |
| colour | red, orange, yellow, green, cyan, blue, purple, pink (videos: red, yellow, green, blue) |
| ground | white, grey, black, brown |
| character | ada (star), bo (circle), cy (square), dot (triangle), eve (heart), finn (cross) |
| condition | clean, viewpoint, lighting, occlusion |

`bench data sheet dishes --out dishes.png` draws a sample sheet.
"""

from bench.data.worlds.scenes.edits import EDIT_KINDS, EDIT_VOCABULARY, EditPairs, edit_pairs, edited_region
from bench.data.worlds.scenes.pictures import CAPTION_VOCABULARY, CaptionedImages, captioned_images
from bench.data.worlds.scenes.render import foreground, object_masks, owners, render
from bench.data.worlds.scenes.store import GENERATOR_VERSION
from bench.data.worlds.scenes.stories import STORY_VOCABULARY, Stories, captioned_stories
from bench.data.worlds.scenes.words import as_tokens

__all__ = [
    "CAPTION_VOCABULARY",
    "EDIT_KINDS",
    "EDIT_VOCABULARY",
    "GENERATOR_VERSION",
    "STORY_VOCABULARY",
    "CaptionedImages",
    "EditPairs",
    "Stories",
    "as_tokens",
    "captioned_images",
    "captioned_stories",
    "edit_pairs",
    "edited_region",
    "foreground",
    "object_masks",
    "owners",
    "render",
]
