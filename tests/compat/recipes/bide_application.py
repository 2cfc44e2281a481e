"""The application for servers that have no option for the loop: it installs bide as it
is imported, which they do before they make their loop."""

import bide

bide.install()

from application import app  # noqa: E402

__all__ = ["app"]
