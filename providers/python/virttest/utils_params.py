"""The parameters of a test: a dict that remembers what it was asked.

What a test asks of its parameters decides when it has to run again, so every question is recorded under the variant's
own names: a key that was found, a key that was not, and the names that ``object_params`` looked for. Asking for
everything (iteration, ``items()``, ``len()``, printing) is recorded as a question for all of it.
"""

from avocado.core.exceptions import TestSkipError
from virttest import absent
from vtbuild_host.forks import Notes

__getattr__ = absent(__name__)


class ParamNotFound(TestSkipError):
    """``params["x"]`` where there is no ``x``: the test does not apply to this variant."""


class ParamInvalidType(Exception):
    """A parameter's text is not of the type that the test wants."""


class Reads:
    """What was asked of a variant, shared by its parameters, all views of them, and forked children of the test."""

    def __init__(self, origin):
        self.origin = origin
        self._keys, self._scans, self._all = Notes(), Notes(), Notes()

    def record(self, key):
        """Record the question for `key`; return whether the variant has it."""
        self._keys.add(key)
        return key in self.origin

    def scan(self, suffix):
        """Record that names ending in ``_suffix`` were looked for."""
        self._scans.add(suffix)

    def everything(self):
        """Record that all was asked for."""
        self._all.add("all")

    def forget(self):
        """Begin anew: what was asked so far was not the test's question."""
        for notes in (self._keys, self._scans, self._all):
            notes.clear()

    def report(self):
        """What the verdict carries."""
        keys = {key: self.origin.get(key) for key in self._keys}
        return {"keys": keys, "scans": list(self._scans), "all": any(self._all)}


class Params(dict):
    """Parameters by name. All values of a variant are text, but for ``dep`` and the two name maps."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._reads = Reads(dict(dict.items(self)))
        self._view = ()  # the objects whose view this is, outermost first
        self._own = {}  # what the test set (True) or removed (False), by view and key: no property of the variant

    @property
    def reads(self):
        """What was asked of these parameters, and of every view of them."""
        return self._reads

    def plain(self):
        """An ordinary dict of everything, without recording that it was read: for handing it to the core."""
        return dict(dict.items(self))

    def handed_over(self):
        """An ordinary dict for a call of the core, which records by itself what it reads of it: ``_view`` says whose it is."""
        return {**self.plain(), "_view": list(self._view)}

    def _asked(self, key):
        self._look_for(key, self._view)

    def _look_for(self, key, view):
        """Record the names behind `key`, most special first, until one is found; return whether one was."""
        own = self._own.get((view, key))
        if own is not None:
            return own
        if not view:
            return self._reads.record(key)
        outer = view[:-1]
        return self._look_for(f"{key}_{view[-1]}", outer) or self._look_for(key, outer)

    def _changed(self, key, present):
        self._own[self._view, key] = present

    def _asked_all(self):
        self._reads.everything()

    # Reading one key.

    def __getitem__(self, key):
        self._asked(key)
        try:
            return dict.__getitem__(self, key)
        except KeyError:
            raise ParamNotFound(f"parameter {key!r} is needed by the test and not set in its variant") from None

    def get(self, key, default=None):
        self._asked(key)
        return dict.get(self, key, default)

    def __contains__(self, key):
        self._asked(key)
        return dict.__contains__(self, key)

    def setdefault(self, key, default=None):
        if key not in self:
            self[key] = default
        return dict.__getitem__(self, key)

    def pop(self, key, *default):
        self._asked(key)
        value = dict.pop(self, key, *default)
        self._changed(key, False)
        return value

    # Reading everything.

    def __iter__(self):
        self._asked_all()
        return dict.__iter__(self)

    def __len__(self):
        self._asked_all()
        return dict.__len__(self)

    def __eq__(self, other):
        self._asked_all()
        return dict.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    __hash__ = None

    def __repr__(self):
        self._asked_all()
        return dict.__repr__(self)

    def __or__(self, other):
        merged = self.copy()
        merged.update(other)
        return merged

    def keys(self):
        self._asked_all()
        return dict.keys(self)

    def values(self):
        self._asked_all()
        return dict.values(self)

    def items(self):
        self._asked_all()
        return dict.items(self)

    def popitem(self):
        self._asked_all()
        key, value = dict.popitem(self)
        self._changed(key, False)
        return key, value

    # Writing.

    def __setitem__(self, key, value):
        self._changed(key, True)
        dict.__setitem__(self, key, value)

    def __delitem__(self, key):
        if key not in self:
            raise ParamNotFound(f"parameter {key!r} is to be removed and not set")
        self._changed(key, False)
        dict.__delitem__(self, key)

    def update(self, *args, **kwargs):
        for source in (*args, kwargs):
            for key, value in dict(source).items():
                self[key] = value

    def __ior__(self, other):
        self.update(other)
        return self

    def clear(self):
        for key in dict.keys(self):
            self._changed(key, False)
        dict.clear(self)

    # Views.

    def copy(self):
        """The same parameters again: what is changed in one is not changed in the other; questions are shared."""
        same = Params.__new__(Params)
        dict.__init__(same, dict.items(self))
        same._reads, same._view, same._own = self._reads, self._view, dict(self._own)
        return same

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def copy_from_keys(self, keys):
        """New parameters that hold only those of `keys` that are set here."""
        some = Params()
        some.update({key: self[key] for key in keys if key in self})
        return some

    def object_params(self, obj_name):
        """The parameters as the object `obj_name` sees them: ``mem_vm1`` is its ``mem``."""
        suffix = f"_{obj_name}"
        view = self.copy()
        view._view = (*self._view, obj_name)
        self._reads.scan(obj_name)
        for key in [key for key in dict.__iter__(view) if key.endswith(suffix)]:
            name = key.split(suffix)[0]
            dict.__setitem__(view, name, dict.__getitem__(view, key))
            if name + suffix != key:
                self._asked(key)  # the suffix stands in it twice: no rule of names finds it, so it is recorded at once
        return view

    def objects(self, key):
        """The words of `key`, each once, in order: the names of objects. Nothing where the key is not set."""
        return list(dict.fromkeys(str(self.get(key, "")).split()))

    def object_counts(self, count_key, base_name):
        """Yield ``base_name1`` … as many as the number in `count_key` says (one where it is not set)."""
        for number in range(1, int(self.get(count_key, 1)) + 1):
            yield f"{base_name}{number}"

    # Values as something else than text.

    def get_numeric(self, key, default=0, target_type=int):
        """The number in `key`; ``0x`` and ``0o`` are understood for whole ones."""
        value = self.get(key, default)
        try:
            if target_type is int and isinstance(value, str):
                return int(value, 0)
            return target_type(value)
        except ValueError:
            raise ParamInvalidType(f"parameter {key} = {value!r} is not a number") from None

    def get_boolean(self, key, default=False):
        """``yes``, ``on``, ``true`` and ``no``, ``off``, ``false``, in any case."""
        value = self.get(key, default)
        word = str(value).strip().lower()
        if word in ("yes", "on", "true"):
            return True
        if word in ("no", "off", "false"):
            return False
        raise ParamInvalidType(f"parameter {key} = {value!r} is neither yes, on, true nor no, off, false")

    def get_list(self, key, default="", delimiter=None, target_type=str):
        """The words of `key`, or what `delimiter` separates, each made a `target_type`."""
        value = self.get(key, default)
        words = value.split(delimiter) if isinstance(value, str) else list(value)
        return [target_type(word) for word in words]

    def get_dict(self, key, default="", delimiter=None, need_order=False):
        """The ``name=value`` words of `key` by name. Dicts keep their order: `need_order` changes nothing."""
        del need_order
        pairs = {}
        for word in self.get_list(key, default, delimiter):
            name, equals, value = word.partition("=")
            if not equals:
                raise ParamInvalidType(f"parameter {key}: {word!r} is not of the form name=value")
            pairs[name.strip()] = value.strip()
        return pairs

    def drop_dict_internals(self):
        """The same parameters without those whose name begins with ``_``."""
        rest = self.copy()
        for key in [key for key in dict.__iter__(rest) if key.startswith("_")]:
            dict.__delitem__(rest, key)
        return rest
