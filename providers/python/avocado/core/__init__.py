"""The exceptions that decide a test's status live in :mod:`avocado.core.exceptions`."""
