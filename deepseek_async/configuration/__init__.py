"""Client configuration: settings, features, credentials, and the settings file."""
