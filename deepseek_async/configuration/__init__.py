"""Settings in a YAML file: read with their lines, checked against a schema, turned into a client's arguments."""

from deepseek_async.configuration.settings_file import Origin, SettingsFile, commented_file

__all__ = ["Origin", "SettingsFile", "commented_file"]
