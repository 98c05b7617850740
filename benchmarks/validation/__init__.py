"""The paper's validation: what is generated, how it is judged, tables and figures."""
