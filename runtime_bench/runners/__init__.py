"""The programs that measure on a device, how they are started, and what the runtimes' own tools print."""
