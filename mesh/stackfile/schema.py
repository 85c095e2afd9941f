"""The JSON schema of a stack file, for editors and other checkers: made of the settings' own models.

The schema is as strict as JSON Schema allows, and never stricter than the program. Draft 2020-12.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from mesh.settings import EVERY_NODE, Defaults, Model, Node, Settings
from mesh.settings.machines import MachineKind, models_of
from mesh.settings.patterns import NODE_NAME, fragment_of
from mesh.stackfile.descriptions import descriptions
from mesh.stackfile.names import DEFAULT_PROJECT, MESH, mesh_key
from mesh.stackfile.tree import read_yaml

__all__ = ["schema_text", "stack_schema"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
# Lists in which the parser refuses an entry that is given twice, by their model.
_UNIQUE: Final = {
    "node": ("groups", "public", "routes", "formerly"),
    "Client": ("to", "groups"),
    "PolicyRule": ("from", "to", "allow"),
}
_POLICY: Final = (
    "Who may reach whom. Without this key all nodes reach each other; with it, only as a rule allows."
)
_CLIENTS: Final = "The devices of people by name: each has tunnels to some nodes (docs/clients.md)."
_POLICY_TESTS: Final = "What the policy must come to. A test that fails stops the preview."
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def stack_schema(kinds: Mapping[str, MachineKind], project: str = DEFAULT_PROJECT) -> dict[str, Any]:
    """Return the schema of the stack files of a project; `kinds` are the providers that nodes may be at."""
    mesh = _mesh_schema(kinds)
    definitions = mesh.pop("$defs")
    value = {
        "description": "The mesh: everything about its network, nodes and policy.",
        # `pulumi config set mesh '{...}'` writes JSON in one text
        "if": {"type": "string"},
        "then": {"pattern": r"^\s*\{"},
        "else": {"$ref": "#/$defs/mesh"},
    }
    key = mesh_key(project)
    return {
        "$schema": _DIALECT,
        "title": f"A stack file of the project {project}",
        "description": "Pulumi.<stack>.yaml: one environment. Every key of the mesh: docs/stack-file.md.",
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "description": "The configuration: the mesh, and the settings of the cloud beside it.",
                "type": "object",
                "propertyNames": {"pattern": "^[^:]+(:config)?(:[^:]+)?$"},
                "properties": {key: value, MESH: value},
                "oneOf": [{"required": [key]}, {"required": [MESH]}],
            },
            "encryptionsalt": {"type": "string", "description": "Written by the engine."},
            "encryptedkey": {"type": "string", "description": "Written by the engine."},
            "secretsprovider": {"type": "string", "description": "What encrypts the secrets of this stack."},
            "environment": {"description": "Environments of Pulumi ESC."},
        },
        "patternProperties": {"(^|:)mesh$": False},
        "$defs": {"mesh": mesh, **definitions},
    }


def schema_text(kinds: Mapping[str, MachineKind], project: str = DEFAULT_PROJECT) -> str:
    """Return the schema as the text of a file."""
    return f"{json.dumps(stack_schema(kinds, project), indent=2, ensure_ascii=False)}\n"


class _Generator(GenerateJsonSchema):
    """Says what the functions take that read values; pydantic alone knows only what they return.

    Also says what the models' docstrings say of their keys.
    """

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        model: type[Model] = schema["cls"]
        properties = made.get("properties", {})
        for name, text in descriptions(model).items():
            field = model.model_fields.get(name)
            key = (field.alias or name) if field else None
            if key in properties:  # others are no keys of the stack file, such as a ClassVar
                properties[key].setdefault("description", text)
        return made

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        found = fragment_of(schema["function"]["function"])
        return super().function_before_schema(schema) if found is None else found

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        found = fragment_of(schema["function"]["function"])
        return super().function_plain_schema(schema) if found is None else found


def _mesh_schema(kinds: Mapping[str, MachineKind]) -> dict[str, Any]:
    models = models_of(kinds)
    made: Any = create_model(
        "mesh",
        __base__=Settings,
        defaults=(models.defaults, models.defaults()),
        nodes=(dict[str, Any], ...),
    )
    schema = _schema_of(made)
    definitions = schema["$defs"]
    nodes = {
        name: models.node({"provider": name}).model_json_schema(schema_generator=_Generator) for name in kinds
    }
    definitions["node"] = _node(nodes)
    for replaced, model in (("Defaults", Defaults), ("Node", Node)):
        definitions.pop(replaced, None)
        definitions[replaced.lower()]["description"] = str(model.__doc__)
    schema["properties"]["nodes"] = {
        "description": "The nodes by name. A name is also the host name of the server.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": NODE_NAME,
        "additionalProperties": {"$ref": "#/$defs/node"},
    }
    schema["properties"]["clients"] |= {"description": _CLIENTS, "propertyNames": NODE_NAME}
    # pydantic alone would allow null, which the parser refuses: no policy, or one without rules? no rotation?
    rules = schema["properties"]["policy"]["anyOf"][0]
    schema["properties"]["policy"] = {"description": _POLICY, **rules, "uniqueItems": True}
    schema["properties"]["rotation"] = schema["properties"]["rotation"]["anyOf"][0]
    schema["properties"]["policyTests"]["description"] = _POLICY_TESTS
    for key, shared in definitions["defaults"]["properties"].items():
        own = definitions["node"]["properties"].get(key, shared)
        own.setdefault("description", shared.get("description", ""))
    for owner, keys in _UNIQUE.items():
        for key in keys:
            definitions[owner]["properties"][key]["uniqueItems"] = True
    for owner in ("node", "Client"):
        definitions[owner]["properties"]["groups"]["items"]["not"] = {"const": EVERY_NODE}
    # `all` beside anything else says that twice
    allow = definitions["PolicyRule"]["properties"]["allow"]
    allow |= {"if": {"contains": {"const": "all"}}, "then": {"maxItems": 1}}
    for part in (schema, *definitions.values()):
        _tidy(part)
    return schema


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True, schema_generator=_Generator)


def _node(kinds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of a node; with several providers, its keys are those of the one that it names."""
    first, *others = kinds.values()
    if not others:
        return first
    merged = {**first, "properties": {}, "title": "node"}
    for schema in kinds.values():
        for key, value in schema["properties"].items():
            known = merged["properties"].get(key, value)
            merged["properties"][key] = known if known == value else {"anyOf": [known, value]}
    merged["allOf"] = [
        {
            "if": {"properties": {"provider": {"const": name}}, "required": ["provider"]},
            "then": {"propertyNames": {"enum": list(schema["properties"])}},
        }
        for name, schema in kinds.items()
    ]
    return merged


def _tidy(schema: dict[str, Any]) -> None:
    """Put examples in as values, descriptions as plain text, and leave out what only repeats."""
    schema.pop("title", None)
    for key, value in schema.get("properties", {}).items():
        examples = [read_yaml(f"{key}: {example}").value()[key] for example in value.get("examples", ())]
        # an example of a key in a guide is cut
        whole = [example for example in examples if "AAAA..." not in str(example)]
        value.pop("examples", None)
        if whole:
            value["examples"] = whole
        if "title" in value and "description" in value:
            value["description"] = f"{value['description']}\n\nType: {value['title']}."
        value.pop("title", None)
        if value.get("type") == "array" and "minLength" in value:  # what pydantic says of lists it cannot see
            value["minItems"] = value.pop("minLength")
        if isinstance(value.get("default"), dict) or value.get("default", "") is None:
            del value["default"]
        if "description" in value:
            value["description"] = _LINK.sub(r"\1", value["description"]).replace("`", "")
    if "description" in schema:
        schema["description"] = schema["description"].partition("\n\n")[0]
