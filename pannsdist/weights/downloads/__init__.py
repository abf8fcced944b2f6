"""Download, verification and cache of published weights."""
