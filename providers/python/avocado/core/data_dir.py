"""Folders of a test, under the names by which helpers know them."""

from virttest.data_dir import get_data_dir, get_log_dir, get_root_dir


def get_tmp_dir(basedir=None):
    """A folder that is thrown away when the test has ended."""
    from virttest import data_dir

    return basedir or data_dir.get_tmp_dir()


def get_base_dir():
    """The folder below which images and other data are."""
    return get_data_dir()


def get_logs_dir():
    """The folder of the test's log."""
    return get_log_dir()


def get_test_dir():
    """The folder of the test's provider."""
    return get_root_dir()
