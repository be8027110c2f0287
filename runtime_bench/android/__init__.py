"""Android devices and what runs their adbd: the transport, and what is read off a device (processors, clocks, heat, battery, build)."""
