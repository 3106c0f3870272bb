"""params.yaml as DVC reads it (YAML 1.2), and no key given twice: whatever reads that file reads it here.

Another reader would disagree with DVC on what runs: to PyYAML (YAML 1.1) `no` is false, 1e-4 a text, and of a key that
is there twice the last one counts in silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode


class ParamsFileError(ValueError):
    """A parameter file that cannot be read; the message names file, line and remedy."""


def read_params(file: Path) -> Any:
    """The content of a YAML file, as plain data; None of an empty one.

    Raises:
        FileNotFoundError: it is not there.
        ParamsFileError: it is no YAML in UTF-8, or a mapping has a key twice; all of these are named.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not found; run from the project's folder")
    reader = YAML(typ="safe", pure=True)
    try:
        text = file.read_text(encoding="utf-8")
        root = reader.compose(text)
        if root is None:
            return None
        if twice := _repeated(root, "", set()):
            raise ParamsFileError(f"{file}: " + "\n  ".join(twice))
        return reader.constructor.construct_document(root)
    except ParamsFileError:
        raise
    except UnicodeDecodeError as error:
        raise ParamsFileError(f"{file}: not a text in UTF-8 ({error}); save it as UTF-8") from None
    except (YAMLError, RecursionError, ValueError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        problem = (error.problem if isinstance(error, MarkedYAMLError) else None) or " ".join(str(error).split())
        raise ParamsFileError(f"{file}: {where}not valid YAML: {problem}; correct it there") from None


def _repeated(node: Node, place: str, seen: set[int]) -> list[str]:
    """What is said of every key that a mapping in `node` has twice; what an alias stands for is looked at once."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    said: list[str] = []
    if isinstance(node, MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key.value, str) else "?"
            path, line = f"{place}.{name}" if place else name, key.start_mark.line + 1
            if name in first:
                said.append(f"line {line}: {path} is there already, in line {first[name]}; keep one of them")
            first.setdefault(name, line)
            said += _repeated(value, path, seen)
    elif isinstance(node, SequenceNode):
        for number, value in enumerate(node.value):
            said += _repeated(value, f"{place}.{number}", seen)
    return said
