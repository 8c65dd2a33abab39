"""Parameters: what they answer, and what they remember of the questions."""

import copy
import json
import os
import unittest

import support  # noqa: F401  puts the packages on the path

from virttest.utils_params import ParamInvalidType, ParamNotFound, Params
from vtbuild_host import forks

VARIANT = {
    "vms": "vm1 vm2 vm1",
    "mem": "128",
    "mem_vm1": "512",
    "image_format": "qcow2",
    "image_format_image1": "raw",
    "image_format_image1_vm1": "vmdk",
    "count": "0x10",
    "ratio": "1.5",
    "yes": "Yes",
    "off": "off",
    "pairs": "a=1 b=2",
    "list": "1,2",
    "dep": [],
    "_name_map_file": {"a": "b"},
}


class ReadsTest(unittest.TestCase):
    def setUp(self):
        self.params = Params(VARIANT)

    def assert_reads(self, keys, scans=(), everything=False):
        self.assertEqual(self.params.reads.report(), {"keys": keys, "scans": list(scans), "all": everything})

    def test_nothing_asked(self):
        self.assert_reads({})

    def test_children_ask_for_the_test(self):
        forks.share()
        self.params["mem"]
        child = os.fork()
        if child == 0:
            try:
                self.params.object_params("vm1").get("image_format")
                len(self.params)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        keys = {"mem": "128", "image_format_vm1": None, "image_format": "qcow2"}
        self.assert_reads(keys, ["vm1"], everything=True)

    def test_present_and_absent(self):
        self.assertEqual(self.params["mem"], "128")
        self.assertEqual(self.params.get("login_timeout", 240), 240)
        self.assertNotIn("nic", self.params)
        self.assert_reads({"mem": "128", "login_timeout": None, "nic": None})

    def test_missing_key_is_recorded_too(self):
        with self.assertRaises(ParamNotFound):
            self.params["nothing"]
        self.assert_reads({"nothing": None})

    def test_typed_reads_are_recorded(self):
        self.params.get_numeric("count"), self.params.get_boolean("yes"), self.params.get_dict("pairs")
        self.params.objects("vms")
        self.assert_reads({"count": "0x10", "yes": "Yes", "pairs": "a=1 b=2", "vms": "vm1 vm2 vm1"})

    def test_view_that_has_the_key(self):
        self.assertEqual(self.params.object_params("vm1")["mem"], "512")
        self.assert_reads({"mem_vm1": "512"}, ["vm1"])

    def test_view_that_has_not(self):
        self.assertEqual(self.params.object_params("vm2")["mem"], "128")
        self.assert_reads({"mem_vm2": None, "mem": "128"}, ["vm2"])

    def test_view_of_a_view(self):
        view = self.params.object_params("vm1").object_params("image1")
        self.assertEqual(view["image_format"], "vmdk")
        self.assert_reads({"image_format_image1_vm1": "vmdk"}, ["vm1", "image1"])
        view = self.params.object_params("vm2").object_params("image1")
        self.assertEqual(view["image_format"], "raw")
        self.assertEqual(self.params.reads.report()["keys"]["image_format_image1_vm2"], None)
        self.assertEqual(self.params.reads.report()["keys"]["image_format_image1"], "raw")
        self.assertNotIn("image_format", self.params.reads.report()["keys"])

    def test_view_of_a_view_looks_in_all_four_places(self):
        self.assertEqual(self.params.object_params("vm2").object_params("image2")["image_format"], "qcow2")
        names = ["image_format_image2_vm2", "image_format_image2", "image_format_vm2", "image_format"]
        self.assertEqual(list(self.params.reads.report()["keys"]), names)

    def test_keys_the_test_set_are_no_reads(self):
        self.params["mem"] = "999"
        self.assertEqual(self.params["mem"], "999")
        self.assert_reads({})

    def test_a_view_of_a_key_the_test_set_still_looks_for_the_suffixed_one(self):
        self.params["mem"] = "999"
        self.assertEqual(self.params.object_params("vm1")["mem"], "512")
        self.assertEqual(self.params.object_params("vm2")["mem"], "999")
        self.assert_reads({"mem_vm1": "512", "mem_vm2": None}, ["vm1", "vm2"])

    def test_a_removed_key_is_looked_past_in_views(self):
        del self.params["mem_vm1"]
        self.params.reads.forget()
        view = self.params.object_params("vm1")
        self.assertEqual(view["mem"], "128")
        self.assert_reads({"mem": "128"}, ["vm1"])

    def test_setting_in_a_view_changes_neither_parent_nor_its_reads(self):
        view = self.params.object_params("vm1")
        view["mem"] = "1"
        self.assertEqual((view["mem"], self.params["mem"]), ("1", "128"))
        self.assert_reads({"mem": "128"}, ["vm1"])

    def test_a_read_before_the_change_has_the_variant_s_value(self):
        self.params["mem"]
        self.params["mem"] = "1"
        self.params["mem"]
        self.assert_reads({"mem": "128"})

    def test_copies_share_what_was_asked(self):
        for duplicate in (self.params.copy(), copy.copy(self.params), copy.deepcopy(self.params)):
            self.assertEqual(duplicate["mem"], "128")
        self.assert_reads({"mem": "128"})

    def test_a_name_with_the_suffix_twice(self):
        params = Params({"x_vm1_y_vm1": "v"})
        self.assertEqual(params.object_params("vm1")["x"], "v")
        self.assertEqual(params.reads.report()["keys"]["x_vm1_y_vm1"], "v")

    def test_everything(self):
        questions = (
            list,
            len,
            dict,
            repr,
            json.dumps,
            sorted,
            lambda params: params.items(),
            lambda params: params == {},
            lambda params: {**params},
            lambda params: params.keys(),
            lambda params: params.values(),
            lambda params: params | {},
            lambda params: Params().update(params),
            lambda params: list(params.object_params("vm1")),
        )
        for number, question in enumerate(questions):
            params = Params(VARIANT)
            question(params)
            with self.subTest(number):
                # A merged copy is asked only when it is looked at.
                self.assertEqual(params.reads.report()["all"], number != 11)

    def test_formatting_reads_one_key(self):
        self.assertEqual("%(mem)s" % self.params + "{mem}".format_map(self.params), "128128")
        self.assert_reads({"mem": "128"})

    def test_handing_over_is_no_read(self):
        self.assertEqual(self.params.plain(), VARIANT)
        self.assertIs(type(self.params.plain()), dict)
        self.assert_reads({})

    def test_a_selection_reads_what_it_takes(self):
        some = self.params.copy_from_keys(["mem", "nothing"])
        self.assertEqual(some.plain(), {"mem": "128"})
        self.assert_reads({"mem": "128", "nothing": None})


class ValuesTest(unittest.TestCase):
    def setUp(self):
        self.params = Params(VARIANT)

    def test_objects_are_words_each_once(self):
        self.assertEqual(self.params.objects("vms"), ["vm1", "vm2"])
        self.assertEqual(self.params.objects("nothing"), [])

    def test_object_params_keeps_the_suffixed_keys(self):
        view = self.params.object_params("vm1")
        self.assertEqual((view["mem"], view["mem_vm1"], view["image_format_image1"]), ("512", "512", "vmdk"))

    def test_numbers(self):
        self.assertEqual(self.params.get_numeric("count"), 16)
        self.assertEqual(self.params.get_numeric("ratio", 1, float), 1.5)
        self.assertEqual(self.params.get_numeric("nothing", 7), 7)
        with self.assertRaisesRegex(ParamInvalidType, "parameter yes = 'Yes' is not a number"):
            self.params.get_numeric("yes")

    def test_booleans(self):
        self.assertIs(self.params.get_boolean("yes"), True)
        self.assertIs(self.params.get_boolean("off"), False)
        self.assertIs(self.params.get_boolean("nothing", True), True)
        with self.assertRaisesRegex(ParamInvalidType, "neither yes, on, true nor no, off, false"):
            self.params.get_boolean("mem")

    def test_lists_and_dicts(self):
        self.assertEqual(self.params.get_list("vms"), ["vm1", "vm2", "vm1"])
        self.assertEqual(self.params.get_list("list", delimiter=",", target_type=int), [1, 2])
        self.assertEqual(self.params.get_list("nothing"), [])
        self.assertEqual(self.params.get_dict("pairs"), {"a": "1", "b": "2"})
        with self.assertRaisesRegex(ParamInvalidType, "'128' is not of the form name=value"):
            self.params.get_dict("mem")

    def test_dict_behaviour(self):
        self.assertEqual(self.params.setdefault("mem", "1"), "128")
        self.assertEqual(self.params.setdefault("new", "1"), "1")
        self.assertEqual(self.params.pop("new"), "1")
        self.assertEqual(self.params.pop("new", None), None)
        with self.assertRaises(KeyError):
            self.params.pop("new")
        with self.assertRaises(ParamNotFound):
            del self.params["new"]
        self.params.update({"a": "1"}, b="2")
        self.params |= {"c": "3"}
        self.assertEqual([self.params[key] for key in "abc"], ["1", "2", "3"])
        self.assertFalse(hasattr(self.params, "mem"), "parameters are no attributes")

    def test_internals_can_be_dropped(self):
        self.assertNotIn("_name_map_file", self.params.drop_dict_internals().plain())

    def test_counted_names(self):
        self.assertEqual(list(Params({"nic_count": "2"}).object_counts("nic_count", "nic")), ["nic1", "nic2"])


if __name__ == "__main__":
    unittest.main()
