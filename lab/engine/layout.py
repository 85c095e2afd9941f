"""Changing one value of a YAML file and nothing else: comments, order and layout stay.

The parser says where each value stands; only that part of the text is replaced. (ruamel.yaml keeps comments,
but writes all lists of a file at one indentation: other lines than the one in question would change.)
"""

from typing import Any, Final

import yaml

__all__ = ["removed", "replaced"]

_NULL: Final = "tag:yaml.org,2002:null"


def replaced(text: str, path: list[str | int], value: Any) -> str:
    """Return the text with another value at a path of names and numbers; what is missing is put in.

    A number may be the length of its list. Raises `IndexError` for one beyond that.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None or _is_null(root):
        return _ending_in_newline(text if root is None else "") + _block(path[0], _nested(path[1:], value), 0)
    return _put(text, root, path, value)


def removed(text: str, path: list[str | int]) -> str:
    """Return the text without the value at a path; the same text where there is none."""
    node: Any = yaml.compose(text, yaml.SafeLoader)
    for part in path[:-1]:
        node = _child(node, part)
    place = _place(node, path[-1])
    if place is None:
        return text
    if node.flow_style:
        return _without_item(text, node, place)
    key = node.value[place][0] if isinstance(node, yaml.MappingNode) else node.value[place]
    first = _line_start(text, key.start_mark.index)
    if len(node.value) == 1:  # nothing would be left: an empty one
        empty = "{}" if isinstance(node, yaml.MappingNode) else "[]"
        return f"{text[: node.start_mark.index].rstrip()} {empty}{text[_end(node) :]}"
    last = text.find("\n", _end(node.value[place][1] if isinstance(node, yaml.MappingNode) else key))
    return text[:first] + ("" if last < 0 else text[last + 1 :])


def _put(text: str, node: Any, path: list[str | int], value: Any) -> str:
    if not path or _is_null(node) or not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        return _instead(text, node, _nested(path, value))
    place = _place(node, path[0])
    if place is not None:
        inside = node.value[place][1] if isinstance(node, yaml.MappingNode) else node.value[place]
        if _is_null(inside) and len(path) > 1 and isinstance(path[1], str) and not node.flow_style:
            start, end = inside.start_mark.index, inside.end_mark.index
            lines = _block(path[1], _nested(path[2:], value), node.start_mark.column + 2)
            return f"{text[:start].rstrip(' ')}\n{lines.removesuffix(chr(10))}{text[end:]}"
        return _put(text, inside, path[1:], value)
    new = _nested(path[1:], value)
    if isinstance(node, yaml.SequenceNode) and path[0] != len(node.value):
        raise IndexError(len(node.value))
    if not node.value or node.flow_style:
        return _added_in_line(text, node, path[0], new)
    if isinstance(node, yaml.MappingNode):
        added = _block(path[0], new, node.start_mark.column)
    else:
        added = f"{' ' * node.start_mark.column}- {_in_line(new)}\n"
    end = text.find("\n", _end(node))
    return f"{text}\n{added}" if end < 0 else text[: end + 1] + added + text[end + 1 :]


def _instead(text: str, node: Any, value: Any) -> str:
    """Put a value where another one stands; between a colon and nothing, a space."""
    start, end = node.start_mark.index, max(_end(node), node.start_mark.index)
    space = "" if start == 0 or text[start - 1].isspace() else " "
    return f"{text[:start]}{space}{_in_line(value)}{text[end:]}"


def _added_in_line(text: str, node: Any, key: str | int, value: Any) -> str:
    item = f"{_in_line(key)}: {_in_line(value)}" if isinstance(node, yaml.MappingNode) else _in_line(value)
    if not node.value:
        left, right = ("{", "}") if isinstance(node, yaml.MappingNode) else ("[", "]")
        return f"{text[: node.start_mark.index]}{left}{item}{right}{text[node.end_mark.index :]}"
    end = _end(node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1])
    return f"{text[:end]}, {item}{text[end:]}"


def _without_item(text: str, node: Any, place: int) -> str:
    items = [item if isinstance(item, tuple) else (item, item) for item in node.value]
    start, end = items[place][0].start_mark.index, _end(items[place][1])
    if place + 1 < len(items):
        end = items[place + 1][0].start_mark.index
    elif place:
        start = _end(items[place - 1][1])
    return text[:start] + text[end:]


def _child(node: Any, part: str | int) -> Any:
    place = _place(node, part)
    if place is None:
        return None
    return node.value[place][1] if isinstance(node, yaml.MappingNode) else node.value[place]


def _place(node: Any, part: str | int) -> int | None:
    """Return where among a node's parts one of this name or number is."""
    if isinstance(node, yaml.MappingNode):
        return next((n for n, (key, _) in enumerate(node.value) if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return part
    return None


def _end(node: Any) -> int:
    """Return where a value ends, without the comments and blank lines that the parser counts to it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _is_null(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def _nested(path: list[str | int], value: Any) -> Any:
    for part in reversed(path):
        if isinstance(part, int) and part:
            raise IndexError(0)
        value = [value] if isinstance(part, int) else {part: value}
    return value


def _block(key: str | int, value: Any, column: int) -> str:
    """Return `key: value` on lines of its own."""
    margin = " " * column
    if isinstance(value, dict) and len(value) == 1:
        inner_key, inner = next(iter(value.items()))
        return f"{margin}{_in_line(key)}:\n{_block(inner_key, inner, column + 2)}"
    return f"{margin}{_in_line(key)}: {_in_line(value)}\n"


def _in_line(value: Any) -> str:
    style = '"' if isinstance(value, str) and "\n" in value else None
    text = yaml.safe_dump(
        value, default_flow_style=True, default_style=style, sort_keys=False, allow_unicode=True, width=2**30
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _ending_in_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
