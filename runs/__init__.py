"""The run directory, its checkpoints, the device and the environment of a process."""
