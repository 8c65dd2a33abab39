"""What Python files use of the objects and modules that a test host gives them, found without running anything.

The text is cut into units: each function and class at the top of a file, and the rest of the file as one unit without a
name. A unit refers to other units, and to members of the objects that tests are given (``vm``, ``env``, ``params``,
``test``, ``session``, ``monitor``, ``devices``, ``qdevice``). What an object is follows from where it comes from
(``env.get_vm(…)`` is a machine), and for arguments from how tests name them.

What is reached by ``getattr`` or by a module's name in a text is not seen.
"""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

#: What an attribute, or a call of a method, gives; ``[]`` is a list of that.
RESULTS = {
    ("env", "get_vm"): "vm",
    ("env", "create_vm"): "vm",
    ("env", "get_all_vms"): "vm[]",
    ("env", "get_vms"): "vm[]",
    ("vm", "clone"): "vm",
    ("vm", "params"): "params",
    ("vm", "get_params"): "params",
    ("vm", "devices"): "devices",
    ("vm", "monitor"): "monitor",
    ("vm", "catch_monitor"): "monitor",
    ("vm", "monitors"): "monitor[]",
    ("vm", "qmp_monitors"): "monitor[]",
    ("vm", "get_monitors_by_type"): "monitor[]",
    ("vm", "login"): "session",
    ("vm", "serial_login"): "session",
    ("vm", "wait_for_login"): "session",
    ("vm", "wait_for_serial_login"): "session",
    ("vm", "reboot"): "session",
    ("vm", "serial_console"): "session",
    ("params", "object_params"): "params",
    ("params", "copy"): "params",
    ("params", "copy_from_keys"): "params",
    ("devices", "get"): "qdevice",
    ("devices", "get_by_qid"): "qdevice[]",
    ("devices", "get_by_params"): "qdevice[]",
    ("devices", "get_children"): "qdevice[]",
    ("devices", "images_define_by_params"): "qdevice[]",
    ("devices", "images_define_by_variables"): "qdevice[]",
    ("devices", "cdroms_define_by_params"): "qdevice[]",
    ("devices", "chardev_define_by_params"): "qdevice",
    ("devices", "serials_define_by_variables"): "qdevice[]",
    ("devices", "memory_define_by_params"): "qdevice[]",
}

#: How tests name arguments of a kind.
NAMES = [
    ("vm", re.compile(r"^(vm\d?|\w+_vm)$")),
    ("env", re.compile(r"^env$")),
    ("test", re.compile(r"^test$")),
    ("params", re.compile(r"^(params|\w+_params)$")),
    ("session", re.compile(r"^\w*session\w*$")),
    ("monitor", re.compile(r"^(monitor|\w+_monitor)$")),
]

#: Methods of every dict: an object that tests use as one has them.
OTHER = "other"


@dataclass
class Unit:
    """One function or class, or what stands between them."""

    #: ``(module, name)`` of what it refers to.
    refers: set = field(default_factory=set)
    #: ``(kind, member)`` of what it uses of the objects.
    members: set = field(default_factory=set)
    #: What it returns, where that is known.
    returns: str = OTHER


class Source:
    """One file: its imports, its definitions, and its units once :meth:`read` was called."""

    def __init__(self, module, path):
        self.module = module
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        self.modules, self.names = _imports(self.tree, package)
        self.definitions = {node.name: node for node in self.tree.body if isinstance(node, _DEFINITIONS)}
        self.units = {}

    def binds(self, name):
        """Whether the file may give something the name `name`; what ``import *`` gives is not known."""
        stores = (node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        defines = (node.name for node in ast.walk(self.tree) if isinstance(node, _DEFINITIONS))
        return name in {*stores, *defines, *self.names, *self.modules} or "*" in self.names

    def read(self, returned):
        """Cut the file into units. `returned` says what functions of other files give, by ``(module, name)``."""
        rest = [node for node in self.tree.body if not isinstance(node, _DEFINITIONS)]
        parts = {"": rest, **{name: [node] for name, node in self.definitions.items()}}
        self.units = {name: _Reader(self, nodes, returned).unit for name, nodes in parts.items()}


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _second_choices(tree):
    """Imports that are tried where another one has failed, and those that may fail without harm."""
    handlers = [part for node in ast.walk(tree) if isinstance(node, ast.Try) for part in node.handlers]
    return {child for handler in handlers for child in ast.walk(handler)}


def _imports(tree, package):
    """Local names of modules, and of names in modules."""
    modules, names = {}, {}
    second = _second_choices(tree)
    for node in sorted(ast.walk(tree), key=lambda node: node not in second):
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                names[alias.asname or alias.name] = (base, alias.name)
    return modules, names


class _Reader(ast.NodeVisitor):
    """Reads one unit."""

    def __init__(self, source, nodes, returned):
        self.source = source
        self.returned = returned
        self.unit = Unit()
        self.kinds = {}
        #: Names that stand for a file or the like somewhere: what is asked of them is not to be told from what is asked of that.
        self.mixed = set()
        self.second = _second_choices(source.tree)
        functions = [node for node in nodes if isinstance(node, _DEFINITIONS)]
        #: Names that a function gives to values of its own, whatever the file imports under them.
        self.own = {
            child.id
            for node in functions
            for child in ast.walk(node)
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
        }
        self.arguments = {
            argument.arg
            for node in nodes
            for function in ast.walk(node)
            if isinstance(function, (ast.FunctionDef, ast.Lambda))
            for argument in [*function.args.args, *function.args.kwonlyargs]
        }
        for _ in range(3):  # a kind may come from a name that is bound further down
            for node in nodes:
                for child in ast.walk(node):
                    self._bind(child)
        for node in nodes:
            self.visit(node)

    # Kinds.

    def _bind(self, node):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._name(target, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            self._name(node.target, node.value)
        elif isinstance(node, (ast.For, ast.comprehension)):
            self._set(node.target, _element(self.kind(node.iter)))
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            kind = self.kind(node.context_expr)
            self._set(node.optional_vars, kind)
            if kind is None:
                self.mixed.add(_path(node.optional_vars))
        elif isinstance(node, ast.Return) and node.value is not None:
            kind = self.kind(node.value)
            if kind not in (None, OTHER):
                self.unit.returns = kind

    def _name(self, target, value):
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its in zip(target.elts, value.elts):
                self._set(one, self.kind(its))
        else:
            self._set(target, self.kind(value))

    def _set(self, target, kind):
        key = _path(target)
        if key and kind is not None and self.kinds.get(key) in (None, OTHER):
            self.kinds[key] = kind

    def kind(self, node):
        """What `node` is; None where nothing is known."""
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._kind_of_path(node)
        if isinstance(node, ast.Call):
            return self._kind_of_call(node)
        if isinstance(node, ast.Subscript):
            kind = self.kind(node.value)
            if kind and kind.endswith("[]"):
                return kind if isinstance(node.slice, ast.Slice) else kind[:-2]
            return OTHER if kind == "params" else None
        if isinstance(node, ast.IfExp):
            return self.kind(node.body) or self.kind(node.orelse)
        if isinstance(node, ast.BoolOp):
            return next(filter(None, map(self.kind, node.values)), None)
        if isinstance(node, (ast.List, ast.Tuple)):
            kind = self.kind(node.elts[0]) if node.elts else OTHER
            return f"{kind}[]" if kind not in (None, OTHER) else OTHER
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            kind = self.kind(node.elt)
            return f"{kind}[]" if kind not in (None, OTHER) else None
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.Dict, ast.BinOp, ast.Compare)):
            return OTHER
        return None

    def _kind_of_path(self, node):
        key = _path(node)
        if key in self.mixed:
            return None
        if key in self.kinds and self.kinds[key] != OTHER:
            return self.kinds[key]
        if isinstance(node, ast.Attribute):
            owner = self.kind(node.value)
            if owner in _KINDS:
                return RESULTS.get((owner, node.attr), OTHER)
        if key in self.kinds:
            return OTHER
        name = node.id if isinstance(node, ast.Name) else node.attr
        if isinstance(node, ast.Attribute) and _path(node.value) not in ("self", "cls"):
            return None
        source = self.source
        known = name in source.names or name in source.modules or name in source.definitions
        if isinstance(node, ast.Name) and name not in self.arguments and known:
            return None
        return next((kind for kind, pattern in NAMES if pattern.match(name)), None)

    def _kind_of_call(self, node):
        function = node.func
        if isinstance(function, ast.Attribute):
            owner = self.kind(function.value)
            if owner in _KINDS:
                return RESULTS.get((owner, function.attr), OTHER)
        target = self._target(function)
        if target:
            return self.returned.get(target)
        return None

    # References.

    def _target(self, node):
        """The ``(module, name)`` that a name or a dotted name stands for."""
        source = self.source
        if isinstance(node, ast.Name):
            if node.id in self.own:
                return None
            if node.id in source.definitions:
                return (source.module, node.id)
            return source.names.get(node.id)
        key = _path(node)
        if not key:
            return None
        head, *rest = key.split(".")
        if head in self.own:
            return None
        if head in source.modules:
            dotted = source.modules[head]
        elif head in source.names:
            dotted = ".".join(source.names[head])
        else:
            return None
        if not rest:
            return None
        return (".".join([dotted, *rest[:-1]]), rest[-1])

    def visit_Name(self, node):
        target = self._target(node)
        if target and node.id not in self.arguments:
            self.unit.refers.add(target)

    def visit_Attribute(self, node):
        kind = self.kind(node.value)
        if kind in _KINDS:
            self.unit.members.add((kind, node.attr))
        else:
            target = self._target(node)
            if target:
                self.unit.refers.add(target)
        self.generic_visit(node)

    def visit_Import(self, node):
        for alias in node.names if node not in self.second else ():
            self.unit.refers.add((alias.name, ""))

    def visit_ImportFrom(self, node):
        for alias in node.names if node not in self.second else ():
            if alias.name == "*":
                self.unit.refers.add((node.module, ""))
                continue
            self.unit.refers.add(self.source.names[alias.asname or alias.name])


_KINDS = {kind for kind, _ in RESULTS} | {kind.removesuffix("[]") for kind in RESULTS.values()}


def _element(kind):
    return kind[:-2] if kind and kind.endswith("[]") else None


def _path(node):
    """``a.b.c`` as text; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = _path(node.value)
        return f"{above}.{node.attr}" if above else None
    return None


def module_name(path, folder, prefix=()):
    """The dotted name of the file `path` for a test that has `folder` on its ``sys.path``."""
    parts = [*prefix, *path.relative_to(folder).with_suffix("").parts]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def files_below(folder, prefix=()):
    """All Python files below `folder` as ``(module, path)`` pairs."""
    return [(module_name(path, folder, prefix), path) for path in sorted(Path(folder).rglob("*.py"))]


class Library:
    """Files by the dotted names under which tests import them."""

    def __init__(self, files, aliases=None):
        """
        :param files: ``(module, path)`` pairs; of two files that are the same module the first counts.
        :param aliases: Further names of these modules, and the name that each stands for.
        """
        self.sources = {}
        self.aliases = aliases or {}
        #: Files that nobody can import (Python 2, or a slip), each with the line and what Python says of it.
        self.unreadable = {}
        for module, path in files:
            try:
                self.sources.setdefault(module, Source(module, path))
            except SyntaxError as error:
                self.unreadable[path] = f"{path}:{error.lineno}: {error.msg}"
            except (ValueError, OSError) as error:
                self.unreadable[path] = f"{path}: {error}"
        # An object of a class of its own is none of those that the host gives.
        returned = {
            (source.module, name): OTHER
            for source in self.sources.values()
            for name, node in source.definitions.items()
            if isinstance(node, ast.ClassDef)
        }
        for _ in range(2):
            for source in self.sources.values():
                source.read(returned)
                for name, unit in source.units.items():
                    if unit.returns != OTHER:
                        returned[source.module, name] = unit.returns

    def reach(self, module, stops):
        """Everything that a module reaches: ``(members, names)``.

        `stops(module)` says which modules are not looked into: names in them are given as ``(module, name)``.
        """
        members, names, seen = set(), set(), set()
        todo = [(module, name) for name in self.sources[module].units]
        while todo:
            target = self._known(*todo.pop())
            if target in seen:
                continue
            seen.add(target)
            where, name = target
            if stops(where):
                names.add(target)
            elif where in self.sources:
                source = self.sources[where]
                todo.append((where, ""))
                if name in source.units:
                    members |= source.units[name].members
                    todo.extend(source.units[name].refers)
                elif name in source.names:
                    todo.append(source.names[name])
                elif f"{where}.{name}" in self.sources or stops(f"{where}.{name}"):
                    todo.append((f"{where}.{name}", ""))
            elif name and (f"{where}.{name}" in self.sources or stops(f"{where}.{name}")):
                todo.append((f"{where}.{name}", ""))
            elif "." in where:
                # A class's member: `module.Class.member` was read as the name of a module.
                todo.append(tuple(where.rpartition(".")[::2]))
        return members, names

    def _known(self, module, name):
        """A name in a module, where the module is called as in ``sources``."""
        inner = self.aliases.get(f"{module}.{name}") if name else None
        return (inner, "") if inner else (self.aliases.get(module, module), name)


def attributes(path):
    """The names of everything that the classes in a file define: methods, class attributes, attributes of ``self``."""
    found = set()
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, _DEFINITIONS):
                    found.add(part.name)
                elif isinstance(part, ast.Assign):
                    found.update(target.id for target in part.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _path(node.value) == "self":
            found.add(node.attr)
    return found
