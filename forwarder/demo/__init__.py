"""The demo is the whole line on one machine: an embedded broker, simulated devices, receivers that verify, a story."""
