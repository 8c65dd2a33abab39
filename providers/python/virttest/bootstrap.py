"""What upstream does before the first test. Here nothing has to be done; helpers ask for names alone."""

from virttest import absent

__getattr__ = absent(__name__)

#: Folders and files of a provider in which no test is looked for.
test_filter = ["__init__", "cfg", "dropin.py"]
