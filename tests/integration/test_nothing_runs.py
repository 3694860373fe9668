"""Nothing that is read is run: the source is walked for whatever could, and a look is taken at a program at work."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import ROOT

SOURCES = sorted((ROOT / "imgcluster").rglob("*.py"))
# Calls that run, or may run, what they are given.
FORBIDDEN = (
    "eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load",
    "marshal.loads", "shelve.open", "joblib.load", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads",
    "pd.read_pickle", "pandas.read_pickle", "os.system", "os.popen", "os.exec", "os.execv", "os.execve", "os.spawnv",
    "subprocess.getoutput", "subprocess.getstatusoutput", "yaml.load", "yaml.load_all", "yaml.unsafe_load",
    "yaml.full_load", "torch.jit.load", "torch.hub.load", "runpy.run_path", "runpy.run_module", "ctypes.CDLL",
)  # fmt: skip
# Calls that are safe with a keyword that says so, and that value.
SAFE_WITH = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
# What is called with `shell=True` goes through a shell.
SHELL = "shell"
ALLOWED = {
    # From its own parent, through a pipe that nobody else can write to.
    ("imgcluster/features/engines/multiprocess.py", "pickle.load"),
    # Of None: the C library that the process has loaded already.
    ("imgcluster/utils/system.py", "ctypes.CDLL"),
}


def dotted(node: ast.expr) -> str:
    """The name of what is called: `a.b.c`, or nothing where it is no plain name."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def imports_of(tree: ast.AST) -> dict[str, str]:
    """What names mean that were imported from a module: `from pickle import load as l` makes `l` `pickle.load`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {(each.asname or each.name): f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.asname: each.name for each in node.names if each.asname}
    return found


def offences(text: str) -> list[str]:
    """The calls in a source that run what they are given."""
    tree = ast.parse(text)
    known = imports_of(tree)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, _, rest = dotted(node.func).partition(".")
        names = {".".join(filter(None, (first, rest))), ".".join(filter(None, (known.get(first, first), rest)))}
        keywords = {each.arg: getattr(each.value, "value", None) for each in node.keywords}
        forbidden = names & {*FORBIDDEN}
        unsafe = [name for name in names & {*SAFE_WITH} if keywords.get(SAFE_WITH[name][0]) is not SAFE_WITH[name][1]]
        found += [*forbidden, *unsafe, *([SHELL] if SHELL in keywords and keywords[SHELL] is not False else [])]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_no_source_runs_what_it_reads(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert [each for each in offences(path.read_text(encoding="utf-8")) if (name, each) not in ALLOWED] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("eval(x)", "eval"),
        ("import pickle\npickle.loads(x)", "pickle.loads"),
        ("from pickle import load as read\nread(f)", "pickle.load"),
        ("import pickle as p\np.Unpickler(f)", "pickle.Unpickler"),
        ("torch.load(f)", "torch.load"),
        ("torch.load(f, weights_only=False)", "torch.load"),
        ("np.load(f)", "np.load"),
        ("np.load(f, allow_pickle=True)", "np.load"),
        ("yaml.load(f, Loader=yaml.UnsafeLoader)", "yaml.load"),
        ("subprocess.run(line, shell=True)", "shell"),
        ("subprocess.run(line, shell=wanted)", "shell"),
        ("import os\nos.system(line)", "os.system"),
    ],
)
def test_the_walk_finds_what_it_looks_for(text: str, found: str) -> None:
    assert found in offences(text)


def test_what_is_allowed_is_there() -> None:
    for name, call in ALLOWED:
        assert call in offences((ROOT / name).read_text(encoding="utf-8")), name


def test_yaml_is_read_by_a_safe_loader() -> None:
    import yaml

    from imgcluster.config import yaml as yaml_files

    assert issubclass(yaml_files._StrictLoader, yaml.SafeLoader)


def test_pages_escape_what_they_show() -> None:
    """Every template of the report is made with escaping on."""
    made = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and dotted(node.func).endswith("Environment"):
                keywords = {each.arg: each.value for each in node.keywords}
                made.append(path.name)
                assert isinstance(keywords["autoescape"], ast.Constant), path
                assert keywords["autoescape"].value is True, path
    assert made
