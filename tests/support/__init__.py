"""What several tests use: servers, clients, clocks, waiting; and the plugins of the suite."""
