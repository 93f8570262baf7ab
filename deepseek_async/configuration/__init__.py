"""Everything that says how a client is to be: settings, features, credentials, and the file that holds them."""
