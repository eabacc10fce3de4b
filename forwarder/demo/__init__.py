"""The whole line on one machine: an embedded broker, simulated devices, a receiver that verifies, and a story."""
