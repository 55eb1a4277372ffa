"""What Andon asks for over HTTP: spans of a running Phoenix, the health of agents. Hosts are those of the config."""
