"""RFC 2544 measurements: what perf/rfc2544.sh runs."""
