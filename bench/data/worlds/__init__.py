"""Generated datasets: seeded worlds whose truth is known, for tests, quick starts and machines without data.

What was calibrated, by hand: test recall@20 on `mmrec-v1`, train masked. Content-only rows sum over the top 10 by
cosine, on real Baby over the published neighbours; the last row adds those matrices to EASE's.

| | real Baby | baby-twin | baby-twin@0.25 | baby-twin@0.1 |
|---|---|---|---|---|
| image neighbours | .021 | .021 | .042 | .094 |
| text neighbours | .035 | .035 | .065 | .115 |
| ItemKNN | .032 | .039 | .072 | .130 |
| popularity | .048 | .045 | .109 | .191 |
| EASE | .083 | .103 | .134 | .226 |
| EASE with content | .091 | .110 | .146 | .237 |

Set for this were the shares of behaviour, the numbers of leaves and crowds, the noise of the vectors (`WorldSpec`), and
the lognormals of the degrees, from Baby's quantiles. Nothing else was: distances between methods on a twin mean
nothing.
"""

from bench.data.worlds.make import ensure_world, make_dataset

__all__ = ["ensure_world", "make_dataset"]
