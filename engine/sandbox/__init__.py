"""The sandbox: what candidate code may reach. Layers, each of which holds without the others."""
