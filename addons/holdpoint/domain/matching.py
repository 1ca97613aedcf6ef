"""Put things into places so that as many places as can be are filled. Pure."""

from collections.abc import Mapping, Sequence


def match_places[T](fits: Mapping[T, Sequence[int]], room: Sequence[int]) -> tuple[tuple[T, ...], ...]:
    """Return, for each kind of place, what fills it: each thing one place, and as many filled as is possible at all.

    `fits` are the kinds that each thing fits, by number; `room` how many places each kind has. What came first stays
    in unless nothing else can be filled by moving it (augmenting paths, as in Kuhn's algorithm).
    """
    filled: list[list[T]] = [[] for _ in room]

    def place(thing: T, tried: set[int]) -> bool:
        for kind in fits[thing]:
            if kind in tried:
                continue
            tried.add(kind)
            if len(filled[kind]) < room[kind]:
                filled[kind].append(thing)
                return True
            for at, other in enumerate(filled[kind]):
                if place(other, tried):
                    filled[kind][at] = thing
                    return True
        return False

    for thing in fits:
        place(thing, set())
    return tuple(tuple(some) for some in filled)
