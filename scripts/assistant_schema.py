"""The JSON Schema of an assistant's file, for editors: what `read_assistant` checks, as far as a schema can say it.

Draft 07, which the YAML language server of the common editors reads. Which options are legal beside a provider depends
on the provider.
"""

from __future__ import annotations

from typing import Any

import yaml

from actors.providers.registry import KINDS, Registry
from actors.providers.spec import Kind, ProviderSpec
from config.assistant import AssistantConfig

Schema = dict[str, Any]


def assistant_schema(registry: Registry) -> Schema:
    """The schema of a whole file, with the options of every provider that the registry knows."""
    schema = AssistantConfig.model_json_schema()
    definitions: Schema = schema.pop("$defs")
    del definitions["ProviderChoice"]
    for kind in KINDS:
        specs = [spec for spec in registry.list() if spec.kind == kind]
        for spec in specs:
            definitions |= _options(spec)
        definitions[kind] = _chain(kind, specs)
        schema["properties"][kind] = {**_described(schema["properties"][kind]), "$ref": f"#/$defs/{kind}"}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "An assistant of Callboard"}
    return {**head, **_cleaned(schema), "$defs": _cleaned(definitions)}


def _described(schema: Schema) -> Schema:
    return {name: schema[name] for name in ("description", "examples") if name in schema}


def _chain(kind: Kind, specs: list[ProviderSpec]) -> Schema:
    """A name, a provider with options, or a list of these."""
    names = [spec.name for spec in specs]
    choice = {
        "type": "object",
        "required": ["provider"],
        "properties": {"provider": {"enum": names}},
        "allOf": [
            {
                "if": {"properties": {"provider": {"const": name}}, "required": ["provider"]},
                "then": {"$ref": f"#/$defs/{kind}.{name}"},
            }
            for name in names
        ],
    }
    one = [{"enum": names}, choice]
    return {"anyOf": [*one, {"type": "array", "minItems": 1, "items": {"anyOf": one}}]}


def _options(spec: ProviderSpec) -> Schema:
    """Definitions: the options of a provider beside its name, and what they refer to."""
    name = f"{spec.kind}.{spec.name}"
    options = _renamed(spec.options.model_json_schema(), f"#/$defs/{name}.")
    inner = options.pop("$defs", {})
    provider = {"const": spec.name, "description": spec.summary}
    options["properties"] = {"provider": provider, **options["properties"]}
    return {name: options, **{f"{name}.{key}": value for key, value in inner.items()}}


def _renamed(schema: Any, prefix: str) -> Any:
    """Two providers may each have a model of one name."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", prefix) if key == "$ref" else _renamed(value, prefix)
            for key, value in schema.items()
        }
    return [_renamed(item, prefix) for item in schema] if isinstance(schema, list) else schema


def _cleaned(schema: Any, is_names: bool = False) -> Any:
    """Without titles that repeat a name, and with examples as values: those of our models are YAML."""
    if isinstance(schema, list):
        return [_cleaned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {
        key: _cleaned(value, is_names=key in ("properties", "$defs"))
        for key, value in schema.items()
        if is_names or key != "title"
    }
    if not is_names and "examples" in cleaned:
        cleaned["examples"] = [yaml.safe_load(text) for text in schema["examples"]]
    return cleaned
