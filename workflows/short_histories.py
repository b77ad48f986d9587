"""Keeps each run short, whatever the server suggests: a history is read whole by every worker that takes a run over.

A run that began before this was so goes on as it did.
"""

from temporalio import workflow

# A room's loop adds fewer than a hundred events before it looks again.
_MOST_EVENTS = 80


def should_continue_as_new() -> bool:
    """Tell whether a run has done enough, where it could always end because the server suggested it."""
    return workflow.info().is_continue_as_new_suggested() or (_is_long() and _is_kept_short())


def should_leave_the_rest() -> bool:
    """Tell whether a run has done enough, in the midst of what it used to finish first."""
    return (workflow.info().is_continue_as_new_suggested() or _is_long()) and _is_kept_short()


def _is_long() -> bool:
    return workflow.info().get_current_history_length() > _MOST_EVENTS


def _is_kept_short() -> bool:
    return workflow.patched("runs-stay-short")
