"""HTTP for programs: one table of routes, from which serving, OpenAPI, documentation and authorisation come."""
