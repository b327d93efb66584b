"""Answers + what is there -> Plan: everything that a run will do, decided before anything is done. Pure."""
