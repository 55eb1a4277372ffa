"""Andon: what is wrong and what to do about it. Switches, effects, incidents, playbooks."""
