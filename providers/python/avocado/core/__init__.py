"""The exceptions that decide a test's status live in :mod:`avocado.core.exceptions`."""

from vtbuild_host import layers

layers.extend(__path__, "avocado", "core")
