"""Settings that stand in files: `{NAME}_FILE` names one that has the value of `NAME`, as secrets are mounted."""

from collections.abc import Mapping
from typing import Any

from afterturn_client.environment import FILE_SUFFIX, given_twice, read_file
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource


class FilesSource(PydanticBaseSettingsSource):
    """Reads what the environment, or else `.env`, names a file for."""

    def __init__(self, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._sources = [source.env_vars for source in sources if isinstance(source, EnvSettingsSource)]

    def __call__(self) -> dict[str, Any]:
        found = {name: self._read(name) for name in self.settings_cls.model_fields}
        return {name: value for name, value in found.items() if value is not None}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self._read(field_name), field_name, False

    def _read(self, name: str) -> str | None:
        for source in self._sources:
            value, path = source.get(name), source.get(name + FILE_SUFFIX.lower())
            if value and path:
                raise given_twice(name.upper())
            if path:
                return read_file(name.upper(), path)
            if value is not None:
                return None
        return None


def with_values(environment: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Give an environment in which these values stand, and not those of the files that it names."""
    kept = {name: value for name, value in environment.items() if name.removesuffix(FILE_SUFFIX) not in values}
    return {**kept, **values}
