"""The best few of a stream."""

import heapq
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Top(Generic[Item]):
    """The items with the highest scores; of equal ones, those that came first.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._heap: list[tuple[Any, int, Item]] = []

    def takes(self, score: Any) -> bool:
        """Whether an item of this score would be kept; scores can be compared."""
        if len(self._heap) < self._most:
            return True
        return bool(self._heap) and score > self._heap[0][0]

    def put(self, score: Any, item: Item) -> None:
        """Keeps an item if it is one of the best so far."""
        if not self.takes(score):
            return
        self._count += 1
        entry = score, -self._count, item
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> list[Item]:
        """The items, the best first."""
        return [item for *_, item in sorted(self._heap, key=_key, reverse=True)]


def _key(entry: tuple[Any, int, Any]) -> tuple[Any, int]:
    return entry[:2]
