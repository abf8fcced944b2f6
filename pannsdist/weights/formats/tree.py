"""The tree of a pickle, with its pending objects resolved."""

from __future__ import annotations

from typing import Any

from pannsdist.weights.formats.errors import Refused
from pannsdist.weights.formats.limits import MAX_DEPTH, Budget
from pannsdist.weights.formats.unpickler import ITEM_BYTES, PAIR_BYTES, Global, Pending, Skipped


def finished(tree: Any, budget: Budget) -> Any:
    """Resolve all pending objects of a tree, shared ones once. Raises Refused for cycles and deep nesting."""
    return finish(tree, budget, {}, 0)


def finish(tree: Any, budget: Budget, done: dict[int, Any], depth: int) -> Any:
    """Resolve one node of a tree; `done` holds results by the id of their source."""
    if depth > MAX_DEPTH:
        raise Refused(f"its contents are nested more than {MAX_DEPTH} deep, or contain themselves")
    if isinstance(tree, Global):
        raise Refused(f"'{tree.name}' where a value should be")
    if isinstance(tree, Skipped):
        return None
    if not isinstance(tree, Pending | dict | list | tuple):
        return tree
    if id(tree) not in done:
        budget.spend(PAIR_BYTES)
        if isinstance(tree, Pending):
            done[id(tree)] = tree.finish()
        elif isinstance(tree, dict):
            budget.spend(PAIR_BYTES * len(tree))
            done[id(tree)] = {key: finish(value, budget, done, depth + 1) for key, value in tree.items()}
        else:
            budget.spend(ITEM_BYTES * len(tree))
            done[id(tree)] = type(tree)(finish(value, budget, done, depth + 1) for value in tree)
    return done[id(tree)]
