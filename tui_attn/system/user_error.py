"""Errors that a user can do something about."""

from __future__ import annotations


class UserError(Exception):
    """An error whose message tells the user what to do; it needs no traceback."""
