"""Rows to store, as the store's own tests make them."""

from tests.store.conftest import at, evaluation, trial

__all__ = ["at", "evaluation", "trial"]
