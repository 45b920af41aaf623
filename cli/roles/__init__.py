"""The roles of the embedded mode. Each `run_…` blocks until SIGTERM or SIGINT, or until the parent
process is gone, and then stops in order. A role imports only what it is made of.
"""

from __future__ import annotations

from cli.settings import Settings


def run_matching(settings: Settings) -> None:
    """Run the matching role."""
    from cli.roles import matching

    matching.run_matching(settings)


def run_projections(settings: Settings) -> None:
    """Run the projections role."""
    from cli.roles import projections

    projections.run_projections(settings)


def run_api(settings: Settings) -> None:
    """Run the api role."""
    from cli.roles import api

    api.run_api(settings)


def run_multicast(settings: Settings) -> None:
    """Run the multicast role."""
    from cli.roles import multicast

    multicast.run_multicast(settings)
