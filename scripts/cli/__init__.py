"""What all commands share: presets, flags, messages, exit codes."""
