"""The command line. One file a command; what a command needs of the library is imported when it runs."""
