"""Reads archives member by member: formats, member names, and protection against malicious archives."""
